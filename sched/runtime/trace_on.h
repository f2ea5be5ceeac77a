// SPDX-License-Identifier: MIT
// Internal to sched.
// A file of what was recorded, written when something goes wrong: for a fault that comes at night.
//
//   HEDDLE_TRACE_ON=stall,rest     what it is written for; not set: nothing is ever written
//   HEDDLE_TRACE_DIR=/var/tmp      where to; not set: the folder that the program works in
//   HEDDLE_TRACE_AN_HOUR=4         at most so many in an hour, 1 to 60
//
// stall: a step keeps a loop for longer than the stall limit (sched/stalls/). rest: nothing can
// happen any more in a runtime (at_rest.cpp), as in a deadlock of all that is left.
//
// The file is a small core (core/seeing/snapshot.h): "heddle trace FILE" makes a timeline of it,
// and "heddle ps FILE", "heddle why FILE" and others tell of the tasks at that moment.
#pragma once

#include <cstdint>

namespace heddle::detail {

enum class trace_trigger : std::uint8_t { stall, rest };

/// Writes a file, if the environment asks for that and there were not too many lately. Tells on
/// stderr which, or why not. From any thread that holds no lock of the library; it takes some
/// milliseconds. Nothing of the heap, and no lock.
void write_trace_on(trace_trigger why) noexcept;

/// Looks at the environment, once. Tells on stderr if it says what is not understood.
void arrange_traces() noexcept;

}  // namespace heddle::detail
