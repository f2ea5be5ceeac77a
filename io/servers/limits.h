// SPDX-License-Identifier: MIT
// Internal to io.
// The limits of server_options on how long a connection may be silent, and how long it may live.
//
// Problem   A server has tens of thousands of connections, and each may pass a limit at any time. A
//           timer that is set anew at each read costs as much as the read.
// Rejected  A look at all connections at each tick: 100,000 cold cache lines under a lock.
// Chosen    Each connection has one time at which it is looked at next, in an ordered map. Streams
//           count their events anyway (stream_core::look_at_traffic). If the count has moved since
//           the last look, the connection was not silent, and its time is moved on. One task a
//           server sleeps until the first time, and no task runs while there is no connection.
// Costs     Nothing for a read or a write. A look each quarter of idle_limit.
#pragma once

#include <heddle/core/base/spin_lock.h>
#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/io/server_options.h>
#include <heddle/io/streams/stream_core.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>

namespace heddle::detail {

/// What the limits need to know of one connection.
//
// core                constant once watched
// at, listed, gone    under the keeper's lock
// the rest            watch(), then whoever looks; one at a time
struct limited {
  using schedule = std::multimap<time_point, limited*>;

  virtual ~limited() = default;
  /// Keeps the object alive. Under the keeper's lock, while it is listed.
  [[nodiscard]] virtual std::shared_ptr<limited> hold() noexcept = 0;

  stream_core* core = nullptr;
  schedule::iterator at;  // valid while listed
  bool listed = false;
  bool gone = false;  // the connection has ended

  stream_traffic seen;
  bool byte_came = false;  // from the client, since the handler was called
  time_point first_byte_due = time_point::max();
  time_point silent_since;
  time_point whole_due = time_point::max();
};

class limit_keeper {
 public:
  explicit limit_keeper(const server_options& o);

  /// True: some limit is set.
  [[nodiscard]] bool has_any() const noexcept { return longest_sleep_ != duration::max(); }
  /// From here on `g`, whose core is set, is under the limits. `seen` was asked for before the look
  /// that says whether a byte of the client is there already (`byte_came`): so no byte passes
  /// between the two unnoticed. True: the caller starts a task that calls run(). Throws
  /// std::bad_alloc.
  [[nodiscard]] bool watch(limited& g, stream_traffic seen, bool byte_came);
  /// The connection has ended.
  void forget(limited& g) noexcept;
  /// Ends what is due, and sleeps, until no connection is listed.
  [[nodiscard]] task<> run();
  /// The task that was to call run() is gone before its end: the next watch() wants another.
  void task_is_gone() noexcept;
  [[nodiscard]] std::uint64_t timed_out() const noexcept { return timed_out_.load(relaxed); }

 private:
  [[nodiscard]] bool look_at_first(time_point now) noexcept;
  [[nodiscard]] std::optional<time_point> next_or_rest() noexcept;
  [[nodiscard]] const char* judge(limited& g, time_point now) const noexcept;
  [[nodiscard]] time_point next_look(const limited& g, time_point now) const noexcept;

  const duration first_byte_, idle_, whole_;  // duration::max(): no limit
  duration longest_sleep_;                    // no connection is due earlier than so
  spin_lock lock_;
  limited::schedule due_;  // under lock_
  bool has_task_ = false;  // under lock_
  atomic<std::uint64_t> timed_out_{0};
};

}  // namespace heddle::detail
