// SPDX-License-Identifier: MIT
// Internal to sched.
// The run queue of a loop that others may steal from: FIFO, bounded by memory only.
//
// Protocol RUN-QUEUE. head_ counts what was taken, tail_ what was put; both only grow, so a
// compare-exchange on head_ cannot be fooled.
//   push   owner: slot, then tail_ (release)             pairs with the thief's acquire of tail_
//   pop    owner: compare-exchange head_ by one
//   steal thief: tail_ (acquire), ring_ (acquire), copies half of what it saw, then
//   compare-exchanges head_ by as many; if that
//          succeeds nobody took them meanwhile, and the owner cannot have overwritten them: it
//          overwrites a slot only when it sees head_ past it.
//   grow owner: copies the live part to a ring twice as large, publishes it before the next tail_.
//   The old ring keeps its contents and
//          is retired, not freed: a thief may still read there what it will (or will not) win by
//          its compare-exchange.
// It never spills into a shared queue: that breaks the order of one loop and starves what was
// spilled.
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
  /// Owner only. False: it is full, and there is no memory for it to grow; nothing has changed.
  [[nodiscard]] bool try_push(T item) noexcept {
    const auto t = tail_.load(relaxed);
    ring* r = ring_.load(relaxed);
    if (t - head_seen_ > r->mask) [[unlikely]]
      return push_into_full(item);
    r->at(t).store(item, relaxed);
    tail_.store(t + 1, release);  // pairs with steal_half() and looks_empty()
    return true;
  }
  /// Owner only. The oldest, or T{}.
  T pop() noexcept {
    auto h = head_.load(relaxed);
    const auto t = tail_.load(relaxed);
    for (;;) {
      if (h == t) return T{};
      T item = ring_.load(relaxed)->at(h).load(relaxed);
      if (head_.compare_exchange_weak(h, h + 1, acq_rel,
                                      relaxed)) {  // pairs with thieves' compare-exchange
        head_seen_ = h + 1;
        return item;
      }
    }
  }
  /// Owner only. Takes `item` if it is all that is there.
  [[nodiscard]] bool take_if_alone(T item) noexcept {
    auto h = head_.load(relaxed);
    if (tail_.load(relaxed) - h != 1 || ring_.load(relaxed)->at(h).load(relaxed) != item ||
        !head_.compare_exchange_strong(h, h + 1, acq_rel, relaxed))  // as pop()
      return false;
    head_seen_ = h + 1;
    return true;
  }
  /// A thief: takes half (rounded up, at most `most`) of `*this`; the first is returned through
  /// `first`, the rest pushed to `into`, which is the thief's own queue. Never more than that has
  /// room for: what was taken must not be lost for lack of memory.
  steal_result steal_half(run_queue& into, T& first,
                          std::size_t most = policy::most_stolen) noexcept {
    constexpr std::size_t at_once = policy::most_stolen;
    T copied[at_once];
    auto h = head_.load(acquire);
    const auto t = tail_.load(acquire);  // pairs with push()
    if (t <= h) return steal_result::empty;
    std::size_t n = static_cast<std::size_t>(t - h);
    n -= n / 2;
    if (n > most) n = most;
    if (n > at_once) n = at_once;
    if (const auto room = into.room(); n > room + 1) n = room + 1;
    ring* r = ring_.load(acquire);  // pairs with grow()
    for (std::size_t i = 0; i < n; ++i) copied[i] = r->at(h + i).load(relaxed);
    if (!head_.compare_exchange_strong(h, h + n, acq_rel, relaxed)) return steal_result::lost;
    first = copied[0];
    for (std::size_t i = 1; i < n; ++i) (void)into.try_push(copied[i]);  // there is room
    return steal_result::got;
  }
  /// Anybody; exact only for the owner.
  [[nodiscard]] bool looks_empty() const noexcept {
    return tail_.load(acquire) <= head_.load(acquire);
  }
  [[nodiscard]] std::size_t size() const noexcept {
    const auto h = head_.load(acquire);
    const auto t = tail_.load(acquire);
    return t > h ? static_cast<std::size_t>(t - h) : 0;
  }
  static constexpr std::uint64_t not_alone = ~std::uint64_t{0};
  /// Anybody. The number of the entry that stands alone; not_alone if there is none or more than
  /// one.
  [[nodiscard]] std::uint64_t lone() const noexcept {
    const auto h = head_.load(acquire);
    return tail_.load(acquire) - h == 1 ? h : not_alone;
  }
  /// Owner only. Thieves took something after what the owner took last.
  [[nodiscard]] bool robbed() const noexcept { return head_.load(relaxed) != head_seen_; }
  /// For the sleep protocol's second look: in the total order of seq_cst operations.
  [[nodiscard]] bool looks_empty_again() const noexcept {
    return tail_.load(seq_cst) <= head_.load(seq_cst);
  }

 private:
  struct ring {
    explicit ring(std::size_t n) : mask(n - 1), slots(std::make_unique<atomic<T>[]>(n)) {
      HEDDLE_ASSERT(n > 0 && (n & mask) == 0, "a ring's capacity is a power of two");
    }
    atomic<T>& at(std::uint64_t i) noexcept { return slots[i & mask]; }
    std::size_t mask;
    std::unique_ptr<atomic<T>[]> slots;
  };

  /// Owner only. So many pushes more need no memory.
  [[nodiscard]] std::size_t room() const noexcept {
    const auto taken = static_cast<std::size_t>(tail_.load(relaxed) - head_seen_);
    return ring_.load(relaxed)->mask + 1 - taken;
  }
  HEDDLE_COLD bool push_into_full(T item) noexcept {
    head_seen_ =
        head_.load(acquire);  // pairs with the compare-exchanges of thieves: their copies are done
    const auto t = tail_.load(relaxed);
    ring* r = ring_.load(relaxed);
    try {
      if (t - head_seen_ > r->mask) r = grow(t);
    } catch (const std::bad_alloc&) { return false; }
    r->at(t).store(item, relaxed);
    tail_.store(t + 1, release);  // as push()
    return true;
  }
  ring* grow(std::uint64_t t) {
    ring* old = ring_.load(relaxed);
    auto bigger = std::make_unique<ring>(2 * (old->mask + 1));
    for (auto i = head_seen_; i != t; ++i) bigger->at(i).store(old->at(i).load(relaxed), relaxed);
    ring* r = bigger.get();
    rings_.push_back(std::move(bigger));  // before a thief may see it
    ring_.store(r, release);              // pairs with steal_half()
    return r;
  }

  alignas(far_apart) atomic<std::uint64_t> head_{0};
  alignas(far_apart) atomic<std::uint64_t> tail_{0};
  atomic<ring*> ring_{nullptr};
  std::uint64_t head_seen_ = 0;               // owner's: at or behind head_
  std::vector<std::unique_ptr<ring>> rings_;  // owner's: the last is in use
};

/// A FIFO ring that only its owner touches.
template <class T>
class local_queue {
 public:
  /// Throws std::bad_alloc.
  void push(T item) {
    if (!try_push(item)) throw std::bad_alloc();
  }
  /// False: it is full, and there is no memory for it to grow; nothing has changed.
  [[nodiscard]] bool try_push(T item) noexcept {
    if (tail_ - head_ == capacity_ && !grow()) [[unlikely]]
      return false;
    slots_[tail_++ & (capacity_ - 1)] = item;
    return true;
  }
  /// The first few pushes need no memory from here on. Throws std::bad_alloc.
  void reserve() {
    if (capacity_ == 0 && !grow()) throw std::bad_alloc();
  }
  T pop() noexcept { return head_ == tail_ ? T{} : slots_[head_++ & (capacity_ - 1)]; }
  /// Takes `item` if it is all that is there.
  [[nodiscard]] bool take_if_alone(T item) noexcept {
    if (tail_ - head_ != 1 || slots_[head_ & (capacity_ - 1)] != item) return false;
    ++head_;
    return true;
  }
  [[nodiscard]] bool empty() const noexcept { return head_ == tail_; }
  [[nodiscard]] std::size_t size() const noexcept {
    return static_cast<std::size_t>(tail_ - head_);
  }

 private:
  HEDDLE_COLD bool grow() noexcept {
    const std::uint64_t more = capacity_ == 0 ? 256 : 2 * capacity_;
    std::unique_ptr<T[]> bigger(new (std::nothrow) T[more]());
    if (!bigger) return false;
    for (auto i = head_; i != tail_; ++i) bigger[i & (more - 1)] = slots_[i & (capacity_ - 1)];
    slots_ = std::move(bigger);
    capacity_ = more;
    return true;
  }
  std::unique_ptr<T[]> slots_;
  std::uint64_t capacity_ = 0;  // a power of two
  std::uint64_t head_ = 0;
  std::uint64_t tail_ = 0;
};

}  // namespace heddle::detail
