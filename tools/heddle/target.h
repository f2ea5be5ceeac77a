// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: what a command looks at. A process, a core, or what a debugger has
// before it: every command takes each of them.
//
//   int ps(const options& o) { return for_each_target(o, &list_tasks); }
//   int list_tasks(const options& o, target& t) { ... t.see() ... }
#pragma once

#include "core_file.h"
#include "options.h"
#include "processes.h"

#include <heddle/core/seeing/running.h>
#include <heddle/core/seeing/sight.h>

#include <cstddef>
#include <memory>
#include <string>

namespace tool {

class target {
 public:
  explicit target(pid_t process) : process_(process) {}
  explicit target(std::unique_ptr<core_file> core);
  /// `name`: as it is called in messages.
  target(std::unique_ptr<mapped_program> elsewhere, std::string name);
  target(const target&) = delete;

  /// Finds the heddle number `which` in it, and looks at the loops. Returns `good`, or a status
  /// after it said why not; of a further heddle that is not there (`which` > 0) nothing is said.
  int open(std::size_t which);
  /// Of an open target.
  [[nodiscard]] seeing::sight& see() { return *sight_; }
  /// The number of the heddle that is open; 0 in nearly all programs.
  [[nodiscard]] std::size_t which() const { return which_; }
  /// The walk over the tasks broke off. Says so. `good`: what was seen until then is to be shown.
  int broke_off();

  /// "process 4711", "core of process 4711, ended by signal 6".
  [[nodiscard]] std::string title() const;
  [[nodiscard]] std::string command() const;
  /// How long it has been running, in seconds; 0: not known.
  [[nodiscard]] double age() const;
  /// Of a core: where a thread stood. False: it is not told.
  [[nodiscard]] bool stack_of(int thread, seeing::native_stack& to) const;
  /// nullptr: it is no core.
  [[nodiscard]] const core_file* core() const { return core_; }
  /// nullptr: it is a process.
  [[nodiscard]] mapped_program* elsewhere() { return elsewhere_.get(); }

 private:
  [[nodiscard]] int check_files();
  int complain_of_core(seeing::opening why);

  pid_t process_ = 0;
  std::string name_;
  core_file* core_ = nullptr;
  std::unique_ptr<mapped_program> elsewhere_;  // the sight looks at it, so it goes last
  std::unique_ptr<seeing::sight> sight_;
  std::size_t which_ = 0;
};

/// Of two statuses the one that tells more: a circle, then what was shown, then what went wrong.
[[nodiscard]] int more_telling(int a, int b);
/// Calls `look` for each heddle of each process, or of the core, that the options mean. What they
/// mean is no program: says so. Returns what `chosen` makes of all statuses.
int for_each_target(const options& o, int (*look)(const options&, target&),
                    int (*chosen)(int, int) = &more_telling);

}  // namespace tool
