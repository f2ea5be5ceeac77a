// SPDX-License-Identifier: MIT
// Internal to sched.
// The fork deque: its owner pushes and pops at the bottom, thieves take at the top.
//
// Protocol SPLIT.
//   Problem Owner and thief may be after the same item, so that in Chase and Lev's deque every pop
//   of the owner's has to be seen by all
//             thieves before it looks at them: a locked operation a pop, 9 ns and an empty store
//             buffer, where a fork is worth 15 ns.
//   Rejected Private deques that a thief has to ask for work: who computes for long answers nobody.
//   Signals that interrupt such an owner:
//             a handler would run inside the user's code.
//   Chosen    Two parts, one above the other:
//
//               [top_, split_)      public    Chase and Lev's deque, with split_ as its bottom
//               [split_, bottom_)   private   a plain stack: thieves do not touch it
//
//             The owner publishes the older half of what is private whenever it forks and finds
//             nothing public, or all of it while loops sleep; so what is stolen is old, that is
//             large, and what the owner pops is young and costs no locked operation. What it pushed
//             before it went on to compute for long is published in its stead, by expose().
//
//   steal top_ is read (seq_cst) before split_ (seq_cst); pop_public: split_ is lowered (seq_cst)
//   before top_ is read (seq_cst). Of an
//             owner and a thief after the same last item one sees the other, and then both compete
//             for top_ by compare-exchange. (Chase and Lev 2005, in the C11 form of Le, Pop, Cohen
//             and Zappa Nardelli 2013, their fences folded into seq_cst operations.)
//   publish   slots, then split_ (release), which pairs with the thief's read of split_.
//   expose A thief that finds nothing public sets exposing_, passes the heavy fence
//   (asymmetric_fence.h) and waits until busy_ is down.
//             Every step of the owner's that lowers bottom_ or writes split_ writes first (bottom_,
//             or busy_) and looks at exposing_ after that. So behind the fence there are two kinds
//             of steps: those that have written, which the thief sees, and those that will see
//             exposing_, take back what they wrote and wait. A push of that moment only adds above
//             what the thief reads. The thief then raises split_ to bottom_ and goes on as any
//             thief.
//   grow      as in run_queue.h: old buffers are retired, not freed.
//
//   Where the kernel has no heavy fence all is published at once and nothing becomes private again:
//   this is Chase and Lev's deque. The same from when a fence that was there is refused (a process
//   may take system calls from itself): the thief says so in unfenced_, and takes what is private
//   for nothing at all until the owner has heard it.
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
  half,   // of what is private, when nothing is public
  all,    // always: nobody can expose what is private
  never,  // there are no thieves
};

template <class T>
class deque {
 public:
  explicit deque(std::size_t capacity = 256);
  deque(const deque&) = delete;
  ~deque();

  /// Before the first push. Owner, as all that follows but for `thief`.
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
  /// Several at once: room for them, each in its place, and then all of them.
  [[nodiscard]] HEDDLE_INLINE bool has_room(std::int64_t n) const noexcept {
    return bottom_.load(relaxed) + n - top_seen_ <= mask_ + 1;
  }
  HEDDLE_COLD void make_room(std::int64_t n);
  HEDDLE_INLINE void put(std::int64_t i, T item) noexcept {
    slots_[(bottom_.load(relaxed) + i) & mask_].store(item, relaxed);
  }
  HEDDLE_INLINE void put_down(std::int64_t n) noexcept {
    bottom_.store(bottom_.load(relaxed) + n, release);  // pairs with expose()
  }
  /// After pushes: is it time to publish()?
  [[nodiscard]] HEDDLE_INLINE bool wants_publishing() const noexcept {
    return top_.load(relaxed) >= publish_at_;
  }
  /// Lets thieves have half of what is private, the older one, or all.
  void publish(bool all) noexcept;

  /// The youngest, or T{}. No locked operation if it is private, and none if there is nothing.
  HEDDLE_INLINE T pop() noexcept {
    T item{};
    return pop_private(item) ? item : pop_public();
  }
  /// The youngest, if it is private.
  HEDDLE_INLINE bool pop_private(T& item) noexcept {
    const auto b = bottom_.load(relaxed) - 1;
    bottom_.store(b, relaxed);
    light_fence();  // pairs with expose()
    if (exposing_.load(acquire) == 0 && b >= split_.load(relaxed)) [[likely]] {
      item = slots_[b & mask_].load(relaxed);
      return true;
    }
    bottom_.store(b + 1, release);  // as put_down()
    return false;
  }

  /// What everybody but the owner may do.
  class thief {
   public:
    explicit thief(deque& d) noexcept : d_(&d) {}
    /// The oldest that is public.
    steal_result steal(T& item) noexcept {
      auto t = d_->top_.load(seq_cst);          // pairs with pop_public()
      const auto s = d_->split_.load(seq_cst);  // pairs with publish() and pop_public()
      if (t >= s) return steal_result::empty;
      item = d_->buffer_.load(acquire)->at(t).load(relaxed);  // pairs with make_room()
      return d_->top_.compare_exchange_strong(t, t + 1, seq_cst, relaxed) ? steal_result::got
                                                                          : steal_result::lost;
    }
    /// Publishes all in the owner's stead, if nothing is public. Costs a system call that
    /// interrupts all processors on which the process runs, some microseconds: for who would go to
    /// sleep otherwise. False: there is nothing, or somebody is at it.
    bool expose() noexcept { return d_->expose(); }
    [[nodiscard]] bool looks_empty() const noexcept {
      const auto t = d_->top_.load(seq_cst);
      return t >= d_->split_.load(seq_cst) &&
             (t >= d_->bottom_.load(seq_cst) || d_->unfenced_.load(relaxed));
    }
    /// How much is public, more or less.
    [[nodiscard]] std::size_t size() const noexcept {
      const auto n = d_->split_.load(relaxed) - d_->top_.load(relaxed);
      return n > 0 ? static_cast<std::size_t>(n) : 0;
    }
    /// There is something, none of it is public, and expose() may help.
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
        : mask(static_cast<std::int64_t>(n) - 1), slots(new atomic<T>[n]), older(before) {}
    buffer(const buffer&) = delete;
    ~buffer() { delete[] slots; }
    atomic<T>& at(std::int64_t i) noexcept { return slots[i & mask]; }
    const std::int64_t mask;
    atomic<T>* const slots;
    buffer* const older;  // retired: a thief may still look at it
  };
  static constexpr std::int64_t at_any_time = INT64_MIN;
  static constexpr std::int64_t at_no_time = INT64_MAX;

  T pop_public() noexcept;
  bool expose() noexcept;
  /// From here to leave() split_ is the owner's alone.
  void enter() noexcept;
  void leave(std::int64_t split) noexcept;

  // Written when something is published or stolen, and read by all.
  alignas(far_apart) atomic<std::int64_t> top_{0};
  atomic<std::int64_t> split_{0};
  atomic<std::uint32_t> exposing_{0};  // a lock of the exposing thieves, too
  atomic<bool> unfenced_{false};       // there is no heavy fence any more
  atomic<buffer*> buffer_{nullptr};

  // The owner's; others look at bottom_ and busy_ before they go to sleep.
  alignas(far_apart) atomic<std::int64_t> bottom_{0};
  std::int64_t mask_ = 0;  // of buffer_, as is slots_
  atomic<T>* slots_ = nullptr;
  std::int64_t top_seen_ = 0;             // at or behind top_
  std::int64_t publish_at_ = at_no_time;  // at or behind split_, or a constant
  atomic<std::uint32_t> busy_{0};
  bool lazy_ = true;
  bool never_ = true;
};

// Not inline: the one that the library uses is instantiated once, in join_block.cpp.

template <class T>
deque<T>::deque(std::size_t capacity) {
  auto* first = new buffer(capacity, nullptr);
  buffer_.store(first, relaxed);
  slots_ = first->slots;
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
  top_seen_ = top_.load(acquire);
  if (has_room(n)) return;
  buffer* old = buffer_.load(relaxed);
  auto size = static_cast<std::size_t>(mask_ + 1);
  while (b + n - top_seen_ > static_cast<std::int64_t>(size)) size *= 2;
  auto* bigger = new buffer(size, old);
  for (auto i = top_seen_; i < b; ++i) bigger->at(i).store(old->at(i).load(relaxed), relaxed);
  buffer_.store(bigger, release);  // pairs with steal()
  slots_ = bigger->slots;
  mask_ = bigger->mask;
}

template <class T>
void deque<T>::enter() noexcept {
  for (backoff wait;; wait.pause()) {
    busy_.store(1, relaxed);
    light_fence();                            // pairs with expose()
    if (exposing_.load(acquire) == 0) break;  // pairs with expose()'s end
    busy_.store(0, release);
  }
  if (unfenced_.load(relaxed)) [[unlikely]]
    share(sharing::all);
}

template <class T>
void deque<T>::leave(std::int64_t split) noexcept {
  if (lazy_) publish_at_ = split;
  busy_.store(0, release);  // pairs with expose()
}

template <class T>
void deque<T>::publish(bool all) noexcept {
  if (never_) return;
  enter();
  auto s = split_.load(relaxed);
  const auto n = bottom_.load(relaxed) - s;
  // What was exposed meanwhile may be all there is, or leave enough.
  if (all || !lazy_)
    s += n;
  else if (top_.load(relaxed) >= s)
    s += (n + 1) / 2;
  split_.store(s, release);  // pairs with steal()
  leave(s);
}

// Half of what is public becomes private again, so that a locked operation serves more than one
// pop; unless nobody could expose it.
template <class T>
T deque<T>::pop_public() noexcept {
  if (top_.load(relaxed) >= bottom_.load(relaxed)) return T{};
  enter();
  const auto b = bottom_.load(relaxed) - 1;
  const auto old = split_.load(relaxed);
  auto s = old;
  T item{};
  if (b >= old) {  // the pop found a thief that exposes, and nothing came of it
    item = slots_[b & mask_].load(relaxed);
  } else {  // old is b + 1: there is nothing private
    const auto n = old - top_.load(relaxed);
    s = lazy_ && n > 1 ? old - (n + 1) / 2 : b;
    split_.store(s, seq_cst);  // pairs with steal(): see the head of this file
    auto t = top_.load(seq_cst);
    if (t >= s && s < b) {  // thieves were fast: once more, for the youngest alone
      s = b;
      split_.store(s, seq_cst);  // the same
      t = top_.load(seq_cst);
    }
    if (t < s) {
      item = slots_[b & mask_].load(relaxed);
    } else {  // the last one: compete
      if (t == s && top_.compare_exchange_strong(t, t + 1, seq_cst, relaxed))
        item = slots_[b & mask_].load(relaxed);
      s = old;
      split_.store(s, relaxed);
      leave(s);
      return item;
    }
  }
  bottom_.store(b, relaxed);
  leave(s);
  return item;
}

template <class T>
bool deque<T>::expose() noexcept {
  if (exposing_.exchange(1, seq_cst) != 0) return false;
  bool any = false;
  if (heavy_fence()) {  // pairs with pop() and enter()
    // The owner's sections are a few instructions long; but it may have been preempted in one.
    unsigned looks = 0;
    while (busy_.load(acquire) != 0 && ++looks < policy::looks_at_a_busy_owner) cpu_relax();
    const auto b = bottom_.load(acquire);  // pairs with push()
    any = looks < policy::looks_at_a_busy_owner && b > split_.load(relaxed);
    if (any) split_.store(b, release);  // pairs with steal()
  } else {
    unfenced_.store(true, relaxed);
  }
  exposing_.store(0, release);  // pairs with pop() and enter()
  return any;
}

}  // namespace heddle::detail
