// SPDX-License-Identifier: MIT
#include <heddle/sched/idle.h>

#include <bit>

namespace heddle::detail {

void idle_set::park(unsigned loop) noexcept {
  lock_.lock();
  parked_[loop / 64] |= std::uint64_t{1} << (loop % 64);
  parked_count_.fetch_add(1, seq_cst);  // pairs with the sender's look: LOOK-TWICE
  lock_.unlock();
}

bool idle_set::unpark(unsigned loop) noexcept {
  lock_.lock();
  auto& bits = parked_[loop / 64];
  const auto mine = std::uint64_t{1} << (loop % 64);
  if (bits & mine) parked_count_.fetch_sub(1, seq_cst);
  bits &= ~mine;
  const bool searches = (to_search_[loop / 64] & mine) != 0;
  to_search_[loop / 64] &= ~mine;
  lock_.unlock();
  return searches;
}

unsigned idle_set::take_locked(unsigned except) noexcept {
  for (unsigned w = 0; w < parked_.size(); ++w) {
    auto bits = parked_[w];
    if (except / 64 == w) bits &= ~(std::uint64_t{1} << (except % 64));
    if (bits == 0) continue;
    const unsigned bit = static_cast<unsigned>(std::countr_zero(bits));
    parked_[w] &= ~(std::uint64_t{1} << bit);
    parked_count_.fetch_sub(1, seq_cst);
    return w * 64 + bit;
  }
  return nobody;
}

unsigned idle_set::take_for_search(bool must) noexcept {
  if (searching_.load(seq_cst) != 0 || parked_count_.load(seq_cst) == 0) return nobody;
  if (must)
    lock_.lock();
  else if (!lock_.try_lock())
    return nobody;
  const unsigned loop = searching_.load(seq_cst) == 0 ? take_locked(nobody) : nobody;
  if (loop != nobody) {
    searching_.fetch_add(1, seq_cst);
    to_search_[loop / 64] |= std::uint64_t{1} << (loop % 64);
  }
  lock_.unlock();
  return loop;
}

unsigned idle_set::stop_searching_and_pass_on() noexcept {
  if (searching_.load(relaxed) == 1 && parked_count_.load(relaxed) != 0) {
    lock_.lock();
    const unsigned loop = take_locked(nobody);
    if (loop != nobody) to_search_[loop / 64] |= std::uint64_t{1} << (loop % 64);
    lock_.unlock();
    if (loop != nobody) return loop;
  }
  return stop_searching() ? take_for_search() : nobody;
}

unsigned idle_set::take_any(unsigned except) noexcept {
  lock_.lock();
  const unsigned loop = take_locked(except);
  lock_.unlock();
  return loop;
}

}  // namespace heddle::detail
