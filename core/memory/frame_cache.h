// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// Memory for coroutine frames and other short-lived blocks, from the calling thread's cache.
#pragma once

#include <heddle/core/memory/frame_depot.h>

#include <cstddef>

namespace heddle::detail {

/// The calling thread's cache. Never inlined: a coroutine may resume on another thread, and an
/// inlined access could keep the thread-local's address across the suspension.
HEDDLE_NOINLINE void* frame_allocate_from(std::size_t index);
HEDDLE_NOINLINE void frame_free_to(std::size_t index, void* block, std::uint32_t batch) noexcept;
/// From the heap and back to it, aligned as every block of that size is.
void* heap_allocate(std::size_t bytes);
void heap_free(void* block, std::size_t bytes) noexcept;
/// Of any size.
HEDDLE_NOINLINE void* frame_allocate_any(std::size_t bytes);
HEDDLE_NOINLINE void frame_free_any(void* block, std::size_t bytes) noexcept;

/// Inline for the sake of their arithmetic alone: who allocates a frame knows its size when it is
/// compiled. If the library was built with AddressSanitizer all of these are malloc and free, so
/// that it sees every frame. That is the library's to say: what a program makes, the library may
/// free, and a program with AddressSanitizer may use a library without.
HEDDLE_INLINE void* frame_allocate(std::size_t bytes) {
  if (HEDDLE_ASAN || bytes > frame_depot::largest) return frame_allocate_any(bytes);
  return frame_allocate_from(frame_depot::index_of(bytes));
}
HEDDLE_INLINE void frame_free(void* block, std::size_t bytes) noexcept {
  if (HEDDLE_ASAN || bytes > frame_depot::largest) return frame_free_any(block, bytes);
  const std::size_t index = frame_depot::index_of(bytes);
  frame_free_to(index, block, frame_depot::batch_of(index));
}

/// Base of short-lived objects of the library that live on the frame cache. Over-aligned ones too:
/// see the head of this file.
struct frame_cached {
  static void* operator new(std::size_t bytes) { return frame_allocate(bytes); }
  static void operator delete(void* block, std::size_t bytes) noexcept { frame_free(block, bytes); }
};

}  // namespace heddle::detail
