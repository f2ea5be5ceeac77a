// SPDX-License-Identifier: MIT
// Internal to io. A transport moves the bytes of a stream: over a socket by readiness, over a ring
// by completion, over a pipe, or through memory.
//
// Problem   A stream has an order of bytes, marks, and an end. How its bytes travel is another
//           subject, and there are four ways. One class that knew both asked at twelve places which
//           way it was.
// Rejected  A class of stream for each way: every reader, writer and server would be a template, or
//           virtual as a whole. A decorator around a stream: roles and marks would exist twice.
// Chosen    The stream calls this interface, once a receive and once a send. A transport knows no
//           marks, no order of closing and no roles. The stream holds its role while it calls.
// Promises  No function here waits for a peer, calls code of the user, or knows what bytes mean.
//
// To add a transport: derive a class in this folder, tell the stream of events through its
// source_owner, and give stream_core an `open_...` that makes one. io/README.md lists the files.
#pragma once

#include <heddle/core/memory/frame_cache.h>
#include <heddle/core/record/wait.h>
#include <heddle/io/address.h>
#include <heddle/io/reactor/source.h>
#include <heddle/io/streams/buffer.h>
#include <heddle/io/transport/traffic.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <sys/types.h>

namespace heddle::detail {

/// What a receive has found.
enum class got : std::uint8_t {
  data,
  nothing,  // not yet: wait() for it
  end,      // the peer has ended its direction
  broken,   // an error: received::code
};

struct received {
  got what = got::nothing;
  int code = 0;       // an errno, with got::broken
  bool more = false;  // with got::data: the next receive() has bytes at hand
};

/// So many pieces go into one send_pieces().
inline constexpr std::size_t most_pieces = 64;

/// The functions stand in groups. Each group says which role of the stream the caller holds; the
/// roles are described in streams/stream_core.h.
class transport : public frame_cached {
 public:
  transport(const transport&) = delete;
  transport& operator=(const transport&) = delete;
  virtual ~transport() = default;

  // --- reader's role ---

  /// Takes bytes that have come. Does not wait. Throws std::bad_alloc; then nothing is lost.
  virtual received receive(input_buffer& into) = 0;
  /// Suspends `t` until something comes that the last receive() has not seen, or until the
  /// transport is retired. False: `t` was not suspended, since there may be more now or a
  /// cancellation is due.
  [[nodiscard]] virtual bool wait(waiter& w, task_record& t) noexcept = 0;
  /// Moves up to `most` bytes that have come into the pipe `to`, without memory of ours between.
  /// Returns how many. 0: there are none, or an end, or an error, or this transport cannot: then
  /// receive() tells.
  virtual std::size_t splice_in(int, std::size_t) noexcept { return 0; }
  /// From here on wait() counts only what comes later. For a reader that must not receive now:
  /// nudge() tells it when it may.
  virtual void look_away() noexcept = 0;
  /// The queue in which wait() suspends.
  [[nodiscard]] wait_queue& readers() const noexcept { return *readers_; }

  // --- sender's role ---

  /// From so many bytes on a piece is offered to send() first, also where keeps_memory(). A system
  /// call costs as much as copying 4 KiB.
  static constexpr std::size_t least_in_bulk = 8 * 1024;
  /// True: it sends by give(), from memory of the stream, and what is large by send(), whose
  /// -EAGAIN is not followed by writable(). False: by send(). Constant.
  [[nodiscard]] bool keeps_memory() const noexcept { return keeps_memory_; }
  /// Sends some of `piece`, which is not empty. Returns how many bytes were taken, or a negative
  /// errno. After -EAGAIN the owner is told by writable() when there is room.
  virtual ssize_t send(std::string_view) noexcept { return -EOPNOTSUPP; }
  /// Sends some of `pieces`, in their order, as if they were one piece. There are at most
  /// most_pieces, and one at least is not empty. Returns as send(). One system call, where bytes
  /// go by system calls at all.
  virtual ssize_t send_pieces(std::span<const std::string_view> pieces) noexcept {
    ssize_t sent = 0;
    for (const auto piece : pieces) {
      if (piece.empty()) continue;
      const ssize_t n = send(piece);
      if (n < 0) return sent == 0 ? n : sent;
      sent += n;
      if (n != static_cast<ssize_t>(piece.size())) break;
    }
    return sent;
  }
  /// Sends up to `most` bytes of the descriptor `file` from `at` on, without memory of ours
  /// between. Returns as send(), and 0 at the end of the file. -EOPNOTSUPP: this transport cannot.
  virtual ssize_t send_file(int, std::uint64_t, std::size_t) noexcept { return -EOPNOTSUPP; }
  /// False: send_file() always answers -EOPNOTSUPP. Constant.
  [[nodiscard]] virtual bool sends_files() const noexcept { return false; }
  /// True: splice_in() and splice_out() may move bytes. Constant.
  [[nodiscard]] virtual bool splices() const noexcept { return false; }
  /// Sends some of the `n` bytes that stand in the pipe `from`. Returns as send().
  virtual ssize_t splice_out(int, std::size_t) noexcept { return -EOPNOTSUPP; }
  /// Sends from memory that stays as it is until the owner is told by sent(). That may happen
  /// inside the call. False: nothing can be sent any more, and sent() does not come.
  [[nodiscard]] virtual bool give(std::string_view) noexcept { return false; }
  /// Tells the peer that nothing more will come. False: only closing tells it.
  [[nodiscard]] virtual bool end_output() noexcept = 0;

  // --- no role: any thread, while the stream is not gone ---

  /// Makes a send of give() end soon, although the peer may never read.
  virtual void cut_off() noexcept {}
  /// The error that stands on the connection; 0: none. Asked for after an event of error.
  [[nodiscard]] virtual int standing_error() noexcept { return 0; }
  /// True: both directions are over, and the peer has gone. Asked for after hung_up().
  [[nodiscard]] virtual bool is_over() noexcept { return false; }
  /// From here on the owner is told of a reset by the peer, although no task reads.
  virtual void listen() noexcept {}
  /// True: the stream has taken all that came. No byte, no end and no error stands here.
  [[nodiscard]] virtual bool is_quiet() noexcept = 0;
  /// Wakes the reader that waits, so that it looks again. A reader that is about to wait looks
  /// again instead.
  virtual void nudge() noexcept = 0;
  /// The address of this end; empty where there is none.
  [[nodiscard]] virtual address local() noexcept { return {}; }
  /// -1: there is no descriptor, or it is closed.
  [[nodiscard]] virtual int descriptor() const noexcept { return -1; }
  /// What has passed. The bytes of give() are counted by the owner, in sent().
  [[nodiscard]] traffic& passed() noexcept { return passed_; }
  /// The source that a reactor watches; nullptr: there is none.
  [[nodiscard]] virtual io_source* source() const noexcept { return nullptr; }

  // --- closer's role ---

  /// close() drops what has come and was not received. A socket that is closed with bytes unread
  /// resets its peer, and forgets what it has yet to send. For a filter: the peer's end of it comes
  /// as bytes, and a stream that is closed does not read them. Before retire().
  virtual void drop_at_close() noexcept {}
  /// Ends all events to the owner and wakes the reader. `reset`: the peer sees an error, and not an
  /// orderly end.
  virtual void retire(bool reset) noexcept = 0;
  /// Lets the descriptor go. After retire(), when the reader's role is free; or by the last holder
  /// of that role.
  virtual void close() noexcept = 0;

 protected:
  explicit transport(bool keeps_memory) noexcept : keeps_memory_(keeps_memory) {}

  wait_queue* readers_ = nullptr;  // constant once the stream is known to others

 private:
  const bool keeps_memory_;
  traffic passed_;
};

}  // namespace heddle::detail
