// SPDX-License-Identifier: MIT
// Internal to io.
// An owned file descriptor, and check(), which turns a failed call into an exception.
#pragma once

#include <heddle/core/errors.h>

#include <cerrno>
#include <string>
#include <utility>

namespace heddle::detail {

/// Owns a descriptor; closes it once.
class fd {
 public:
  fd() noexcept = default;
  explicit fd(int number) noexcept : number_(number) {}
  fd(fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  fd& operator=(fd&& other) noexcept {
    if (this != &other) {
      reset();
      number_ = std::exchange(other.number_, -1);
    }
    return *this;
  }
  ~fd() { reset(); }

  [[nodiscard]] int get() const noexcept { return number_; }
  [[nodiscard]] bool valid() const noexcept { return number_ >= 0; }
  [[nodiscard]] int release() noexcept { return std::exchange(number_, -1); }
  /// Closes the descriptor. Leaves errno as it was, since destructors call this on the way of
  /// errors.
  void reset() noexcept;

 private:
  int number_ = -1;
};

/// Returns `result`, if it is not negative. Else throws std::system_error for errno, with the name
/// of the call and what it was about.
template <class Result>
Result check(Result result, const char* call, const std::string& about = {}) {
  if (result < 0) [[unlikely]]
    throw_system_error(errno, call, about);
  return result;
}

}  // namespace heddle::detail
