// SPDX-License-Identifier: MIT
// Internal to io. One side of a terminal, by readiness. It has both directions.
#pragma once

#include <heddle/io/transport/readiness.h>

namespace heddle::detail {

class terminal_transport final : public readiness_transport {
 public:
  /// EIO is the end: the programs on the other side have closed the terminal.
  received receive(input_buffer& into) override;
  /// EPIPE where the programs on the other side have closed the terminal.
  ssize_t send(std::string_view piece) noexcept override;
  /// On the user's side of a pseudo-terminal: sends the character that ends the input, as a person
  /// would type it. If the terminal has no room, that character is lost. False on the other side.
  [[nodiscard]] bool end_output() noexcept override;
  [[nodiscard]] int standing_error() noexcept override { return 0; }
  [[nodiscard]] bool is_quiet() noexcept override;
};

}  // namespace heddle::detail
