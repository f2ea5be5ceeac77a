// SPDX-License-Identifier: MIT
// What the two halves of a connection share. Counted: one reference
// for the reader, one for the writer, one for the transport, that is for the open socket, so that
// what was written is sent after both halves are gone.
#pragma once

#include <heddle/core/frame_cache.h>
#include <heddle/core/wait.h>
#include <heddle/io/address.h>
#include <heddle/io/buffer.h>
#include <heddle/io/fd.h>
#include <heddle/io/reactor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace heddle::detail {

/// Told when a connection has ended (a server counts its connections).
class stream_listener {
 public:
  virtual void closed(class stream_core& core) noexcept = 0;

 protected:
  ~stream_listener() = default;
};

// Three roles, each with one holder at a time:
//   reader   the `reading` bit of use_. Owns input_, eof_, drained_at_. A task holds it for one
//            read, its waits included.
//   sender   sending_, under the output lock. Owns inflight_, offset_, and may call send(). Held by
//            whoever writes, or by the reactor that was told of room, or by the kernel that sends
//            from inflight_. While it is held others append to out_; the sender looks there before
//            it lets go.
//   closer   the sender's role, kept for ever: closes once nothing can be sent any more.
// The descriptor is used by the reader and the sender only, and closed when there is neither: the
// closer sets `closing` in use_, and if a reader is inside, that one closes when it leaves.
//
//   input_, eof_, failed_, *drained*  the reader
//   inflight_, offset_             the sender; by others under the output lock while nobody sends
//   out_, pending_, flags          under the output lock (drain_queue_); error_ is also read
//                                  without, once seen non-zero it stays
//   closed_                        under closed_queue_'s lock
class stream_core final : public source_owner, public frame_cached {
 public:
  /// Takes over a connected, non-blocking socket and watches it with `home`. Throws
  /// std::system_error (and closes it).
  static stream_core* open(fd socket, reactor& home, watched_for purpose, std::size_t limit,
                           const address& peer);
  /// The same for one end of a pipe, non-blocking: `purpose` is reading or writing. It has one
  /// direction: writing ends with closing, and what was read to its end closes itself.
  static stream_core* open_pipe(fd end, reactor& home, watched_for purpose, std::size_t limit);

  void ref() noexcept { refs_.fetch_add(1, relaxed); }
  void unref() noexcept {
    if (refs_.fetch_sub(1, acq_rel) == 1) delete this;  // the last one sees what the others did
  }

  // --- reader ---

  enum class got { data, nothing, end };

  /// Throws usage_error if another task has the role.
  void begin_read();
  void end_read() noexcept;
  /// Takes what the kernel has; does not wait. Reader's role.
  got receive();
  /// Nothing is buffered and nothing has come: neither bytes nor the end nor an error. Asks the
  /// kernel and does not wait. Throws usage_error if another task reads.
  [[nodiscard]] bool quiet();
  /// Waits for more than receive() has seen. False: there may be more now, or a cancellation is
  /// due.
  [[nodiscard]] bool wait_readable(waiter& w, task_record& t) noexcept;
  [[nodiscard]] wait_queue& read_queue() noexcept { return source_->readable; }
  [[nodiscard]] bool read_failed() const noexcept { return failed_; }
  [[noreturn]] void throw_error() const;

  [[nodiscard]] input_buffer& input() noexcept { return input_; }
  [[nodiscard]] bool eof() const noexcept { return eof_; }
  [[nodiscard]] std::size_t limit() const noexcept { return limit_; }

  // --- writer ---

  void write(std::string_view bytes);
  void write_eof();
  void close() noexcept;
  void abort() noexcept;
  void set_limits(std::size_t high, std::size_t low);
  [[nodiscard]] bool is_closing() noexcept;
  [[nodiscard]] std::size_t buffered() noexcept;

  [[nodiscard]] wait_queue& drain_queue() noexcept { return drain_queue_; }
  /// Whether a drain may go on. Throws what broke the connection.
  [[nodiscard]] bool drained();
  [[nodiscard]] bool wait_drained(waiter& w, task_record& t) noexcept;
  [[nodiscard]] wait_queue& closed_queue() noexcept { return closed_queue_; }
  [[nodiscard]] bool wait_closed(waiter& w, task_record& t) noexcept;
  void throw_if_broken() const {
    if (error_.load(acquire) != 0) throw_error();  // pairs with fail()
  }

  [[nodiscard]] int descriptor() const noexcept {
    return descriptor_.load(acquire);
  }  // pairs with close_descriptor()
  [[nodiscard]] address peer() const;
  /// Where our end is bound; known after the end too.
  [[nodiscard]] address local() noexcept;
  [[nodiscard]] io_source& source() const noexcept { return *source_; }
  [[nodiscard]] source_name name() const noexcept { return name_; }
  /// A connect() is still on its way.
  [[nodiscard]] bool is_connecting() const noexcept;
  /// From here on an error on the socket is the connection's, and not the attempt's.
  [[nodiscard]] bool is_established() const noexcept { return established_.load(acquire); }
  void established() noexcept { established_.store(true, release); }  // pairs with failed()

  /// Before anybody else knows the stream.
  void tell(std::shared_ptr<stream_listener> listener) noexcept { listener_ = std::move(listener); }
  stream_core* previous = nullptr;  // the listener's, for its list
  stream_core* next = nullptr;

 private:
  static constexpr std::uint8_t reading = 1;
  static constexpr std::uint8_t closing = 2;

  stream_core(bool kernel_moves, bool pipe, std::size_t limit, const address& peer);
  ~stream_core();
  static stream_core* open_any(fd socket, reactor& home, watched_for purpose, std::size_t limit,
                               const address& peer, bool pipe);

  // source_owner
  void hold() noexcept override { ref(); }
  void drop() noexcept override { unref(); }
  void writable() noexcept override;
  void sent(int result) noexcept override;
  void reactor_gone() noexcept override;
  void failed(int code) noexcept override;

  got receive_moved();
  [[nodiscard]] bool hand_to_kernel() noexcept;
  [[nodiscard]] reactor* mover() const noexcept;

  void send_all(std::string_view direct) noexcept;
  enum class found_by { sender, reader, bystander };
  void fail(int code, const char* call, found_by who) noexcept;
  void listen() noexcept;
  void continue_later() noexcept;
  [[nodiscard]] ssize_t send_some(std::string_view piece) const noexcept;
  void finish(bool reset) noexcept;
  void close_descriptor() noexcept;
  void wake_drained(work_list& todo) noexcept;
  void drop_output() noexcept;
  void pend(std::size_t more) noexcept;

  atomic<std::uint32_t> refs_{3};
  atomic<int> descriptor_{-1};
  atomic<std::uint8_t> use_{0};
  bool eof_ = false;
  bool failed_ = false;  // the end of the stream was an error
  bool is_drained_ = false;
  std::uint32_t drained_at_ = 0;
  io_source* source_ = nullptr;
  bool resets_ = false;  // how it is closed
  source_name name_;
  std::size_t limit_;
  const bool kernel_moves_;  // bytes are moved by io_uring
  const bool pipe_;
  atomic<bool> established_{false};
  input_buffer input_;

  wait_queue drain_queue_;
  bool sending_ = false;
  bool in_kernel_ = false;   // the sender is an operation of the kernel's
  bool look_again_ = false;  // there was room while somebody was sending
  bool paused_ = false;  // more than the high mark was pending, and not yet less than the low one
  bool eof_wanted_ = false;
  bool eof_sent_ = false;
  bool closing_ = false;  // close() or abort() was called
  bool aborting_ = false;
  bool broken_ = false;     // an error ended the sending direction
  bool finishing_ = false;  // the descriptor may be closed at any moment
  bool gone_ = false;       // finish() has run
  std::size_t high_ = 64 * 1024;
  std::size_t low_ = 16 * 1024;
  std::size_t pending_ = 0;
  std::size_t offset_ = 0;
  std::string inflight_;
  std::string out_;

  wait_queue closed_queue_;
  bool closed_ = false;
  atomic<int> error_{0};
  const char* error_call_ = nullptr;  // written before error_, read after it

  std::shared_ptr<stream_listener> listener_;
  std::unique_ptr<address> long_peer_;  // what short_peer_ does not hold
  std::uint8_t short_peer_length_ = 0;
  std::uint8_t local_length_ = 0;  // under the output lock, with local_: kept when it closes
  unsigned char short_peer_[28];   // IPv4 and IPv6
  unsigned char local_[28];
};

}  // namespace heddle::detail
