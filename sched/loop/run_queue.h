// SPDX-License-Identifier: MIT
// Internal to sched.
// The run queue of a loop, from which other loops may steal: FIFO, bounded by memory only.
//
// Protocol RUN-QUEUE
//   Danger    Owner and thieves take from the same end. Two could take the same task, or a thief
//             could read a cell that the owner overwrites, or a ring that it frees.
//   Remedy    head_ counts the items taken, tail_ the items put. Both only grow, so no
//             compare-exchange on head_ succeeds for a stale value (no ABA). The thread that moves
//             head_ has taken the items.
//   Cost      One compare-exchange for each pop and each steal; none for a push.
//   Rejected  A fixed size that spills into a shared queue: what is spilled loses its place in the
//             order of the loop, and starves.
//
// The steps
//   push      The owner writes the cell, then tail_ (release). The thief acquires tail_.
//   pop       The owner moves head_ by one.
//   steal     The thief reads tail_ (acquire) and ring_ (acquire), copies half of what it saw, and
//             moves head_ by as many. If that succeeds no other thread took them meanwhile. Nor has
//             the owner overwritten them: it overwrites a cell only after it saw head_ past it.
//   grow      The owner copies the items to a ring twice as large, and publishes that before the
//             next tail_. The old ring keeps its contents and is retired, not freed. A thief may
//             still read from it the items for which it will try its compare-exchange.
//
// Who may touch what
//   head_           the owner and thieves, by compare-exchange
//   tail_, ring_    the owner writes; thieves read
//   cells           the owner writes; thieves read between head_ and tail_
//   all else        the owner
#pragma once

#include <heddle/core/base/assert.h>
#include <heddle/core/base/atomic.h>
#include <heddle/sched/loop/policy.h>
#include <heddle/sched/loop/steal_result.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

namespace heddle::detail {

template <class T>
class run_queue {
 public:
  explicit run_queue(std::size_t capacity = 256) {
    rings_.push_back(std::make_unique<ring>(capacity));
    ring_.store(rings_.back().get(), relaxed);
  }
  run_queue(const run_queue&) = delete;

  /// Owner only. Throws std::bad_alloc.
  void push(T item) {
    if (!try_push(item)) throw std::bad_alloc();
  }
  /// Owner only. False: the queue is full, and there is no memory to grow it; nothing has changed.
  [[nodiscard]] bool try_push(T item) noexcept {
    const auto t = tail_.load(relaxed);
    ring* r = ring_.load(relaxed);
    if (t - head_seen_ > r->mask) [[unlikely]]
      return push_into_full(item);
    r->at(t).store(item, relaxed);
    // pairs with steal_half() and looks_empty()
    tail_.store(t + 1, release);
    return true;
  }
  /// Owner only. Takes the oldest item, or returns T{}.
  T pop() noexcept {
    auto h = head_.load(relaxed);
    const auto t = tail_.load(relaxed);
    for (;;) {
      if (h == t) return T{};
      T item = ring_.load(relaxed)->at(h).load(relaxed);
      // pairs with the thieves' compare-exchange
      if (head_.compare_exchange_weak(h, h + 1, acq_rel, relaxed)) {
        head_seen_ = h + 1;
        return item;
      }
    }
  }
  /// Owner only. Takes `item` if it is the only item.
  [[nodiscard]] bool take_if_only(T item) noexcept {
    auto h = head_.load(relaxed);
    if (tail_.load(relaxed) - h != 1 || ring_.load(relaxed)->at(h).load(relaxed) != item ||
        // pairs with the thieves' compare-exchange, as pop()
        !head_.compare_exchange_strong(h, h + 1, acq_rel, relaxed))
      return false;
    head_seen_ = h + 1;
    return true;
  }
  /// Thieves only. Takes half of this queue (rounded up, at most `most`). The first item comes back
  /// in `first`; the rest is pushed to `into`, the thief's own queue. Takes no more than `into` has
  /// room for, since a taken item must not be lost when memory is short.
  steal_result steal_half(run_queue& into, T& first,
                          std::size_t most = policy::most_stolen) noexcept {
    constexpr std::size_t at_once = policy::most_stolen;
    T copied[at_once];
    // pairs with the moves of head_ by the owner and other thieves
    auto h = head_.load(acquire);
    // pairs with push()
    const auto t = tail_.load(acquire);
    if (t <= h) return steal_result::empty;
    std::size_t n = static_cast<std::size_t>(t - h);
    n -= n / 2;
    if (n > most) n = most;
    if (n > at_once) n = at_once;
    if (const auto room = into.room(); n > room + 1) n = room + 1;
    // pairs with grow()
    ring* r = ring_.load(acquire);
    for (std::size_t i = 0; i < n; ++i) copied[i] = r->at(h + i).load(relaxed);
    // pairs with pop(), push_into_full() and other thieves
    if (!head_.compare_exchange_strong(h, h + n, acq_rel, relaxed)) return steal_result::lost;
    first = copied[0];
    for (std::size_t i = 1; i < n; ++i) (void)into.try_push(copied[i]);  // there is room
    return steal_result::got;
  }
  /// From any thread; exact only for the owner, as size() is. Each pairs with try_push() and with
  /// the moves of head_.
  [[nodiscard]] bool looks_empty() const noexcept {
    return tail_.load(acquire) <= head_.load(acquire);
  }
  [[nodiscard]] std::size_t size() const noexcept {
    const auto h = head_.load(acquire);
    const auto t = tail_.load(acquire);
    return t > h ? static_cast<std::size_t>(t - h) : 0;
  }
  static constexpr std::uint64_t no_sole_entry = ~std::uint64_t{0};
  /// From any thread. The number of the item that is the only one in the queue; no_sole_entry if
  /// there is no item or more than one. Items are numbered as they are put, so two items never
  /// share one.
  [[nodiscard]] std::uint64_t sole_entry() const noexcept {
    // pairs with try_push() and with the moves of head_
    const auto h = head_.load(acquire);
    return tail_.load(acquire) - h == 1 ? h : no_sole_entry;
  }
  /// Owner only. How many items were put so far, and how many of these were taken.
  [[nodiscard]] std::uint64_t put_so_far() const noexcept { return tail_.load(relaxed); }
  [[nodiscard]] std::uint64_t taken_so_far() const noexcept { return head_.load(relaxed); }
  /// Owner only. True: thieves have taken items since the owner last took one.
  [[nodiscard]] bool robbed() const noexcept { return head_.load(relaxed) != head_seen_; }
  /// From any thread. For the second look of LOOK-TWICE: in the total order of seq_cst operations.
  [[nodiscard]] bool looks_empty_again() const noexcept {
    // pairs with try_push(), whose release promises no order with a sleeper: see LOOK-TWICE, Cost
    return tail_.load(seq_cst) <= head_.load(seq_cst);
  }

 private:
  template <class>
  friend struct layout_of;
  struct ring {
    explicit ring(std::size_t n) : mask(n - 1), cells(std::make_unique<atomic<T>[]>(n)) {
      HEDDLE_ASSERT(n > 0 && (n & mask) == 0, "a ring's capacity is a power of two");
    }
    atomic<T>& at(std::uint64_t i) noexcept { return cells[i & mask]; }
    std::size_t mask;
    std::unique_ptr<atomic<T>[]> cells;
  };

  /// Owner only. So many more pushes need no memory.
  [[nodiscard]] std::size_t room() const noexcept {
    const auto taken = static_cast<std::size_t>(tail_.load(relaxed) - head_seen_);
    return ring_.load(relaxed)->mask + 1 - taken;
  }
  HEDDLE_COLD bool push_into_full(T item) noexcept {
    // pairs with the thieves' compare-exchange: their copies are made, so cells may be overwritten
    head_seen_ = head_.load(acquire);
    const auto t = tail_.load(relaxed);
    ring* r = ring_.load(relaxed);
    try {
      if (t - head_seen_ > r->mask) r = grow(t);
    } catch (const std::bad_alloc&) { return false; }
    r->at(t).store(item, relaxed);
    // pairs with steal_half() and looks_empty(), as try_push()
    tail_.store(t + 1, release);
    return true;
  }
  ring* grow(std::uint64_t t) {
    ring* old = ring_.load(relaxed);
    auto bigger = std::make_unique<ring>(2 * (old->mask + 1));
    for (auto i = head_seen_; i != t; ++i) bigger->at(i).store(old->at(i).load(relaxed), relaxed);
    ring* r = bigger.get();
    rings_.push_back(std::move(bigger));  // it may throw, so before a thief can see the ring
    // pairs with steal_half()
    ring_.store(r, release);
    return r;
  }

  alignas(far_apart) atomic<std::uint64_t> head_{0};
  alignas(far_apart) atomic<std::uint64_t> tail_{0};
  atomic<ring*> ring_{nullptr};
  std::uint64_t head_seen_ = 0;               // the owner's: an earlier value of head_
  std::vector<std::unique_ptr<ring>> rings_;  // the owner's: the last one is in use
};

/// A FIFO ring for one thread.
template <class T>
class local_queue {
 public:
  /// Throws std::bad_alloc.
  void push(T item) {
    if (!try_push(item)) throw std::bad_alloc();
  }
  /// False: the ring is full, and there is no memory to grow it; nothing has changed.
  [[nodiscard]] bool try_push(T item) noexcept {
    if (tail_ - head_ == capacity_ && !grow()) [[unlikely]]
      return false;
    cells_[tail_++ & (capacity_ - 1)] = item;
    return true;
  }
  /// After this the first few pushes need no memory. Throws std::bad_alloc.
  void reserve() {
    if (capacity_ == 0 && !grow()) throw std::bad_alloc();
  }
  T pop() noexcept { return head_ == tail_ ? T{} : cells_[head_++ & (capacity_ - 1)]; }
  /// Takes `item` if it is the only item.
  [[nodiscard]] bool take_if_only(T item) noexcept {
    if (tail_ - head_ != 1 || cells_[head_ & (capacity_ - 1)] != item) return false;
    ++head_;
    return true;
  }
  [[nodiscard]] bool empty() const noexcept { return head_ == tail_; }
  [[nodiscard]] std::size_t size() const noexcept {
    return static_cast<std::size_t>(tail_ - head_);
  }
  /// How many items were put so far, and how many of these were taken.
  [[nodiscard]] std::uint64_t put_so_far() const noexcept { return tail_; }
  [[nodiscard]] std::uint64_t taken_so_far() const noexcept { return head_; }

 private:
  template <class>
  friend struct layout_of;
  HEDDLE_COLD bool grow() noexcept {
    const std::uint64_t more = capacity_ == 0 ? 256 : 2 * capacity_;
    std::unique_ptr<T[]> bigger(new (std::nothrow) T[more]());
    if (!bigger) return false;
    for (auto i = head_; i != tail_; ++i) bigger[i & (more - 1)] = cells_[i & (capacity_ - 1)];
    cells_ = std::move(bigger);
    capacity_ = more;
    return true;
  }
  std::unique_ptr<T[]> cells_;
  std::uint64_t capacity_ = 0;  // a power of two
  std::uint64_t head_ = 0;
  std::uint64_t tail_ = 0;
};

}  // namespace heddle::detail
