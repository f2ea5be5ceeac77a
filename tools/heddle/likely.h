// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: what no word of a primitive tells: the holders of permits, the
// readers, the takers of a queue, and the setters of a future.
#pragma once

#include "circles.h"
#include "holders.h"
#include "mentions.h"

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace tool {

class likely {
 public:
  /// Looks through the frames of all tasks. The loops were looked at before. `core`: nullptr, if it
  /// is a process; else it outlives this.
  void load(seeing::sight& from, const core_file* core);
  /// Adds an edge for each mention that is no left-over of a wait.
  void add_to(circles& graph) const;
  /// The tasks whose frames point at what `task` waits in: those with more than a left-over first.
  [[nodiscard]] std::vector<mention> of(const seeing::task_view& task) const;
  /// Who beside a task could set the future at `future`. Looks through the program's memory the
  /// first time. False: there is too much of it.
  bool holder_of(seeing::sight& from, std::uint64_t future, held& to);
  /// The futures that tasks wait for, and the tasks.
  [[nodiscard]] const std::unordered_map<std::uint64_t, std::vector<std::uint64_t>>& futures()
      const {
    return futures_;
  }

 private:
  struct waiting {
    std::uint64_t record;
    std::uint64_t object;
  };
  const core_file* core_ = nullptr;
  mentions mentions_;
  std::vector<waiting> waiting_;  // without those that wait in a lock whose owner is known
  std::unordered_map<std::uint64_t, std::vector<std::uint64_t>> futures_;
  std::unordered_map<std::uint64_t, held> held_;
  bool looked_ = false;
  bool whole_ = false;
};

/// What the task waits in without an owner: a primitive, or a future. 0: nothing of that kind.
[[nodiscard]] std::uint64_t ownerless(const seeing::task_view& task);

}  // namespace tool
