// SPDX-License-Identifier: MIT
// Internal to io.
// A source: a descriptor that a reactor watches, and the tasks that wait for it.
//
// Problem   One thread fetches an event while another closes the socket, or hands it on. A pointer
//           in the event would be stale by then. A descriptor's number is no better: the kernel
//           gives it to the next open at once.
// Chosen    Sources stand in slots of memory that keeps its type for the life of the process. An
//           event, and a cancellation, carries a slot and a generation. retire() moves the
//           generation on under both locks, so what comes later for the old life is dropped.
// Costs     One compare an event. Slots are never given back to the system.
//
// Protocol EDGE
//   Danger     The kernel tells each event (an edge) once. A reader tries, finds nothing, and goes
//              to sleep. An edge that came between its try and its sleep would be lost, and the
//              reader would sleep for ever.
//   Reading    The reader takes the count of edges, then tries, then waits under the read lock, and
//              only if the count is still the same. ready() counts under the same lock. So an edge
//              came before the count was taken, and the try sees its bytes; or it changed the
//              count, and the wait is refused; or it finds the waiter.
//   Writing    An event for reading nearly always says "writable" too, and must not take the write
//              lock for that. So ready() takes it only if wants_write is set. A sender that the
//              kernel refused sets wants_write, and then tries once more (or asks poll) before it
//              relies on an event. If room came before that last try, the try sees it. If room came
//              after it, ready() sees the flag. Flag and look are seq_cst, since the kernel's
//              answer stands between the store and the load.
//   Costs      One system call more each time a sender meets a full socket.
//   Tested by  tests/io/reactor.cpp, tests/io/foreign_hands.cpp
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/record/wait.h>
#include <heddle/io/streams/buffer.h>

#include <cstddef>
#include <cstdint>
#include <source_location>

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
  virtual void repeat_edge(io_source& source) noexcept = 0;

 protected:
  ~source_home() = default;
};

/// The object behind a source, a stream for example: it is told of events. Every function but
/// hold() is called from any loop, with no lock held, between a hold() and its drop().
class source_owner {
 public:
  /// Keeps the owner alive. Called under a lock of the source, while the source is not retired.
  virtual void hold() noexcept = 0;
  virtual void drop() noexcept = 0;
  /// There may be room for sending.
  virtual void writable() noexcept {}
  /// A send that the kernel was given has ended: so many bytes, or a negative errno.
  virtual void sent(int) noexcept {}
  /// True: readable() is called at each edge for reading, besides the tasks that wait for edges.
  /// Constant.
  [[nodiscard]] virtual bool wants_readable() const noexcept { return false; }
  virtual void readable() noexcept {}
  /// The kernel has found an error on the socket, perhaps while no task reads or writes. The
  /// error's number, or 0: then the owner asks the socket.
  virtual void failed(int) noexcept {}
  /// The kernel may have hung up: both directions of the descriptor are over, or one is.
  virtual void hung_up() noexcept {}
  /// The reactor ends: no event will come any more.
  virtual void reactor_gone() noexcept = 0;

 protected:
  ~source_owner() = default;
};

/// Names one life of a source: its slot in the table, and the generation of that life.
struct source_name {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
  friend bool operator==(source_name, source_name) = default;
};

/// What io_uring keeps in a source. All of it stays zero on epoll.
//
// first .. retired              under the source's read lock
// next_starved                  under the reap_ lock of the ring that starves
// poll_at, receive_at           under the queue_ lock of the ring that has the entry
// owed_generation .. next_owed  under the queue_ lock of the ring that owes: the home's ring
// data, size                    written under the read lock, before the send is queued
// A loop that queues an owed operation holds queue_ alone. It also reads polled, capped, data and
// size: they were written before the operation was owed.
struct kernel_side {
  static constexpr std::uint8_t bulk_looks =
      4;  // that may find nothing until a stream is not in bulk

  lent_chunk* first = nullptr;  // received, and not yet taken by the stream; oldest first
  lent_chunk* last = nullptr;
  std::size_t bytes = 0;
  source_home* receiver = nullptr;  // the ring that is receiving; nullptr: none is
  int end = 0;  // 1: the end of the stream came. Negative: an errno came. Nothing follows either.
  std::uint16_t operations = 0;  // in the kernel or on their way: the slot is kept until 0
  std::uint16_t polled = 0;      // the events that a lasting poll asks for
  std::uint8_t armed = 0;        // the polls under way, as bits of uring_reactor
  bool receiving = false;        // by a ring, or by the reader itself: protocol BULK
  bool lasting_receive = false;  // one receive may bring many messages: protocol LAST
  std::uint8_t bulk = 0;         // not 0: much comes at once: protocol BULK
  bool reader_comes = false;     // a task was woken, and has not looked yet
  std::uint16_t pieces = 0;      // buffers that the present receive has filled
  bool capped = false;           // the receive ends by itself after so many bytes: protocol CAP
  bool retired = false;          // the slot is to be freed when operations reaches 0
  io_source* next_starved = nullptr;

  // Where in the submission queue the last poll and the last receive stand, or stood.
  std::uint32_t poll_at = 0;
  std::uint32_t receive_at = 0;
  std::uint32_t owed_generation = 0;  // the life that the owed operations belong to
  std::uint8_t owed = 0;   // operations that a loop has still to submit, as bits of uring_reactor
  bool is_owed = false;    // this source stands in the list of the owed
  bool withdrawn = false;  // the life is over: an entry that names the descriptor does nothing
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

/// One watched descriptor.
//
// readable         Its lock (the read lock) guards the waiting reader and edges_. edges_ is written
//                  under that lock, and read by the reader without it.
// writable         Its lock (the write lock) guards the task that waits for room.
// owner            Set by claim(), cleared by retire() under both locks. Read under either lock,
//                  and by the completion of a send: the sender's role keeps a stream from retire().
// generation_      Written under both locks. A look under one of them is exact; a look without a
//                  lock is a hint.
// descriptor       Set by claim() before anybody knows the name. Constant until retire().
// home             As descriptor, but orphan_all() clears it too, under both locks.
// wants_write      Set by a sender, atomically. Cleared by ready() under the write lock.
// ended            Set by ready() under the read lock; read without it.
// The read lock is taken before the write lock.
class io_source {
 public:
  wait_queue readable;
  wait_queue writable;
  atomic<bool> wants_write{false};  // protocol EDGE, writing
  // The peer hung up, or an error stands: then a short read does not mean that the socket is empty.
  atomic<bool> ended{false};
  std::uint32_t slot = 0;
  int descriptor = -1;
  atomic<source_home*> home{nullptr};
  source_owner* owner = nullptr;
  bool tells_readable = false;  // constant in a life, like owner
  io_source* next_free = nullptr;
  kernel_side kernel;

  [[nodiscard]] std::uint32_t generation() const noexcept {
    // pairs with the store in retire()
    return generation_.load(acquire);
  }
  [[nodiscard]] source_name name() const noexcept { return {slot, generation()}; }
  [[nodiscard]] std::uint32_t edges() const noexcept {
    // pairs with the stores in ready() and count_edge()
    return edges_.load(acquire);
  }

  /// An event: counts it, and wakes the tasks that wait for it. Drops it if `generation` is not the
  /// present life. From any thread. Returns how many tasks and owners were told.
  unsigned ready(std::uint32_t generation, unsigned what) noexcept;
  /// Ends this life. Later events are stale, and all tasks that wait are woken. The slot is free
  /// afterwards, or once the kernel has let go of it. When retire() returns, nothing that names the
  /// descriptor is on its way to the kernel (protocol WITHDRAW): the descriptor may be closed, and
  /// its number may be given to somebody else. From any thread.
  void retire() noexcept;
  /// source_home::repeat_edge(), in the present life. From any thread.
  void repeat_edge() noexcept;

  // --- io_uring ---

  /// Counts an event. The read lock is held. The caller schedules the returned task after the
  /// unlock.
  [[nodiscard]] task_record* count_edge() noexcept {
    // pairs with the load in edges()
    edges_.store(edges_.load(relaxed) + 1, release);
    waiter* w = readable.claim_first();
    return w ? w->task : nullptr;
  }
  /// An operation of the kernel has ended. The read lock is held. True: the caller calls
  /// free_slot() after the unlock.
  [[nodiscard]] bool operation_ended() noexcept {
    return --kernel.operations == 0 && kernel.retired;
  }
  void free_slot() noexcept;

  /// Begins a life for `descriptor`, in a free slot. Throws std::bad_alloc.
  static io_source& claim(int descriptor, source_home& home, source_owner* owner);
  /// The source in that slot, whatever life it is in. `slot` came from a name.
  static io_source& at(std::uint32_t slot) noexcept;
  /// True: `home` watches a source. From any thread.
  [[nodiscard]] static bool any_of(const source_home& home) noexcept;
  /// The reactor `ending` ends: its sources forget it, and their owners are told.
  static void orphan_all(source_home& ending) noexcept;

 private:
  atomic<std::uint32_t> generation_{1};
  atomic<std::uint32_t> edges_{0};
};

/// Waits for the next edge for reading after `seen`: protocol EDGE.
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
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> h,
                                   std::source_location where = HEDDLE_HERE) {
    return suspend(h.promise().suspending(h, where));
  }
  void await_resume() {
    if (cancelled_at_resume(*this)) throw_cancelled(*task);
  }
  const char* name() const noexcept override { return what_; }

 private:
  template <class>
  friend struct layout_of;
  [[nodiscard]] bool suspend(task_record& t) noexcept;

  io_source& source_;
  std::uint32_t generation_;
  std::uint32_t seen_;
  const char* what_;
};

/// Waits until the source is writable: protocol EDGE.
class writable_wait final : public queue_waiter {
 public:
  writable_wait(io_source& s, source_name name, const char* what = "connect") noexcept
      : queue_waiter(s.writable), source_(s), generation_(name.generation), what_(what) {}

  [[nodiscard]] static bool await_ready() noexcept { return false; }
  template <heddle_promise P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> h,
                                   std::source_location where = HEDDLE_HERE) {
    return suspend(h.promise().suspending(h, where));
  }
  void await_resume() {
    if (cancelled_at_resume(*this)) throw_cancelled(*task);
  }
  const char* name() const noexcept override { return what_; }

 private:
  template <class>
  friend struct layout_of;
  [[nodiscard]] bool suspend(task_record& t) noexcept;

  io_source& source_;
  std::uint32_t generation_;
  const char* what_;
};

/// Turns the check of generations off. Only for the test that shows which events go astray then.
void plant_fault_ignore_generations(bool on) noexcept;

}  // namespace heddle::detail
