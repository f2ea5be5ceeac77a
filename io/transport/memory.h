// SPDX-License-Identifier: MIT
// Internal to io. Two ends in memory, for programs that want no kernel between them: tests, and
// simulated programs.
//
// They behave as two TCP sockets do, as far as a stream can tell. What was sent before the end can
// be read after it. An end that closes with bytes unread resets the other end; so does abort().
#pragma once

#include <heddle/io/transport/transport.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace heddle::detail {

/// One direction: a ring of bytes between one reader and one sender.
//
// bytes, capacity           constant
// read_at                   the reader's role
// write_at                  the sender's role
// reader_owner, told of errors, sender_owner, told of room; and all below   under readers' lock
class memory_pipe {
 public:
  explicit memory_pipe(std::size_t capacity);

  wait_queue readers;
  std::unique_ptr<char[]> bytes;
  const std::size_t capacity;
  std::size_t read_at = 0;
  std::size_t write_at = 0;

  source_owner* reader_owner = nullptr;  // nullptr: it has closed
  source_owner* sender_owner = nullptr;
  std::size_t filled = 0;
  std::uint32_t edges = 0;  // counts all that a reader may want to see
  bool wants_room = false;  // a send was refused
  bool ended = false;
  int error = 0;  // behind what is filled

  /// The sender's: copies what fits in one piece behind the rest. 0: nothing does.
  [[nodiscard]] std::size_t put(std::string_view piece, std::size_t free) noexcept;
  /// The reader's: copies at most `most` of the `there` bytes.
  std::size_t take(char* to, std::size_t most, std::size_t there) noexcept;
};

/// Both directions, shared by both ends.
struct memory_link {
  explicit memory_link(std::size_t capacity) : first(capacity), second(capacity) {}
  memory_pipe first;
  memory_pipe second;
};

class memory_transport final : public transport {
 public:
  using both = std::pair<owned<memory_transport>, owned<memory_transport>>;

  /// Throws std::bad_alloc.
  static both make_pair(std::size_t capacity);
  memory_transport(std::shared_ptr<memory_link> link, memory_pipe& in, memory_pipe& out) noexcept;

  /// From here on `owner` is told of events. Before anybody else knows the stream.
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
  std::uint32_t seen_ = 0;  // edges of in_ at the last look; the reader's role
};

}  // namespace heddle::detail
