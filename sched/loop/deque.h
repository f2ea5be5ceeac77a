// SPDX-License-Identifier: MIT
// Internal to sched.
// The fork deque: its owner pushes and pops at the bottom, thieves take at the top.
//
// Protocol SPLIT
//   Danger    Owner and thief may want the same item. In Chase and Lev's deque the owner must
//             therefore show every pop to all thieves before it looks at them. That is a locked
//             operation for each pop: 9 ns and an empty store buffer, where a fork is worth 15 ns.
//   Rejected  Private deques, whose owner a thief asks for work: an owner in a long computation
//             does not answer. Signals that interrupt such an owner: their handler would run inside
//             the user's code.
//   Remedy    The deque has two parts, one above the other:
//
//               [top_, split_)      public    Chase and Lev's deque, with split_ as its bottom
//               [split_, bottom_)   private   a plain stack: thieves do not touch it
//
//             When the owner forks and nothing is public, it publishes the older half of its
//             private items. It publishes all of them while a loop sleeps and none searches. So a
//             stolen item is old, which means large. A popped item is young, and its pop costs no
//             locked operation. An owner may push and then compute for long. A thief then publishes
//             in its stead: expose().
//   Cost      One locked operation in about a hundred forks. expose() is a system call that
//             interrupts all processors of the process.
//
// The steps
//   steal     The thief reads top_ (seq_cst), then split_ (seq_cst).
//   pop       pop_public() lowers split_ (seq_cst), then reads top_ (seq_cst). If an owner and a
//             thief want the same last item, one sees the other, and both compete for top_ by
//             compare-exchange. (Chase and Lev 2005, in the C11 form of Le, Pop, Cohen and Zappa
//             Nardelli 2013; their fences are folded into seq_cst operations.)
//   publish   The owner writes the cells, then split_ (release). The thief acquires split_.
//   expose    A thief that finds nothing public sets exposing_, passes the heavy fence
//             (asymmetric_fence.h), and waits until busy_ is 0. It then raises split_ to bottom_
//             and steals as usual.
//             The owner's side: each step that lowers bottom_ or writes split_ first writes
//             (bottom_, or busy_) and then reads exposing_. So at the thief's fence each such step
//             is of one of two kinds. Either it has written already, and the thief sees that. Or it
//             will see exposing_, takes back what it wrote, and waits. A push at that moment only
//             adds items above those that the thief reads.
//   grow      As in run_queue.h: old buffers are retired, not freed.
//
// Without the heavy fence
//   If the kernel has no such fence, everything is published at once and nothing becomes private
//   again: this is then Chase and Lev's deque. A fence may also be refused later, since a process
//   can forbid itself system calls. The thief then sets unfenced_. Until the owner has read that,
//   thieves treat the private items as if there were none.
//
// Who may touch what
//   top_        the owner and thieves, by compare-exchange
//   split_      the owner between claim_split() and release_split(); an exposing thief while busy_
//               is 0
//   bottom_     the owner writes; thieves read
//   buffer_     the owner writes; thieves read
//   cells       the owner writes; thieves read the public ones
//   exposing_   exposing thieves write it, and the owner reads it. It is also their lock: one
//               thief exposes at a time
//   busy_       the owner writes; an exposing thief reads
//   unfenced_   an exposing thief sets it, once and for all; the owner and thieves read
//   all else    the owner
#pragma once

#include <heddle/core/base/assert.h>
#include <heddle/core/base/atomic.h>
#include <heddle/core/base/spin_lock.h>
#include <heddle/sched/loop/asymmetric_fence.h>
#include <heddle/sched/loop/policy.h>
#include <heddle/sched/loop/steal_result.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

/// How much of a deque its owner publishes by itself.
enum class sharing : std::uint8_t {
  half,   // when nothing is public, the older half of the private items
  all,    // everything, always: no thief could expose private items
  never,  // nothing: there are no thieves
};

template <class T>
class deque {
 public:
  explicit deque(std::size_t capacity = 256);
  deque(const deque&) = delete;
  ~deque();

  /// Before the first push. Owner only, as everything below except `thief`.
  void share(sharing how) noexcept {
    lazy_ = how != sharing::all;
    never_ = how == sharing::never;
    publish_at_ = never_ ? at_no_time : lazy_ ? split_.load(relaxed) : at_any_time;
  }

  HEDDLE_INLINE void push(T item) {
    if (!has_room(1)) [[unlikely]]
      make_room(1);
    put(0, item);
    put_down(1);
  }
  /// To push several items at once: has_room() or make_room(), put() each, then one put_down().
  [[nodiscard]] HEDDLE_INLINE bool has_room(std::int64_t n) const noexcept {
    return bottom_.load(relaxed) + n - top_seen_ <= mask_ + 1;
  }
  HEDDLE_COLD void make_room(std::int64_t n);
  HEDDLE_INLINE void put(std::int64_t i, T item) noexcept {
    cells_[(bottom_.load(relaxed) + i) & mask_].store(item, relaxed);
  }
  HEDDLE_INLINE void put_down(std::int64_t n) noexcept {
    // pairs with expose()
    bottom_.store(bottom_.load(relaxed) + n, release);
  }
  /// After pushes: is it time to publish()?
  [[nodiscard]] HEDDLE_INLINE bool wants_publishing() const noexcept {
    return top_.load(relaxed) >= publish_at_;
  }
  /// Makes the older half of the private items public, or all of them.
  void publish(bool all) noexcept;

  /// Takes the youngest item, or returns T{}. No locked operation if that item is private or if the
  /// deque is empty.
  HEDDLE_INLINE T pop() noexcept {
    T item{};
    return pop_private(item) ? item : pop_public();
  }
  /// Takes the youngest item if it is private. False: it is not, or an exposing thief is at work.
  HEDDLE_INLINE bool pop_private(T& item) noexcept {
    const auto b = bottom_.load(relaxed) - 1;
    bottom_.store(b, relaxed);
    // pairs with the heavy fence in expose()
    light_fence();
    // pairs with the end of expose()
    if (exposing_.load(acquire) == 0 && b >= split_.load(relaxed)) [[likely]] {
      item = cells_[b & mask_].load(relaxed);
      return true;
    }
    // pairs with expose(), as put_down()
    bottom_.store(b + 1, release);
    return false;
  }

  /// What any thread but the owner may do.
  class thief {
   public:
    explicit thief(deque& d) noexcept : d_(&d) {}
    /// Takes the oldest public item.
    steal_result steal(T& item) noexcept {
      // pairs with pop_public()
      auto t = d_->top_.load(seq_cst);
      // pairs with publish(), pop_public() and expose()
      const auto s = d_->split_.load(seq_cst);
      if (t >= s) return steal_result::empty;
      // pairs with make_room()
      item = d_->buffer_.load(acquire)->at(t).load(relaxed);
      // pairs with pop_public() and other thieves
      return d_->top_.compare_exchange_strong(t, t + 1, seq_cst, relaxed) ? steal_result::got
                                                                          : steal_result::lost;
    }
    /// Publishes all private items in the owner's stead. For a thief that finds nothing public and
    /// would go to sleep otherwise. Costs a system call of some microseconds, which interrupts all
    /// processors on which the process runs. False: nothing was private, another thief is exposing,
    /// or the owner was busy for too long, or there is no heavy fence.
    bool expose() noexcept { return d_->expose(); }
    /// For the second look of LOOK-TWICE (idle.h). It counts private items too, if a thief can
    /// expose them.
    [[nodiscard]] bool looks_empty() const noexcept {
      // pairs with publish() and put_down(); their release promises no order with a sleeper
      const auto t = d_->top_.load(seq_cst);
      return t >= d_->split_.load(seq_cst) &&
             (t >= d_->bottom_.load(seq_cst) || d_->unfenced_.load(relaxed));
    }
    /// Roughly how many items are public.
    [[nodiscard]] std::size_t size() const noexcept {
      const auto n = d_->split_.load(relaxed) - d_->top_.load(relaxed);
      return n > 0 ? static_cast<std::size_t>(n) : 0;
    }
    /// There are items, none of them is public, and expose() may help.
    [[nodiscard]] bool looks_private() const noexcept {
      const auto s = d_->split_.load(relaxed);
      return d_->top_.load(relaxed) >= s && d_->bottom_.load(relaxed) > s &&
             !d_->unfenced_.load(relaxed);
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
        : mask(static_cast<std::int64_t>(n) - 1), cells(new atomic<T>[n]), older(before) {}
    buffer(const buffer&) = delete;
    ~buffer() { delete[] cells; }
    atomic<T>& at(std::int64_t i) noexcept { return cells[i & mask]; }
    const std::int64_t mask;
    atomic<T>* const cells;
    buffer* const older;  // retired, not freed: a thief may still read it
  };
  static constexpr std::int64_t at_any_time = INT64_MIN;
  static constexpr std::int64_t at_no_time = INT64_MAX;

  T pop_public() noexcept;
  bool expose() noexcept;
  /// Between claim_split() and release_split() no thief writes split_. claim_split() waits for an
  /// exposing thief.
  void claim_split() noexcept;
  void release_split(std::int64_t split) noexcept;

  // This line is read by all, and written when an item is published or stolen.
  alignas(far_apart) atomic<std::int64_t> top_{0};
  atomic<std::int64_t> split_{0};
  atomic<std::uint32_t> exposing_{0};  // also the lock of the exposing thieves
  atomic<bool> unfenced_{false};       // true: the heavy fence was refused
  atomic<buffer*> buffer_{nullptr};

  // This line is the owner's. Thieves read bottom_ and busy_ only before they go to sleep.
  alignas(far_apart) atomic<std::int64_t> bottom_{0};
  std::int64_t mask_ = 0;  // mask_ and cells_ are copies from the present buffer_
  atomic<T>* cells_ = nullptr;
  std::int64_t top_seen_ = 0;  // an earlier value of top_
  // When top_ has come to it, the owner publishes. An earlier split_, or one of at_any_time and
  // at_no_time.
  std::int64_t publish_at_ = at_no_time;
  atomic<std::uint32_t> busy_{0};
  bool lazy_ = true;
  bool never_ = true;
};

// Not inline. The library's one instance, deque<promise_base*>, stands in fork_state.cpp.

template <class T>
deque<T>::deque(std::size_t capacity) {
  auto* first = new buffer(capacity, nullptr);
  buffer_.store(first, relaxed);
  cells_ = first->cells;
  mask_ = first->mask;
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
void deque<T>::make_room(std::int64_t n) {
  const auto b = bottom_.load(relaxed);
  // pairs with the thieves' compare-exchange
  top_seen_ = top_.load(acquire);
  if (has_room(n)) return;
  buffer* old = buffer_.load(relaxed);
  auto size = static_cast<std::size_t>(mask_ + 1);
  while (b + n - top_seen_ > static_cast<std::int64_t>(size)) size *= 2;
  auto* bigger = new buffer(size, old);
  for (auto i = top_seen_; i < b; ++i) bigger->at(i).store(old->at(i).load(relaxed), relaxed);
  // pairs with steal()
  buffer_.store(bigger, release);
  cells_ = bigger->cells;
  mask_ = bigger->mask;
}

template <class T>
void deque<T>::claim_split() noexcept {
  for (backoff wait;; wait.pause()) {
    busy_.store(1, relaxed);
    // pairs with the heavy fence in expose()
    light_fence();
    // pairs with the end of expose()
    if (exposing_.load(acquire) == 0) break;
    // pairs with expose()
    busy_.store(0, release);
  }
  if (unfenced_.load(relaxed)) [[unlikely]]
    share(sharing::all);
}

template <class T>
void deque<T>::release_split(std::int64_t split) noexcept {
  if (lazy_) publish_at_ = split;
  // pairs with expose()
  busy_.store(0, release);
}

template <class T>
void deque<T>::publish(bool all) noexcept {
  if (never_) return;
  claim_split();
  auto s = split_.load(relaxed);
  const auto n = bottom_.load(relaxed) - s;
  // A thief may have exposed items meanwhile. Then there may be nothing left to publish, or enough
  // is public already.
  if (all || !lazy_)
    s += n;
  else if (top_.load(relaxed) >= s)
    s += (n + 1) / 2;
  // pairs with steal()
  split_.store(s, release);
  release_split(s);
}

// Nothing is private. Half of the public items become private again, so that one locked operation
// serves several pops. Without a heavy fence that is not done: no thief could expose them.
template <class T>
T deque<T>::pop_public() noexcept {
  if (top_.load(relaxed) >= bottom_.load(relaxed)) return T{};
  claim_split();
  const auto b = bottom_.load(relaxed) - 1;
  const auto old = split_.load(relaxed);
  auto s = old;
  T item{};
  if (b >= old) {  // pop_private() met an exposing thief, which then exposed nothing
    item = cells_[b & mask_].load(relaxed);
  } else {  // old is b + 1: nothing is private
    const auto n = old - top_.load(relaxed);
    s = lazy_ && n > 1 ? old - (n + 1) / 2 : b;
    // pairs with steal(): split_ is lowered before top_ is read (The steps: pop)
    split_.store(s, seq_cst);
    auto t = top_.load(seq_cst);
    if (t >= s && s < b) {  // thieves have taken that half: again, for the youngest item only
      s = b;
      // pairs with steal(), as above
      split_.store(s, seq_cst);
      t = top_.load(seq_cst);
    }
    if (t < s) {
      item = cells_[b & mask_].load(relaxed);
    } else {  // the last item: compete with the thieves for it
      // pairs with steal()
      if (t == s && top_.compare_exchange_strong(t, t + 1, seq_cst, relaxed))
        item = cells_[b & mask_].load(relaxed);
      s = old;
      split_.store(s, relaxed);
      release_split(s);
      return item;
    }
  }
  bottom_.store(b, relaxed);
  release_split(s);
  return item;
}

template <class T>
bool deque<T>::expose() noexcept {
  // pairs with pop_private() and claim_split(), which read exposing_ after their light fence
  if (exposing_.exchange(1, seq_cst) != 0) return false;
  bool any = false;
  if (heavy_fence()) {
    // The owner's sections are a few instructions long. But the owner may be preempted in one, so
    // the thief does not wait for ever.
    unsigned looks = 0;
    while (busy_.load(acquire) != 0 && ++looks < policy::looks_at_a_busy_owner) cpu_relax();
    // pairs with put_down()
    const auto b = bottom_.load(acquire);
    any = looks < policy::looks_at_a_busy_owner && b > split_.load(relaxed);
    // pairs with steal()
    if (any) split_.store(b, release);
  } else {
    unfenced_.store(true, relaxed);
  }
  // pairs with pop_private() and claim_split()
  exposing_.store(0, release);
  return any;
}

}  // namespace heddle::detail
