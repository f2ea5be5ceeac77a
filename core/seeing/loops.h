// SPDX-License-Identifier: MIT
// Internal to core.
// The runtimes and loops of a program, what each loop does just now, and which tasks stand in its
// queues.
//
// All of it is a look without a lock: a task may have gone on by the time that it is told. Two of
// the queues cannot be walked from outside (those that foreign threads fill); of these the number
// is told.
#pragma once

#include <heddle/core/seeing/program.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail::seeing {

struct loop_view {
  address at = 0;
  std::uint32_t runtime = 0;  // its place among the runtimes
  std::uint32_t number = 0;   // of the loop in its runtime
  std::uint16_t id = 0;       // of the runtime, as records have it
  int thread = 0;             // the system's number
  bool parked = false;
  address current = 0;  // the record of the task that runs
  std::uint64_t steps = 0;
  std::uint64_t ready = 0;  // tasks and callbacks in its queues
  std::uint64_t timers = 0;
  std::uint64_t stolen = 0;
  std::uint64_t polls = 0;
  std::uint64_t io_events = 0;
  std::uint64_t rescues = 0;
  std::uint64_t busy = 0;     // ns that it has not spent parked, until it woke last
  std::uint64_t woke_at = 0;  // by the monotonic clock, in ns; 0: it is parked
  char driver[24] = "";
};

/// Where a task stands that is ready.
enum class queue_kind : std::uint8_t { next_slot, run_queue, local_queue, inbox };
struct queued {
  address record = 0;
  std::uint32_t loop = 0;  // its place in loops_view
  queue_kind where = queue_kind::run_queue;
  std::uint64_t place = 0;  // from 1
};

class loops_view {
 public:
  static constexpr std::size_t most_loops = 512;
  static constexpr std::size_t most_queued = 8192;
  static constexpr std::size_t most_runtimes = 64;

  /// Reads all. False: the list of runtimes could not be read, or changed at each of four looks;
  /// what was read last is there.
  bool load(const program& of) noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] const loop_view& operator[](std::size_t i) const noexcept { return loops_[i]; }
  [[nodiscard]] std::size_t runtimes() const noexcept { return runtimes_; }
  /// The loop that runs the task, or nullptr.
  [[nodiscard]] const loop_view* runs(address record) const noexcept;
  /// Where the task stands, or nullptr: in no queue that could be walked, or too far behind.
  [[nodiscard]] const queued* find(address record) const noexcept;
  /// The loop whose address a record has as its home, or nullptr.
  [[nodiscard]] const loop_view* at(address loop) const noexcept;

 private:
  [[nodiscard]] bool load_runtimes(const program& of) noexcept;
  [[nodiscard]] bool load_runtime(const program& of, address group) noexcept;
  void load_loop(const program& of, address worker, loop_view& to) noexcept;
  void load_queues(const program& of, std::uint32_t loop) noexcept;
  void load_cells(const program& of, std::uint32_t loop, queue_kind where, address cells,
                  std::uint64_t mask, std::uint64_t head, std::uint64_t tail) noexcept;
  void load_inbox(const program& of, std::uint32_t loop) noexcept;
  void note(std::uint32_t loop, queue_kind where, std::uint64_t place, address item) noexcept;

  std::size_t count_ = 0;
  std::size_t runtimes_ = 0;
  std::size_t queued_count_ = 0;
  loop_view loops_[most_loops];
  queued queued_[2 * most_queued];  // by a hash of the record's address
};

}  // namespace heddle::detail::seeing
