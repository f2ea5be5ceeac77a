// SPDX-License-Identifier: MIT
// Internal to io.
// A descriptor that a reactor watches, and who waits for it.
//
// Problem   An event is fetched on one thread while another closes or hands on the socket it
//           belongs to; a pointer in the event would be stale, and a descriptor's number is reused
//           at once.
// Chosen    Sources stand in slots of memory that keeps its type for the life of the process. An
//           event, and a cancellation, carries slot and generation; retire() moves the generation
//           on under both locks, so that what comes later for the old life is dropped.
//
// Protocol EDGE. Events are edges: each is told once. A reader takes the count of edges, tries, and
// waits only if the count is still the same under the lock; ready() counts under the same lock. So
// an edge comes before the count was taken (the try sees its bytes), or the wait is refused, or it
// finds the waiter.
//
// Writing differs, because an event for reading nearly always says "writable" too and must stay
// cheap: who was refused sets wants_write and tries once more (or asks poll) before it relies on an
// event. If room came before that last try, the try sees it; if after, ready() sees the flag. Both
// sides are seq_cst: the kernel's answer stands between the store and the load.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/record/wait.h>
#include <heddle/io/streams/buffer.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

class io_source;

/// What a source asks of the reactor that watches it.
class source_home {
 public:
  /// The life of `source` ends. Called under both locks of the source, before its generation moves
  /// on. The descriptor may be closed afterwards: nothing that names it is on its way to the kernel
  /// any more.
  virtual void unwatch(io_source& source) noexcept = 0;
  /// An edge was told and could not be acted upon, since memory was short: tells it once more, if
  /// the descriptor is still ready. Called under the read lock of `source`. Needs no memory of the
  /// process's. Until memory is there again each poll of the reactor finds the edge at once.
  virtual void tell_again(io_source& source) noexcept = 0;

 protected:
  ~source_home() = default;
};

/// What a stream wants to be told. Called with no lock held, between hold() and drop().
class source_owner {
 public:
  /// Under the source's write lock, while the source is not retired.
  virtual void hold() noexcept = 0;
  virtual void drop() noexcept = 0;
  /// There may be room for sending. From any loop.
  virtual void writable() noexcept {}
  /// A send that was handed to the kernel has ended: bytes, or a negative errno. From any loop.
  virtual void sent(int) noexcept {}
  /// It wants to be told of edges for reading too, besides the tasks that wait for them. Constant.
  [[nodiscard]] virtual bool wants_readable() const noexcept { return false; }
  virtual void readable() noexcept {}
  /// The kernel has found an error on the socket, perhaps while nobody reads or writes: its number,
  /// or 0 if the socket is to be asked.
  virtual void failed(int) noexcept {}
  /// The reactor ends: nothing will come any more.
  virtual void reactor_gone() noexcept = 0;

 protected:
  ~source_owner() = default;
};

/// Where in the table, and which life.
struct source_name {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
  friend bool operator==(source_name, source_name) = default;
};

/// What io_uring holds of a source; always zero on epoll.
//
// first .. polled     under the source's read lock
// next_starved        under the ring's reap_
// poll_at .. size     under the queue_ of the ring that they are about; owed and what follows: the
//                     home's
struct kernel_side {
  lent_chunk* first = nullptr;  // received and not yet taken, oldest first
  lent_chunk* last = nullptr;
  std::size_t bytes = 0;
  source_home* receiver = nullptr;  // whose ring is receiving; nullptr: none is
  int end = 0;  // nothing more will be received: 1 for the end of the stream, or a negative errno
  std::uint16_t operations =
      0;  // in the kernel, or on their way there: the slot is kept until they have ended
  std::uint16_t polled = 0;  // events that a lasting poll asks for
  std::uint8_t armed = 0;    // the polls under way, as bits of uring_reactor
  bool receiving = false;
  bool capped = false;   // the receive ends by itself after so many bytes
  bool retired = false;  // free the slot when operations reaches 0
  io_source* next_starved = nullptr;

  std::uint32_t poll_at = 0;     // where the last poll, and the last receive, stand or stood in the
  std::uint32_t receive_at = 0;  // submission queue
  std::uint32_t owed_generation = 0;  // the life in which it was owed
  std::uint8_t owed = 0;   // operations that a loop has still to submit, as bits of uring_reactor
  bool is_owed = false;    // it stands in the list of those
  bool withdrawn = false;  // the life is over: what names the descriptor must not be submitted
  io_source* next_owed = nullptr;
  const char* data = nullptr;  // of the send
  std::size_t size = 0;
};

/// Events, in the bits of epoll and poll.
namespace events {
inline constexpr unsigned in = 0x001;
inline constexpr unsigned out = 0x004;
inline constexpr unsigned error = 0x008;
inline constexpr unsigned hang_up = 0x010;
inline constexpr unsigned peer_hang_up = 0x2000;
inline constexpr unsigned edge = 1u << 31;
inline constexpr unsigned readable = in | error | hang_up | peer_hang_up;
inline constexpr unsigned writable = out | error | hang_up;
}  // namespace events

// readable         its lock guards the reader and edges_ (written under it, read by the reader
//                  without)
// writable         its lock guards who waits for room, and owner
// generation_      written under both locks; a look under one of them is exact, one without is a
//                  hint
// descriptor       set by claim() before the name is known to anybody, constant until retire()
// home             likewise; cleared under both locks by orphan_all()
class io_source {
 public:
  wait_queue readable;
  wait_queue writable;
  atomic<bool> wants_write{false};
  atomic<bool> ended{
      false};  // the peer hung up, or an error stands: a short read does not mean "empty"
  std::uint32_t slot = 0;
  int descriptor = -1;
  atomic<source_home*> home{nullptr};
  source_owner* owner = nullptr;
  bool tells_readable = false;  // constant in a life, like owner
  io_source* next_free = nullptr;
  kernel_side kernel;

  [[nodiscard]] std::uint32_t generation() const noexcept {
    return generation_.load(acquire);
  }  // pairs with retire()
  [[nodiscard]] source_name name() const noexcept { return {slot, generation()}; }
  [[nodiscard]] std::uint32_t edges() const noexcept {
    return edges_.load(acquire);
  }  // pairs with ready()

  /// Counts the event and wakes who waits for it; drops it if `generation` is another life. From
  /// any thread. Returns how many were woken.
  unsigned ready(std::uint32_t generation, unsigned what) noexcept;
  /// Ends this life: later events are stale, all who wait are woken. The slot is free afterwards,
  /// or once the kernel has let go. From here on nothing that names the descriptor is on its way to
  /// the kernel: the descriptor may be closed, and its number given to somebody else. From any
  /// thread.
  void retire() noexcept;
  /// source_home::tell_again(), in the present life. From any thread.
  void tell_again() noexcept;

  // --- io_uring ---

  /// Under the read lock: counts an event of the kernel's; what it returns is to be scheduled after
  /// the unlock.
  [[nodiscard]] task_record* told() noexcept {
    edges_.store(edges_.load(relaxed) + 1, release);  // pairs with edges()
    waiter* w = readable.claim_first();
    return w ? w->task : nullptr;
  }
  /// Under the read lock: an operation has ended. True: free_slot() is to be called after the
  /// unlock.
  [[nodiscard]] bool operation_ended() noexcept {
    return --kernel.operations == 0 && kernel.retired;
  }
  void free_slot() noexcept;

  /// A slot for `descriptor`. Throws std::bad_alloc.
  static io_source& claim(int descriptor, source_home& home, source_owner* owner);
  /// The slot's source, whatever life it is in. `slot` came from a name.
  static io_source& at(std::uint32_t slot) noexcept;
  /// `ending` is going: its sources forget it, and their owners are told.
  static void orphan_all(source_home& ending) noexcept;

 private:
  atomic<std::uint32_t> generation_{1};
  atomic<std::uint32_t> edges_{0};
};

/// Waits for the next readable edge after `seen`.
///     for (;;) {
///       auto seen = s.edges();
///       if (try()) break;
///       readable_wait w(s, name, seen);
///       co_await w;
///     }
class readable_wait final : public queue_waiter {
 public:
  readable_wait(io_source& s, source_name name, std::uint32_t seen,
                const char* what = "accept") noexcept
      : queue_waiter(s.readable),
        source_(s),
        generation_(name.generation),
        seen_(seen),
        what_(what) {}

  [[nodiscard]] static bool await_ready() noexcept { return false; }
  template <heddle_promise P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> h) {
    return suspend(h.promise().suspending(h));
  }
  void await_resume() {
    if (cancelled_at_resume(*this)) throw_cancelled(*task);
  }
  const char* name() const noexcept override { return what_; }

 private:
  [[nodiscard]] bool suspend(task_record& t) noexcept;

  io_source& source_;
  std::uint32_t generation_;
  std::uint32_t seen_;
  const char* what_;
};

/// Waits until the source is writable.
class writable_wait final : public queue_waiter {
 public:
  writable_wait(io_source& s, source_name name, const char* what = "connect") noexcept
      : queue_waiter(s.writable), source_(s), generation_(name.generation), what_(what) {}

  [[nodiscard]] static bool await_ready() noexcept { return false; }
  template <heddle_promise P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> h) {
    return suspend(h.promise().suspending(h));
  }
  void await_resume() {
    if (cancelled_at_resume(*this)) throw_cancelled(*task);
  }
  const char* name() const noexcept override { return what_; }

 private:
  [[nodiscard]] bool suspend(task_record& t) noexcept;

  io_source& source_;
  std::uint32_t generation_;
  const char* what_;
};

/// Turns the check of generations off, for the test that shows what it is for. Not to be used
/// otherwise.
void plant_fault_ignore_generations(bool on) noexcept;

}  // namespace heddle::detail
