// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// Memory for coroutine frames and other short-lived blocks, from the calling thread's cache.
//
// Problem   Each call of a coroutine makes a frame, so the library would ask malloc all the time.
// Chosen    A free list for each thread and size (frame_depot.h). A block may be freed on any
//           thread.
// Cost      A pop or a push on a list of the thread's own: no atomic operation.
#pragma once

#include <heddle/core/memory/frame_depot.h>

#include <cstddef>

namespace heddle::detail {

/// From the calling thread's cache, and back to it. Never inlined: a coroutine may resume on
/// another thread, and an inlined access could keep the thread-local's address across the
/// suspension.
HEDDLE_NOINLINE void* frame_allocate_from(std::size_t index);
HEDDLE_NOINLINE void frame_free_to(std::size_t index, void* block, std::uint32_t batch) noexcept;
/// From the heap, and back to it, aligned like every block of that size.
void* heap_allocate(std::size_t bytes);
void heap_free(void* block, std::size_t bytes) noexcept;
/// The same for any size: from the cache or from the heap.
HEDDLE_NOINLINE void* frame_allocate_any(std::size_t bytes);
HEDDLE_NOINLINE void frame_free_any(void* block, std::size_t bytes) noexcept;

/// A block of `bytes`, and its end; `bytes` as it was allocated. Throws std::bad_alloc. From any
/// thread.
/// Inline for the sake of their arithmetic alone: the size of a frame is a constant where it is
/// allocated. If the library was built with AddressSanitizer all of these are malloc and free, so
/// that it sees every frame. The build of the library decides that, not the build of the program:
/// the library may free what a program made, and a program with AddressSanitizer may use a library
/// without.
HEDDLE_INLINE void* frame_allocate(std::size_t bytes) {
  if (HEDDLE_ASAN || bytes > frame_depot::largest) return frame_allocate_any(bytes);
  return frame_allocate_from(frame_depot::index_of(bytes));
}
HEDDLE_INLINE void frame_free(void* block, std::size_t bytes) noexcept {
  if (HEDDLE_ASAN || bytes > frame_depot::largest) return frame_free_any(block, bytes);
  const std::size_t index = frame_depot::index_of(bytes);
  frame_free_to(index, block, frame_depot::batch_of(index));
}

/// Base of short-lived objects of the library that live in blocks of the frame cache. Over-aligned
/// ones too: see the head of frame_depot.h.
struct frame_cached {
  static void* operator new(std::size_t bytes) { return frame_allocate(bytes); }
  static void operator delete(void* block, std::size_t bytes) noexcept { frame_free(block, bytes); }
};

}  // namespace heddle::detail
