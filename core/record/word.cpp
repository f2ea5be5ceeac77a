// SPDX-License-Identifier: MIT
#include <heddle/core/record/word.h>

namespace heddle::detail {

on_cancel task_word::cancel() noexcept {
  on_cancel owed;
  (void)cancel_unless(0, owed);
  return owed;
}

bool task_word::cancel_unless(std::uint64_t flags, on_cancel& owed) noexcept {
  std::uint64_t w = bits_.load(relaxed);
  for (;;) {
    if (w & flags) return false;
    std::uint64_t next = word::one_more_request(w);
    owed = on_cancel::pending;
    switch (word::state(w)) {
      case task_state::done: owed = on_cancel::no; return true;
      case task_state::active: next |= word::must; break;
      case task_state::leaf:
        next = word::with_state(next, task_state::active) | word::interrupted;
        owed = on_cancel::owe_leaf;
        break;
      case task_state::forwarding:
        next = word::with_state(next, task_state::frozen);
        owed = on_cancel::owe_forwarding;
        break;
      case task_state::frozen: next |= word::again; break;
    }
    // pairs with begin(): the waiter's node is visible
    if (bits_.compare_exchange_weak(w, next, acq_rel, relaxed)) return true;
  }
}

std::uint32_t task_word::uncancel(std::uint32_t floor) noexcept {
  std::uint64_t w = bits_.load(relaxed);
  for (;;) {
    if (word::requests(w) == 0 || word::done(w)) return word::requests(w);
    std::uint64_t next = w - word::one_request;
    if (word::requests(next) <= floor) next &= ~word::must;
    if (bits_.compare_exchange_weak(w, next, acq_rel, relaxed)) return word::requests(next);
  }
}

bool task_word::take_cancel_slow() noexcept {
  const auto before = bits_.fetch_and(~(word::must | word::interrupted), acq_rel);
  return (before & (word::must | word::interrupted)) != 0;
}

std::uint64_t task_word::add_trouble() noexcept {
  std::uint64_t w = bits_.load(relaxed);
  for (;;) {
    const bool full = (w & word::troubled) == word::troubled;
    // Written also when the count is full: this read-modify-write is what puts a failure and a
    // promotion in order. pairs with set_flag()
    if (bits_.compare_exchange_weak(w, full ? w : w + word::one_trouble, acq_rel, relaxed))
      return w;
  }
}

void task_word::end_trouble() noexcept {
  std::uint64_t w = bits_.load(relaxed);
  for (;;) {
    const auto count = w & word::troubled;
    if (count == 0 || count == word::troubled) return;  // full: nobody knows how many there were
    if (bits_.compare_exchange_weak(w, w - word::one_trouble, acq_rel, relaxed)) return;
  }
}

on_thaw task_word::thaw() noexcept {
  std::uint64_t w = bits_.load(relaxed);
  for (;;) {
    std::uint64_t next;
    on_thaw owed;
    if (w & word::again) {
      return on_thaw::again;
    } else if (w & word::notified) {
      next = word::with_state(w & ~word::notified, task_state::active);
      owed = on_thaw::schedule;
    } else {
      next = word::with_state(w, task_state::forwarding);
      owed = on_thaw::waits_on;
    }
    // pairs with claim() and cancel()
    if (bits_.compare_exchange_weak(w, next, acq_rel, relaxed)) return owed;
  }
}

void task_word::break_off() noexcept {
  std::uint64_t w = bits_.load(relaxed);
  while (!bits_.compare_exchange_weak(
      w,
      word::with_state(w & ~(word::notified | word::again), task_state::active) | word::interrupted,
      acq_rel, relaxed)) {}
}

outcome task_word::finish_forwarding(outcome how) noexcept { return end(how, true); }

bool task_word::settle_once(outcome how) noexcept {
  std::uint64_t w = bits_.load(relaxed);
  for (;;) {
    if (word::done(w)) return false;
    // pairs as in end()
    if (bits_.compare_exchange_weak(w, word::with_outcome(w, how), seq_cst, relaxed)) return true;
  }
}

}  // namespace heddle::detail
