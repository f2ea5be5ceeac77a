// SPDX-License-Identifier: MIT
// What the cases of "seeing inside" share: programs that are started to be looked at, and the tool
// that looks.
//
// Nothing waits for a time: a case looks until it sees what it wants, for half a minute at most.
#pragma once

#include "../conformance.h"

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace conformance {

/// A program of tests/inside/, which runs until this goes.
class watched {
 public:
  enum class build { plain, stripped, deleted };  // deleted: its file is gone once it runs
  /// `inside_programs NAME LOOPS N`; it has begun when this returns. `environment`: "NAME=VALUE".
  watched(const char* name, unsigned loops, int n = 0, build how = build::plain,
          std::vector<std::string> environment = {});
  watched(const watched&) = delete;
  ~watched();

  [[nodiscard]] pid_t process() const { return process_; }
  /// Stops all its threads (SIGSTOP), and returns when they stand.
  void stop() const;
  [[nodiscard]] std::string number() const { return std::to_string(process_); }
  /// What it has written on stderr so far.
  [[nodiscard]] std::string errors() const;

 private:
  pid_t process_ = -1;
  int input_ = -1;
  std::string errors_path_;
};

struct ran {
  int status = -1;  // the exit status; -1: a signal ended it
  std::string out;
  std::string err;
};
/// Runs the tool `heddle` with these arguments.
ran tool(const std::vector<std::string>& arguments);
[[nodiscard]] std::string path_of_tool();
/// A copy of the tool that every user may run; the caller removes it.
std::string copy_of_tool();
/// A new file, which is empty; the caller removes it.
std::string temporary_file();
/// Runs any program.
ran run_program(const std::vector<std::string>& words);

/// Runs the tool again and again, until `fits` of what it said; gives back the last run.
ran tool_until(const std::vector<std::string>& arguments,
               const std::function<bool(const ran&)>& fits);

/// True once `condition()` holds; false after a minute without it.
bool soon(const std::function<bool()>& condition);

/// The lines of `text` that hold all of `parts`.
std::vector<std::string> lines_with(const std::string& text, const std::vector<std::string>& parts);
inline bool has_line(const std::string& text, const std::vector<std::string>& parts) {
  return !lines_with(text, parts).empty();
}

/// Base of the groups. Skipped where the tool was not built.
class looking_cases : public cases {
 protected:
  void SetUp() override;
};

#define LOOKING_CASES(group)                            \
  class group : public ::conformance::looking_cases {}; \
  HEDDLE_AT_LOOPS(group)

}  // namespace conformance
