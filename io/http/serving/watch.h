// SPDX-License-Identifier: MIT
// Internal to io.
// The watch over the connections of one server: their deadlines, and whether clients are still
// there. Not a public header.
//
// Problem   Each connection has a deadline that moves with every request. Ten thousand of them must
//           cost nothing while they are busy, little when they expire one by one, and not wake an
//           idle server.
// Rejected  A timer a connection: a lock and two list operations a request. One timer and a visit
//           of all connections each time: with spread deadlines that is the square of their number.
// Chosen    A heap under one lock says when each connection is to be looked at. A request moves the
//           deadline of its connection and leaves the heap alone: whoever looks too early files the
//           connection again, for later. Only a deadline before the filed one takes the lock.
// Promised  A connection is looked at once a deadline, give or take, however many others there are.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/clock.h>
#include <heddle/io/stream.h>
#include <heddle/sched/any_task.h>
#include <heddle/sched/loop.h>

#include <cstdint>
#include <mutex>
#include <vector>

namespace heddle::http::detail {

using heddle::detail::atomic;

class engine;

// busy       at work, or about to wait      working    in a handler that ends with its client
// reading    for a request, or its rest     finishing  in a handler that does not
// writing    the client takes its time      refused    408 is written, the task will hear of it
// lingering  for the client to end          expired    the watch has ended the connection
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

/// A connection as the watch sees it. Protocol EXPIRE:
//
//   wait()    stores deadline_, partial_ (plain), then phase_ (seq_cst); then looks at filed_ and
//             stopping_
//   sweep()   stores filed_ = none (seq_cst); then looks at phase_ (stop(): stopping_).
//             Whichever of the two is second sees the other, so that no deadline is missed.
//   back()    phase_ -> busy by exchange (acq_rel)
//   expire()  phase_ -> refused or expired by compare-exchange (acq_rel). Whichever of these two is
//             first decides about the connection.
class slot {
 public:
  slot(engine& e, stream_writer& writer);
  slot(const slot&) = delete;
  slot& operator=(const slot&) = delete;
  ~slot();

  /// The connection is going to wait. `partial`: for the rest of a request. False: do not, the
  /// server is stopping and this is no new connection, whose first request may be under way.
  [[nodiscard]] bool wait(phase p, time_point until, bool partial);
  /// Going to wait for a slow client: as long as it takes something once in write_timeout.
  void wait_for_room();
  /// A handler begins, or goes on. `ends_with_client`: it is cancelled when the client is gone.
  void work(bool ends_with_client, time_point now);
  /// A request has come.
  void used() noexcept { fresh_.store(false, heddle::detail::relaxed); }
  /// The wait or the work is over. `linger`: its time was over before, and 408 is written.
  after back() noexcept {
    switch (phase_.exchange(phase::busy, heddle::detail::acq_rel)) {  // protocol EXPIRE
      case phase::refused: return after::linger;
      case phase::expired: return after::nothing;
      default: return after::go_on;
    }
  }

  /// How many connections there were when this one came, itself included.
  [[nodiscard]] std::size_t came_as() const noexcept { return came_as_; }
  [[nodiscard]] engine& owner() const noexcept { return engine_; }

 private:
  friend class watch;

  static constexpr duration::rep none = duration::max().count();
  static constexpr std::size_t unknown = ~std::size_t{0};

  void file_if_earlier(duration::rep deadline);
  [[nodiscard]] bool waits_while_stopping(phase p);
  [[nodiscard]] std::size_t unsent() const noexcept;

  // engine_, writer_, task_, came_as_   constant
  // deadline_, partial_, phase_, left_  the connection's task; phase_ and left_ the watch too
  // filed_                              written under the watch's lock
  // everything else                     under the watch's lock
  engine& engine_;
  stream_writer& writer_;
  const any_task task_;
  std::size_t came_as_ = 0;
  slot* previous_ = nullptr;
  slot* next_ = nullptr;
  std::uint32_t place_ = 0;     // in the heap, if filed
  duration::rep moved_at_ = 0;  // when the client was last seen to take something
  bool waits_in_stop_ = false;  // its handler stops the server
  atomic<duration::rep> filed_{none};
  atomic<duration::rep> deadline_{0};
  atomic<std::size_t> left_{unknown};  // what the client had still to take at the last look
  atomic<phase> phase_{phase::busy};
  atomic<bool> partial_{false};
  atomic<bool> fresh_{true};  // it has asked nothing yet
};

class watch {
 public:
  explicit watch(engine& e) noexcept : engine_(e) {}
  watch(const watch&) = delete;
  ~watch() { timer_.cancel(); }

  /// Ends what is idle, now or, if it has asked nothing yet, by `by`. From stop().
  void dismiss_idle(duration::rep by);
  /// The grace is over: cancels whatever still goes on, but for handlers that wait in stop().
  /// Throws std::bad_alloc, and has then cancelled none.
  void cancel_all();
  /// The calling task waits in stop(), and its own connection does not count.
  void stops(bool inside) noexcept;
  /// Connections that have not left, but for those of callers of stop().
  [[nodiscard]] std::size_t others() const noexcept;

  struct census {
    std::size_t open = 0;
    std::size_t working = 0;
  };
  [[nodiscard]] census count() const noexcept;
  /// Connections looked at so far, for tests that count the costs.
  [[nodiscard]] std::uint64_t looks() const noexcept;

 private:
  friend class slot;

  struct entry {
    duration::rep deadline;
    slot* who;
  };

  void enter(slot& s);
  void leave(slot& s) noexcept;
  void file(slot& s, duration::rep deadline);
  void sweep();
  [[nodiscard]] duration::rep look_at(slot& s, duration::rep now, bool& client_gone) noexcept;
  [[nodiscard]] duration::rep look_at_work(slot& s, duration::rep now, bool& client_gone) noexcept;
  [[nodiscard]] duration::rep expire(slot& s, phase was, duration::rep now) noexcept;
  [[nodiscard]] duration::rep refuse(slot& s, duration::rep now) noexcept;

  // All of these under the lock.
  void put(slot& s, duration::rep deadline) noexcept;
  void take_out(slot& s) noexcept;
  void set(std::size_t at, entry e) noexcept;
  void move_up(std::size_t at, entry e) noexcept;
  void move_down(std::size_t at, entry e) noexcept;
  void arm();

  engine& engine_;
  // Guards everything below, and keeps a connection from going away while the watch works on it.
  mutable std::mutex mutex_;
  slot* first_ = nullptr;
  std::size_t count_ = 0;
  std::size_t in_stop_ = 0;
  std::uint64_t looks_ = 0;
  std::vector<entry> heap_;  // the earliest first; room for all connections
  duration::rep armed_ = slot::none;
  callback_handle timer_;
};

}  // namespace heddle::http::detail
