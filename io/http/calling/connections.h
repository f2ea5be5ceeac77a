// SPDX-License-Identifier: MIT
// Internal to io.
// The connections of a session: those that are kept between requests, and how many there may be.
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/clock.h>
#include <heddle/core/future.h>
#include <heddle/core/task.h>
#include <heddle/io/http/calling/names.h>
#include <heddle/io/http/message/parser.h>
#include <heddle/io/http/options.h>
#include <heddle/io/stream.h>
#include <heddle/sched/loop.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

namespace heddle::http::detail {

class connection_pool;
struct origin;

/// The right to have one connection to an origin. Its end passes it on to the request that has
/// waited longest.
class place {
 public:
  place() noexcept = default;
  place(heddle::detail::counted_ptr<connection_pool> pool, origin& of) noexcept
      : pool_(std::move(pool)), of_(&of) {}
  place(place&& other) noexcept
      : pool_(std::move(other.pool_)), of_(std::exchange(other.of_, nullptr)) {}
  place& operator=(place&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(of_, other.of_);
    return *this;
  }
  ~place() { give_up(); }
  void give_up() noexcept;
  [[nodiscard]] explicit operator bool() const noexcept { return of_ != nullptr; }

 private:
  friend class connection_pool;
  heddle::detail::counted_ptr<connection_pool> pool_;
  origin* of_ = nullptr;
};

/// A connection with the parser that reads its answers. It ends with end(), or with this object. At
/// rest it is closed. While a request is under way it is reset, so that bytes that are not sent yet
/// keep neither the socket nor memory.
struct wire {
  wire(connection c, place p, const limits& l) : to(std::move(c)), parser(l), room(std::move(p)) {
    parser.set_in_pieces(true);
  }
  wire(const wire&) = delete;
  wire& operator=(const wire&) = delete;
  ~wire() { end(); }

  /// True if the peer has got all of a request: nothing of it waits here or in the kernel. A peer
  /// that answers before it has read all may never read the rest.
  [[nodiscard]] bool all_sent();
  /// A task that still sends a body may hold the object. From now on its writes are dropped.
  void end() noexcept {
    if (!handed_on) {
      if (busy) to.writer.abort();
      to.writer.close();
    }
    room.give_up();
  }
  /// The connection is no HTTP any more, and no connection of the session.
  [[nodiscard]] connection hand_on() noexcept {
    handed_on = true;
    room.give_up();
    return std::move(to);
  }

  connection to;
  response_parser parser;
  place room;
  bool used = false;  // it has carried a request before
  bool busy = false;  // from the first byte of a request to the last of its answer
  bool handed_on = false;
};
using wire_ptr = std::shared_ptr<wire>;

// Protocol KEEP. A kept connection is used only after a look.
//
// Danger      While a connection waits for its next request, its peer may close it, or send bytes
//             that no request asked for. The next request would take such bytes for its own answer:
//             one user gets what was meant for another.
// Prevention  A connection is kept only if its peer has got all of the request and has sent nothing
//             behind the answer. Before it is used again it is looked at (stream_reader::quiet). If
//             the peer was not silent, the connection is reset, and the next one is tried.
// Cost        One system call a request on a kept connection (on io_uring a look at the
//             completions, too), and another one behind a request with a body. One timer for all
//             kept connections, armed for the oldest: so `keep_for` holds also for hosts that are
//             never asked again, and the timer costs the same however many are kept.
// Limits      Bytes that the peer sends after the look cannot be told from an answer, by anybody.
// Touch       `busy` is set before the first byte of a request, and cleared only when the answer is
//             complete, nothing stands behind it, and all_sent() holds (or the request has no
//             body). keep() is called with `busy` cleared. Everything in the pool is under its
//             lock, and no connection is ended under it.
//
// Protocol PLACES. There are at most `limit` connections, and `per_host` to one origin.
//
// Danger      A request that waits for a place is cancelled in the moment in which it gets one: the
//             place is lost, and after `limit` such moments the session hangs for ever. Or a
//             newcomer overtakes those that wait.
// Prevention  A place is an object, and its destructor passes it on. A request that waits stands in
//             a queue by a `place_wait` in its frame, whose destructor leaves the queue, or gives
//             back what it was handed. Whenever a place or a kept connection becomes free, the
//             queue is served first, under the lock, in order of arrival. So what is free when
//             nobody gives is free for newcomers.
// Cost        Nothing without a wait: the numbers stand under the lock that a request takes anyway.

struct place_wait;
struct kept_wire;
using kept_list = std::list<kept_wire>;

/// What requests with one scheme, host, port, proxy and TLS settings share.
struct origin {
  const std::string* name = nullptr;          // the key under which it stands
  std::deque<kept_list::iterator> kept = {};  // the oldest first
  std::size_t open = 0;                       // connections and places, the kept ones too
  std::size_t waiting = 0;
};

struct kept_wire {
  wire_ptr line;
  time_point until;
};

/// What is to happen when the lock of the pool is free again: tasks that got what they waited for
/// are woken, and connections end.
struct after_lock {
  after_lock() = default;
  after_lock(const after_lock&) = delete;
  ~after_lock();

  kept_list old;
  std::list<promise<>> woken;
};

/// What a request gets: a kept connection, or the right to open one, or neither yet.
struct taken {
  wire_ptr line;
  place room;
};

/// Connections by origin. The connection that was kept last goes out first: it is the least likely
/// to have been closed.
/// Thread-safety  everything, from any loop.
class connection_pool : public heddle::detail::counted {
 public:
  explicit connection_pool(session_options o)
      : options(std::move(o)), names(std::make_shared<session_names>(options.dns)) {}

  /// A kept connection that has been silent, if there is one; those that were not are reset. Else a
  /// place. Neither: wait_for_place(). Throws usage_error if the session has ended.
  taken take(const std::string& where);
  /// Waits for either.
  /// Cancel  leaves the queue; what it was handed goes to the next one
  task<taken> wait_for_place(std::string where);
  /// Keeps the connection. Ends it, if enough are kept or none is to be.
  void keep(wire_ptr w);
  [[nodiscard]] std::size_t size();
  /// Connections, the kept ones too, and places that were given out.
  [[nodiscard]] std::size_t open();
  void clear();
  /// The session is gone: closes all, and keeps none from now on. What waits for a place fails.
  void retire() noexcept;

  const session_options options;
  const std::shared_ptr<session_names> names;

 private:
  friend class place;
  friend struct place_wait;

  bool take_free(origin& of, taken& into, after_lock& later);
  origin& origin_of(const std::string& where);
  void forget(origin& of) noexcept;
  void give_back(origin& of) noexcept;
  void serve(after_lock& later) noexcept;
  taken take_once(const std::string& where);
  void expire();
  /// Moves what has been kept for long enough to `old`. Under the lock.
  void take_old(kept_list& old);
  void take_first(kept_list& old);
  void arm();

  std::mutex mutex_;
  kept_list all_;  // the oldest first. All are kept for equally long, so the oldest is first to go
  std::unordered_map<std::string, origin> origins_;
  std::list<place_wait*> waits_;  // in order of arrival
  std::size_t open_ = 0;
  bool retired_ = false;
  // The timer: for when, and of which runtime. If that runtime has ended, the timer is lost.
  callback_handle expiry_;
  time_point expires_ = time_point::max();
  std::uint64_t expires_in_ = 0;
};

/// A request in the queue for a place. It stands in the frame of the task that waits.
struct place_wait {
  place_wait(connection_pool& pool, const std::string& where);
  place_wait(const place_wait&) = delete;
  ~place_wait();
  [[nodiscard]] bool waits() const;
  taken take();
  void step_out(after_lock& later) noexcept;

  connection_pool& of;
  origin* at = nullptr;  // null: it is not in the queue
  taken given;
  bool failed = false;  // the session has ended
  std::list<place_wait*>::iterator here;
  std::list<promise<>> told;  // one, or none once it was given something
  future<> wake;              // of it
};

}  // namespace heddle::http::detail
