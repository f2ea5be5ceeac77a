// SPDX-License-Identifier: MIT
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace bench {

/// An io_uring for one thread with a set of sockets: receives arm themselves again, sends say
/// nothing when they succeed.
/// Errors throw std::system_error.    Needs Linux 6.1 and io_uring allowed.
class ring {
 public:
  enum class step { received, starved, lost };

  struct event {
    step what;
    std::size_t connection;
    std::size_t bytes;  // received
    int error;          // lost: errno, or 0 for the peer's end of stream
  };

  /// `sockets` are connected and outlive the ring.
  explicit ring(std::span<const int> sockets);
  ring(const ring&) = delete;
  ring& operator=(const ring&) = delete;
  ~ring();

  void receive(std::size_t connection);

  /// `bytes` stay where they are until the connection's answer has come.
  void send(std::size_t connection, std::string_view bytes);

  /// Submits what was asked for, waits for at least one event, and hands all of them to
  /// `handle(const event&)`.
  template <class Handle>
  void turn(Handle handle) {
    submit_and_wait();
    io_uring_cqe* entry = nullptr;
    unsigned head = 0;
    unsigned count = 0;
    io_uring_for_each_cqe(&ring_, head, entry) {
      ++count;
      handle(take(*entry));
    }
    finish(count);
  }

 private:
  static constexpr unsigned buffer_count = 4096;
  static constexpr unsigned buffer_size = 4096;
  static constexpr int buffer_group = 1;
  static constexpr std::uint64_t send_mark = std::uint64_t{1} << 32;

  void submit_and_wait();
  event take(const io_uring_cqe& entry);
  void finish(unsigned count);
  void return_buffer(unsigned buffer);
  io_uring_sqe* next_entry();

  struct free_memory {
    void operator()(void* memory) const { std::free(memory); }
  };

  io_uring ring_{};
  std::unique_ptr<io_uring_buf_ring, free_memory> buffers_;
  std::vector<char> memory_;
  int returned_ = 0;
};

}  // namespace bench
