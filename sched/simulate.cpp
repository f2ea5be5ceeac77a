// SPDX-License-Identifier: MIT
#include <heddle/sched/simulate.h>

#include <heddle/sched/simulation/circles.h>
#include <heddle/sched/simulation/simulation.h>

#include <memory>
#include <thread>

namespace heddle::testing {

simulation_report simulate_program(std::uint64_t seed, const std::function<void()>& program,
                                   const simulation_limits& limits) {
  auto s = std::make_unique<detail::simulation>(seed, limits.steps, limits.trace);
  detail::circles_by.store(&detail::circles_of, detail::relaxed);
  try {
    s->run(program);
  } catch (...) {
    if (!s->ended()) (void)s.release();  // its stacks cannot be unwound
    throw;
  }
  return {s->hash(), s->steps(), s->switches(), s->elapsed(), s->take_trace()};
}

std::optional<failing_seed> first_failing(std::uint64_t first, std::uint64_t count,
                                          const std::function<void(std::uint64_t)>& once) {
  for (std::uint64_t seed = first; seed - first < count; ++seed) {
    try {
      once(seed);
    } catch (...) {
      return failing_seed{seed, describe(std::current_exception()), std::current_exception()};
    }
  }
  return std::nullopt;
}

namespace {
detail::simulation& simulation_here(const char* what) {
  auto* s = detail::simulation::here();
  if (!s) detail::throw_usage(std::string(what) + " outside of a simulation");
  return *s;
}
}  // namespace

virtual_thread::virtual_thread(std::function<void()> f)
    : thread_(simulation_here("virtual_thread").start("thread", std::move(f))) {}

virtual_thread::~virtual_thread() { detail::simulation::here()->join(thread_); }

void overtaking_point() noexcept { detail::overtaking_point(); }

std::uint32_t choose(std::uint32_t bound) noexcept {
  auto* s = detail::simulation::here();
  return s ? s->below(bound) : 0;
}

void block_for(any_duration d) {
  if (detail::this_thread().loop)
    detail::throw_usage("block_for on a loop: co_await sleep instead");
  if (auto* s = detail::simulation::here())
    (void)block_until(*s, saturating_add(s->now(), d), [] { return false; });
  else
    std::this_thread::sleep_for(d.get());
}

}  // namespace heddle::testing
