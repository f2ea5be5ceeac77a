// SPDX-License-Identifier: MIT
// Internal to sched; installed, since public headers need it.
// The timers of one loop: a 4-ary heap under a spin lock.
//
// Problem   Timers expire in the order of their deadlines, equal ones in the order of arming.
//           Arming and cancelling are cheap with a million timers. Any thread may cancel. Another
//           loop can expire the timers while their loop is hogged. No process wakes for nothing.
// Rejected  A hierarchical timer wheel. Its cascades wake an idle process for nothing, and the
//           order within a tick has to be made by sorting.
// Chosen    A heap of (deadline, node). Each node holds its place in the heap, so cancelling is a
//           removal. A new timer is mostly the latest. So it stays near the end of the heap and
//           costs one or two compares. The four children of an entry stand side by side, in two
//           cache lines at most.
// Promised  A node is either fired once or removed, never both: both happen under the lock.
// Limit     The fire function runs under the lock, so it may only collect work into `todo`.
#pragma once

#include <heddle/core/base/spin_lock.h>
#include <heddle/core/clock.h>
#include <heddle/core/record/eventual.h>

#include <cstdint>
#include <vector>

namespace heddle::detail {

class histogram_cells;
class timers;

/// One timer. A part of a waiting frame, a scope or a callback.
struct timer_node {
  /// Called once, under the lock of the timers, when the timer is due. It may collect work into
  /// `todo`, which is settled after the lock is released.
  using fire_function = void (*)(timer_node& node, work_list& todo) noexcept;

  explicit timer_node(fire_function f) noexcept : fire(f) {}
  timer_node(const timer_node&) = delete;

  fire_function fire;
  timers* armed_in = nullptr;  // the timers in which it was armed last; stays until armed again
  std::uint64_t sequence = 0;  // the order of arming
  std::uint32_t place = not_armed;  // in the heap; under the lock

  static constexpr std::uint32_t not_armed = ~std::uint32_t{0};
};

class timers {
 public:
  timers() = default;
  timers(const timers&) = delete;

  void lock() noexcept { lock_.lock(); }
  void unlock() noexcept { lock_.unlock(); }

  /// Lock held. The next arm() needs no memory after this. Throws std::bad_alloc.
  void make_room();
  /// Lock held. True: the node is now the first to be due. Throws std::bad_alloc, and then nothing
  /// has changed.
  bool arm(timer_node& node, time_point deadline);
  /// Lock held. For a thread that has armed the first timer of a loop that may be about to sleep.
  /// It calls this, and then looks whether that loop sleeps (LOOK-TWICE, idle.h: the sender).
  void announce() noexcept {
    // pairs with first(): LOOK-TWICE
    first_.store(first_.load(relaxed), seq_cst);
  }
  /// Lock held. True: the node was armed and will not fire.
  bool disarm(timer_node& node) noexcept;

  /// Fires the timers that are due at `now`, in order. It settles the work of each before the next
  /// one fires, so tasks and callbacks are queued in the order of their deadlines. Returns the
  /// number of timers. Takes the lock only if a timer is due. From any thread.
  unsigned expire(time_point now) noexcept;
  /// The first deadline; time_point::max() if there is none. Exact for the owner, a hint for other
  /// threads.
  [[nodiscard]] time_point first() const noexcept {
    // pairs with publish(), and in LOOK-TWICE with announce()
    return time_point(duration(first_.load(seq_cst)));
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_.load(relaxed); }
  /// How many timers have fired. From any thread.
  [[nodiscard]] std::uint64_t fired() const noexcept { return fired_.load(relaxed); }
  /// From now on one timer in 64 tells `lag` how late it fires. Before the first one is armed.
  void measure_into(histogram_cells& lag) noexcept { lag_ = &lag; }

 private:
  template <class>
  friend struct layout_of;
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
  HEDDLE_COLD void note_lag(std::int64_t lag) noexcept;

  spin_lock lock_;
  std::uint64_t next_sequence_ = 0;
  std::vector<entry> heap_;
  atomic<std::int64_t> first_{duration::max().count()};
  atomic<std::size_t> size_{0};
  atomic<std::uint64_t> fired_{0};  // written under the lock
  histogram_cells* lag_ = nullptr;  // written under the lock; nullptr: nothing is measured
};

}  // namespace heddle::detail
