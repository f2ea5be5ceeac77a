// SPDX-License-Identifier: MIT
// Internal to io.
// The watch over the connections of one http::server: their deadlines, and whether their clients
// are still there.
//
// Problem   Each connection has a deadline that moves with every request. Ten thousand connections
//           must cost nothing while they are busy, and little when they expire one by one. They
//           must not wake an idle server.
// Rejected  A timer for each connection: a lock and two list operations a request. One timer that
//           visits all connections: with spread deadlines the visits are the square of their
//           number.
// Chosen    A heap under one lock says when each connection is to be looked at. A request moves the
//           deadline of its connection and leaves the heap alone. If the watch looks too early, it
//           files the connection again, for later. The lock is taken only if a deadline comes
//           before the filed one.
// Promised  A connection is looked at about once a deadline, however many others there are.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/clock.h>
#include <heddle/io/http/options.h>
#include <heddle/io/http/serving/counters.h>
#include <heddle/io/stream.h>
#include <heddle/sched/any_task.h>
#include <heddle/sched/loop.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace heddle::http::detail {

using heddle::detail::atomic;

class watched;

// busy       at work, or about to wait
// working    in a handler that is cancelled when its client is gone
// finishing  in a handler that finishes although its client is gone
// reading    waits for a request, or for the rest of one
// writing    waits while the client takes its time
// lingering  waits for the client to end
// refused    408 is written; the connection's task is not told yet
// expired    the watch has ended the connection
enum class phase : std::uint8_t {
  busy,
  working,
  finishing,
  reading,
  writing,
  lingering,
  refused,
  expired
};

/// What is left to do after a wait.
enum class [[nodiscard]] after { go_on, linger, nothing };

/// All connections of a server, in a list, and in a heap by the time of the next look.
/// Thread-safety  everything, from the loops of the server's runtime.
class watch {
 public:
  watch(const server_options& options, counters& counted) noexcept
      : options_(options), counted_(counted) {}
  watch(const watch&) = delete;
  ~watch() { timer_.cancel(); }

  /// What the watch is part of. The timer keeps `owner` alive while it looks.
  void belongs_to(const std::shared_ptr<void>& owner) {
    self_ = std::shared_ptr<watch>(owner, this);
  }

  /// From now on a connection that is idle ends instead of waiting.
  void begin_stopping() noexcept {
    // pairs with watched::wait(): protocol EXPIRE
    stopping_.store(true, heddle::detail::seq_cst);
  }
  [[nodiscard]] bool is_stopping() const noexcept {
    // pairs with begin_stopping(); a connection that sees it late sees it in wait()
    return stopping_.load(heddle::detail::acquire);
  }
  /// Ends connections that are idle. Those that have asked nothing yet have a moment more, for
  /// their first request may be under way. Cancels handlers that have no end of their own. For
  /// stop(). Throws std::bad_alloc, and has then cancelled none.
  void dismiss_idle();
  /// Cancels the tasks of all connections, except those whose handlers wait in stop(). Throws
  /// std::bad_alloc, and has then cancelled none.
  void cancel_all();
  /// Resets all connections, except those that were taken over. For connections that no listener
  /// has.
  void reset_all() noexcept;
  /// The calling task begins (true) or ends (false) to wait in stop(). If it is a handler, its own
  /// connection is not waited for.
  void waits_in_stop(bool inside) noexcept;
  /// Connections that have not ended, except those of handlers that wait in stop().
  [[nodiscard]] std::size_t others() const noexcept;

  struct census {
    std::size_t open = 0;
    std::size_t working = 0;
  };
  [[nodiscard]] census count() const noexcept;
  /// Looks at single connections so far, for tests that count the cost.
  [[nodiscard]] std::uint64_t looks() const noexcept;

 private:
  friend class watched;

  struct entry {
    duration::rep deadline;
    watched* whose;
  };

  void add(watched& c);
  void remove(watched& c) noexcept;
  void file(watched& c, duration::rep deadline);
  void sweep();
  [[nodiscard]] duration::rep look_at(watched& c, duration::rep now, bool& client_gone) noexcept;
  [[nodiscard]] duration::rep look_at_work(watched& c, duration::rep now,
                                           bool& client_gone) noexcept;
  [[nodiscard]] duration::rep expire(watched& c, phase was, duration::rep now) noexcept;
  [[nodiscard]] duration::rep refuse(watched& c, duration::rep now) noexcept;

  // All of these under the lock.
  void dismiss_idle_until(duration::rep by);
  void put(watched& c, duration::rep deadline) noexcept;
  void take_out(watched& c) noexcept;
  void set(std::size_t at, entry e) noexcept;
  void move_up(std::size_t at, entry e) noexcept;
  void move_down(std::size_t at, entry e) noexcept;
  void arm();

  // options_, counted_, self_  constant once the server is made
  // stopping_                  anyone, atomically
  // everything else            under mutex_, which also keeps a connection from going away while
  //                            the watch works on it
  const server_options& options_;
  counters& counted_;
  std::weak_ptr<watch> self_;
  atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  watched* first_ = nullptr;
  std::size_t count_ = 0;
  std::size_t in_stop_ = 0;  // of these, whose handlers wait in stop()
  std::uint64_t looks_ = 0;
  std::vector<entry> heap_;  // the earliest first; has room for all connections
  duration::rep armed_ = duration::max().count();
  callback_handle timer_;
};

// Protocol EXPIRE. Every deadline is seen, and one side decides how a connection goes on.
//
// Danger      A connection begins to wait while the watch passes over it, or while stop() does. If
//             each thinks that the other has noted the deadline, nobody looks at that connection
//             again: it stays for ever. And when a deadline comes at the same moment as bytes, the
//             task and the watch might both act: a request would be worked on while 408 is sent.
// Prevention  For the first, each side writes and then looks, with seq_cst, so that whichever is
//             second sees the other:
//               wait()   writes deadline_, partial_ and left_ (relaxed), then phase_; then looks at
//                        filed_ and stopping_.
//               work()   writes deadline_ (relaxed), then phase_; then looks at filed_.
//               sweep()  writes filed_ = none; then looks at phase_.
//               stop()   writes stopping_; then looks at phase_.
//             For the second, both move phase_, and the first one to do so has decided:
//               back()   phase_ -> busy, by exchange, acq_rel. The old value says what was decided.
//               watch    a waiting phase_ -> refused or expired, by compare-exchange, acq_rel.
// Cost        A wait is one seq_cst store, two loads and one exchange. No lock, unless the deadline
//             comes before the filed one.
// Touch       See the table above the members. Only the connection's task may call wait(), work()
//             and back(). Each wait() and each work() is followed by one back(), which tells
//             whether the watch was first.
//
/// A connection as the watch sees it. It is in the watch's list for its life.
class watched {
 public:
  watched(watch& by, stream_writer& writer);
  watched(const watched&) = delete;
  watched& operator=(const watched&) = delete;
  ~watched();

  /// The connection is going to wait. `partial`: for the rest of a request. False: do not wait, for
  /// the server is stopping and this connection is idle. (A new connection may wait: its first
  /// request may be under way.)
  [[nodiscard]] bool wait(phase p, time_point until, bool partial);
  /// Going to wait for a slow client. The client has to take something once in write_timeout.
  void wait_for_room();
  /// A handler begins, or goes on. `ends_with_client`: it is cancelled when the client is gone.
  void work(bool ends_with_client, time_point now);
  /// From now on stop() cancels the task, until the work is over. False: the server stops already.
  [[nodiscard]] bool end_when_stopping() noexcept {
    // pairs with dismiss_idle(): the flag is written before stopping_ is read
    ends_at_stop_.store(true, heddle::detail::seq_cst);
    // pairs with begin_stopping()
    return !watch_.stopping_.load(heddle::detail::seq_cst);
  }
  void end_as_usual() noexcept { ends_at_stop_.store(false, heddle::detail::relaxed); }
  [[nodiscard]] bool is_stopping() const noexcept { return watch_.is_stopping(); }
  /// A request has come.
  void used() noexcept { fresh_.store(false, heddle::detail::relaxed); }
  /// The wait or the work is over. `linger`: it took too long, and 408 has been written. `nothing`:
  /// it took too long, and the connection has been ended.
  after back() noexcept {
    // pairs with expire(), refuse() and dismiss_idle(): protocol EXPIRE
    switch (phase_.exchange(phase::busy, heddle::detail::acq_rel)) {
      case phase::refused: return after::linger;
      case phase::expired: return after::nothing;
      default: return after::go_on;
    }
  }

  /// The watch does not look at this connection any more, and no look is under way.
  void leave() noexcept;

  /// How many connections there were when this one came, itself included.
  [[nodiscard]] std::size_t came_as() const noexcept { return came_as_; }

 private:
  friend class watch;

  static constexpr duration::rep none = duration::max().count();
  static constexpr std::size_t unknown = ~std::size_t{0};

  void file_if_earlier(duration::rep deadline) {
    // pairs with take_out(): protocol EXPIRE
    if (deadline < filed_.load(heddle::detail::seq_cst)) [[unlikely]]
      watch_.file(*this, deadline);
  }
  [[nodiscard]] bool waits_while_stopping(phase p);
  [[nodiscard]] std::size_t unsent() const noexcept;

  // watch_, writer_, task_, came_as_  constant
  // partial_, fresh_, ends_at_stop_   written by the connection's task, read by the watch
  // deadline_                         written by the connection's task, and by stop() under the
  //                                   lock
  // phase_, left_                     the connection's task and the watch, atomically
  // filed_                            written under the watch's lock, read by the connection's task
  // everything else                   under the watch's lock
  watch& watch_;
  stream_writer& writer_;
  const any_task task_;
  std::size_t came_as_ = 0;
  watched* previous_ = nullptr;
  watched* next_ = nullptr;
  std::uint32_t place_ = 0;     // in the heap, if filed
  duration::rep moved_at_ = 0;  // when the client was last seen to take something
  bool waits_in_stop_ = false;  // its handler waits in stop()
  bool has_left_ = false;       // it was taken over: its writer is not the connection's any more
  atomic<duration::rep> filed_{none};
  atomic<duration::rep> deadline_{0};
  atomic<std::size_t> left_{unknown};  // what the client had still to take at the last look
  atomic<phase> phase_{phase::busy};
  atomic<bool> partial_{false};
  atomic<bool> fresh_{true};          // it has asked nothing yet
  atomic<bool> ends_at_stop_{false};  // its handler has no end of its own
};

inline bool watched::wait(phase p, time_point until, bool partial) {
  const auto deadline = until.time_since_epoch().count();
  deadline_.store(deadline, heddle::detail::relaxed);
  partial_.store(partial, heddle::detail::relaxed);
  left_.store(unknown, heddle::detail::relaxed);
  // pairs with look_at() and dismiss_idle(): protocol EXPIRE
  phase_.store(p, heddle::detail::seq_cst);
  file_if_earlier(deadline);
  if (partial || p == phase::writing) return true;
  // pairs with begin_stopping(): protocol EXPIRE
  if (!watch_.stopping_.load(heddle::detail::seq_cst)) [[likely]]
    return true;
  return waits_while_stopping(p);
}

}  // namespace heddle::http::detail
