// SPDX-License-Identifier: MIT
#include <heddle/sched/trace_span.h>

#include <heddle/core/base/thread_state.h>
#include <heddle/core/clock.h>
#include <heddle/core/simulated/world.h>
#include <heddle/sched/loop/trace_ring.h>

namespace heddle::detail {
namespace {

HEDDLE_COLD bool record(trace_event kind, const char* name) noexcept {
  if (this_world()) return false;
  auto* ring = make_ring_of_this_thread(ring_owner::other);
  if (!ring) return false;
  if (auto* t = self_of_thread.current) ring->note(trace_event::span_of, trace_name(*t));
  ring->note(kind, reinterpret_cast<std::uintptr_t>(name));
  return true;
}

}  // namespace

bool trace_span_begins(const char* name) noexcept {
  const auto* t = self_of_thread.current;
  if (t && t->is_traced()) [[unlikely]]
    return record(trace_event::span_begins, name);
  const auto until = tracing.all_until.load(relaxed);
  if (until == 0) [[likely]]
    return false;
  return clock::now().time_since_epoch().count() < until && record(trace_event::span_begins, name);
}

void trace_span_ends(const char* name) noexcept { (void)record(trace_event::span_ends, name); }

}  // namespace heddle::detail
