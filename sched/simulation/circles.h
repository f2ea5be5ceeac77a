// SPDX-License-Identifier: MIT
// Internal to sched.
// The circles in which the tasks of a world wait for each other, for the stuck report.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/record/task_record.h>
#include <heddle/core/simulated/world.h>

#include <string>

namespace heddle::detail {

/// A line for each circle, as `heddle why` and the report of a program at rest tell it, but by the
/// numbers of the world: a seed tells the same each time. `knows` tells which tasks belong to the
/// world. All of them have to stand still.
[[nodiscard]] std::string circles_of(world& w, bool (*knows)(const world& w, const task_record& t));

/// What the report calls; simulate() sets it to circles_of. So a program that simulates nothing is
/// not linked with that. Defined beside the class, in simulation.cpp and in bench/model/world.cpp.
using circle_teller = std::string (*)(world& w,
                                      bool (*knows)(const world& w, const task_record& t));
extern constinit plain_atomic<circle_teller> circles_by;

}  // namespace heddle::detail
