// SPDX-License-Identifier: MIT
// Internal to io. One end of a pipe, by readiness. A pipe has one direction.
#pragma once

#include <heddle/io/transport/readiness.h>

namespace heddle::detail {

class pipe_transport final : public readiness_transport {
 public:
  received receive(input_buffer& into) override;
  ssize_t send(std::string_view piece) noexcept override;
  ssize_t send_pieces(std::span<const std::string_view> pieces) noexcept override;
  /// Always false: only closing a pipe tells the other side.
  [[nodiscard]] bool end_output() noexcept override { return false; }
  [[nodiscard]] int standing_error() noexcept override { return 0; }
  [[nodiscard]] bool is_quiet() noexcept override;
};

}  // namespace heddle::detail
