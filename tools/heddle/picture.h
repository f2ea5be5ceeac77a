// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: what `doctor` compares: the state of a program at one moment.
#pragma once

#include <heddle/core/seeing/sight.h>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace tool {

namespace seeing = heddle::detail::seeing;

/// A task, as far as it is compared.
struct pictured {
  std::uint64_t number = 0;
  std::uint32_t generation = 0;
  std::uint64_t word = 0;
  std::uint64_t wait = 0;
  std::uint64_t object = 0;
  std::uint64_t ticket = 0;  // of a wait in a queue: another one for each wait
  std::string does;
  bool nowhere = false;  // ready, and in no queue that can be seen
};

struct picture {
  static constexpr std::size_t most_tasks = 200000;

  std::vector<seeing::loop_view> loops;
  std::vector<std::uint64_t> timer_lag;  // of each loop: how late its first timer is, in ns
  std::vector<std::uint64_t> worked;     // the processor time of its thread, in ns
  std::vector<bool> blocked;             // its thread is blocked in the kernel
  std::unordered_map<std::uint64_t, pictured> tasks;  // by record
  std::uint64_t throttled = 0;                        // periods, of the cgroup
  std::uint64_t periods = 0;
  std::uint64_t throttled_us = 0;

  /// Looks anew.
  void take(seeing::sight& from);
};

/// True: the task at `record` is in the same wait in both pictures.
[[nodiscard]] bool waits_on(const picture& a, const picture& b, std::uint64_t record);

}  // namespace tool
