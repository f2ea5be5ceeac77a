// SPDX-License-Identifier: MIT
#include <heddle/sched/loop/idle.h>

#include <heddle/core/checked.h>

#include <algorithm>
#include <bit>

namespace heddle::detail {

// Counted first: there are never more bits than are counted.
void idle_set::park(unsigned loop) noexcept {
  const bool first = parked_count_.fetch_add(1, seq_cst) == 0;
  words_[loop / per_word].bits.fetch_or(std::uint64_t{1} << loop % per_word,
                                        seq_cst);  // pairs with take(): LOOK-TWICE
  if (first) tell();
}

bool idle_set::unpark(unsigned loop) noexcept {
  const auto mine = std::uint64_t{1} << loop % per_word;
  if ((words_[loop / per_word].bits.fetch_and(~mine, seq_cst) & mine) == 0)
    return true;  // pairs with take()
  if (parked_count_.fetch_sub(1, seq_cst) == 1) tell();
  return false;
}

// A loop that has been taken is counted a moment longer than its bit is there, and may be asleep
// again: then it is counted twice.
bool idle_set::all_parked() const noexcept {
  if (parked_count_.load(seq_cst) < loops_) return false;
  unsigned n = 0;
  for (const auto& word : words_)
    n += static_cast<unsigned>(std::popcount(word.bits.load(seq_cst)));
  return n == loops_;
}

unsigned idle_set::any() const noexcept {
  for (unsigned w = 0; w < words_.size(); ++w)
    if (const auto bits = words_[w].bits.load(seq_cst); bits != 0)
      return w * per_word + static_cast<unsigned>(std::countr_zero(bits));
  return nobody;
}

unsigned idle_set::take(unsigned near) noexcept {
  const auto n = narrow<unsigned>(words_.size());
  for (unsigned i = 0, w = near / per_word; i < n; ++i, w = w + 1 < n ? w + 1 : 0) {
    auto& word = words_[w].bits;
    const auto from = i == 0 ? ~std::uint64_t{0} << near % per_word : ~std::uint64_t{0};
    for (auto bits = word.load(seq_cst); bits != 0;) {
      const auto bit =
          static_cast<unsigned>(std::countr_zero((bits & from) != 0 ? bits & from : bits));
      const auto its = std::uint64_t{1} << bit;
      bits = word.fetch_and(~its, seq_cst);  // pairs with unpark()
      if ((bits & its) == 0) continue;       // others were faster
      if (parked_count_.fetch_sub(1, seq_cst) == 1) tell();
      return w * per_word + bit;
    }
  }
  return nobody;
}

// The place of a searcher is taken before the sleeper is, so that of all who look at this moment
// one wakes somebody. Who looks meanwhile relies on it; so when there was no sleeper to be had, and
// it has given the place back, it looks for one again: who fell asleep before that relied on a
// sender who relied on it. Who was refused as a searcher meanwhile looks for itself unless somebody
// searches when it is asleep (worker::park).
unsigned idle_set::take_for_search(unsigned near) noexcept {
  for (;;) {
    std::uint32_t none = 0;
    if (parked_count_.load(seq_cst) == 0 || searching_.load(seq_cst) != 0 ||
        !searching_.compare_exchange_strong(none, 1, seq_cst, relaxed))
      return nobody;
    const unsigned loop = take(near);
    if (loop != nobody) return tell(), loop;
    if (!stop_searching() || any() == nobody) return nobody;
  }
}

idle_set::woken idle_set::stop_searching_and_pass_on(std::size_t more, unsigned near) noexcept {
  const unsigned others = searching_.load(relaxed) - 1;
  const unsigned asleep = parked_count_.load(relaxed);
  const unsigned awake = loops_ - asleep;
  // Who is woken is awake: with k more of them, others + k <= (awake + k) / 2. And of those that
  // sleep a quarter at a time, so that the last few, who as a rule have just fallen asleep for want
  // of work, are woken one by one.
  const bool tree = more != 0 && 2 * others < awake && 4 * others < asleep;
  woken taken;
  if (asleep != 0 && (others == 0 || tree)) taken.first = take(near);  // in the caller's place
  if (taken.first != nobody) {
    if (!tree || more < 2 || 4 * (others + 1) > asleep || 2 * (others + 1) > awake) return taken;
    const bool anew = searching_.fetch_add(1, seq_cst) == 0;  // the first has stopped by now
    taken.second = take(near);
    if (taken.second != nobody || anew) tell();
    if (taken.second != nobody) return taken;
  }
  if (!stop_searching()) return taken;
  (taken.first == nobody ? taken.first : taken.second) = take_for_search(near);
  return taken;
}

}  // namespace heddle::detail
