// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/drivers.h>

#include <heddle/core/base/assert.h>
#include <heddle/core/errors.h>
#include <heddle/sched/loop/worker.h>

namespace heddle::detail {
namespace {

worker& worker_here() {
  auto* w = this_worker();
  if (!w) throw no_running_loop();
  return *w;
}

driver& real_driver(worker& w) {
  if (w.group().simulated)
    throw_usage("I/O in a simulated program: sockets, files and signals are not simulated");
  return w.own_driver();
}

}  // namespace

driver& current_driver() { return real_driver(worker_here()); }

driver& driver_of(unsigned index) {
  const auto& loops = worker_here().group().workers;
  HEDDLE_ASSERT(index < loops.size(), "there is no such loop");
  return real_driver(*loops[index]);
}

unsigned current_loop_index() { return worker_here().index(); }

}  // namespace heddle::detail
