// SPDX-License-Identifier: MIT
// Internal to core.
// A program with a heddle in it, opened for reading: its layout, and where to begin.
#pragma once

#include <heddle/core/seeing/layout.h>
#include <heddle/core/seeing/memory.h>
#include <heddle/core/seeing/modules.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail::seeing {

/// A member as the program's table has it.
struct place {
  std::uint32_t at = 0;
  std::uint32_t size = 0;
};

/// What a reader uses of the table; names in program.cpp.
struct offsets {
  place word, joiners, refs, runtime, kind, flags;
  place record, resume, wait, home, extra, strand_root, strand_next, queue_link;
  place waits_at, creator, creator_life, made_at;
  place extra_name, extra_message, extra_made, extra_strands;
  place frame_promise, continuation, promise_record, end;
  place chunk, chunk_next, chunk_number, chunk_records;
  place group_serial, group_id, group_workers, group_next, worker_group, reactor_note;
  place group_stopping, group_closed, group_round_left;
  place driver, ready_head, ready_tail, ready_ring, ring_mask, ring_cells;
  place local_cells, local_room, local_head, local_tail, next_slot, pinned, movable;
  place sleep, beat, worker_timers, timers_size, thread_state, thread_number;
  place stolen, polls, io_events, rescues, busy, woke_at, stalls, stall;
  place heap, entry, entry_deadline, entry_node, node_timers, node_place;
  place current, join_parent;
  // For the search for leaks.
  place innermost, waiter, turn, depot, depot_chunks, depot_reserved, thread_frames, worker;
  place scope_link, scope_outer, ticket;
  place join_next, join_fire;
  place worker_measures, measured_lag;
  place frame_chunk_next, frame_block_bytes, frame_blocks;
};

/// What a reader has room for. A layout with more is refused.
inline constexpr std::uint32_t largest_record = 256;
inline constexpr std::uint32_t largest_chunk = 32768;
inline constexpr std::uint32_t largest_frame_head = 128;

enum class refusal : std::uint8_t {
  none,
  unreadable,     // memory could not be read
  no_layout,      // no heddle is in it
  other_version,  // the major version is another one
  incomplete,     // a row that the reader needs is missing: missing() names it
};

class program {
 public:
  static constexpr std::size_t most_kinds = 64;
  static constexpr std::size_t most_types = 48;

  /// Reads the layout whose head is at `layout`. `from` and `code` outlive this.
  [[nodiscard]] refusal open(memory& from, const modules& code, address layout) noexcept;

  [[nodiscard]] memory& mem() const noexcept { return *memory_; }
  [[nodiscard]] const modules& code() const noexcept { return *code_; }
  [[nodiscard]] const offsets& at() const noexcept { return at_; }
  [[nodiscard]] address record_chunks() const noexcept { return record_chunks_; }
  /// 0: not told.
  [[nodiscard]] address frame_chunks() const noexcept { return frame_chunks_; }
  [[nodiscard]] address runtimes() const noexcept { return runtimes_; }
  /// The trace_root of the program (trace_layout.h); 0: nothing of it records.
  [[nodiscard]] address tracing() const noexcept { return tracing_; }
  /// The table of stalls; 0: not told.
  [[nodiscard]] address stalls() const noexcept { return stalls_; }
  /// Where the function stands that a joiner of a thread in run has; 0: not told.
  [[nodiscard]] address run_joins() const noexcept { return run_joins_; }
  /// Where frames come from; 0: not told.
  [[nodiscard]] address frame_depot() const noexcept { return frame_depot_; }
  /// How the program's C++ library marks the types of classes with one base, and with more.
  [[nodiscard]] address one_base() const noexcept { return one_base_; }
  [[nodiscard]] address bases() const noexcept { return bases_; }
  /// What the program calls the waits of the class whose type_info stands at `type`; nullptr: it
  /// says nothing. Of few classes; for where the names of classes cannot be read.
  [[nodiscard]] const char* name_of_type(address type) const noexcept;
  [[nodiscard]] const kind_row* kinds() const noexcept { return kinds_; }
  [[nodiscard]] std::size_t kind_count() const noexcept { return kind_count_; }
  [[nodiscard]] const char* missing() const noexcept { return missing_; }
  [[nodiscard]] std::uint32_t major() const noexcept { return head_.major; }
  [[nodiscard]] std::uint32_t minor() const noexcept { return head_.minor; }

  /// False: it was built with HEDDLE_SEEING=OFF, which leaves out where tasks wait and who made
  /// them.
  [[nodiscard]] bool notes_places() const noexcept { return at_.waits_at.size != 0; }

  /// The pointer, or the number, that stands at member `p` of the object at `object`.
  [[nodiscard]] bool load(memory& from, address object, place p, std::uint64_t& to) const noexcept;

 private:
  [[nodiscard]] refusal read_fields() noexcept;
  [[nodiscard]] refusal read_roots() noexcept;
  [[nodiscard]] refusal read_kinds() noexcept;

  memory* memory_ = nullptr;
  const modules* code_ = nullptr;
  layout_head head_{.fields = nullptr,
                    .fields_end = nullptr,
                    .roots = nullptr,
                    .roots_end = nullptr,
                    .kinds = nullptr,
                    .kinds_end = nullptr};
  offsets at_;
  address record_chunks_ = 0;
  address runtimes_ = 0;
  address tracing_ = 0;
  address frame_depot_ = 0;
  address frame_chunks_ = 0;
  address stalls_ = 0;
  address run_joins_ = 0;
  address one_base_ = 0;
  address bases_ = 0;
  std::size_t kind_count_ = 0;
  std::size_t type_count_ = 0;
  address types_[most_types] = {};
  char type_names_[most_types][24];
  const char* missing_ = "";
  alignas(kind_row) unsigned char kind_bytes_[most_kinds * sizeof(kind_row)];
  const kind_row* kinds_ = nullptr;
};

/// A number of `size` bytes (1, 2, 4 or 8) from bytes.
[[nodiscard]] std::uint64_t number_in(const void* bytes, std::uint32_t size) noexcept;

}  // namespace heddle::detail::seeing
