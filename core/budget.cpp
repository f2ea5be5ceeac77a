// SPDX-License-Identifier: MIT
#include <heddle/core/budget.h>

#include <heddle/core/clock.h>
#include <heddle/core/thread_state.h>

namespace heddle::detail {
namespace {

constexpr std::uint32_t awaits_per_look = 64;
constexpr std::int64_t step_limit_ns = 1'000'000;

HEDDLE_COLD bool look_at_clock(thread_state& own) noexcept {
  if (!own.forced_yields || !own.loop) return false;
  const auto now = clock::now().time_since_epoch().count();
  if (own.step_started ==
      0) {  // measured from the first look on: steps that are short never ask for the time
    own.step_started = now;
    return false;
  }
  if (now - own.step_started < step_limit_ns) return false;
  own.step_started = 0;
  return true;
}

}  // namespace

bool budget_spent() noexcept {
  auto& own = this_thread();
  return ++own.ready_awaits % awaits_per_look == 0 && look_at_clock(own);
}

}  // namespace heddle::detail
