// SPDX-License-Identifier: MIT
#include <heddle/core/record/budget.h>

#include <heddle/core/clock.h>
#include <heddle/core/record/counted_await.h>
#include <heddle/core/simulated/world.h>

namespace heddle::detail {
namespace {
constexpr std::int64_t step_limit_ns = 1'000'000;
}  // namespace

bool step_took_long(thread_state& own, bool fetches) noexcept {
  if (world* w = this_world()) {
    own.ready_awaits = awaits_a_look - 1;  // every ready await comes here
    return own.loop && w->stands_back() && (own.forced_yields || fetches);
  }
  if (!own.loop || !(own.forced_yields || fetches)) return false;
  const auto now = clock::now().time_since_epoch().count();
  if (own.step_started == 0) {
    own.step_started = now;  // measured from the first look on, so short steps never ask for it
    return false;
  }
  if (now - own.step_started < step_limit_ns) return false;
  own.step_started = 0;
  return true;
}

bool budget_spent() noexcept { return counts_as_spent(self_of_thread); }

bool fetching_budget_spent() noexcept {
  return ++self_of_thread.ready_awaits % awaits_a_look == 0 && step_took_long(self_of_thread, true);
}

}  // namespace heddle::detail
