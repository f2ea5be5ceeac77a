// SPDX-License-Identifier: MIT
// Who sleeps, who searches, whom to wake.
//
// Protocol LOOK-TWICE.  The sleeper announces itself, then looks a second time at everything that could hold work for it; the sender
// puts the work, then looks for sleepers. Both are read-modify-writes or seq_cst operations, so in their one total order one is first:
//   sleeper first   the sender sees it parked and wakes it
//   sender first    the sleeper's second look finds the work
// For what is sent to another loop (inboxes, injection, an earlier timer) this is exact: the push is a seq_cst read-modify-write.
// For what a loop pushes to its own queue the sender's look is a plain load, without a fence: a sleeper may be missed, which delays
// parallelism but not the task, since the pusher runs it. The watch (worker.h) picks up what stays.
//
// A task that is alone in its queue is left to its loop for a moment (worker::leave_alone): such a push may wake nobody, and a searcher that has
// seen it once may sleep.
//
// Searching: at most half of those that are awake at once, so that loops too many for the work fall asleep instead of taking turns at
// looking for it; and a push wakes nobody while anybody searches. So the last searcher to give up must
// look once more after it has stopped counting as one (a push before that look relied on it), and one that finds work wakes the next. A loop
// that has run out of work counts as soon as it looks for some, its own inbox and reactor included; if what it finds is one task that was
// sent to it, and that last look shows nothing else, it wakes nobody.
#pragma once

#include <heddle/core/spin_lock.h>

#include <cstdint>
#include <vector>

namespace heddle::detail {

class idle_set {
 public:
  static constexpr unsigned nobody = ~0u;

  explicit idle_set(unsigned loops)
      : loops_(loops), parked_((loops + 63) / 64, 0), to_search_(parked_) {}

  // --- searchers ---
  /// True: the caller may search; it is counted until stop_searching().
  [[nodiscard]] bool try_search() noexcept {
    const auto awake = loops_ - parked_count_.load(relaxed);  // the caller is
    if (2 * searching_.load(relaxed) >= awake) return false;  // so somebody searches
    searching_.fetch_add(1, seq_cst);
    return true;
  }
  /// True: it was the last one, and must look once more before it sleeps.
  bool stop_searching() noexcept { return searching_.fetch_sub(1, seq_cst) == 1; }
  /// The caller has found work. If it was the last searcher a sleeper takes its place, if there is one, and is to be woken. In between there
  /// is always one: else all that fork would see that nobody searches, and want to wake the same sleeper.
  unsigned stop_searching_and_pass_on() noexcept;
  [[nodiscard]] unsigned searching() const noexcept { return searching_.load(relaxed); }

  // --- sleepers ---
  void park(unsigned loop) noexcept;
  /// The loop is awake and leaves the set. True: somebody took it out to search, and it is counted as a searcher.
  [[nodiscard]] bool unpark(unsigned loop) noexcept;
  /// Takes a sleeper out, who counts as a searcher from now on; or nobody, if all are awake or somebody searches already. `must` false:
  /// also if somebody else is just falling asleep, waking or woken: all loops that fork look here at the same moment, when the last searcher
  /// stops, and would queue up for a lock only to learn that one of them has woken somebody.
  unsigned take_for_search(bool must = true) noexcept;
  /// Takes any sleeper but `except` out, not as a searcher.
  unsigned take_any(unsigned except) noexcept;
  [[nodiscard]] unsigned parked() const noexcept { return parked_count_.load(relaxed); }
  [[nodiscard]] bool all_parked() const noexcept { return parked_count_.load(seq_cst) == loops_; }
  /// For fork_join's look.
  [[nodiscard]] const atomic<std::uint32_t>& parked_hint() const noexcept { return parked_count_; }
  /// A look without a fence: is there somebody to wake for a push?
  [[nodiscard]] bool wants_waking() const noexcept {
    return parked_count_.load(relaxed) != 0 && searching_.load(relaxed) == 0;
  }

 private:
  unsigned take_locked(unsigned except) noexcept;

  const unsigned loops_;
  // Far apart: every fork reads how many sleep, and every search writes how many search.
  alignas(far_apart) atomic<std::uint32_t> searching_{0};
  alignas(far_apart) atomic<std::uint32_t> parked_count_{0};
  alignas(far_apart) spin_lock lock_;
  std::vector<std::uint64_t> parked_;  // a bit a loop, under lock_
  std::vector<std::uint64_t>
      to_search_;  // taken out by take_for_search(), not yet back; under lock_
};

}  // namespace heddle::detail
