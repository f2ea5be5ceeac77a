// SPDX-License-Identifier: MIT
// Internal to core.
// The tasks of a program, one after the other: the walk over its records and their frames.
//
// Problem   The program goes on while it is read. A frame may be gone by then, or be that of
//           another call. A walk that follows such a frame tells a chain that never was.
// Rejected  Stopping the program: it is to be seen without being disturbed. Trusting the
//           generation: a task may have run and wait again in the same word.
// Chosen    The record is copied, the frames are walked, and the record is read again: the same
//           word, the same frame, the same wait. Each frame begins with an address in code and
//           names that very record. What does not hold is looked at again, four times in all, and
//           then told as "moving".
// Bounds    Chunks are numbered downwards, so the list of them has no circle. A chain has at most
//           2^20 frames, and a circle in it is found. Every read may fail, and then the look fails.
#pragma once

#include <heddle/core/seeing/program.h>
#include <heddle/core/seeing/task_view.h>
#include <heddle/core/seeing/waits.h>

namespace heddle::detail::seeing {

/// The library's clock, read so that nothing of the library runs. In ns.
[[nodiscard]] std::uint64_t clock_now() noexcept;

class task_reader {
 public:
  /// `of` may be opened later. `now`: as for wait_reader.
  task_reader(const program& of, std::uint64_t now) noexcept
      : program_(&of), waits_(of, now), now_(now) {}
  task_reader(const task_reader&) = delete;

  /// Called for each task and strand that has not ended. False: enough.
  using visitor = bool (*)(void* context, const task_view& task);
  /// False: the walk broke off, since a chunk could not be read or was none.
  [[nodiscard]] bool each(visitor see, void* context) noexcept;
  /// The task whose record stands at `record`, if a chunk holds it. False: none does, or nothing
  /// lives there.
  [[nodiscard]] bool look_at(address record, task_view& to) noexcept;

  /// The chain of a task that runs, from the frame that its thread is in (running.h), whose promise
  /// has `owner` as its record. False: the frames do not hold; `to` is as it was.
  [[nodiscard]] bool look_at_running(address frame, std::uint64_t owner, task_view& to) noexcept;

  /// The eventuals that the task waits for, besides its target: see wait_reader::each_member().
  void each_member(const task_view& of, void (*see)(void*, address), void* context) noexcept {
    if (of.what == doing::waits) waits_.each_member(cache_, of.wait, see, context);
  }

  /// True: the pointer at `at` is the one by which a wait, over or not, knows what it waits in.
  [[nodiscard]] bool is_in_a_wait(address at) noexcept { return waits_.is_in_a_wait(cache_, at); }

  /// How often a look had to be repeated, and how many were given up.
  [[nodiscard]] std::uint64_t repeated() const noexcept { return repeated_; }
  [[nodiscard]] std::uint64_t given_up() const noexcept { return given_up_; }
  /// The number for people of the record at `record`; 0: no chunk holds it.
  [[nodiscard]] std::uint64_t number_of(address record) noexcept;

 private:
  static constexpr int most_tries = 4;
  static constexpr std::size_t most_chunks = 32768;  // whose records have numbers for others

  void load_chunks(address newest) noexcept;
  enum class result : std::uint8_t { good, torn, gone };
  [[nodiscard]] bool lives(const unsigned char* copy) const noexcept;
  [[nodiscard]] bool settle(address record, unsigned char* copy, std::uint64_t number,
                            task_view& to) noexcept;
  [[nodiscard]] result look(address record, const unsigned char* copy, task_view& to) noexcept;
  [[nodiscard]] bool walk(std::uint64_t owner, address frame, address where,
                          task_view& to) noexcept;
  [[nodiscard]] bool unchanged(address record, const unsigned char* copy) noexcept;
  void read_extra(const unsigned char* copy, task_view& to) noexcept;
  template <std::size_t N>
  void read_string(address at, char (&to)[N]) noexcept;
  void read_place(address place, task_view& to) noexcept;
  void read_strands(address extra, task_view& to) noexcept;
  void read_join(address join, task_view& to) noexcept;
  void read_times(const unsigned char* copy, task_view& to) noexcept;
  void read_creator(const unsigned char* copy, task_view& to) noexcept;
  [[nodiscard]] std::uint64_t ago(std::uint64_t stamp) const noexcept;
  void read_target(task_view& to) noexcept;
  void read_owner(task_view& to) noexcept;
  void read_scopes(address extra, task_view& to) noexcept;
  [[nodiscard]] std::uint64_t field(const unsigned char* copy, place p) const noexcept {
    return number_in(copy + p.at, p.size);  // it is inside: program::open() has seen to that
  }

  const program* program_;
  cached_memory cache_;
  wait_reader waits_;
  std::uint64_t now_;
  // Where chunks stand, in the order of their addresses: for number_of().
  std::size_t chunk_count_ = 0;
  address newest_chunk_ = 0;
  address last_record_ = 0;  // of which number_of() was asked last
  std::uint64_t last_number_ = 0;
  address chunks_[most_chunks];

  std::uint64_t repeated_ = 0;
  std::uint64_t given_up_ = 0;
  task_view view_;
  alignas(64) unsigned char chunk_[largest_chunk];
};

}  // namespace heddle::detail::seeing
