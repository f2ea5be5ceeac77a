// SPDX-License-Identifier: MIT
// Internal to sched.
// A ring of recorded events: written by one thread, and read while it is written.
//
// Protocol OVERWRITE.
//
// Problem   A reader copies the ring from another process while its thread goes on. A cell that is
//           overwritten during the copy gives an event that never was: the time of one and the task
//           of another.
// Rejected  A lock: the reader may be stopped while it holds that lock, and it shall not write
//           into the program. A sequence number in each cell: 8 bytes more for an event of 16.
// Chosen    The ring counts the events that it has ever got (head). Event n goes to cell n modulo
//           the capacity. The order of stores is: both words of event n, then head = n + 1.
//             writer   store the words of event n, release; store head = n + 1, release
//             reader   load head: h1; load the cells; load head again: h2
//           The reader takes event i if i < h1 and i + capacity > h2.
//             i < h1              Event i was whole before the copy began.
//             i + capacity > h2   Event i + capacity is the next one in the cell of event i. Its
//                                 words are stored behind head = i + capacity. So a reader that
//                                 got one of these words finds h2 >= i + capacity, and drops i.
// Cost      Three plain stores on x86, and the time of the clock.
// Lost      What was overwritten before the reader came. The reader counts it.
//
// A ring is never given back: a reader may be at it. A thread that ends lets go of its ring, and a
// later thread takes it over.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/base/config.h>
#include <heddle/core/record/task_record.h>
#include <heddle/core/seeing/trace_layout.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

using seeing::ring_owner;
using seeing::trace_event;

/// The ticks of the clock that events have (trace_clock).
[[nodiscard]] std::uint64_t trace_ticks() noexcept;
/// The same, and not before what was loaded before. The processor may read its counter while an
/// earlier load is under way. So a task would seem to run before it was woken.
[[nodiscard]] std::uint64_t trace_ticks_in_order() noexcept;

// Who may touch what
//   next, cells, mask        written before the ring can be found; then anyone reads them
//   head_, and the cells     the ring's thread writes; anyone reads (OVERWRITE)
//   thread_                  anyone, by compare-exchange from 0; its thread stores 0
//   the rest                 the ring's thread writes, and readers from outside read
class trace_ring {
 public:
  struct cell {
    atomic<std::uint64_t> when{0};
    atomic<std::uint64_t> what{0};
  };

  /// `capacity`, a power of two, of `memory`, which outlives the ring.
  trace_ring(cell* memory, std::uint64_t capacity) noexcept : cells_(memory), mask_(capacity - 1) {}
  trace_ring(const trace_ring&) = delete;

  /// A ring for the calling thread: one that a thread has let go of, or a new one. nullptr: there
  /// is no memory, there are too many, or HEDDLE_TRACE=0 says that nothing is recorded.
  [[nodiscard]] static trace_ring* claim(ring_owner whose) noexcept;
  /// The thread that has it needs it no more.
  void let_go() noexcept;

  /// Records it. Its thread only.
  void note(trace_event kind, std::uint64_t what) noexcept { put(trace_ticks(), kind, what); }
  void put(std::uint64_t when, trace_event kind, std::uint64_t what) noexcept {
    const auto n = head_.load(relaxed);
    cell& to = cells_[n & mask_];
    // Release, so that head = n is seen by whoever sees these words. pairs with the loads of
    // copy(), and of readers from outside
    to.when.store(when << seeing::trace_time_shift | static_cast<std::uint64_t>(kind), release);
    // pairs with the same
    to.what.store(what, release);
    // pairs with the first load of head_ in copy(): event n is whole
    head_.store(n + 1, release);
  }
  void is_of_loop(std::uint64_t runtime, std::uint32_t loop) noexcept {
    runtime_.store(runtime, relaxed);
    loop_.store(loop, relaxed);
  }
  void samples_one_in(std::uint64_t n) noexcept { sampled_.store(n, relaxed); }

  /// OVERWRITE, the reader's side, for threads of this program and for tests. Copies the events
  /// from number `from` on that are whole into `to`, which has room for the capacity. Sets `first`
  /// to the number of the first. Returns how many. From any thread.
  std::uint64_t copy(std::uint64_t from, seeing::trace_cell* to,
                     std::uint64_t& first) const noexcept;
  /// The ring as it stands in memory, but with the events that copy() gives: they are put into
  /// `to`, which has room for the capacity, from the first cell on. From any thread.
  [[nodiscard]] seeing::trace_ring_image picture(seeing::trace_cell* to) const noexcept;
  [[nodiscard]] trace_ring* made_before() const noexcept { return next_; }
  [[nodiscard]] std::uint64_t written() const noexcept { return head_.load(relaxed); }
  [[nodiscard]] std::uint64_t capacity() const noexcept { return mask_ + 1; }

 private:
  template <class>
  friend struct layout_of;

  trace_ring* next_ = nullptr;
  cell* cells_;
  std::uint64_t mask_;
  atomic<std::uint64_t> head_{0};
  atomic<int> thread_{0};
  atomic<ring_owner> owner_{ring_owner::other};
  atomic<std::uint64_t> runtime_{0};
  atomic<std::uint32_t> loop_{0};
  [[maybe_unused]] std::uint32_t reserved_ = 0;
  atomic<std::uint64_t> sampled_{0};
};

/// What a reader begins with. One for the process.
struct trace_root {
  std::uint32_t version = seeing::trace_root_image::known_version;
  atomic<seeing::trace_clock> clock{seeing::trace_clock::none};
  /// A tool writes it, from outside: see trace_root_image.
  atomic<std::int64_t> all_until{0};
  atomic<trace_ring*> rings{nullptr};
  atomic<std::uint64_t> base_ticks{0};
  atomic<std::int64_t> base_ns{0};
  atomic<std::uint64_t> seen_ticks{0};  // see note_trace_clocks()
  atomic<std::int64_t> seen_ns{0};
};
extern constinit trace_root tracing [[gnu::visibility("hidden")]];

/// The calling thread's ring: a loop's own; of other threads nullptr, unless one of them made one.
[[nodiscard]] trace_ring* ring_of_this_thread() noexcept;
/// The same, which is made if there is none. It is let go of as the thread ends.
[[nodiscard]] trace_ring* make_ring_of_this_thread(ring_owner whose) noexcept;
/// The ring of a loop, which begins or ends: its thread gets it, and gives it back with nullptr.
void set_ring_of_this_thread(trace_ring* r) noexcept;

/// Records it in the ring of the calling thread, if there is one.
/// Cost: a thread-local load and a test without a ring, some 10 ns with one.
void ring_note(trace_event kind, std::uint64_t what) noexcept;

/// Keeps what both clocks say now, for who reads the core of this process. From one thread at a
/// time; each look of the watch does it.
void note_trace_clocks() noexcept;

/// A step of loop number `loop` has stood for so long, until now. From a thread that watches loops,
/// which gets a ring by this.
void note_stall(unsigned loop, std::uint64_t ns) noexcept;

/// `t`, or the task that it is a strand of, as events name it.
[[nodiscard]] inline std::uint64_t trace_name(task_record& t) noexcept {
  task_record& task = t.root();
  return seeing::trace_task(reinterpret_cast<std::uintptr_t>(&task),
                            word::generation(task.state().peek()));
}

/// What HEDDLE_TRACE says: one task in so many is recorded, a power of two. 0: no ring is made. If
/// it says nothing: 64.
struct trace_rate {
  std::uint64_t one_in;
  bool is_given;
};
[[nodiscard]] trace_rate wanted_trace_rate() noexcept;

}  // namespace heddle::detail
