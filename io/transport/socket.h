// SPDX-License-Identifier: MIT
// Internal to io. A connected socket by readiness: one recv or send a message.
#pragma once

#include <heddle/io/transport/readiness.h>

namespace heddle::detail {

class socket_transport final : public readiness_transport {
 public:
  received receive(input_buffer& into) override;
  ssize_t send(std::string_view piece) noexcept override;
  ssize_t send_pieces(std::span<const std::string_view> pieces) noexcept override;
  ssize_t send_file(int file, std::uint64_t at, std::size_t most) noexcept override;
  [[nodiscard]] bool sends_files() const noexcept override { return true; }
  std::size_t splice_in(int to, std::size_t most) noexcept override;
  [[nodiscard]] bool splices() const noexcept override { return true; }
  ssize_t splice_out(int from, std::size_t n) noexcept override;
  [[nodiscard]] bool end_output() noexcept override;
  [[nodiscard]] bool is_quiet() noexcept override;
  [[nodiscard]] address local() noexcept override;
};

/// One call of sendfile: answers as send() does, with errno.
[[nodiscard]] ssize_t send_file_to(int socket, int file, std::uint64_t at,
                                   std::size_t most) noexcept;
/// True: nothing stands in that connected socket, no byte, no end and no error. One system call.
[[nodiscard]] bool socket_is_quiet(int socket) noexcept;

}  // namespace heddle::detail
