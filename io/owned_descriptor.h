// SPDX-License-Identifier: MIT
// A descriptor that belongs to the program, and is closed once: what sock_accept() and
// unix_socket::receive() yield.
//
//   h::unix_message m = co_await socket.receive();
//   const int log = m.descriptors.at(0).get();
#pragma once

#include <utility>

namespace heddle {

/// Owns a descriptor, and closes it when it is destroyed. Move-only.
/// Cost      an int; closing is one system call
/// Throws    nothing
/// Thread-safety  as an int
class owned_descriptor {
 public:
  owned_descriptor() noexcept = default;
  /// Takes `number` over; -1: none.
  explicit owned_descriptor(int number) noexcept : number_(number) {}
  owned_descriptor(owned_descriptor&& other) noexcept : number_(other.release()) {}
  owned_descriptor& operator=(owned_descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      number_ = other.release();
    }
    return *this;
  }
  ~owned_descriptor() { reset(); }

  /// -1: there is none.
  [[nodiscard]] int get() const noexcept { return number_; }
  [[nodiscard]] bool valid() const noexcept { return number_ >= 0; }
  /// Gives the descriptor to the caller, who closes it.
  [[nodiscard]] int release() noexcept { return std::exchange(number_, -1); }
  /// Closes it now. Leaves errno as it was, since destructors call this on the way of errors.
  void reset() noexcept;

 private:
  int number_ = -1;
};

}  // namespace heddle
