// SPDX-License-Identifier: MIT
// How the board says no: one error, whether an HTTP answer or a WebSocket tells it.
#pragma once

#include <stdexcept>
#include <string>
#include <system_error>

namespace board {

class refused : public std::runtime_error {
 public:
  refused(int status, const std::string& why) : std::runtime_error(why), status_(status) {}
  [[nodiscard]] int status() const noexcept { return status_; }

 private:
  int status_;
};

/// For a catch block: a full disk is refused, with 507. Any other error goes on.
[[noreturn]] void refuse_if_full(const std::system_error& e);

}  // namespace board
