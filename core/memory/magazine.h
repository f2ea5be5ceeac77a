// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// Protocol MAGAZINE: blocks of one size, freed on any thread, without a lock on the fast path and
// without unbounded growth.
//
// Problem   A frame is often freed on another loop than the one that made it, since the task moved.
//           With a free list for each thread alone, the list of the thread that frees grows without
//           bound. A shared list costs a locked operation each time.
// Chosen    Each thread keeps at most two batches of free blocks (a magazine). When it has more, it
//           gives one whole batch to the depot, under the depot's lock. When it has none, it takes
//           one batch from there. So a block that was freed far away finds its way back.
// Promised  Memory is bounded by the peak of live blocks plus two batches for each thread and size.
//           Handing over a batch under the lock orders the block's old life before its new one.
// Cost      One lock for each batch; a pop or a push costs no atomic operation.
// Touch     A magazine: its thread alone. The depot's lists, and blocks in them: under its lock.
#pragma once

#include <heddle/core/base/config.h>
#include <heddle/core/base/spin_lock.h>

#include <cstdint>
#include <utility>

namespace heddle::detail {

/// Links a free block through its first two words. For memory that holds nothing while it is free.
struct raw_links {
  struct block {
    block* next;
    block* next_batch;
  };
  static block*& next(block* b) noexcept { return b->next; }
  static block* next_batch(block* b) noexcept { return b->next_batch; }
  static void set_next_batch(block* b, block* n) noexcept { b->next_batch = n; }
};

/// Full batches that no thread has, and loose blocks of threads that ended. Thread-safety: any
/// thread.
template <class Links>
class magazine_depot {
 public:
  using block = typename Links::block;

  void put(block* batch) noexcept {
    const uninterrupted section;
    lock_.lock_for_all_worlds();
    ++held_;
    Links::set_next_batch(batch, batches_);
    batches_ = batch;
    lock_.unlock();
  }
  /// As put(), unless the depot has `most` batches already: then false, and the batch is the
  /// caller's still.
  [[nodiscard]] bool put_below(block* batch, std::uint32_t most) noexcept {
    const uninterrupted section;
    lock_.lock_for_all_worlds();
    const bool fits = held_ < most;
    if (fits) {
      ++held_;
      Links::set_next_batch(batch, batches_);
      batches_ = batch;
    }
    lock_.unlock();
    return fits;
  }
  /// Takes less than a batch: what a thread had left when it ended. Walks the list.
  void put_loose(block* list) noexcept {
    if (!list) return;
    block* last = list;
    while (Links::next(last)) last = Links::next(last);
    const uninterrupted section;
    lock_.lock_for_all_worlds();
    Links::next(last) = loose_;
    loose_ = list;
    lock_.unlock();
  }
  /// A list of `count` blocks, or nullptr. `count` is `batch`, or less if they are loose blocks.
  block* take(std::uint32_t batch, std::uint32_t& count) noexcept {
    const uninterrupted section;
    lock_.lock_for_all_worlds();
    block* list = batches_;
    if (list) {
      batches_ = Links::next_batch(list);
      --held_;
      count = batch;
    } else if (loose_) {
      list = loose_;
      count = 1;
      block* last = list;
      while (count < batch && Links::next(last)) last = Links::next(last), ++count;
      loose_ = std::exchange(Links::next(last), nullptr);
    }
    lock_.unlock();
    return list;
  }

  /// Around a fork: the child has none of the other threads, and must not find the depot locked by
  /// one of them.
  void hold() noexcept { lock_.lock(); }
  void let_go() noexcept { lock_.unlock(); }

 private:
  spin_lock lock_;
  block* batches_ = nullptr;
  block* loose_ = nullptr;
  std::uint32_t held_ = 0;  // batches in the list
};

/// One thread's free blocks of one size. Only its owner touches it.
//
// A thread that only frees never comes to refill(). If nobody arranged that its magazine is
// flushed, its blocks would be lost when it ends. So a magazine begins asleep: its first push
// answers false, and before spill() the owner arranges for the thread's end. The fast path pays
// nothing, since the mark stands in the count.
template <class Links>
class magazine {
 public:
  using block = typename Links::block;

  /// True: nobody has arranged yet that it is flushed when its thread ends. So it is before the
  /// first refill() or spill(), and after flush().
  [[nodiscard]] bool is_asleep() const noexcept { return (count_ & asleep) != 0; }

  /// A free block, or nullptr: then refill().
  HEDDLE_INLINE block* pop() noexcept {
    block* b = head_;
    if (b) [[likely]] {
      head_ = Links::next(b);
      --count_;
    }
    return b;
  }
  /// The block is in. False: the magazine is over-full or asleep, call spill().
  HEDDLE_INLINE bool push(block* b, std::uint32_t batch) noexcept {
    Links::next(b) = head_;
    head_ = b;
    return ++count_ < 2 * batch;
  }
  /// Takes a batch from the depot. False: there is none, call fill().
  bool refill(magazine_depot<Links>& depot, std::uint32_t batch) noexcept {
    head_ = depot.take(batch, count_);
    return head_ != nullptr;
  }
  /// With blocks that were just carved.
  void fill(block* list, std::uint32_t count) noexcept {
    head_ = list;
    count_ = count;
  }
  /// The magazine is awake from here on. Gives one batch to the depot if there are two; the most
  /// recently used blocks stay.
  void spill(magazine_depot<Links>& depot, std::uint32_t batch) noexcept {
    if (block* given = surplus(batch)) depot.put(given);
  }
  /// As spill(), but the batch is handed to the caller. nullptr: there are not two.
  [[nodiscard]] block* surplus(std::uint32_t batch) noexcept {
    count_ &= ~asleep;
    if (count_ < 2 * batch) return nullptr;
    block* last_kept = head_;
    for (std::uint32_t i = 1; i < count_ - batch; ++i) last_kept = Links::next(last_kept);
    count_ -= batch;
    return std::exchange(Links::next(last_kept), nullptr);
  }
  [[nodiscard]] std::uint32_t count() const noexcept { return count_ & ~asleep; }
  /// Gives all blocks to the depot, since the thread ends. The magazine is asleep afterwards.
  void flush(magazine_depot<Links>& depot, std::uint32_t batch) noexcept {
    while (count() >= 2 * batch) spill(depot, batch);
    depot.put_loose(std::exchange(head_, nullptr));
    count_ = asleep;
  }

 private:
  static constexpr std::uint32_t asleep = 1u << 31;

  block* head_ = nullptr;
  std::uint32_t count_ = asleep;
};

}  // namespace heddle::detail
