// SPDX-License-Identifier: MIT
#include <heddle/core/base/thread_state.h>

#include <heddle/core/seeing/layout.h>

#include <pthread.h>

#include <array>
#include <cstddef>

namespace heddle::detail {
namespace {

constinit frame_depot frames_of_the_process{&flush_caches_at_thread_exit};
constinit magazine_depot<record_links> records_of_the_process;

// Problem   A thread-local with a destructor is not enough to flush a thread's caches. What the
//           destructors of other thread-locals free after its own is lost, and to register a
//           destructor may end the process when memory is short.
// Chosen    A key of the thread (pthread_key_create): its destructor runs behind those of all
//           thread-locals. It runs again if the key was set again meanwhile, which the first free
//           into a flushed cache does (magazine.h).
// Cost      One of the process's keys (1024 on Linux).
void flush_caches(void*) {
  auto& own = this_thread();
  own.frames.flush();
  own.records.flush(records_of_the_process, record_links::batch);
}

/// 0: no key yet, or the process has none left, and then a later thread asks again.
atomic<pthread_key_t> key_plus_one{0};

bool key_of_caches(pthread_key_t& key) noexcept {
  // pairs with the exchange below
  auto known = key_plus_one.load(acquire);
  if (known == 0) {
    pthread_key_t fresh;
    if (::pthread_key_create(&fresh, &flush_caches) != 0) return false;
    // pairs with the load above
    if (key_plus_one.compare_exchange_strong(known, fresh + 1, acq_rel, acquire))
      known = fresh + 1;
    else
      (void)::pthread_key_delete(fresh);  // another thread was first
  }
  key = known - 1;
  return true;
}

}  // namespace

constinit thread_local thread_state self_of_thread{frames_of_the_process};

thread_state& this_thread() noexcept { return self_of_thread; }

frame_depot& process_frames() noexcept { return frames_of_the_process; }
magazine_depot<record_links>& process_records() noexcept { return records_of_the_process; }

void hold_caches() noexcept {
  records_of_the_process.hold();
  frames_of_the_process.hold();
}

void let_go_caches() noexcept {
  frames_of_the_process.let_go();
  records_of_the_process.let_go();
}

bool flush_caches_at_thread_exit() noexcept {
  pthread_key_t key;
  return key_of_caches(key) && ::pthread_setspecific(key, &self_of_thread) == 0;
}

}  // namespace heddle::detail

// The class has a base with members, so offsetof is "conditionally supported": by both compilers.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

/// Where frames stand, and how large the block of each is.
template <>
struct layout_of<frame_depot> {
  using chunk = frame_depot::chunk;
  static constexpr seeing::field_row rows[] = {
      {"frame_depot", 0, sizeof(frame_depot)},
      {"frame_depot.chunks", offsetof(frame_depot, chunks_), sizeof(void*)},
      {"frame_depot.reserved", offsetof(frame_depot, reserved_), 8},
      {"thread_state.frames", offsetof(thread_state, frames), sizeof(frame_cache)},
      {"frame_chunk.next", offsetof(chunk, next), sizeof(chunk*)},
      {"frame_chunk.block_bytes", offsetof(chunk, block_bytes), 4},
      {"frame_chunk.blocks", offsetof(chunk, blocks), 4},
  };
  static constexpr const void* chunks_of(const frame_depot& d) noexcept { return &d.chunks_; }
};

namespace {
HEDDLE_ROW("heddle_fields")
constexpr auto thread_state_fields = std::to_array(layout_of<frame_depot>::rows);
HEDDLE_ROW("heddle_roots")
constexpr seeing::root_row root_rows[] = {
    {"frame_depot", &frames_of_the_process},
    {"frame_chunks", layout_of<frame_depot>::chunks_of(frames_of_the_process)},
};
}  // namespace

}  // namespace heddle::detail
