// SPDX-License-Identifier: MIT
#include "model/counters.h"

namespace bench::model {
namespace {

/// One a thread, linked for good: a thread that has ended still counts.
struct alignas(128) slot {
  counts count{};
  slot* next = nullptr;
};

slot* slots = nullptr;
constinit thread_local slot* own = nullptr;

[[gnu::noinline, gnu::cold]] void add_slot() noexcept {
  own = new slot;
  own->next = __atomic_load_n(&slots, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(&slots, &own->next, own, true, __ATOMIC_RELEASE,
                                      __ATOMIC_RELAXED)) {}
}

}  // namespace

const std::array<const char*, kinds> names_of_counts{
    "read_modify_write", "exchanged", "failed", "fenced", "locked", "sent", "woke", "stole",
    "found_nothing",     "spun"};

void count(counted what) noexcept {
  if (!own) [[unlikely]]
    add_slot();
  auto& c = own->count[static_cast<std::size_t>(what)];
  __atomic_store_n(&c, c + 1, __ATOMIC_RELAXED);
}

counts all_counts() noexcept {
  counts sum{};
  for (slot* s = __atomic_load_n(&slots, __ATOMIC_ACQUIRE); s; s = s->next)
    for (std::size_t i = 0; i < kinds; ++i)
      sum[i] += __atomic_load_n(&s->count[i], __ATOMIC_RELAXED);
  return sum;
}

}  // namespace bench::model
