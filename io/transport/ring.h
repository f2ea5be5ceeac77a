// SPDX-License-Identifier: MIT
// Internal to io. A connected socket by completion: io_uring receives into lent buffers, and sends
// from memory of the stream.
#pragma once

#include <heddle/io/transport/descriptor.h>

namespace heddle::detail {

class ring_transport final : public descriptor_transport {
 public:
  /// `limit`: with so many bytes unread no further receive is begun. `tcp`: the peer is an IP
  /// address, and one receive may bring many messages (protocol LAST, uring.h).
  ring_transport(std::size_t limit, bool tcp) noexcept
      : descriptor_transport(true), limit_(limit), tcp_(tcp) {}

  received receive(input_buffer& into) override;
  ssize_t send(std::string_view piece) noexcept override;
  ssize_t send_pieces(std::span<const std::string_view> pieces) noexcept override;
  [[nodiscard]] bool give(std::string_view piece) noexcept override;
  ssize_t send_file(int file, std::uint64_t at, std::size_t most) noexcept override;
  [[nodiscard]] bool sends_files() const noexcept override { return true; }
  [[nodiscard]] bool end_output() noexcept override;
  void cut_off() noexcept override;
  void listen() noexcept override;
  [[nodiscard]] bool is_quiet() noexcept override;
  [[nodiscard]] address local() noexcept override;

 private:
  void before_close(int socket) noexcept override;
  [[nodiscard]] reactor* mover_locked() const noexcept;
  void receive_more_locked() noexcept;
  [[nodiscard]] received receive_in_bulk(input_buffer& into);
  void put_back(lent_chunk& chunk, bool claimed) noexcept;
  template <class Call>
  ssize_t send_by_call(Call call) noexcept;

  const std::size_t limit_;
  const bool tcp_;
};

}  // namespace heddle::detail
