// SPDX-License-Identifier: MIT
#include <heddle/core/memory/frame_cache.h>

#include <heddle/core/base/thread_state.h>

#include <new>

namespace heddle::detail {

void* heap_allocate(std::size_t bytes) {
  return ::operator new(bytes, std::align_val_t(frame_depot::alignment_of(bytes)));
}

void heap_free(void* block, std::size_t bytes) noexcept {
  ::operator delete(block, std::align_val_t(frame_depot::alignment_of(bytes)));
}

void* frame_allocate_from(std::size_t index) {
  if constexpr (HEDDLE_ASAN) return heap_allocate((index + 1) * frame_depot::grain);
  return self_of_thread.frames.allocate_from(index);
}

void frame_free_to(std::size_t index, void* block, std::uint32_t batch) noexcept {
  if constexpr (HEDDLE_ASAN) return heap_free(block, (index + 1) * frame_depot::grain);
  self_of_thread.frames.free_to(index, block, batch);
}

void* frame_allocate_any(std::size_t bytes) {
  if (HEDDLE_ASAN || bytes > frame_depot::largest) return heap_allocate(bytes);
  return self_of_thread.frames.allocate(bytes);
}

void frame_free_any(void* block, std::size_t bytes) noexcept {
  if (HEDDLE_ASAN || bytes > frame_depot::largest) return heap_free(block, bytes);
  self_of_thread.frames.free(block, bytes);
}

}  // namespace heddle::detail
