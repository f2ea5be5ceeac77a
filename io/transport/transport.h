// SPDX-License-Identifier: MIT
// Internal to io. What moves the bytes of a stream: a socket by readiness, a ring by completion, a
// pipe, memory.
//
// Problem   A stream has an order of bytes, marks, and an end. How its bytes travel is another
//           subject, and there are four ways already. One class that knew both asked at twelve
//           places which way it was.
// Rejected  A class of stream for each way: every reader, writer and server would be a template or
//           virtual as a whole. A decorator around a stream: its roles and marks exist twice.
// Chosen    The stream calls this interface, once a receive and once a send. A transport knows no
//           marks, no order of closing and no roles. A stream holds its roles while it calls.
// Promises  Nothing here waits for a peer, calls code of the user, or knows what the bytes mean.
//
// To add a way of moving bytes: derive a class here, tell the stream of events through the
// stream's source_owner, and give stream_core an `open_...` that makes one.
#pragma once

#include <heddle/core/memory/frame_cache.h>
#include <heddle/core/record/wait.h>
#include <heddle/io/address.h>
#include <heddle/io/reactor/source.h>
#include <heddle/io/streams/buffer.h>

#include <cstdint>
#include <string_view>

#include <sys/types.h>

namespace heddle::detail {

/// What a receive has brought.
enum class got : std::uint8_t {
  data,
  nothing,  // not yet: wait() for it
  end,      // the peer has ended its direction
  broken,   // an error: received::code
};

struct received {
  got what = got::nothing;
  int code = 0;  // an errno, with got::broken
};

/// Calls are grouped by the role of the stream's that the caller holds; see stream_core.h.
class transport : public frame_cached {
 public:
  transport(const transport&) = delete;
  transport& operator=(const transport&) = delete;
  virtual ~transport() = default;

  // --- reader's role ---

  /// Takes what has come, does not wait. Throws std::bad_alloc; then nothing is lost.
  virtual received receive(input_buffer& into) = 0;
  /// Suspends `t` until more has come than the last receive() has seen, or the transport is
  /// retired. False: there may be more now, or a cancellation is due.
  [[nodiscard]] virtual bool wait(waiter& w, task_record& t) noexcept = 0;
  /// From here on wait() counts only what comes later. For a reader that may not receive now, and
  /// is told by nudge() when it may.
  virtual void look_away() noexcept = 0;
  /// The queue in which wait() suspends.
  [[nodiscard]] wait_queue& readers() const noexcept { return *readers_; }

  // --- sender's role ---

  /// Whether it sends by give(), from memory of the stream's, and not by send(). Constant.
  [[nodiscard]] bool keeps_memory() const noexcept { return keeps_memory_; }
  /// Sends some of `piece`, which is not empty. Returns how much was taken, or a negative errno.
  /// After -EAGAIN the owner is told by writable() when there is room.
  virtual ssize_t send(std::string_view) noexcept { return -EOPNOTSUPP; }
  /// Sends from memory that stays as it is until the owner is told by sent(), which may come
  /// inside the call. False: it cannot be sent any more, and sent() will not come.
  [[nodiscard]] virtual bool give(std::string_view) noexcept { return false; }
  /// Tells the peer that nothing more will come. False: only closing does.
  [[nodiscard]] virtual bool end_output() noexcept = 0;

  // --- anybody, while the stream is not gone ---

  /// Makes what give() began end soon, although the peer may never read.
  virtual void cut_off() noexcept {}
  /// The error that stands on the connection, asked for after an event of error; 0: none.
  [[nodiscard]] virtual int standing_error() noexcept { return 0; }
  /// From here on an error of the peer's is told to the owner, although nobody reads.
  virtual void listen() noexcept {}
  /// Nothing has come that the stream has not taken: no byte, no end, no error.
  [[nodiscard]] virtual bool is_quiet() noexcept = 0;
  /// A reader that waits looks again, and one that is about to wait does not.
  virtual void nudge() noexcept = 0;
  /// Where this end is; empty where there is no address.
  [[nodiscard]] virtual address local() noexcept { return {}; }
  /// -1: there is none, or it is closed.
  [[nodiscard]] virtual int descriptor() const noexcept { return -1; }
  /// What a reactor watches; nullptr: nothing.
  [[nodiscard]] virtual io_source* source() const noexcept { return nullptr; }

  // --- closer's role ---

  /// Ends all events to the owner and wakes the reader. `reset`: the peer is told of an error, and
  /// not of an orderly end.
  virtual void retire(bool reset) noexcept = 0;
  /// After retire(), when the reader's role is free, or by its last holder.
  virtual void close() noexcept = 0;

 protected:
  explicit transport(bool keeps_memory) noexcept : keeps_memory_(keeps_memory) {}

  wait_queue* readers_ = nullptr;  // constant once the stream is known to others

 private:
  const bool keeps_memory_;
};

}  // namespace heddle::detail
