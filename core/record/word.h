// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// The word: what is true of a task (or future, or gathering) that several threads may change at
// once, and the named transitions between its states. Protocol WAIT (wait.h) is built from these
// and nothing else.
//
//   bits 0-2   state      active, leaf, forwarding, frozen, done
//   bit 3 must a cancellation not yet delivered; withdrawn when uncancel() brings requests to 0
//   bit  4     interrupted  a cancellation claimed a live wait: always delivered, never withdrawn
//   bit  5     notified   what a frozen waiter waits for has ended meanwhile
//   bit  6     again      another cancellation came while the word was frozen
//   bit 8 strands promoted strands below this task or strand exist (sticky): a cancellation goes to
//   them too
//   bits 9-10  outcome    of a done word: value, error, cancelled
//   bits 11-15 troubled how many joins below have failed and are not over: forks below look
//   further; stays once it is full
//   bits 16-31 requests   cancellations asked for (asyncio's cancelling()); saturates
//   bits 32-63 generation of the memory: tells a late looker that the record was reused
//
// A word starts `active`: a task that has not started differs only in a flag of its record, because
// a cancellation does the same to both (must), and its first step looks at must before the body
// runs. That saves one locked operation a task.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/base/config.h>

#include <cstdint>

namespace heddle::detail {

enum class task_state : std::uint8_t { active, leaf, forwarding, frozen, done };
enum class outcome : std::uint8_t { none, value, error, cancelled };

/// What a canceller owes after its compare-exchange.
enum class [[nodiscard]] on_cancel {
  no,        // already done
  pending,   // noted; nothing owed
  owe_leaf,  // the wait is ours: unlink, then schedule
  owe_fwd,   // frozen by us: forward to the targets, then thaw
};
/// What a notifier owes after claiming a waiter.
enum class [[nodiscard]] on_wake {
  schedule,  // ours: hand over what is given and schedule it
  frozen,    // a canceller is forwarding: it will see `notified` and schedule
  lost,      // a canceller claimed it: not ours
};
/// What follows from ending a forwarding round.
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

/// The word with its transitions. Each is one compare-exchange (retried when another bit changed
/// meanwhile). Orders: every successful transition is acq_rel. The pairs that matter: a waiter's
/// begin_* releases its node and frame to the claimer's claim/cancel (acquire), whose later
/// schedule() releases what it wrote to the frame to the loop that resumes it.
class task_word {
 public:
  [[nodiscard]] std::uint64_t load() const noexcept {
    return bits_.load(acquire);
  }  // pairs with every transition
  [[nodiscard]] std::uint64_t peek() const noexcept {
    return bits_.load(relaxed);
  }  // a hint; nothing is read on its strength
  /// Protocol JOIN: done, in the one order of seq_cst operations.
  [[nodiscard]] bool done_in_order() const noexcept { return word::done(bits_.load(seq_cst)); }
  /// A fresh life: active, no requests, the generation one further. Only the owner of free memory.
  void reset() noexcept {
    bits_.store((bits_.load(relaxed) & word::generation_mask) +
                    (std::uint64_t{1} << word::generation_shift),
                relaxed);
  }

  // --- cancelling (anyone, under any lock) ---

  on_cancel cancel() noexcept;
  /// The same unless one of `flags` is set: then false, and nothing has changed.
  [[nodiscard]] bool cancel_unless(std::uint64_t flags, on_cancel& owed) noexcept;
  /// Lowers requests; at `floor` or less an undelivered `must` is withdrawn. Returns what is left.
  /// A scope that takes its own request back gives the count that it was entered with: nobody else
  /// asked since.
  std::uint32_t uncancel(std::uint32_t floor = 0) noexcept;
  /// For scopes: the requests whose cancellation has been delivered. One that is not yet shall
  /// still count as coming from outside.
  [[nodiscard]] std::uint32_t requests_delivered() const noexcept {
    const auto w = load();
    const auto n = word::requests(w);
    return n != 0 && (w & word::must) ? n - 1 : n;
  }

  // --- waiting (the task itself) ---

  /// active -> leaf. False: a cancellation is due, it was taken (must cleared) and is to be thrown.
  [[nodiscard]] bool begin_leaf() noexcept { return begin(task_state::leaf); }
  /// active -> forwarding, or -> frozen with must cleared: then false, and the caller settles
  /// itself once it is linked.
  [[nodiscard]] bool begin_forwarding() noexcept;
  /// Takes a cancellation that is due at this resumption: clears must and interrupted. A load when
  /// there is none.
  [[nodiscard]] bool take_cancel() noexcept {
    return (bits_.load(relaxed) & (word::must | word::interrupted)) != 0 && take_cancel_slow();
  }
  /// must, set by nobody else: what a forwarding found nobody to take.
  void set_must() noexcept { bits_.fetch_or(word::must, acq_rel); }

  // --- waking (who holds the primitive's lock) ---

  /// leaf|forwarding -> active, or frozen: notified.
  on_wake claim() noexcept;

  // --- forwarding (who got owe_fwd) ---

  void begin_round() noexcept { bits_.fetch_and(~word::again, acq_rel); }
  on_thaw thaw() noexcept;
  /// frozen -> active, interrupted: a forwarding wait that can never end is claimed like a leaf
  /// wait. Its node is out of the list.
  void break_off() noexcept;

  // --- the end ---

  /// active -> done. A pending must turns a value into cancelled. Returns the outcome that stands.
  outcome finish(outcome how) noexcept;
  /// For gatherings: the same, but a pending must turns an error into cancelled too. Nobody took
  /// that cancellation, so it is thrown where the gathering is awaited.
  outcome finish_forwarding(outcome how) noexcept;
  /// For futures: active -> done, once. False: it was done already.
  [[nodiscard]] bool settle_once(outcome how) noexcept;

  // --- failed joins (protocol STRAND, task_record.cpp) ---

  /// One more join has failed. Returns the word before.
  std::uint64_t add_trouble() noexcept;
  /// A join that failed is over.
  void end_trouble() noexcept;
  /// All of them are: the task or strand itself runs, so no join of its own is under way.
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
      if (bits_.compare_exchange_weak(w, next, acq_rel, relaxed))
          [[likely]]  // pairs with claim() and cancel()
        return !due;
    }
  }
  HEDDLE_COLD bool take_cancel_slow() noexcept;
  /// active -> done; `cancellable`: a pending must stands instead of `how`.
  outcome end(outcome how, bool cancellable) noexcept;

  atomic<std::uint64_t> bits_{0};
};

static_assert(sizeof(task_word) == 8);

// Inline, since each join of a task crosses all of them.

inline bool task_word::begin_forwarding() noexcept {
  std::uint64_t w = bits_.load(relaxed);
  for (;;) {
    const bool due = (w & (word::must | word::interrupted)) != 0;
    const std::uint64_t next =
        due ? word::with_state(w & ~(word::must | word::interrupted), task_state::frozen)
            : word::with_state(w, task_state::forwarding);
    if (bits_.compare_exchange_weak(w, next, acq_rel, relaxed))
      return !due;  // pairs with claim() and cancel()
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
    if (bits_.compare_exchange_weak(w, next, acq_rel, relaxed))
      return owed;  // pairs with begin_*()
  }
}

inline outcome task_word::end(outcome how, bool cancellable) noexcept {
  std::uint64_t w = bits_.load(relaxed);
  for (;;) {
    const outcome stands = cancellable && (w & word::must) ? outcome::cancelled : how;
    if (bits_.compare_exchange_weak(
            w, word::with_outcome(w & ~word::must, stands), seq_cst,
            relaxed))  // pairs with load(), and in JOIN with done_in_order()
      return stands;
  }
}

inline outcome task_word::finish(outcome how) noexcept { return end(how, how == outcome::value); }

}  // namespace heddle::detail
