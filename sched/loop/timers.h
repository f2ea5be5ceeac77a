// SPDX-License-Identifier: MIT
// Internal to sched; installed, since public headers need it.
// The timers of one loop: a 4-ary heap under a spin lock.
//
// Problem   Expire in order of deadline, then of arming; create and cancel cheap with a million
//           live; cancel from any thread; let another loop expire them while this one is hogged;
//           never wake for nothing.
// Rejected  A hierarchical wheel: its cascades wake an idle process for nothing, and order within a
//           tick has to be made by sorting.
// Chosen    A heap of (deadline, node); the node knows its place, so cancelling is a removal. A new
//           timer is usually late, so it stays near the end and costs one or two compares; four
//           children share a cache line.
// Promised  A node is fired exactly once or removed, never both: both happen under the lock.
#pragma once

#include <heddle/core/base/spin_lock.h>
#include <heddle/core/clock.h>
#include <heddle/core/record/eventual.h>

#include <cstdint>
#include <vector>

namespace heddle::detail {

class timers;

/// Lives in the waiting frame, a scope or a callback.
struct timer_node {
  /// Called once under the timers' lock when it is due; it may collect into `todo`.
  using fire_function = void (*)(timer_node& node, work_list& todo) noexcept;

  explicit timer_node(fire_function f) noexcept : fire(f) {}
  timer_node(const timer_node&) = delete;

  fire_function fire;
  timers* armed_in = nullptr;  // where it was armed last; stable until it is armed again
  std::uint64_t sequence = 0;
  std::uint32_t place = not_armed;  // under the lock

  static constexpr std::uint32_t not_armed = ~std::uint32_t{0};
};

class timers {
 public:
  timers() = default;
  timers(const timers&) = delete;

  void lock() noexcept { lock_.lock(); }
  void unlock() noexcept { lock_.unlock(); }

  /// Lock held. Makes sure that the next arm() needs no memory. Throws std::bad_alloc.
  void make_room();
  /// Lock held. True: it is now the first. Throws std::bad_alloc (before anything changed).
  bool arm(timer_node& node, time_point deadline);
  /// Lock held. What was armed is the first, and the owner of these timers may be about to sleep:
  /// to be called before one looks whether he does (LOOK-TWICE, idle.h).
  void announce() noexcept { first_.store(first_.load(relaxed), seq_cst); }
  /// Lock held. True: it was armed and will not fire.
  bool disarm(timer_node& node) noexcept;

  /// Fires what is due at `now`, one after the other, and settles what follows from each before the
  /// next: so that tasks and callbacks are queued in the order of their deadlines. Returns how
  /// many. Takes the lock only if something is due. From any thread.
  unsigned expire(time_point now) noexcept;
  /// The first deadline; time_point::max() if there is none. A hint for others, exact for the
  /// owner.
  [[nodiscard]] time_point first() const noexcept {
    return time_point(duration(first_.load(seq_cst)));
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_.load(relaxed); }

 private:
  struct entry {
    std::int64_t deadline;
    timer_node* node;
  };
  [[nodiscard]] static bool before(const entry& a, const entry& b) noexcept {
    return a.deadline != b.deadline ? a.deadline < b.deadline : a.node->sequence < b.node->sequence;
  }
  void put(std::uint32_t at, entry e) noexcept {
    heap_[at] = e;
    e.node->place = at;
  }
  void sift_up(std::uint32_t at, entry e) noexcept;
  void sift_down(std::uint32_t at, entry e) noexcept;
  void remove(std::uint32_t at) noexcept;
  void publish() noexcept;

  spin_lock lock_;
  std::uint64_t next_sequence_ = 0;
  std::vector<entry> heap_;
  atomic<std::int64_t> first_{duration::max().count()};
  atomic<std::size_t> size_{0};
};

}  // namespace heddle::detail
