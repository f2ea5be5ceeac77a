// SPDX-License-Identifier: MIT
#include <heddle/sched/stalls.h>

#include <heddle/core/seeing/sight.h>
#include <heddle/core/seeing/stalls.h>
#include <heddle/sched/stalls/ledger.h>
#include <heddle/sched/stalls/watch.h>

#include <algorithm>
#include <memory>

namespace heddle {
namespace {

using detail::seeing::stall_entry;

duration duration_of(std::uint64_t ns) { return duration(static_cast<std::int64_t>(ns)); }

}  // namespace

std::vector<stall> stalls() {
  const auto reader = std::make_unique<detail::seeing::sight>(0);
  const bool has_names = reader->open() == detail::seeing::opening::good;
  const auto copy = std::make_unique<stall_entry[]>(detail::seeing::stall_table::room);
  detail::watch_of_process().with_ledger(
      [](void* to) {
        const auto& from = detail::stall_ledger().entries;
        std::copy(std::begin(from), std::end(from), static_cast<stall_entry*>(to));
      },
      copy.get());
  std::vector<stall> all;
  for (std::size_t i = 0; i < detail::seeing::stall_table::room; ++i) {
    const auto& e = copy[i];
    if (e.key == 0) continue;
    char text[1024] = "";
    detail::seeing::short_writer where(text);
    if (has_names) detail::seeing::put_stack(where, e, reader->names(), false);
    all.push_back(
        {text, e.task, e.count, duration_of(e.longest), duration_of(e.total), e.loop != 0});
  }
  std::sort(all.begin(), all.end(),
            [](const stall& a, const stall& b) { return a.total > b.total; });
  return all;
}

void forget_stalls() noexcept {
  detail::watch_of_process().with_ledger([](void*) { detail::forget_all_stalls(); }, nullptr);
}

}  // namespace heddle
