// SPDX-License-Identifier: MIT
#include <heddle/sched/loop/idle.h>

#include <heddle/core/checked.h>

#include <algorithm>
#include <bit>

namespace heddle::detail {

// The count is raised before the bit is set, so there are never more bits than the count says.
void idle_set::park(unsigned loop) noexcept {
  const bool first = parked_count_.fetch_add(1, seq_cst) == 0;
  // pairs with take(): LOOK-TWICE
  words_[loop / per_word].bits.fetch_or(std::uint64_t{1} << loop % per_word, seq_cst);
  if (first) update_wanted();
}

bool idle_set::unpark(unsigned loop) noexcept {
  const auto mine = std::uint64_t{1} << loop % per_word;
  // pairs with take(): of the loop and a taker, the one that clears the bit lowers the count
  if ((words_[loop / per_word].bits.fetch_and(~mine, seq_cst) & mine) == 0) return true;
  if (parked_count_.fetch_sub(1, seq_cst) == 1) update_wanted();
  return false;
}

// The count alone can be too high. A taker clears a loop's bit before it lowers the count. If that
// loop sleeps again in between, the loop is counted twice. So the bits are counted too.
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
      // pairs with unpark() and park()
      bits = word.fetch_and(~its, seq_cst);
      if ((bits & its) == 0) continue;  // another taker, or the loop itself, was faster
      if (parked_count_.fetch_sub(1, seq_cst) == 1) update_wanted();
      return w * per_word + bit;
    }
  }
  return nobody;
}

// Many senders may want to wake the same sleeper at once. So the caller first raises the searcher
// count from 0 to 1. Of all senders at this moment only one can; only that one takes a sleeper.
//
// While that count stands, other senders rely on it and wake nobody. But the caller may find no
// sleeper to take, for instance because a loop is just about to sleep. So after it has lowered the
// count it looks for a sleeper again, and if there is one it starts over.
//
// A loop that asked to search meanwhile was refused because of that count. Such a loop asks again
// whether any loop searches, once it counts as asleep. If none does it looks itself (worker::park).
unsigned idle_set::take_for_search(unsigned near) noexcept {
  for (;;) {
    std::uint32_t none = 0;
    if (parked_count_.load(seq_cst) == 0 || searching_.load(seq_cst) != 0 ||
        !searching_.compare_exchange_strong(none, 1, seq_cst, relaxed))
      return nobody;
    const unsigned loop = take(near);
    if (loop != nobody) return update_wanted(), loop;
    if (!stop_searching() || any() == nobody) return nobody;
  }
}

idle_set::woken idle_set::stop_searching_and_pass_on(std::size_t more, unsigned near) noexcept {
  const unsigned others = searching_.load(relaxed) - 1;
  const unsigned asleep = parked_count_.load(relaxed);
  const unsigned awake = loops_ - asleep;
  // Protocol TREE. A woken loop counts as awake: with k more searchers the bound is
  // others + k <= (awake + k) / 2. And at most a quarter of the sleepers is woken at a time. So the
  // last few sleepers, which have mostly just found no work, are woken one by one.
  const bool tree = more != 0 && 2 * others < awake && 4 * others < asleep;
  woken taken;
  if (asleep != 0 && (others == 0 || tree)) taken.first = take(near);  // gets the caller's count
  if (taken.first != nobody) {
    if (!tree || more < 2 || 4 * (others + 1) > asleep || 2 * (others + 1) > awake) return taken;
    const bool anew = searching_.fetch_add(1, seq_cst) == 0;  // the first may have stopped by now
    taken.second = take(near);
    if (taken.second != nobody || anew) update_wanted();
    if (taken.second != nobody) return taken;
  }
  if (!stop_searching()) return taken;
  (taken.first == nobody ? taken.first : taken.second) = take_for_search(near);
  return taken;
}

}  // namespace heddle::detail
