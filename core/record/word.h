// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// The word: what is true of a task (or future, or gathering) that several threads may change at
// once, and the named transitions between its states. Protocol WAIT (wait.h) is built from these
// transitions and from nothing else. core/README.md draws the states.
//
//   bits 0-2    state        active, leaf, forwarding, frozen, done
//   bit  3      must         a cancellation is not delivered yet; withdrawn when uncancel() brings
//                            requests to 0, or to the floor that a scope gives
//   bit  4      interrupted  a cancellation claimed a live wait; always delivered, never withdrawn
//   bit  5      notified     what a frozen waiter waits for has ended meanwhile
//   bit  6      again        another cancellation came while the word was frozen
//   bit  7      unused
//   bit  8      strands      promoted strands below this task or strand exist; never cleared. A
//                            cancellation goes to them too (protocol STRAND)
//   bits 9-10   outcome      of a done word: value, error, cancelled
//   bits 11-15  troubled     how many joins below have failed and are not over: forks below look
//                            further. A count that was full stays full
//   bits 16-31  requests     cancellations asked for (asyncio's cancelling()); saturates
//   bits 32-63  generation   of the memory: tells a late looker that the record was reused
//
// A word starts `active`, also that of a task that has not begun: only a flag of the record tells
// the two apart. A cancellation does the same to both (it sets must), and the first step looks at
// must before the body runs. That saves one locked operation a task.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/base/config.h>

#include <cstdint>

namespace heddle::detail {

enum class task_state : std::uint8_t { active, leaf, forwarding, frozen, done };
enum class outcome : std::uint8_t { none, value, error, cancelled };

/// What a canceller owes after its compare-exchange. Paid when no lock is held (work_list.h).
enum class [[nodiscard]] on_cancel {
  no,              // the word was done already
  pending,         // noted; nothing owed
  owe_leaf,        // the canceller has claimed the wait: unlink, then schedule
  owe_forwarding,  // the canceller has frozen the word: forward to the targets, then thaw
};
/// What a notifier owes after it tried to claim a waiter.
enum class [[nodiscard]] on_wake {
  schedule,  // the notifier has claimed the wait: hand over what is given, then schedule
  frozen,    // a canceller is forwarding: it will see `notified`, and it schedules
  lost,      // a canceller has claimed the wait: nothing is owed
};
/// What a forwarder owes at the end of a round: nothing, to schedule the waiter, or another round.
enum class [[nodiscard]] on_thaw { waits_on, schedule, again };

namespace word {

inline constexpr std::uint64_t state_mask = 7;
inline constexpr std::uint64_t must = 1u << 3;
inline constexpr std::uint64_t interrupted = 1u << 4;
inline constexpr std::uint64_t notified = 1u << 5;
inline constexpr std::uint64_t again = 1u << 6;
inline constexpr std::uint64_t strands = 1u << 8;
inline constexpr unsigned outcome_shift = 9;
inline constexpr std::uint64_t outcome_mask = std::uint64_t{3} << outcome_shift;
inline constexpr unsigned troubled_shift = 11;
inline constexpr std::uint64_t one_trouble = std::uint64_t{1} << troubled_shift;
inline constexpr std::uint64_t troubled = std::uint64_t{31} << troubled_shift;
inline constexpr unsigned requests_shift = 16;
inline constexpr std::uint64_t one_request = std::uint64_t{1} << requests_shift;
inline constexpr std::uint64_t requests_mask = std::uint64_t{0xffff} << requests_shift;
inline constexpr unsigned generation_shift = 32;
inline constexpr std::uint64_t generation_mask = ~std::uint64_t{0} << generation_shift;

constexpr task_state state(std::uint64_t w) noexcept {
  return static_cast<task_state>(w & state_mask);
}
constexpr outcome result(std::uint64_t w) noexcept {
  return static_cast<outcome>((w & outcome_mask) >> outcome_shift);
}
constexpr std::uint32_t requests(std::uint64_t w) noexcept {
  return static_cast<std::uint32_t>((w & requests_mask) >> requests_shift);
}
constexpr std::uint32_t generation(std::uint64_t w) noexcept {
  return static_cast<std::uint32_t>(w >> generation_shift);
}
constexpr std::uint64_t with_state(std::uint64_t w, task_state s) noexcept {
  return (w & ~state_mask) | static_cast<std::uint64_t>(s);
}
constexpr std::uint64_t with_outcome(std::uint64_t w, outcome o) noexcept {
  return (w & ~(outcome_mask | state_mask)) | static_cast<std::uint64_t>(task_state::done) |
         (static_cast<std::uint64_t>(o) << outcome_shift);
}
constexpr std::uint64_t one_more_request(std::uint64_t w) noexcept {
  return (w & requests_mask) == requests_mask ? w : w + one_request;
}
constexpr bool done(std::uint64_t w) noexcept { return state(w) == task_state::done; }

}  // namespace word

/// The word with its transitions.
///
/// Cost      Each transition is one compare-exchange, retried when another bit changed meanwhile.
/// Ordering  Every successful transition is acq_rel; those that end a word are seq_cst (JOIN). The
///           pairs that matter: a waiter's begin_* releases its node and frame to the claimer's
///           claim() or cancel(). The claimer's later schedule() releases what it wrote to the
///           frame to the loop that resumes the task.
/// Thread-safety: each function says who may call it.
class task_word {
 public:
  [[nodiscard]] std::uint64_t load() const noexcept {
    return bits_.load(acquire);  // pairs with every transition
  }
  /// A hint: what it says may be read, but nothing else on its strength.
  [[nodiscard]] std::uint64_t peek() const noexcept { return bits_.load(relaxed); }
  /// Protocol JOIN: done, in the one order of seq_cst operations. Pairs with end().
  [[nodiscard]] bool done_in_order() const noexcept { return word::done(bits_.load(seq_cst)); }
  /// A new life: active, no requests, the generation one further. Only the owner of free memory.
  void reset() noexcept {
    bits_.store((bits_.load(relaxed) & word::generation_mask) +
                    (std::uint64_t{1} << word::generation_shift),
                relaxed);
  }

  // --- cancelling (anyone, under any lock) ---

  on_cancel cancel() noexcept;
  /// The same, unless one of `flags` is set: then it returns false and has changed nothing.
  [[nodiscard]] bool cancel_unless(std::uint64_t flags, on_cancel& owed) noexcept;
  /// Takes one request back. When `floor` or fewer are left, an undelivered `must` is withdrawn.
  /// Returns how many are left. A scope that takes its own request back gives as `floor` the count
  /// that it was entered with: at that count nobody else has asked since.
  std::uint32_t uncancel(std::uint32_t floor = 0) noexcept;
  /// For scopes, at their entry: the requests whose cancellation has been delivered. A cancellation
  /// that is not delivered yet is left out, so that the scope takes it for one from outside.
  [[nodiscard]] std::uint32_t requests_delivered() const noexcept {
    const auto w = load();
    const auto n = word::requests(w);
    return n != 0 && (w & word::must) ? n - 1 : n;
  }

  // --- waiting (the task itself) ---

  /// active -> leaf. False: a cancellation was due; it is taken (must and interrupted are cleared),
  /// and the caller throws it.
  [[nodiscard]] bool begin_leaf() noexcept { return begin(task_state::leaf); }
  /// active -> forwarding. False: a cancellation was due. It is taken, the word is frozen, and the
  /// caller forwards the cancellation itself once its node is linked.
  [[nodiscard]] bool begin_forwarding() noexcept;
  /// Takes a cancellation that is due at this resumption: clears must and interrupted. Costs a load
  /// when none is due.
  [[nodiscard]] bool take_cancel() noexcept {
    return (bits_.load(relaxed) & (word::must | word::interrupted)) != 0 && take_cancel_slow();
  }
  /// Of a frozen word: no target took the cancellation, so the waiter itself gets it.
  void set_must() noexcept { bits_.fetch_or(word::must, acq_rel); }

  // --- waking (whoever holds the primitive's lock, or the target's joiner lock) ---

  /// leaf|forwarding -> active, or frozen: notified.
  on_wake claim() noexcept;

  // --- forwarding (whoever got owe_forwarding, or false from begin_forwarding()) ---

  /// From here on a further cancellation asks for another round.
  void begin_round() noexcept { bits_.fetch_and(~word::again, acq_rel); }
  /// frozen -> forwarding, or -> active if the target has ended meanwhile. `again`: the word stays
  /// frozen, since another cancellation came.
  on_thaw thaw() noexcept;
  /// frozen -> active, interrupted: a forwarding wait that can never end is claimed like a leaf
  /// wait. The caller has taken its node out of the target's list.
  void break_off() noexcept;

  // --- the end ---

  /// active -> done. A `must` that is not delivered turns a value into cancelled. Returns the
  /// outcome that stands.
  outcome finish(outcome how) noexcept;
  /// For gatherings: the same, but an undelivered `must` turns an error into cancelled too. No
  /// child took that cancellation, so it is thrown where the gathering is awaited.
  outcome finish_forwarding(outcome how) noexcept;
  /// For futures: active -> done, once. False: it was done already.
  [[nodiscard]] bool settle_once(outcome how) noexcept;

  // --- failed joins (protocol STRAND, strand_records.cpp) ---

  /// One more join has failed. Returns the word before.
  std::uint64_t add_trouble() noexcept;
  /// A join that failed is over.
  void end_trouble() noexcept;
  /// All failed joins are over: the task or strand itself runs, so no join of its own is under way.
  void end_all_trouble() noexcept { bits_.fetch_and(~word::troubled, acq_rel); }

  /// Returns the word before.
  std::uint64_t set_flag(std::uint64_t flag) noexcept { return bits_.fetch_or(flag, acq_rel); }

 private:
  bool begin(task_state s) noexcept {
    std::uint64_t w = bits_.load(relaxed);
    for (;;) {
      const bool due = (w & (word::must | word::interrupted)) != 0;
      const std::uint64_t next =
          due ? w & ~(word::must | word::interrupted) : word::with_state(w, s);
      // pairs with claim() and cancel()
      if (bits_.compare_exchange_weak(w, next, acq_rel, relaxed)) [[likely]]
        return !due;
    }
  }
  HEDDLE_COLD bool take_cancel_slow() noexcept;
  /// active -> done; `cancellable`: an undelivered `must` stands instead of `how`.
  outcome end(outcome how, bool cancellable) noexcept;

  atomic<std::uint64_t> bits_{0};
};

static_assert(sizeof(task_word) == 8);

// Inline, since each wait for the end of a task goes through all of them.

inline bool task_word::begin_forwarding() noexcept {
  std::uint64_t w = bits_.load(relaxed);
  for (;;) {
    const bool due = (w & (word::must | word::interrupted)) != 0;
    const std::uint64_t next =
        due ? word::with_state(w & ~(word::must | word::interrupted), task_state::frozen)
            : word::with_state(w, task_state::forwarding);
    // pairs with claim() and cancel()
    if (bits_.compare_exchange_weak(w, next, acq_rel, relaxed)) return !due;
  }
}

inline on_wake task_word::claim() noexcept {
  std::uint64_t w = bits_.load(relaxed);
  for (;;) {
    std::uint64_t next;
    on_wake owed;
    switch (word::state(w)) {
      case task_state::leaf:
      case task_state::forwarding:
        next = word::with_state(w, task_state::active);
        owed = on_wake::schedule;
        break;
      case task_state::frozen:
        next = w | word::notified;
        owed = on_wake::frozen;
        break;
      default: return on_wake::lost;
    }
    // pairs with begin_*()
    if (bits_.compare_exchange_weak(w, next, acq_rel, relaxed)) return owed;
  }
}

inline outcome task_word::end(outcome how, bool cancellable) noexcept {
  std::uint64_t w = bits_.load(relaxed);
  for (;;) {
    const outcome stands = cancellable && (w & word::must) ? outcome::cancelled : how;
    const auto ended = word::with_outcome(w & ~word::must, stands);
    // pairs with load(), and in JOIN with done_in_order()
    if (bits_.compare_exchange_weak(w, ended, seq_cst, relaxed)) return stands;
  }
}

inline outcome task_word::finish(outcome how) noexcept { return end(how, how == outcome::value); }

}  // namespace heddle::detail
