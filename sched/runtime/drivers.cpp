// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/registry.h>
#include <heddle/sched/runtime/runtime_state.h>

namespace heddle::detail {
namespace {

driver& real_driver(worker& w) {
  if (w.state().simulated)
    throw_usage("I/O in a simulated program: sockets, files and signals are not simulated");
  return w.own_driver();
}

}  // namespace

bool driver::unsubscribe(occasion, int) { return false; }

driver& current_driver() {
  auto* w = this_worker();
  if (!w) throw no_running_loop();
  return real_driver(*w);
}

driver& driver_of(unsigned index) {
  auto* s = this_runtime();
  if (!s) throw no_running_loop();
  HEDDLE_ASSERT(index < s->workers.size(), "there is no such loop");
  return real_driver(*s->workers[index]);
}

unsigned current_loop_index() {
  auto* w = this_worker();
  if (!w) throw no_running_loop();
  return w->index();
}

void with_driver(runtime_number runtime, unsigned index, void (*f)(driver&, void*),
                 void* argument) noexcept {
  struct parcel {
    unsigned index;
    void (*f)(driver&, void*);
    void* argument;
  } p{index, f, argument};
  (void)with_runtime(
      runtime,
      [](runtime_state& s, void* a) {
        auto& p = *static_cast<parcel*>(a);
        if (p.index < s.workers.size() && !s.simulated)
          p.f(s.workers[p.index]->own_driver(), p.argument);
      },
      &p);
}

}  // namespace heddle::detail
