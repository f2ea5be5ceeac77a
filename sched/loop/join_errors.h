// SPDX-License-Identifier: MIT
// Internal to sched; installed, since public headers need it.
// What a fork_join throws: the failures of its children, and what it refuses.
#pragma once

#include <heddle/core/task.h>
#include <heddle/sched/loop/join_block.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>

namespace heddle::detail {

/// Finds the error that a join throws: the first in the order of the children. An ordinary error
/// goes before a cancellation.
class join_errors {
 public:
  void see(const std::exception_ptr& e) noexcept;
  [[noreturn]] void raise(join_block& join);

 private:
  std::exception_ptr first_;
  std::exception_ptr first_cancelled_;
};

[[noreturn]] HEDDLE_COLD void throw_fork_of_empty_task();
[[noreturn]] HEDDLE_COLD void throw_fork_of_awaited_task();
[[noreturn]] HEDDLE_COLD void throw_range_awaited_again();
[[noreturn]] HEDDLE_COLD void throw_too_many_children(std::size_t children);
/// Throws bad_value for more children than a join counts.
inline void check_range(std::size_t children) {
  if (children > std::numeric_limits<std::int32_t>::max()) [[unlikely]]
    throw_too_many_children(children);
}
[[noreturn]] HEDDLE_COLD void throw_no_room_for_results(std::size_t children, std::size_t places);

/// One branch for all continuations, since this is asked at every fork.
template <class... Ts>
void check_fork_children(const task<Ts>&... children) {
  if ((!children.valid() || ...)) [[unlikely]]
    throw_fork_of_empty_task();
  const auto awaited =
      (std::uintptr_t{0} | ... |
       reinterpret_cast<std::uintptr_t>(children.frame().promise().continuation.address()));
  if (awaited != 0) [[unlikely]]
    throw_fork_of_awaited_task();
}

}  // namespace heddle::detail
