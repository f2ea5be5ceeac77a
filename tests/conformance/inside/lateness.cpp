// SPDX-License-Identifier: MIT
// How late the timers of a loop are, as heddle top reads it.
#include "conformance.h"

#include <heddle/core/seeing/sight.h>
#include <heddle/sched/metrics.h>

#include <tools/heddle/lateness.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace {

using namespace conformance;
namespace seeing = h::detail::seeing;

CASES(IN_TOP_LATE);

h::task<> has_late_timers() {
  std::vector<h::task_handle<>> all;
  for (int i = 0; i < 2000; ++i)
    all.push_back(h::create_task([]() -> h::task<> { co_await h::sleep(1ms); }()));
  for (auto& t : all) co_await t;
}

TEST_P(IN_TOP_LATE, IN_TOP_01_AReaderHasTheLatenessOfTimersAsTheMetricsHaveIt) {
  h::runtime rt(with());
  rt.run(has_late_timers());
  const auto s = std::make_unique<seeing::sight>(0);
  EQUAL(static_cast<int>(s->open()), static_cast<int>(seeing::opening::good));
  HOLDS(s->look_at_loops());
  const auto metrics = rt.metrics();
  for (unsigned i = 0; i < loops(); ++i) {
    const auto& lag = metrics.loops[i].timer_lag;
    std::uint64_t late = 0;
    const auto seen = tool::lateness::of(s->what(), s->loops()[i].at);
    EQUAL(seen.p99_since(tool::lateness(), late), lag.count() != 0);
    EQUAL(late, static_cast<std::uint64_t>(lag.percentile(0.99).count()));
    HOLDS(!seen.p99_since(seen, late));
  }
}

}  // namespace
