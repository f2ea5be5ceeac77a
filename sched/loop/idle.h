// SPDX-License-Identifier: MIT
// Internal to sched.
// Who sleeps, who searches, whom to wake.
//
// Protocol LOOK-TWICE. The sleeper announces itself, then looks a second time at everything that
// could hold work for it; the sender puts the work, then looks for sleepers. Both are
// read-modify-writes or seq_cst operations, so in their one total order one is first:
//   sleeper first   the sender sees it parked and wakes it
//   sender first    the sleeper's second look finds the work
// For what is sent to another loop (inboxes, injection, an earlier timer) this is exact: the push
// is a seq_cst read-modify-write. For what a loop pushes to its own queue the sender's look is a
// plain load, without a fence: a sleeper may be missed, which delays parallelism but not the task,
// since the pusher runs it. The watch (worker.h) picks up what stays.
//
// A task that is alone in its queue is left to its loop for a moment (worker::leave_alone): such a
// push may wake nobody, and a searcher that has seen it once may sleep.
//
// Searching: at most half of those that are awake at once, so that loops too many for the work fall
// asleep instead of taking turns at looking for it; and a push wakes nobody while anybody searches.
// So the last searcher to give up must look once more after it has stopped counting as one (a push
// before that look relied on it), and one that finds work wakes the next. A loop that has run out
// of work counts as soon as it looks for some, its own inbox and reactor included; if what it finds
// is one task that was sent to it, and that last look shows nothing else, it wakes nobody. While
// nobody sleeps there is nobody to wake, so a first look then is not counted (worker::glance), and
// nobody relies on it. No loop runs a task while it counts (worker::stand_down).
//
// TREE: one after the other 64 loops take 64 wake-ups of 7 us to come to work. So a searcher that
// finds work wakes two when it sees more beside it, one for each piece, also if others search. It
// does while fewer search than half of those awake and a quarter of those that sleep: the first
// bounds the growth to a doubling, the second ends it, since the last few that sleep mostly do so
// for want of work. Who sees no more work wakes one loop, and only if nobody else searches: an
// almost idle program sees none.
//
// Sleepers are bits, a word for 32 of them, and who clears one has taken that loop out, without a
// lock that all would wait for. There are never more bits than are counted. A taken loop counts as
// a searcher before its bit goes, and learns from the missing bit that it does.
//
// Tried in every order of its steps, small, by tests/models/look_twice.pml.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/base/config.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace heddle::detail {

/// A bit a loop: it sleeps. On a line for itself.
struct alignas(far_apart) sleepers_of_a_word {
  atomic<std::uint64_t> bits{0};
};

class idle_set {
 public:
  static constexpr unsigned nobody = ~0u;

  explicit idle_set(unsigned loops) : loops_(loops), words_((loops + per_word - 1) / per_word) {}

  // --- searchers ---
  /// True: the caller may search; it is counted until stop_searching().
  [[nodiscard]] bool try_search() noexcept {
    const auto awake = loops_ - parked_count_.load(relaxed);  // the caller is
    if (2 * searching_.load(relaxed) >= awake) return false;  // so somebody searches
    if (searching_.fetch_add(1, seq_cst) == 0) tell();
    return true;
  }
  /// True: it was the last one, and must look once more before it sleeps.
  bool stop_searching() noexcept {
    const bool last = searching_.fetch_sub(1, seq_cst) == 1;
    if (last) tell();
    return last;
  }
  /// The sleepers that are to be woken, each of which counts as a searcher.
  struct woken {
    unsigned first = nobody;
    unsigned second = nobody;
  };
  /// The caller has found work, and seen `more` pieces of it beside. If it was the last searcher a
  /// sleeper takes its place, if there is one. In between there is always one: else all that fork
  /// would see that nobody searches, and want to wake the same sleeper. Where there was more, two
  /// are woken (TREE), one for each piece and within the half of those awake.
  woken stop_searching_and_pass_on(std::size_t more = 0, unsigned near = 0) noexcept;
  /// In the total order of LOOK-TWICE: for who was refused, once it counts as asleep. If nobody
  /// does, it has to look itself.
  [[nodiscard]] bool anybody_searches() const noexcept { return searching_.load(seq_cst) != 0; }
  [[nodiscard]] unsigned searching() const noexcept { return searching_.load(relaxed); }

  // --- sleepers ---
  void park(unsigned loop) noexcept;
  /// The loop is awake and leaves the set. True: somebody took it out to search, and it is counted
  /// as a searcher.
  [[nodiscard]] bool unpark(unsigned loop) noexcept;
  /// Takes a sleeper out, who counts as a searcher from now on; or nobody, if all are awake or
  /// somebody searches already.
  unsigned take_for_search(unsigned near = 0) noexcept;
  /// Some sleeper, who stays one.
  [[nodiscard]] unsigned any() const noexcept;
  [[nodiscard]] unsigned parked() const noexcept { return parked_count_.load(relaxed); }
  [[nodiscard]] bool all_parked() const noexcept;
  /// A look without a fence: is there somebody to wake for a push?
  [[nodiscard]] bool wants_waking() const noexcept { return wanted_.load(relaxed) != 0; }
  /// The same for fork_join: not 0.
  [[nodiscard]] const atomic<std::uint32_t>& wanted() const noexcept { return wanted_; }

 private:
  static constexpr unsigned per_word = 32;
  /// Takes one out: one behind `near` in its word, or in it, or else of the next word that has one.
  /// So those who take at the same time seldom want the same.
  unsigned take(unsigned near) noexcept;
  /// After the first or last one has begun or ended to search or sleep: makes wanted_ what it is to
  /// be. Who has written it looks again, so the last one to write it has seen the last change.
  void tell() noexcept {
    for (;;) {
      const std::uint32_t is = parked_count_.load(seq_cst) != 0 && searching_.load(seq_cst) == 0;
      if (wanted_.load(seq_cst) == is) return;
      wanted_.store(is, seq_cst);
    }
  }

  const unsigned loops_;
  // Far apart: every search writes how many search, and every fork reads whether one more is
  // wanted, which changes much more seldom.
  alignas(far_apart) atomic<std::uint32_t> searching_{0};
  alignas(far_apart) atomic<std::uint32_t> parked_count_{0};
  alignas(far_apart) atomic<std::uint32_t> wanted_{0};  // somebody sleeps, and nobody searches
  std::vector<sleepers_of_a_word> words_;
};

}  // namespace heddle::detail
