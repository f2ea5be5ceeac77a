// SPDX-License-Identifier: MIT
// Internal to io.
// A reactor by completion. Read "Problem" and the four protocols before you touch uring.cpp or
// uring_completions.cpp, which are the two halves of this one class.
#pragma once

#include <heddle/core/base/spin_lock.h>
#include <heddle/io/descriptors/fd.h>
#include <heddle/io/reactor/subscriptions.h>
#include <heddle/io/reactor/uring_buffers.h>

#include <liburing.h>

#include <pthread.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

/// The most bytes that one send hands to the kernel: an entry holds 32 bits of a length.
inline constexpr std::size_t most_sent_at_once = std::size_t{1} << 30;
/// The most that one receive may bring, and so what a stream may hold unread beyond the limit of
/// its reader, whatever the peer sends: protocol CAP. No more than 32 buffers: protocol LAST.
inline constexpr std::size_t most_unread = 128 * 1024;

/// Completions by io_uring. Listeners, bells and the like are polled by one lasting operation each.
/// A stream receives by one multishot operation into lent buffers, and sends by one operation at a
/// time. Operations are gathered, and submitted with the next poll: one system call for all.
///
/// Problem   A hogged loop must not block its connections, so another thread has to see its
///           completions.
/// Rejected  DEFER_TASKRUN and SINGLE_ISSUER: with them no other thread ever sees completions. They
///           would gain some 3 % of speed.
/// Chosen    COOP_TASKRUN. The kernel holds completions back until the hog enters it. rescue()
///           calls membarrier, which interrupts every thread of the process: then the kernel posts
///           what is due, and the rescuer reaps it.
///
/// Protocol OWED
///   Danger     The kernel cancels what a thread has submitted when that thread ends. And one
///              submission takes along the entries of everybody. So a foreign thread that closed
///              one stream and ended would break strangers' connections.
///   Prevented  Only the loops of the ring's runtime submit: they live as long as the ring. Any
///              other thread marks the operation in its source, puts the source into the list of
///              the owed, and rings the bell. The owner submits before its next wait, or a rescuer
///              does. The same list takes what a loop cannot submit since the kernel has no room,
///              so no thread spins for room. An operation that the kernel cancelled unasked is
///              armed again.
///   Costs      A foreign thread's operation begins when the loop comes round.
///   Tested by  tests/io/foreign_hands.cpp, tests/io/ring.cpp
///
/// Protocol BELL
///   Danger     wake() must end the owner's present or next waiting poll(). The bell is told by a
///              completion. A rescuer, or a loop that collects, may take that completion while the
///              owner is on its way into the kernel. The owner would then sleep for ever beside
///              what was handed to it.
///   Prevented  A reaper that is not the owner notes that it took the bell, then looks whether the
///              owner waits, and rings again if so. The owner says that it waits, then looks for
///              the note, and does not wait if there is one. All four are seq_cst, so one of the
///              two sees the other.
///   Rejected   Ringing again in any case, as the other reactor does: streams collect often, and
///              each would take the bell and ring it until the owner comes round.
///   Costs      A locked store for each poll that may wait.
///   Tested by  tests/io/ring.cpp
///
/// Protocol WITHDRAW
///   Danger     An entry names its descriptor by number. The thread that ends a watch may close the
///              descriptor at once, and the number is given to another file. An entry that was
///              prepared but not submitted would then act on that file.
///   Prevented  unwatch() turns entries that were not submitted into operations that do nothing. An
///              entry that the owner is handing to the kernel right now is awaited. That wait ends:
///              the owner is inside a system call, and needs no lock of ours until the kernel has
///              the entry. Only polls and receives are withdrawn: no stream is retired while a send
///              of it is under way.
///   Costs      Nothing for a source without operations. Else one look at the submission queue.
///   Tested by  tests/io/ring.cpp
///
/// Protocol CAP
///   Danger     A multishot receive cannot be stopped while its peer floods it: a cancellation does
///              not find a receive that waits to be continued. So an unread stream would take all
///              the memory that its peer can fill.
///   Prevented  Each receive is told to end by itself after most_unread bytes. It is begun again
///              when the reader has caught up.
///   Costs      One entry more for each most_unread bytes. A kernel before 6.17 refuses the cap:
///              there each receive takes one buffer, for one entry more a message.
///   Tested by  tests/io/unread.cpp
///
/// Protocol LAST
///   Danger     A multishot receive may miss the end of a stream, and wait for ever. The kernel
///              (seen on 6.18) reads the last bytes behind one look that told of bytes and of the
///              end together. The socket says that nothing more is there, so the kernel does not
///              read again, and no event follows. A TCP socket whose peer has ended says instead
///              that there is more. A Unix socket never says so, nor does TCP after a reset. Such a
///              look comes when the kernel has read 32 full buffers at once and begins again; on a
///              Unix socket also when bytes and the end come while the receive is being armed.
///   Prevented  A receive ends by itself after 32 buffers, so the kernel never begins again. Other
///              streams than TCP's receive one buffer at a time: such a receive tries before it
///              waits, and so finds the end.
///   Costs      An entry for each 128 KiB. On Unix sockets an entry a message.
///   Rejected   Looking at the socket behind each receive: a system call a message.
///   Tested by  tests/io/last_bytes.cpp
///
/// Protocol BULK
///   Problem    64 KiB that come at once fill 16 buffers. Each is a completion, and all but the
///              first are copied once more. So a stream received half as fast as by recv().
///   Chosen     A stream is in bulk when the buffers of its last receive were well filled. Then a
///              receive takes one buffer, and nobody begins the next one while a task waits for
///              it, or is on its way. That task takes the buffer, then calls recv() itself until
///              the socket is empty, and only then begins a receive. Some calls that find nothing
///              end the state: many peers send a head before what is large.
///   Danger     A receive of a ring and recv() at the same time: the later bytes could come first.
///              So `receiving` is set during recv() too, under the source's lock, and recv() is
///              called only when no receive is under way and no buffer is left.
///   Costs      A system call for what the buffer could not hold. Between the completion and the
///              reader's next look no receive is under way, so a reset is noticed by that look, by
///              listen(), or by standing_error().
///   Tested by  tests/io/bulk.cpp
//
// Locks, in this order:
//   reap_    One thread at a time takes completions and acts on them, so the pieces of a stream
//            stay in order.
//   (a source's locks)
//   queue_   The submission queue and the list of the owed. A reaper takes and releases it once, to
//            see what the thread that queued an operation wrote before.
//
// Who may touch what:
//   starved_, last_starved_  under reap_
//   ring_.cq                 under reap_; completions_ready() without it, as a hint
//   ring_.sq, bell_owed_     under queue_
//   first_owed_, last_owed_  under queue_
//   owner_, runtime_         written by the first poll(), before has_owner_
//   owner_enters_            written by the owner; read under queue_ by withdraw()
//   owner_waits_             written by the owner; read under reap_ (protocol BELL)
//   bell_taken_              set under reap_, cleared by the owner (protocol BELL)
//   buffers_, bell_          constant
class uring_reactor final : public subscribing_reactor {
 public:
  uring_reactor();
  ~uring_reactor() override;

  unsigned poll(duration limit) override;
  void wake() noexcept override;
  unsigned rescue() noexcept override;
  [[nodiscard]] const char* name() const noexcept override { return "io_uring"; }

  io_source& watch(int descriptor, source_owner* owner, watched_for purpose) override;
  void unwatch(io_source& source) noexcept override;
  void repeat_edge(io_source& source) noexcept override;
  void receive_more(io_source& source) noexcept override;
  void send(io_source& source, int descriptor, const char* data,
            std::size_t size) noexcept override;
  void tell_of_room(io_source& source) noexcept override;
  [[nodiscard]] reactor& nearest() noexcept override;
  [[nodiscard]] bool collect() noexcept override;

 private:
  struct completion {
    std::uint64_t mark;
    int result;
    unsigned flags;
  };
  /// A mark stands in each entry, and comes back in its completion. It holds generation, slot and
  /// kind of operation.
  enum class operation : std::uint8_t {
    ignored,
    bell,
    poll_each,
    poll_once,
    receive,
    send,
    cancel_each,
    cancel_once,
  };
  static constexpr unsigned kind_bits = 4;
  static constexpr std::uint8_t bit(operation kind) noexcept {
    return static_cast<std::uint8_t>(1u << static_cast<unsigned>(kind));
  }
  static constexpr std::uint64_t mark_of(operation kind, std::uint32_t slot = 0,
                                         std::uint32_t generation = 0) noexcept {
    return (static_cast<std::uint64_t>(generation) << 32) |
           (static_cast<std::uint64_t>(slot) << kind_bits) | static_cast<std::uint64_t>(kind);
  }
  static constexpr operation kind_of(std::uint64_t mark) noexcept {
    return static_cast<operation>(mark & ((1u << kind_bits) - 1));
  }

  [[nodiscard]] static constexpr operation poll_of(std::uint8_t armed) noexcept {
    return (armed & bit(operation::poll_once)) != 0 ? operation::poll_once : operation::poll_each;
  }
  [[nodiscard]] static constexpr operation cancel_of(operation poll) noexcept {
    return poll == operation::poll_once ? operation::cancel_once : operation::cancel_each;
  }

  // Submission: uring.cpp. `_locked`: under queue_, on a loop of the runtime.
  void begin(io_source& s, operation kind, std::uint32_t generation) noexcept;
  [[nodiscard]] bool put(io_source& s, operation kind, std::uint32_t generation) noexcept;
  void owe(io_source& s, operation kind, std::uint32_t generation) noexcept;
  [[nodiscard]] io_uring_sqe* entry_locked() noexcept;
  void prepare(io_uring_sqe& e, io_source& s, operation kind, std::uint32_t generation) noexcept;
  void submit_owed_locked() noexcept;
  [[nodiscard]] bool withdraw(io_source& s, operation kind) noexcept;
  void submit_locked() noexcept;
  unsigned publish_locked() noexcept;
  int enter(unsigned submit, unsigned wait_for, duration limit) noexcept;
  void arm_bell() noexcept;
  void arm_poll(io_source& s, operation kind) noexcept;
  [[nodiscard]] bool on_own_thread() const noexcept;
  [[nodiscard]] bool on_a_loop_of_ours() const noexcept;

  // Completion: uring_completions.cpp, all of it under reap_.
  [[nodiscard]] unsigned completions_ready() const noexcept;
  unsigned reap_locked() noexcept;
  void completed(const completion& c) noexcept;
  void bell_rang(const completion& c) noexcept;
  void polled(io_source& s, std::uint32_t generation, const completion& c) noexcept;
  void received(io_source& s, std::uint32_t generation, const completion& c) noexcept;
  [[nodiscard]] lent_chunk* chunk_of(const completion& c) noexcept;
  void receive_ended(io_source& s, const completion& c) noexcept;
  void was_sent(io_source& s, const completion& c) noexcept;
  void was_cancelled(io_source& s, std::uint32_t generation, const completion& c) noexcept;
  void starve(io_source& s) noexcept;
  void feed_starved() noexcept;
  void end_operation(io_source& s) noexcept;

  io_uring ring_;
  spin_lock queue_;
  spin_lock reap_;
  uring_buffers* buffers_ = nullptr;
  fd bell_;
  bool bell_owed_ = false;  // the poll of the bell has still to be submitted
  io_source* first_owed_ = nullptr;
  io_source* last_owed_ = nullptr;
  atomic<bool> owner_enters_{false};  // the owner is handing entries to the kernel, without queue_
  atomic<bool> owner_waits_{false};   // the owner is in a poll() that may wait: protocol BELL
  atomic<bool> bell_taken_{false};    // another thread took a completion of the bell
  atomic<bool> has_owner_{false};
  atomic<runtime_number> runtime_{0};  // the owner's
  atomic<bool> ending_{false};
  pthread_t owner_{};
  io_source* starved_ = nullptr;
  io_source* last_starved_ = nullptr;
  atomic<bool> anybody_starves_{false};  // a hint for poll()
  atomic<unsigned> operations_{0};       // in this ring, owed ones included
};

/// The kernel cannot end a receive after so many bytes: no receive of any ring asks for that any
/// more.
void refuse_caps() noexcept;

/// Makes a ring with all that is needed of it, and drops it. Throws std::system_error that says
/// what the kernel refused.
void probe_uring();

/// Acts as if the kernel could not end a receive after so many bytes. Only for the test of that.
void plant_fault_no_receive_cap(bool on) noexcept;

}  // namespace heddle::detail
