// SPDX-License-Identifier: MIT
// Internal to sched.
// Tasks seen from outside: which there are, in which state, and what they wait in. Not a public
// header.
//
// Reading a wait from outside
//
// Danger    What a task waits in lives in the frame of that task. Once some thread claims the wait
//           the task may run and leave the frame. A reader that has just found the wait in the
//           record would then ask freed memory for its name and its target.
// Rejected  A lock over each wait, or a claim by the reader: both would put a locked operation into
//           every wait, or disturb the task. Names in the record: a store for each wait.
// Chosen    From any thread one reads the record alone: its word, its place, and under its lock its
//           name. The memory of a record keeps its type for the life of the process, and a
//           reference keeps the record what it is. So state_of() and living_tasks() may be called
//           at any time.
//           wait_of() reads the wait. It may be called only where no task can run meanwhile: on a
//           virtual thread of the simulation that the tasks belong to, while that is held still
//           (simulation::calm). A task stores what it waits in before its word says that it waits,
//           and the frame stands until some thread claims the wait and the task runs. So if the
//           word says that the task waits, the wait is whole as long as nothing else runs.
// Cost      For a task of a live process state_of() says that it waits, and not in what.
#pragma once

#include <heddle/core/record/task_record.h>
#include <heddle/core/simulated/world.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace heddle::detail {

/// For people: "running or ready", "waiting", "waiting for a task or future", "done", "cancelled",
/// "failed". From any thread.
[[nodiscard]] const char* state_of(const task_record& t) noexcept;

/// The tasks of `runtime` (the short number) that have not ended, as handles that take over a
/// reference each. From any thread; they may end at any moment. In a simulation they are in the
/// order of their numbers: that of their places in memory is decided by no seed. Cost: a look at
/// every record there is. Throws std::bad_alloc.
template <class Handle>
std::vector<Handle> living_tasks(std::uint16_t runtime) {
  std::vector<Handle> all;
  task_record::scan(
      [&](task_record& r) {
        if (r.what() != kind::task || r.done()) return;
        r.ref();
        Handle found(&r);
        all.push_back(std::move(found));
      },
      runtime);
  if (world* w = this_world())
    std::sort(all.begin(), all.end(), [w](const Handle& a, const Handle& b) {
      return w->number_of(*a.record()) < w->number_of(*b.record());
    });
  return all;
}

/// For people: the number that the world has given the task, and its name if it was given one.
[[nodiscard]] std::string number_and_name(world& w, const task_record& t);

/// For people: what `t` waits in or for, which has to stand still (see above).
[[nodiscard]] std::string wait_of(world& w, task_record& t);

/// The stuck report: a line for each task and strand of the world that has not ended, which says
/// what it waits for, in the order of the tasks' numbers. `knows` tells which tasks belong to the
/// world. All of them have to stand still.
[[nodiscard]] std::string who_waits_for_what(world& w,
                                             bool (*knows)(const world& w, const task_record& t));

}  // namespace heddle::detail
