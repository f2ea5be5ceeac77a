// SPDX-License-Identifier: MIT
// The fork deque: its owner pushes and pops at the bottom, thieves take at the top.
//
// Protocol DEQUE (Chase and Lev 2005, in the C11 form of Le, Pop, Cohen and Zappa Nardelli 2013, but with its fences folded into
// seq_cst operations, which ThreadSanitizer sees and which cost half of clang's fence: 9 ns against 20).
//   pop    bottom_ is lowered (seq_cst) before top_ is read (seq_cst);
//   steal  top_ is read (seq_cst) before bottom_ (seq_cst): of an owner and a thief after the same last item one sees the other, and then
//          both compete for top_ by compare-exchange.
//   push   slot, then bottom_ (release), which pairs with the thief's read of bottom_.
//   grow   as in run_queue.h: old buffers are retired, not freed.
#pragma once

#include <heddle/core/assert.h>
#include <heddle/core/atomic.h>
#include <heddle/sched/steal_result.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

template <class T>
class deque {
 public:
  explicit deque(std::size_t capacity = 256);
  deque(const deque&) = delete;
  ~deque();

  /// Owner.
  HEDDLE_INLINE void push(T item) {
    const auto b = bottom_.load(relaxed);
    buffer* a = buffer_.load(relaxed);
    if (b - top_seen_ > a->mask) [[unlikely]]
      a = make_room(b);
    a->at(b).store(item, relaxed);
    bottom_.store(b + 1, release);  // pairs with steal()
  }
  /// Owner. The youngest, or T{}. No locked operation when it is empty.
  HEDDLE_INLINE T pop() noexcept {
    auto b = bottom_.load(relaxed);
    if (top_.load(relaxed) >= b) return T{};
    --b;
    buffer* a = buffer_.load(relaxed);
    bottom_.store(b, seq_cst);  // pairs with steal(): see the head of this file
    auto t = top_.load(seq_cst);
    T item = a->at(b).load(relaxed);
    if (t < b) [[likely]]
      return item;
    if (t == b) {  // the last one: compete
      if (!top_.compare_exchange_strong(t, t + 1, seq_cst, relaxed)) item = T{};
    } else {
      item = T{};
    }
    bottom_.store(b + 1, relaxed);
    return item;
  }

  /// Owner, when there are no thieves at all: no locked operation.
  HEDDLE_INLINE T pop_alone() noexcept {
    const auto b = bottom_.load(relaxed);
    if (top_.load(relaxed) >= b) return T{};
    bottom_.store(b - 1, relaxed);
    return buffer_.load(relaxed)->at(b - 1).load(relaxed);
  }

  /// What everybody but the owner may do.
  class thief {
   public:
    explicit thief(deque& d) noexcept : d_(&d) {}
    /// The oldest.
    steal_result steal(T& item) noexcept {
      auto t = d_->top_.load(seq_cst);           // pairs with pop()
      const auto b = d_->bottom_.load(seq_cst);  // pairs with push() and pop()
      if (t >= b) return steal_result::empty;
      item = d_->buffer_.load(acquire)->at(t).load(relaxed);  // pairs with make_room()
      return d_->top_.compare_exchange_strong(t, t + 1, seq_cst, relaxed) ? steal_result::got
                                                                          : steal_result::lost;
    }
    [[nodiscard]] bool looks_empty() const noexcept {
      return d_->top_.load(seq_cst) >= d_->bottom_.load(seq_cst);
    }

   private:
    deque* d_;
  };

  [[nodiscard]] bool looks_empty() const noexcept {
    return top_.load(relaxed) >= bottom_.load(relaxed);
  }
  [[nodiscard]] std::size_t size() const noexcept {
    const auto n = bottom_.load(relaxed) - top_.load(relaxed);
    return n > 0 ? static_cast<std::size_t>(n) : 0;
  }

 private:
  struct buffer {
    buffer(std::size_t n, buffer* before)
        : mask(static_cast<std::int64_t>(n) - 1), slots(new atomic<T>[n]), older(before) {}
    buffer(const buffer&) = delete;
    ~buffer() { delete[] slots; }
    atomic<T>& at(std::int64_t i) noexcept { return slots[static_cast<std::size_t>(i & mask)]; }
    const std::int64_t mask;
    atomic<T>* const slots;
    buffer* const older;  // retired: a thief may still look at it
  };

  HEDDLE_COLD buffer* make_room(std::int64_t b);

  alignas(far_apart) atomic<std::int64_t> top_{0};
  alignas(far_apart) atomic<std::int64_t> bottom_{0};
  atomic<buffer*> buffer_{nullptr};
  std::int64_t top_seen_ = 0;  // owner's: at or behind top_
};

// Not inline: the one that the library uses is instantiated once, in fork_state.cpp.

template <class T>
deque<T>::deque(std::size_t capacity) {
  buffer_.store(new buffer(capacity, nullptr), relaxed);
}

template <class T>
deque<T>::~deque() {
  for (buffer* b = buffer_.load(relaxed); b;) {
    buffer* older = b->older;
    delete b;
    b = older;
  }
}

template <class T>
typename deque<T>::buffer* deque<T>::make_room(std::int64_t b) {
  buffer* old = buffer_.load(relaxed);
  top_seen_ = top_.load(acquire);
  if (b - top_seen_ <= old->mask) return old;
  auto* bigger = new buffer(2 * static_cast<std::size_t>(old->mask + 1), old);
  for (auto i = top_seen_; i < b; ++i) bigger->at(i).store(old->at(i).load(relaxed), relaxed);
  buffer_.store(bigger, release);  // pairs with steal()
  return bigger;
}

}  // namespace heddle::detail
