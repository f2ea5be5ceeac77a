// SPDX-License-Identifier: MIT
// Internal to sched.
// The set of idle loops: which loops sleep, which loops search for work, which sleeper to wake.
//
// A loop sleeps (is "parked") while it waits in its driver. A loop "searches" while it is counted
// as a searcher: it looks for work that it can steal, or that was sent to it. A "push" puts work
// into the pushing loop's own queue. A "send" puts work into the inbox of another loop, into the
// injection queue of the runtime, or arms an earlier timer for another loop.
//
// Protocol LOOK-TWICE
//   Danger    A loop finds no work and goes to sleep. At the same moment a sender stores work for
//             it, sees the loop still awake, and wakes nobody. The work waits while the loop
//             sleeps.
//   Remedy    The sleeper announces its sleep, then looks a second time at all places that could
//             hold work for it. The sender stores the work, then looks for a sleeper. These steps
//             are seq_cst, so they have one total order, and one side comes first in it:
//               announcement first   the sender sees the sleeper and wakes it
//               work first           the sleeper's second look finds the work
//   Cost      A send is one seq_cst read-modify-write, or a seq_cst store if it arms a timer. That
//             is also the fence. A push has no fence. Its look for a sleeper is one relaxed load,
//             which may miss a sleeper.
//   Promise   Nothing that was sent is slept over. A missed sleeper after a push costs parallelism,
//             not the task: the pushing loop runs the task itself. If that loop is hogged by a
//             long step, the watch (search.cpp) finds the task.
//   Limit     A task that is the only one in its run queue is mostly run by its own loop in a
//             moment. Such a push may wake nobody, and a searcher that has seen the task once may
//             go to sleep (worker::defer_steal).
//
// The searcher rules
//   Danger    A wake-up costs 7 to 30 us, too much for every push. And if every idle loop searched,
//             loops too many for the work would take turns at searching and never sleep.
//   Remedy    At most half of the awake loops, rounded up, search at once. The other loops without
//             work sleep. A push wakes nobody while any loop searches. So a push may rely on a
//             searcher to find its work, and each searcher has these duties:
//     - The last searcher that gives up looks once more after it has stopped counting. A push
//       before that look may have relied on it.
//     - The last searcher, when it finds work, wakes another loop, which searches in its place.
//       There is one exception. If the work is one task that was sent to this loop, and a last look
//       finds nothing else (worker::more_to_find), it wakes nobody.
//     - A loop stops counting before it runs a task (worker::stand_down). While it counted, no
//       push would wake another loop for as long as the task runs.
//   When      If any loop sleeps, a loop out of work counts from its first look on. That look
//             includes its own inboxes and its reactor. If no loop sleeps there is none to wake. So
//             the first pass over the other loops is not counted (worker::search_uncounted), and
//             no push relies on it.
//
// Protocol TREE
//   Danger    If each woken searcher wakes only the next one, 64 sleeping loops come to work one
//             after the other: 64 wake-ups of 7 us in a row.
//   Remedy    A searcher that finds work may see more work beside it. Then it wakes up to two
//             sleepers, one for each further piece, even if other loops search. It does so only
//             within two bounds. The other searchers must be fewer than half of the awake loops,
//             and fewer than a quarter of the sleeping ones. The first bound limits the growth to a
//             doubling. The second bound ends the growth: the last few sleepers mostly sleep
//             because there is no work for them.
//   Cost      None for an almost idle program: a searcher that sees no further work wakes one
//             sleeper, and only if no other loop searches.
//
// Sleepers are bits, 32 loops to a word. There is no lock, since all wakers would queue for it.
//   Taking    The thread that clears the bit of a sleeper has taken that loop, and must wake it.
//   Counting  The count of sleepers is raised before a bit is set and lowered after the bit is
//             cleared. So there are never more bits than the count says.
//   Handover  The taker counts the loop as a searcher before it clears the bit. On waking, a loop
//             whose bit is gone knows that it already counts as a searcher.
//
// Who may touch what
//   searching_     raised by a loop for itself, or by a waker for the loop it takes; lowered by
//                  a searching loop for itself
//   parked_count_  raised by a loop that goes to sleep; lowered by the thread that cleared the bit
//   bits           set by a loop for itself; cleared by that loop or by a waker
//   wanted_        written in update_wanted(), by the thread that changed a count from or to zero;
//                  read by all
//
// Every write of these words is seq_cst, and so is every load on which a promise rests. All of them
// are in the one total order of LOOK-TWICE, where they pair with each other. The relaxed loads are
// hints, which may be stale.
//
// tests/models/look_twice.pml tries every order of these steps at small sizes.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/base/config.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace heddle::detail {

/// One bit for each of 32 loops, set while that loop sleeps. Each word has a cache line of its own.
struct alignas(far_apart) sleepers_of_a_word {
  atomic<std::uint64_t> bits{0};
};

class idle_set {
 public:
  static constexpr unsigned nobody = ~0u;

  explicit idle_set(unsigned loops) : loops_(loops), words_((loops + per_word - 1) / per_word) {}

  // --- searchers ---
  /// Asks to become a searcher. True: the caller counts as a searcher until it stops searching.
  /// False: half of the awake loops search already.
  [[nodiscard]] bool try_search() noexcept {
    const auto awake = loops_ - parked_count_.load(relaxed);  // at least 1: the caller
    if (2 * searching_.load(relaxed) >= awake) return false;  // so at least one loop searches
    if (searching_.fetch_add(1, seq_cst) == 0) update_wanted();
    return true;
  }
  /// The caller counts as a searcher no more. True: it was the last searcher, and must look once
  /// more before it sleeps.
  bool stop_searching() noexcept {
    const bool last = searching_.fetch_sub(1, seq_cst) == 1;
    if (last) update_wanted();
    return last;
  }
  /// The sleepers that the caller has taken and must wake. Each already counts as a searcher.
  struct woken {
    unsigned first = nobody;
    unsigned second = nobody;
  };
  /// The caller, a searcher, has found work and seen `more` further pieces beside it. It stops
  /// counting. If it was the last searcher, a sleeper takes its place, if any loop sleeps.
  ///
  /// The count does not fall to zero in between. Otherwise every loop that forks would see that no
  /// loop searches, and all would want to wake the same sleeper. With further pieces up to two
  /// sleepers are taken (protocol TREE). `near` is the caller's index (see take()).
  woken stop_searching_and_pass_on(std::size_t more = 0, unsigned near = 0) noexcept;
  /// For a loop that try_search() refused, once it counts as asleep. False: no searcher will look
  /// in its stead, so it must look itself. In the total order of LOOK-TWICE.
  [[nodiscard]] bool anybody_searches() const noexcept { return searching_.load(seq_cst) != 0; }
  [[nodiscard]] unsigned searching() const noexcept { return searching_.load(relaxed); }

  // --- sleepers ---
  /// The calling loop announces its sleep. It must look a second time before it really sleeps.
  void park(unsigned loop) noexcept;
  /// The calling loop is awake again. True: a waker has taken it, so it counts as a searcher.
  [[nodiscard]] bool unpark(unsigned loop) noexcept;
  /// Takes a sleeper, which counts as a searcher from now on; the caller must wake it. Returns
  /// `nobody` if no loop sleeps or some loop searches already.
  unsigned take_for_search(unsigned near = 0) noexcept;
  /// Some sleeper, which stays in the set; or `nobody`.
  [[nodiscard]] unsigned any() const noexcept;
  [[nodiscard]] unsigned parked() const noexcept { return parked_count_.load(relaxed); }
  [[nodiscard]] bool all_parked() const noexcept;
  /// Is there a sleeper to wake for a push? A relaxed load, which may be stale (LOOK-TWICE: Cost).
  [[nodiscard]] bool wants_waking() const noexcept { return wanted_.load(relaxed) != 0; }
  /// The word behind wants_waking(), for fork_join to read directly: not 0 means yes.
  [[nodiscard]] const atomic<std::uint32_t>& wanted() const noexcept { return wanted_; }

 private:
  static constexpr unsigned per_word = 32;
  /// Takes a sleeper, or returns `nobody`. It prefers the first at or after `near` in the word of
  /// `near`, then any in that word, then the next word with a sleeper. So two takers at the same
  /// time seldom want the same sleeper.
  unsigned take(unsigned near) noexcept;
  /// Brings wanted_ up to date. Called by each thread that changed searching_ or parked_count_
  /// from or to zero. Two callers may overtake each other, and the older value could be written
  /// last. So each looks again after its write: the last writer has seen the last change.
  void update_wanted() noexcept {
    for (;;) {
      const std::uint32_t is = parked_count_.load(seq_cst) != 0 && searching_.load(seq_cst) == 0;
      if (wanted_.load(seq_cst) == is) return;
      wanted_.store(is, seq_cst);
    }
  }

  const unsigned loops_;
  // On separate cache lines: every search writes searching_, and every fork reads wanted_, which
  // changes much more seldom.
  alignas(far_apart) atomic<std::uint32_t> searching_{0};
  alignas(far_apart) atomic<std::uint32_t> parked_count_{0};
  alignas(far_apart) atomic<std::uint32_t> wanted_{0};  // 1: a loop sleeps, no loop searches
  std::vector<sleepers_of_a_word> words_;
};

}  // namespace heddle::detail
