// SPDX-License-Identifier: MIT
// What a loop measures of itself: how long a step takes, and how long what is ready waits for it.
//
// Problem   A clock read costs more than a short step. Even a count of its own that says which
//           steps to time would cost each step two instructions.
// Chosen    A loop counts its steps anyhow, down to the next look at its inboxes, timers and
//           reactor. The step behind such a look is timed. Its number is prime (policy.h), so tasks
//           that take turns are all met.
//           What became ready is followed by a probe: an item of a queue, by its place, and the
//           time at which it was put there. The loop takes one item a step. So it knows how many
//           steps come before that item, at least, and makes its next pause there.
// Sampled   One step in 61, and one look in 61: a look at the reactor, the timers and the inboxes
//           makes tasks ready too. The probe is one of the items that were put there, by chance,
//           and counts for all of them. While it is on its way no other one begins. What would have
//           been sampled meanwhile is counted with it: else long waits would count too little.
// Not seen  What thieves take: the probe is given up. A task that a step leaves in the next slot
//           runs at once, and counts as no wait. The time that an item of another thread lies in an
//           inbox.
// Cost      No instruction on the way of a step that is not sampled. A few instructions a look. Two
//           clock reads, some 70 ns, for 61 steps.
#include <heddle/core/checked.h>
#include <heddle/sched/loop/policy.h>
#include <heddle/sched/loop/worker.h>

#include <algorithm>
#include <utility>

namespace heddle::detail {

worker::put_counts worker::put_so_far() const noexcept {
  return {local_.put_so_far(), ready_.put_so_far()};
}

bool worker::run_next_measured() {
  const auto before = put_so_far();
  const auto* const in_slot = next_slot_.load(relaxed);
  const auto began = now();
  if (!run_next()) return false;
  const auto ended = now();
  measures_->step.add(ended - began);
  if (const auto* woken = next_slot_.load(relaxed); woken != nullptr && woken != in_slot)
    measures_->latency.add(duration::zero());
  start_probe(before, ended);
  return true;
}

void worker::look_measured(bool idle) {
  looks_left_ = policy::fair_every;
  if (!measures_) return housekeep(idle);
  const auto before = put_so_far();
  const auto began = now();
  housekeep(idle);
  start_probe(before, began);
}

void worker::measure_parking(time_point t) noexcept {
  const auto awake = t.time_since_epoch().count() - woke_at_.load(relaxed);
  woke_at_.store(0, relaxed);
  // pairs with busy_ns_told()
  busy_ns_.store(busy_ns_.load(relaxed) + static_cast<std::uint64_t>(awake), release);
  probe_.is_on = false;  // other loops have taken what it followed
}

// The loop had nothing to run when it parked, so all that is there now has come since.
void worker::measure_awakening(time_point woken) noexcept {
  looks_left_ = policy::fair_every;
  if (measures_) start_probe({local_.taken_so_far(), ready_.taken_so_far()}, woken);
}

void worker::start_probe(const put_counts& before, time_point began) noexcept {
  const auto after = put_so_far();
  const auto local = after.local - before.local;
  const auto ready = after.ready - before.ready;
  const bool in_local = local >= ready;
  const auto n = in_local ? local : ready;
  if (n == 0) return;
  if (probe_.is_on) return void(probe_.counts += n);
  const auto any = n == 1 ? 0 : random_.below(saturated<unsigned>(n));
  const auto place = (in_local ? before.local : before.ready) + any;
  const auto taken = in_local ? local_.taken_so_far() : ready_.taken_so_far();
  if (taken > place) {  // by a thief; with one loop, by an await that ran it at once
    if (single_loop_) measures_->latency.add(duration::zero(), n);
    return;
  }
  if (taken == place) return measures_->latency.add(now() - began, n);
  probe_ = {true, in_local, place, n, began};
  pause_at_probe(place - taken);
}

void worker::follow_probe(time_point t) noexcept {
  const auto taken = probe_.in_local ? local_.taken_so_far() : ready_.taken_so_far();
  if (taken < probe_.place) return pause_at_probe(probe_.place - taken);
  probe_.is_on = false;
  if (taken == probe_.place) measures_->latency.add(t - probe_.began, probe_.counts);
}

// Of the next calls of run_next() each takes one item, of this queue or another. So the call behind
// the next `ahead` ones is the first that can take the probe.
void worker::pause_at_probe(std::uint64_t ahead) noexcept {
  const auto to_look = steps_left_ + steps_behind_;
  if (ahead + 1 >= to_look) return;
  steps_left_ = ahead + 1;
  steps_behind_ = to_look - steps_left_;
}

// An await that runs its child at once has come to the pause for the probe, which then waits for
// the look.
bool worker::next_pause_is_look() noexcept {
  if (steps_behind_ == 0) return true;
  steps_left_ += std::exchange(steps_behind_, 0);
  return false;
}

// A loop that parks has no time at which it woke, before it adds the time since then to the sum. So
// a reader that comes in between is told too little, never too much; and then what it was told
// before.
std::uint64_t worker::busy_ns_told() const noexcept {
  // pairs with measure_parking()
  auto busy = busy_ns_.load(acquire);
  if (const auto since = woke_at_.load(relaxed))
    busy += static_cast<std::uint64_t>(
        std::max<std::int64_t>(now().time_since_epoch().count() - since, 0));
  auto told = told_busy_.load(relaxed);
  while (told < busy && !told_busy_.compare_exchange_weak(told, busy, relaxed, relaxed)) {}
  return std::max(told, busy);
}

loop_stats worker::stats() const noexcept {
  loop_stats s;
  s.id = index();
  s.run = beat_.load(relaxed);
  s.stolen = stolen_.load(relaxed);
  s.parked = parked_.load(relaxed);
  s.woken = woken_.load(relaxed);
  s.polls = polls_.load(relaxed);
  s.io_events = io_events_.load(relaxed);
  s.rescues = rescues_.load(relaxed);
  s.created = created();
  s.finished = finished();
  s.busy_ns = busy_ns_told();
  s.queue = ready_.size() + local_size_.load(relaxed) + (next_slot_.load(relaxed) ? 1 : 0);
  s.forks = forks_.strands.size();
  s.inbox = movable_.size() + (pinned_.looks_empty() ? 0 : 1);
  s.timers = timers_.size();
  return s;
}

loop_metrics worker::measured() const {
  loop_metrics m;
  m.stats = stats();
  m.timers_fired = timers_.fired();
  if (!measures_) return m;
  measures_->step.add_to(m.step);
  measures_->latency.add_to(m.schedule_latency);
  measures_->lag.add_to(m.timer_lag);
  return m;
}

void worker::add_ends_to(task_metrics& sum) const noexcept {
  sum.cancelled += cancelled_.load(relaxed);
  sum.failed += failed_.load(relaxed);
}

}  // namespace heddle::detail
