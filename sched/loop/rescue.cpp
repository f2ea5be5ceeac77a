// SPDX-License-Identifier: MIT
// Loops that watch over each other: one that is hogged is served by another.
#include <heddle/core/checked.h>
#include <heddle/sched/loop/group.h>
#include <heddle/sched/loop/policy.h>
#include <heddle/sched/loop/worker.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace heddle::detail {

using namespace policy;

// The watch over hogged loops.
//   Danger    One step that computes for long stops its loop: its timers, its connections and the
//             task in its next slot wait until the step ends.
//   Remedy    Each loop counts its steps. If the count of a loop that is awake does not move for
//             watch_every, another loop serves it: it expires its timers, collects its I/O and
//             takes the task in its next slot. The tasks in its queues are stolen as ever.
//   Cost      Each look at another loop moves a cache line of that loop. So one look covers only
//             the next `window` loops round the ring, and those that were hogged at the last look.
//   Delay     With at most `window` other loops, each look covers all of them, four times a
//             millisecond. With 128 loops each is seen every 2 ms, and the second sight finds it
//             hogged. A parked watcher is as fast: it naps for 2 ms and looks at all loops.
//   Reach     Every loop that is not hogged, and every watcher, comes to see all loops. So it does
//             not matter how many are hogged, and no loop depends on one neighbour.
void worker::watch_others(time_point t, unsigned window) {
  last_watch_ = t;
  std::erase_if(hogged_, [&](unsigned i) { return !rescue_if_hogged(i, t); });
  const auto n = narrow<unsigned>(neighbours_.size());
  for (window = std::min(window, n - 1); window != 0; --window) {
    do watch_next_ = watch_next_ + 1 < n ? watch_next_ + 1 : 0;
    while (watch_next_ == index());
    if (!neighbours_[watch_next_].hogged && rescue_if_hogged(watch_next_, t))
      hogged_.push_back(watch_next_);
  }
}

bool worker::rescue_if_hogged(unsigned i, time_point t) {
  worker& other = *group_->workers[i];
  seen& known = neighbours_[i];
  const auto beat = other.beat_.load(relaxed);
  const bool moved = beat != known.beat;
  if (moved) quiet_since_ = t;
  if (moved || other.sleep_.load(relaxed) != sleep_state::awake) known.since = t;
  known.beat = beat;
  known.hogged = t - known.since >= watch_every;
  if (!known.hogged) return false;
  bump(rescues_);
  probes::rescued(index(), i);
  trace_.note(trace_event::rescued, i);
  quiet_since_ = t;
  // pairs with the owner's store and exchange in schedule() and run_next()
  if (task_record* stuck = other.next_slot_.exchange(nullptr, acq_rel)) {
    count_stolen(other, 1);
    push_back(*stuck);
  }
  serves_.store(i + 1, relaxed);
  other.timers_.expire(t);
  const unsigned events = other.driver_->rescue();
  serves_.store(0, relaxed);
  if (events) bump(io_events_, std::uint64_t{events});
  return true;
}

}  // namespace heddle::detail
