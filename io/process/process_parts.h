// SPDX-License-Identifier: MIT
// Internal to io.
// What process.h and the insides of processes share.
#pragma once

#include <heddle/core/base/time_types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace heddle {

namespace detail {

class process_state;

/// A counted pointer to the state that the handle and the watch of a child share.
class process_ref {
 public:
  process_ref() noexcept = default;
  explicit process_ref(process_state* adopted) noexcept : state_(adopted) {}
  process_ref(const process_ref& other) noexcept;
  process_ref(process_ref&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  process_ref& operator=(process_ref other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~process_ref();
  [[nodiscard]] process_state* get() const noexcept { return state_; }
  /// Throws usage_error if this pointer is empty.
  [[nodiscard]] process_state& use() const;

 private:
  process_state* state_ = nullptr;
};

}  // namespace detail

/// The result of communicate(). Empty for a stream that was no pipe.
struct process_output {
  std::optional<std::string> stdout;
  std::optional<std::string> stderr;
  /// The limit passed first: the child runs, or somebody still has its pipes. What was read until
  /// then is here.
  bool timed_out = false;
};

/// What a child used, with those of its own children that it has waited for.
struct resource_usage {
  duration user_time{};
  duration system_time{};
  std::uint64_t peak_memory = 0;  // resident, in bytes
  std::uint64_t minor_faults = 0;
  std::uint64_t major_faults = 0;
  std::uint64_t blocks_read = 0;
  std::uint64_t blocks_written = 0;
  std::uint64_t voluntary_switches = 0;
  std::uint64_t involuntary_switches = 0;
};

namespace detail {
/// Acts as if the kernel had no pidfds. Only for the test of that.
void plant_fault_no_pidfd(bool on) noexcept;
}  // namespace detail

}  // namespace heddle
