// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: very many tasks, put together by what they have in common.
#pragma once

#include <heddle/core/seeing/report.h>

#include <cstdint>
#include <string>
#include <unordered_map>

namespace tool {

/// Tasks are alike if they wait in the same kind of thing, through the same chain of calls, and
/// were made at the same place. Memory: by the number of groups, not of tasks.
class groups {
 public:
  void add(const heddle::detail::seeing::task_view& task, heddle::detail::seeing::sight& from);
  /// A line for each group, the largest first.
  void put(heddle::detail::seeing::output& to) const;

 private:
  struct group {
    std::uint64_t count = 0;
    std::uint64_t longest = 0;  // ns since the last step of the task whose is oldest
    std::string does;
    std::string chain;
    std::string made;
    std::string one;  // the id of a task of it
  };
  std::unordered_map<std::uint64_t, group> all_;
};

}  // namespace tool
