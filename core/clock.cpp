// SPDX-License-Identifier: MIT
#include <heddle/core/clock.h>

#include <heddle/core/simulated/world.h>

#include <time.h>

namespace heddle {
namespace {
detail::atomic<detail::time_source*> source{nullptr};
}

clock::time_point clock::now() noexcept {
  if (auto* w = detail::this_world()) [[unlikely]]
    return w->now();
  // pairs with set_time_source()
  if (auto* s = source.load(detail::acquire)) [[unlikely]]
    return s->now();
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return time_point(duration(t.tv_sec * 1'000'000'000 + t.tv_nsec));
}

void detail::set_time_source(time_source* s) noexcept {
  // pairs with now()
  source.store(s, release);
}

}  // namespace heddle
