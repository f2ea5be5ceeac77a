// SPDX-License-Identifier: MIT
#include <heddle/sched/stalls/ledger.h>

#include <heddle/core/base/config.h>
#include <heddle/core/seeing/layout.h>

#include <algorithm>
#include <cstring>

namespace heddle::detail {
namespace {

using seeing::stall_entry;
using seeing::stall_table;

constinit stall_table ledger;

HEDDLE_ROW("heddle_roots") constexpr seeing::root_row stalls_root{"stalls", &ledger};
HEDDLE_ROW("heddle_fields")
constexpr seeing::field_row stall_rows[] = {{"stalls", 0, sizeof(stall_table)},
                                            {"stall", 0, sizeof(stall_entry)}};

/// While one lives, the version is odd. Each change of it is a full barrier.
class writing {
 public:
  writing() noexcept { ledger.version.fetch_add(1, seq_cst); }
  writing(const writing&) = delete;
  ~writing() { ledger.version.fetch_add(1, seq_cst); }
};

std::uint64_t count_of(duration d) noexcept {
  return d > duration::zero() ? static_cast<std::uint64_t>(d.count()) : 0;
}

/// Two loops that are in the same stack at the same time have an entry each.
std::size_t place_for(std::uint64_t key) noexcept {
  std::size_t best = 0;
  for (std::size_t i = 0; i < stall_table::room; ++i) {
    if (ledger.entries[i].key == key && ledger.entries[i].loop == 0) return i;
    const auto sum = [](const stall_entry& e) { return e.loop != 0 ? ~0ull : e.total; };
    if (ledger.entries[best].key != 0 &&
        (ledger.entries[i].key == 0 || sum(ledger.entries[i]) < sum(ledger.entries[best])))
      best = i;
  }
  return best;
}

}  // namespace

const stall_table& stall_ledger() noexcept { return ledger; }

std::size_t note_stall(const stall_entry& draft) noexcept {
  const std::size_t place = place_for(draft.key);
  auto& e = ledger.entries[place];
  const writing now;
  const stall_entry before = e;
  e = draft;
  e.count = 1;
  e.longest = e.lasted;
  e.total = 0;
  if (before.key == draft.key) {
    e.count += before.count;
    e.longest = std::max(e.longest, before.longest);
    e.total = before.total;
  } else {
    ledger.forgotten += before.count;
  }
  ++ledger.all;
  return place;
}

void stall_lasts(std::size_t place, std::uint64_t loop, duration so_far, bool over) noexcept {
  auto& e = ledger.entries[place];
  const writing now;
  e.longest = std::max(e.longest, count_of(so_far));
  if (over) e.total += count_of(so_far);
  if (e.loop != loop) return;  // it was given to another stall
  e.lasted = count_of(so_far);
  if (over) e.loop = 0;
}

void note_standstill(duration length) noexcept {
  const writing now;
  ++ledger.standstills;
  ledger.longest_standstill = std::max(ledger.longest_standstill, count_of(length));
}

void note_stall_limit(duration limit) noexcept {
  const writing now;
  ledger.limit = count_of(limit);
}

void forget_ledger() noexcept {
  for (auto& e : ledger.entries) e = {};
  ledger.version.store(0, relaxed);
  forget_all_stalls();
}

void forget_all_stalls() noexcept {
  const writing now;
  ledger.all = ledger.forgotten = ledger.standstills = ledger.longest_standstill = 0;
  for (auto& e : ledger.entries) {
    // A stall that goes on keeps its entry: the watch writes it once more.
    const bool lasts = e.loop != 0;
    e.count = e.total = e.longest = 0;
    if (!lasts) e.key = 0;
    if (lasts) e.count = ledger.all = 1;
  }
}

}  // namespace heddle::detail
