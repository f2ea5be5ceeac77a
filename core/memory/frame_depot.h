// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// Blocks of memory in size classes: what the threads of a process share (frame_depot), and what
// each keeps for itself (frame_cache), by protocol MAGAZINE (magazine.h).
//
// Problem   A frame with an alignas(64) local, or a callback with such a capture, needs a block at
//           a multiple of 64. But the compiler tells operator new only a size.
// Chosen    The size of such a frame or object is a multiple of its alignment. So a block of n
//           bytes stands at a multiple of the largest power of two that divides n, 4096 at most,
//           and every alignment is honoured without being asked for.
// Cost      At most one block for each chunk that is carved, and nothing later.
#pragma once

#include <heddle/core/memory/magazine.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

/// What the frame caches of all threads share: batches on their way from the threads that free
/// blocks to those that take them, and the chunks that blocks are carved from. Chunks stay for the
/// life of the process, so memory is bounded by the peak of each size. Thread-safety: any thread.
class frame_depot {
 public:
  static constexpr std::size_t grain = 16;      // bytes between size classes
  static constexpr std::size_t largest = 1024;  // bytes; what is larger goes to malloc
  static constexpr std::size_t classes = largest / grain;

  /// Sees to it that the calling thread's cache is flushed when the thread ends. False: there is no
  /// memory for that.
  using exit_arranger = bool (*)() noexcept;

  /// For tests: its chunks are given back with it, and the owner of a cache over it flushes the
  /// cache.
  constexpr frame_depot() = default;
  /// For the process-wide depot: chunks are never given back, not even at exit, since frames may
  /// outlive static destruction. Slow paths call `arrange`: when a thread's cache of one size is
  /// empty, and when a block comes into one that is asleep.
  constexpr explicit frame_depot(exit_arranger arrange) : arrange_(arrange) {}
  frame_depot(const frame_depot&) = delete;
  ~frame_depot();

  /// Sees to it that the calling thread's cache over this depot is flushed. False: it cannot be.
  [[nodiscard]] bool arrange_flush() noexcept { return !arrange_ || arrange_(); }
  magazine_depot<raw_links>& of(std::size_t index) noexcept { return depots_[index]; }
  /// A fresh chunk of one batch, its blocks linked. Throws std::bad_alloc.
  raw_links::block* carve(std::size_t index, std::uint32_t batch);
  /// Around a fork, as in magazine_depot.
  void hold() noexcept;
  void let_go() noexcept;
  /// Bytes ever carved: an upper bound of the peak of what was in use.
  [[nodiscard]] std::size_t reserved() const noexcept { return reserved_.load(relaxed); }

  static constexpr std::size_t most_aligned = 4096;

  /// The alignment of blocks of so many bytes.
  static constexpr std::size_t alignment_of(std::size_t bytes) noexcept {
    const std::size_t rounded = (bytes + grain - 1) / grain * grain;
    const std::size_t divisor = rounded & (~rounded + 1);
    return divisor < most_aligned ? divisor : most_aligned;
  }
  static constexpr std::size_t index_of(std::size_t bytes) noexcept { return (bytes - 1) / grain; }
  static constexpr std::uint32_t batch_of(std::size_t index) noexcept {
    const std::size_t blocks = 16384 / ((index + 1) * grain);
    return blocks < 16 ? 16 : blocks > 64 ? 64 : static_cast<std::uint32_t>(blocks);
  }

 private:
  template <class>
  friend struct layout_of;

  struct chunk {
    chunk* next;
    std::uint32_t block_bytes;  // of each block; the alignment follows from it
    std::uint32_t blocks;
  };
  magazine_depot<raw_links> depots_[classes];
  spin_lock chunks_lock_;
  chunk* chunks_ = nullptr;
  atomic<std::size_t> reserved_{0};
  exit_arranger arrange_ = nullptr;  // set: the chunks are immortal too
};

/// One thread's cache over a depot. Only its owner calls it. A block may be freed into any cache of
/// the same depot.
class frame_cache {
 public:
  constexpr explicit frame_cache(frame_depot& depot) noexcept : depot_(&depot) {}
  frame_cache(const frame_cache&) = delete;

  /// `bytes` is 1 or more and at most frame_depot::largest. Cost: a free-list pop. Throws
  /// std::bad_alloc.
  HEDDLE_INLINE void* allocate(std::size_t bytes) {
    return allocate_from(frame_depot::index_of(bytes));
  }
  /// `bytes` as it was allocated.
  HEDDLE_INLINE void free(void* block, std::size_t bytes) noexcept {
    const std::size_t index = frame_depot::index_of(bytes);
    free_to(index, block, frame_depot::batch_of(index));
  }
  /// The same, for callers that have the index already: batch_of() divides.
  HEDDLE_INLINE void* allocate_from(std::size_t index) {
    if (auto* b = lists_[index].pop()) [[likely]]
      return b;
    return refill(index);
  }
  HEDDLE_INLINE void free_to(std::size_t index, void* block, std::uint32_t batch) noexcept {
    if (!lists_[index].push(static_cast<raw_links::block*>(block), batch)) [[unlikely]]
      spill(index);
  }
  /// Gives all blocks to the depot: the thread ends.
  void flush() noexcept;
  [[nodiscard]] std::uint32_t idle(std::size_t bytes) const noexcept {
    return lists_[frame_depot::index_of(bytes)].count();
  }

 private:
  HEDDLE_COLD void* refill(std::size_t index);
  HEDDLE_COLD void spill(std::size_t index) noexcept;

  frame_depot* depot_;
  magazine<raw_links> lists_[frame_depot::classes];
};

}  // namespace heddle::detail
