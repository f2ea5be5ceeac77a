// SPDX-License-Identifier: MIT
#include <heddle/core/thread_state.h>

#include <heddle/core/budget.h>

#include <new>

namespace heddle::detail {

magazine_depot<record_links>& process_records() noexcept;

namespace {

constinit frame_depot frames_of_the_process{frame_depot::immortal};
constinit thread_local thread_state self{frames_of_the_process};

constexpr std::uint32_t record_batch = 64;

struct flusher {
  ~flusher() {
    auto& own = this_thread();
    own.frames.flush();
    own.records.flush(process_records(), record_batch);
  }
};

}  // namespace

thread_state& this_thread() noexcept { return self; }

void* this_fork_state_address() noexcept { return self.forks; }

// Here, beside the thread-local, so that each is one call deep and no deeper.
bool budget_spent() noexcept { return ++self.ready_awaits % 64 == 0 && step_took_long(self); }

void* frame_allocate(std::size_t bytes) {
  if constexpr (HEDDLE_ASAN) return ::operator new(bytes);
  if (bytes > frame_depot::largest) [[unlikely]]
    return ::operator new(bytes);
  return self.frames.allocate(bytes);
}

void frame_free(void* block, std::size_t bytes) noexcept {
  if constexpr (HEDDLE_ASAN) return ::operator delete(block);
  if (bytes > frame_depot::largest) [[unlikely]]
    return ::operator delete(block);
  self.frames.free(block, bytes);
}

frame_depot& process_frames() noexcept { return frames_of_the_process; }

void hold_caches() noexcept {
  process_records().hold();
  frames_of_the_process.hold();
}

void let_go_caches() noexcept {
  frames_of_the_process.let_go();
  process_records().let_go();
}

void flush_caches_at_thread_exit() {
  thread_local flusher at_exit;
  (void)&at_exit;
}

}  // namespace heddle::detail
