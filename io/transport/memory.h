// SPDX-License-Identifier: MIT
// Internal to io. Two connected ends in memory, without a kernel between them: for tests, and for
// simulated programs.
//
// A stream cannot tell them from two TCP sockets. Bytes that were sent before the end can be read
// after it. An end that closes with bytes unread resets the other end; so does abort(). Each end
// tells the other of events as a reactor would, on the thread that reads or writes. So a pair needs
// no reactor, and outlives the runtimes that use it.
#pragma once

#include <heddle/io/transport/transport.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace heddle::detail {

/// One direction: a ring of bytes between one reader and one sender.
//
// bytes, capacity   constant
// The ring's bytes  The `filled` bytes from read_at on are the reader's, the others the sender's. A
//                   byte changes hands by `filled`, under the lock. So both copy without the lock.
// read_at           the reader's role
// write_at          the sender's role
// the rest          under the lock of `readers`
class memory_pipe {
 public:
  explicit memory_pipe(std::size_t capacity);

  wait_queue readers;
  std::unique_ptr<char[]> bytes;
  const std::size_t capacity;
  std::size_t read_at = 0;
  std::size_t write_at = 0;

  source_owner* reader_owner = nullptr;  // told of errors; nullptr: the reading end has closed
  source_owner* sender_owner = nullptr;  // told of room; nullptr: the sending end has closed
  std::size_t filled = 0;
  std::uint32_t edges = 0;  // protocol EDGE (reactor/source.h): counts what a reader has to see
  bool wants_room = false;  // a send was refused: the sender is told when there is room
  bool ended = false;
  int error = 0;  // stands behind the bytes that are filled

  /// Sender's role: copies what fits in one piece behind the rest. `free` bytes are free. Returns
  /// how many were copied.
  [[nodiscard]] std::size_t put(std::string_view piece, std::size_t free) noexcept;
  /// Reader's role: copies at most `most` of the `there` bytes, in one piece. Returns how many.
  std::size_t take(char* to, std::size_t most, std::size_t there) noexcept;
};

/// Both directions. Shared by both ends, and freed with the last of them.
struct memory_link {
  explicit memory_link(std::size_t capacity) : first(capacity), second(capacity) {}
  memory_pipe first;
  memory_pipe second;
};

/// One end.
class memory_transport final : public transport {
 public:
  using both = std::pair<owned<memory_transport>, owned<memory_transport>>;

  /// Throws std::bad_alloc.
  static both make_pair(std::size_t capacity);
  memory_transport(std::shared_ptr<memory_link> link, memory_pipe& in, memory_pipe& out) noexcept;

  /// From here on `owner` is told of events. Called before any other thread knows the stream.
  void belongs_to(source_owner& owner) noexcept;

  received receive(input_buffer& into) override;
  [[nodiscard]] bool wait(waiter& w, task_record& t) noexcept override;
  void look_away() noexcept override;
  ssize_t send(std::string_view piece) noexcept override;
  [[nodiscard]] bool end_output() noexcept override;
  [[nodiscard]] bool is_quiet() noexcept override;
  void nudge() noexcept override;
  void retire(bool reset) noexcept override;
  void close() noexcept override {}

 private:
  void retire_input(bool reset, bool& unread) noexcept;
  void retire_output(bool reset) noexcept;

  const std::shared_ptr<memory_link> link_;
  memory_pipe& in_;
  memory_pipe& out_;
  std::uint32_t seen_ = 0;  // the edges of in_ at the last look; the reader's role
};

}  // namespace heddle::detail
