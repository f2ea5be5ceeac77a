// SPDX-License-Identifier: MIT
// A loop without work of its own: it searches, it sleeps, it looks after loops that are hogged; and
// whom a loop with work wakes.
#include <heddle/core/checked.h>
#include <heddle/sched/loop/group.h>
#include <heddle/sched/loop/policy.h>
#include <heddle/sched/loop/worker.h>

#include <algorithm>
#include <utility>

namespace heddle::detail {

using namespace policy;

// ------------------------------------------------------------------ policy

worker::search_result worker::search() {
  const bool alone = state_->workers.size() == 1;
  if (alone && spin_ == 0) return search_result::nothing;
  if (!alone && !searching_ && glance()) return search_result::found;
  if (!alone && !searching_) {
    if (!state_->idle.try_search()) {
      if (spin_ < 2) return search_result::refused;
      spin_ /= 2;  // as after a search in vain: others search now, and we look at nothing of theirs
      noted(happening::spun);
      for (unsigned i = 0; i < pauses_of_the_refused; ++i) cpu_relax();
      return search_result::found;
    }
    searching_ = true;
  }
  const auto n = narrow<unsigned>(state_->workers.size());
  promise_base* strand = nullptr;
  bool found = false;
  bool came_to_us = false;
  unsigned more = lone_looks;
  for (unsigned round = 0, last = spin_; round <= last && !found; ++round) {
    left_alone_ = false;
    const unsigned first = random_.below(n);
    for (unsigned i = 0; i < n && !found; ++i) {
      worker& victim = *state_->workers[(first + i) % n];
      came_to_us = &victim == this;
      found = came_to_us ? drain_inboxes() : steal_from(victim, strand);
      if (!came_to_us) noted(found ? happening::stole : happening::found_nothing);
    }
    if (!found && left_alone_ && round == last && more != 0) --more, ++last;
    if (!found && round < last) {
      noted(happening::spun);
      for (unsigned i = 0; i < pauses_between_rounds; ++i) cpu_relax();
    }
  }
  if (!found) found = steal_what_is_private(strand);
  spin_ = found ? most_spins : spin_ / 2;  // spin again only while that pays
  if (alone) return found ? search_result::found : search_result::nothing;
  searching_ = false;
  if (found && !came_to_us) {  // one that finds work wakes the next, or two
    const auto next = state_->idle.stop_searching_and_pass_on(seen_more_, index());
    wake(next.first);
    wake(next.second);
  } else if (state_->idle.stop_searching() && found && more_to_find()) {
    wake_searcher();
  }
  if (strand) run_strand(*strand);
  return found ? search_result::found : search_result::nothing;
}

// While nobody sleeps nobody need know who searches: there is nobody to be woken, or not. So the
// first look is not counted, and all loops that steal from each other do not wait for each other at
// the line of that count. Somebody may have fallen asleep meanwhile, and at his second look what
// was stolen was on its way: so who has found something looks again, like one who pushes.
bool worker::glance() {
  const auto n = narrow<unsigned>(state_->workers.size());
  const unsigned first = random_.below(n);
  for (unsigned i = 0; i < std::min(n, most_glances); ++i) {
    if (state_->idle.parked() != 0) return false;
    worker& victim = *state_->workers[(first + i) % n];
    if (&victim == this) continue;
    promise_base* strand = nullptr;
    const bool found =
        victim.ready_.lone() == run_queue<task_record*>::not_alone && steal_from(victim, strand);
    noted(found ? happening::stole : happening::found_nothing);
    if (!found) continue;
    spin_ = most_spins;
    wake_if_wanted();
    if (strand) run_strand(*strand);
    return true;
  }
  return false;
}

// `searched`: nobody else does it for us, so the second look covers what could be stolen too. Who
// was refused leaves that to the searchers: the last of them looks again before it sleeps.
void worker::park(bool searched) {
  auto& s = *state_;
  const bool alone = s.workers.size() == 1;
  if (!alone && anything_for_us(searched)) return;  // the announcement would be taken back at once
  sleep_.store(sleep_state::parked, seq_cst);       // LOOK-TWICE: announced ...
  if (!alone) s.idle.park(index());
  // Who was refused was so by a searcher; or by a sender that took a searcher's place, found nobody
  // asleep, and gives it back without a look. If that is still there now it sees us asleep when it
  // does.
  if (!anything_for_us(searched ||
                       (!alone && !s.idle.anybody_searches()))) {  // ... then looked again
    auto t = now();
    duration limit = duration::max();
    bool watches = false;
    if (!alone) {
      const bool quiet = s.idle.all_parked() && t - quiet_since_ > watch_lingers;
      if (!quiet && s.watchers.fetch_add(1, seq_cst) < most_watchers)
        watches = true;
      else if (!quiet)
        s.watchers.fetch_sub(1, seq_cst);
      if (watches) limit = watcher_naps;
    }
    const auto first = timers_.first();
    if (first != time_point::max())
      limit = std::min(limit, first <= t ? duration::zero() : first - t);
    busy_ns_.store(
        busy_ns_.load(relaxed) +
            static_cast<std::uint64_t>(t.time_since_epoch().count() - woke_at_.load(relaxed)),
        relaxed);
    woke_at_.store(0, relaxed);
    bump(parked_);
    const unsigned events = poll(limit);
    const auto parked_at = std::exchange(t, now());
    woke_at_.store(t.time_since_epoch().count(), relaxed);
    if (watches) s.watchers.fetch_sub(1, seq_cst);
    const bool was_woken = sleep_.exchange(sleep_state::awake, seq_cst) == sleep_state::notified;
    if (was_woken) bump(woken_);
    // What another thread sent would have come within a spin: next time. Not so for I/O, which a
    // spin does not see.
    if (was_woken && events == 0 && t - parked_at < spin_would_do) spin_ = most_spins;
    if (!alone) {
      searching_ = s.idle.unpark(index());
      const bool work_came = events != 0 || was_woken || timers_.first() <= t;
      if (work_came) quiet_since_ = t;
      // Nobody watches us while we run: arm it. Only after a quiet time; watchers linger.
      if (work_came && s.watchers.load(relaxed) == 0 && s.idle.parked() != 0)
        if (const unsigned other = s.idle.any(); other != idle_set::nobody)
          s.workers[other]->wake_to_watch();
      if (watches && !was_woken) watch_others(t, ~0u);  // all of them: there is nothing else to do
    }
    timers_.expire(t);
    return;
  }
  sleep_.store(sleep_state::awake, seq_cst);
  if (!alone) searching_ = s.idle.unpark(index());
}

// ------------------------------------------------------------------- search

bool worker::steal_from(worker& victim, promise_base*& strand) {
  deque<promise_base*>::thief thief(victim.forks_.strands);
  auto got = thief.steal(strand);
  if (got == steal_result::lost) got = thief.steal(strand);
  if (got == steal_result::got) {
    bump(stolen_);
    seen_more_ = thief.size();
    return true;
  }
  strand = nullptr;
  task_record* first = nullptr;
  const auto before = ready_.size();
  auto half = leave_alone(victim) ? steal_result::empty : victim.ready_.steal_half(ready_, first);
  if (half == steal_result::lost) half = victim.ready_.steal_half(ready_, first);
  if (half == steal_result::got) {
    bump(stolen_, std::uint64_t{1 + ready_.size() - before});
    seen_more_ = (ready_.size() + victim.ready_.size()) / tasks_for_one;
    push_back(*first);
    return true;
  }
  seen_more_ = 0;
  if (task_record* t = victim.movable_.pop()) {
    bump(stolen_);
    push_back(*t);
    return true;
  }
  return false;
}

// A loop that forks publishes by itself, sooner than we get here. Who has something private to this
// moment computes for long.
bool worker::steal_what_is_private(promise_base*& strand) noexcept {
  for (worker* w : state_->workers) {
    deque<promise_base*>::thief thief(w->forks_.strands);
    if (w == this || !thief.looks_private() || !thief.expose()) continue;
    if (thief.steal(strand) == steal_result::got) {
      bump(stolen_);
      seen_more_ = thief.size();
      return true;
    }
    strand = nullptr;
  }
  return false;
}

bool worker::anything_for_us(bool elsewhere) noexcept {
  auto& s = *state_;
  if (s.loops_end.load(seq_cst)) return true;
  if (!pinned_.looks_empty() || !movable_.empty() || !s.injection.empty() ||
      timers_.first() <= now())
    return true;
  return elsewhere && others_have_work();
}

// A task that is alone in its queue is most often run by its loop a moment later: who created it is
// about to await it. So a thief leaves it there at the first look, and takes it if it still stands
// there at the next one, a microsecond later.
bool worker::leave_alone(const worker& victim) noexcept {
  auto& known = neighbours_[victim.index()];
  const auto lone = victim.ready_.lone();
  const bool fresh = lone != run_queue<task_record*>::not_alone && lone != known.lone;
  known.lone = lone;
  left_alone_ |= fresh;
  return fresh;
}

bool worker::is_fresh(const worker& other) const noexcept {
  const auto lone = other.ready_.lone();
  return lone != run_queue<task_record*>::not_alone && lone != neighbours_[other.index()].lone;
}

// Asked by the last searcher, when it goes on with what came to it. If that is one task, as a rule
// the answer of a thread or of a peer, nobody need be woken for it. The looks are seq_cst and come
// after the count: who pushed before, and woke nobody since we searched, is seen.
bool worker::more_to_find() noexcept {
  return local_.size() + ready_.size() + forks_.strands.size() > 1 || !movable_.empty() ||
         !state_->injection.empty() || others_have_work();
}

bool worker::others_have_work() noexcept {
  for (worker* w : state_->workers) {
    if (w == this) continue;
    if ((!w->ready_.looks_empty_again() && !is_fresh(*w)) ||
        !deque<promise_base*>::thief(w->forks_.strands).looks_empty() || !w->movable_.empty())
      return true;
  }
  return false;
}

// ----------------------------------------------------------------- wake-ups

// It counts as a searcher, but there is work of its own: while it ran that nobody else would be
// woken, or allowed, to search.
void worker::stand_down() noexcept {
  if (slot_.load(relaxed) == nullptr && local_.empty() && ready_.looks_empty() &&
      forks_.strands.looks_empty())
    return;
  searching_ = false;
  if (state_->idle.stop_searching() && more_to_find())
    wake_searcher();  // what it was to find is still there
}

void worker::wake(unsigned sleeper) noexcept {
  if (sleeper != idle_set::nobody) state_->workers[sleeper]->wake();
}

void worker::wake_searcher() noexcept { wake(state_->idle.take_for_search(index())); }

void worker::wake_if_wanted() noexcept {
  if (state_->idle.wants_waking()) wake_searcher();
}

// For a task that is alone there is mostly no need (leave_alone), so wake-ups that were in vain are
// followed by fewer. A task that its loop does not come to is then found by a watcher.
void worker::look_for_sleepers() noexcept {
  if (!state_->idle.wants_waking() || ready_.looks_empty()) return;
  if (ready_.lone() != run_queue<task_record*>::not_alone) {
    if (ready_.robbed()) lone_skips_ = lone_backoff_ = 0;
    if (lone_skips_ != 0) return void(--lone_skips_);
    lone_skips_ = lone_backoff_;
    lone_backoff_ = std::min(2 * lone_backoff_ + 1, most_lone_skips);
  }
  wake_searcher();
}

void worker::wake() noexcept {
  // Only the one that turns parked into notified pays for the system call.
  auto expected = sleep_state::parked;
  if (sleep_.load(seq_cst) == expected &&
      sleep_.compare_exchange_strong(expected, sleep_state::notified, seq_cst,
                                     relaxed)) {  // pairs with park(): LOOK-TWICE
    noted(happening::woke);
    driver_->wake();
  }
}

void worker::wake_to_watch() noexcept {
  noted(happening::woke);
  driver_->wake();  // it parks again at once, as a watcher
}

void worker::stands_still(bool yes) noexcept {
  sleep_.store(yes ? sleep_state::parked : sleep_state::awake, seq_cst);
}

// ------------------------------------------------------------------- watch

// A loop whose heartbeat stands for watch_every, and that is not parked, is hogged by what it runs.
// Its queued tasks are stolen as ever; here its timers are expired, its I/O collected, and the task
// in its slot taken.
//
// Each look at another loop moves its line here, so a look covers `window` of them, the next ones
// round the ring, and those that were hogged last time. With so many loops more each loop looks at
// all others every look, four times a millisecond. Of 128 it sees each every 2 ms, and the second
// sight tells: as soon as a parked watcher would, who naps for 2 ms and looks at all. However many
// others are hogged, one that is not, or a watcher, sees them all: nobody depends on a neighbour of
// his.
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
  worker& other = *state_->workers[i];
  seen& known = neighbours_[i];
  const auto beat = other.beat_.load(relaxed);
  const bool moved = beat != known.beat;
  if (moved) quiet_since_ = t;
  if (moved || other.sleep_.load(relaxed) != sleep_state::awake) known.since = t;
  known.beat = beat;
  known.hogged = t - known.since >= watch_every;
  if (!known.hogged) return false;
  bump(rescues_);
  quiet_since_ = t;
  if (task_record* stuck =
          other.slot_.exchange(nullptr, acq_rel)) {  // pairs with the owner's exchange
    bump(stolen_);
    push_back(*stuck);
  }
  other.timers_.expire(t);
  const unsigned events = other.driver_->rescue();
  if (events) bump(io_events_, std::uint64_t{events});
  return true;
}

}  // namespace heddle::detail
