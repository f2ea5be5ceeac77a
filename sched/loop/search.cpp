// SPDX-License-Identifier: MIT
// What a loop does that has no work of its own: it searches, and it sleeps. And which sleeper a
// loop with work wakes. The rules stand at the head of idle.h.
#include <heddle/core/checked.h>
#include <heddle/core/seeing/layout.h>
#include <heddle/sched/loop/group.h>
#include <heddle/sched/loop/join_block.h>
#include <heddle/sched/loop/policy.h>
#include <heddle/sched/loop/watch_bell.h>
#include <heddle/sched/loop/worker.h>

#include <algorithm>
#include <array>
#include <utility>

namespace heddle::detail {

using namespace policy;

// ------------------------------------------------------------------ policy

worker::search_result worker::search() {
  const bool single_loop = group_->workers.size() == 1;
  if (single_loop && spin_ == 0) return search_result::nothing;
  if (!single_loop && !searching_ && search_uncounted()) return search_result::found;
  if (!single_loop && !searching_) {
    if (!group_->idle.try_search()) {
      if (spin_ < 2) return search_result::refused;
      // As after a search in vain. Other loops search now, so this one looks at no other loop.
      spin_ /= 2;
      noted(happening::spun);
      for (unsigned i = 0; i < pauses_of_the_refused; ++i) cpu_relax();
      return search_result::found;
    }
    searching_ = true;
  }
  const auto n = narrow<unsigned>(group_->workers.size());
  promise_base* strand = nullptr;
  bool found = false;
  bool came_to_us = false;
  unsigned more = sole_rounds;
  for (unsigned round = 0, last = spin_; round <= last && !found; ++round) {
    steal_deferred_ = false;
    const unsigned first = random_.below(n);
    for (unsigned i = 0; i < n && !found; ++i) {
      worker& victim = *group_->workers[(first + i) % n];
      came_to_us = &victim == this;
      found = came_to_us ? drain_inboxes() : steal_from(victim, strand);
      if (!came_to_us) noted(found ? happening::stole : happening::found_nothing);
    }
    if (!found && steal_deferred_ && round == last && more != 0) --more, ++last;
    if (!found && round < last) {
      noted(happening::spun);
      for (unsigned i = 0; i < pauses_between_rounds; ++i) cpu_relax();
    }
  }
  if (!found) found = steal_what_is_private(strand);
  spin_ = found ? most_spins : spin_ / 2;  // the loop spins again only while spinning pays
  if (single_loop) return found ? search_result::found : search_result::nothing;
  searching_ = false;
  if (found && !came_to_us) {  // the searcher rules and TREE: wake the next, or two
    const auto next = group_->idle.stop_searching_and_pass_on(seen_more_, index());
    wake(next.first);
    wake(next.second);
  } else if (group_->idle.stop_searching() && found && more_to_find()) {
    wake_searcher();
  }
  if (strand) run_strand(*strand);
  return found ? search_result::found : search_result::nothing;
}

// A pass over other loops that is not counted as a search.
//   Danger    Every counted search writes searching_. If all loops steal from each other, they
//             queue for that cache line: 16 % of all time of skynet at 64 loops, 35 % at 128.
//   Remedy    Pushers read the searcher count only to decide whether to wake a sleeper. While no
//             loop sleeps there is nothing to decide, so the first pass is not counted.
//   Gap       A loop may go to sleep meanwhile. At its second look the stolen task is on its way
//             between two queues, so it sees nothing. So a thief that has found work looks for
//             sleepers again, as after a push.
bool worker::search_uncounted() {
  const auto n = narrow<unsigned>(group_->workers.size());
  const unsigned first = random_.below(n);
  for (unsigned i = 0; i < std::min(n, most_uncounted_looks); ++i) {
    if (group_->idle.parked() != 0) return false;
    worker& victim = *group_->workers[(first + i) % n];
    if (&victim == this) continue;
    promise_base* strand = nullptr;
    const bool found = victim.ready_.sole_entry() == run_queue<task_record*>::no_sole_entry &&
                       steal_from(victim, strand);
    noted(found ? happening::stole : happening::found_nothing);
    if (!found) continue;
    spin_ = most_spins;
    wake_if_wanted();
    if (strand) run_strand(*strand);
    return true;
  }
  return false;
}

namespace {

std::uint64_t steps_of(const loop_group& g) noexcept {
  std::uint64_t sum = 0;
  for (const worker* w : g.workers) sum += w->steps();
  return sum;
}

}  // namespace

bool loop_group::has_stepped_since_look() const noexcept {
  return steps_of(*this) != steps_at_look.load(relaxed);
}

bool loop_group::has_tasks() const noexcept {
  std::uint64_t ended = 0, made = foreign_created.load(relaxed);
  for (const worker* w : workers) ended += w->finished();
  for (const worker* w : workers) made += w->created();
  return made != ended;
}

void loop_group::note_look() noexcept { steps_at_look.store(steps_of(*this), relaxed); }

// How long the loop sleeps if nothing wakes it, and what it does then.
worker::sleep_plan worker::plan_sleep(time_point t) noexcept {
  auto& s = *group_;
  const bool single_loop = s.workers.size() == 1;
  sleep_plan plan{duration::max(), false, false};
  if (!single_loop) {
    const bool quiet = s.idle.all_parked() && t - quiet_since_ > watch_lingers;
    // pairs with the same of other loops: at most most_watchers get in
    if (!quiet && s.watchers.fetch_add(1, seq_cst) < most_watchers)
      plan.watches = true;
    else if (!quiet)
      s.watchers.fetch_sub(1, seq_cst);
    if (plan.watches) plan.limit = watcher_naps;
  }
  const auto first = timers_.first();
  if (first != time_point::max())
    plan.limit = std::min(plan.limit, first <= t ? duration::zero() : first - t);
  // Nothing of its own will wake this loop, and no other loop is awake. One loop looks at a time:
  // two that wake together would find each other awake.
  if (plan.limit == duration::max() && s.looks_at_rest.load(relaxed) &&
      (single_loop || s.idle.all_parked()) && s.has_stepped_since_look() && s.has_tasks() &&
      !s.look_is_arranged.exchange(true, relaxed)) {
    plan.limit = rest_after;
    plan.looks_at_rest = true;
  }
  return plan;
}

// Sleeps until there may be work. Protocol LOOK-TWICE, the sleeper's side.
// `searched`: this loop has searched, so its second look covers what could be stolen too. A loop
// that was refused as a searcher leaves that to the searchers: the last of them looks again before
// it sleeps.
//
// But a refused loop cannot always rely on the searchers. The count that refused it may have been
// raised by a sender, which found no sleeper and lowers the count without a look (take_for_search).
// If the count still stands at the second look, that sender will see this loop asleep. If it does
// not, this loop looks at the other loops itself.
void worker::park(bool searched) {
  auto& s = *group_;
  const bool single_loop = s.workers.size() == 1;
  if (!single_loop && anything_for_us(searched))
    return;  // else it would announce and take back at once
  // The announcement of LOOK-TWICE: pairs with wake().
  sleep_.store(sleep_state::parked, seq_cst);
  if (!single_loop) s.idle.park(index());
  // The second look: see above.
  if (!anything_for_us(searched || (!single_loop && !s.idle.anybody_searches()))) {
    auto t = now();
    const auto [limit, watches, looks_at_rest] = plan_sleep(t);
    measure_parking(t);
    count_parked();
    const unsigned events = poll(limit);
    const auto parked_at = std::exchange(t, now());
    woke_at_.store(t.time_since_epoch().count(), relaxed);
    tells_time(t);
    record_sleep(t - parked_at, t, events);
    if (watches) s.watchers.fetch_sub(1, seq_cst);
    const bool was_woken = say_awake();
    if (was_woken) bump(woken_);
    // The sleep was so short that a spin would have caught what another thread sent. So this loop
    // spins the next time. I/O does not count, since a spin does not look at the reactor.
    if (was_woken && events == 0 && t - parked_at < spin_would_do) spin_ = most_spins;
    if (!single_loop) {
      searching_ = s.idle.unpark(index());
      const bool work_came = events != 0 || was_woken || timers_.first() <= t;
      if (work_came) quiet_since_ = t;
      // This loop goes to work, and no watcher would see it hogged. So it makes a sleeper one. That
      // is needed only after a quiet time, since watchers linger.
      if (work_came && s.watchers.load(relaxed) == 0 && s.idle.parked() != 0)
        if (const unsigned other = s.idle.any(); other != idle_set::nobody)
          s.workers[other]->wake_to_watch();
      if (watches && !was_woken) watch_others(t, ~0u);  // all loops: it has nothing else to do
    }
    expire_timers(t);
    if (--looks_left_ == 0) [[unlikely]]
      measure_awakening(t);
    if (looks_at_rest) {
      s.look_is_arranged.store(false, relaxed);
      if (!was_woken && events == 0) s.came_to_rest();
    }
    return;
  }
  (void)say_awake();  // what was notified just now is found by the next step
  if (!single_loop) searching_ = s.idle.unpark(index());
}

/// True: a waker has notified this loop.
bool worker::say_awake() noexcept {
  // pairs with wake(), and with the watch: WATCH-BELL
  const bool was_woken = sleep_.exchange(sleep_state::awake, seq_cst) == sleep_state::notified;
  ring_watch_bell();
  return was_woken;
}

// ------------------------------------------------------------------- search

void worker::count_stolen(const worker& victim, std::uint64_t count) noexcept {
  bump(stolen_, count);
  probes::stole(index(), victim.index(), count);
  trace_.note(trace_event::stole, seeing::count_and_time(victim.index(), count));
}

bool worker::steal_from(worker& victim, promise_base*& strand) {
  deque<promise_base*>::thief thief(victim.forks_.strands);
  auto got = thief.steal(strand);
  if (got == steal_result::lost) got = thief.steal(strand);
  if (got == steal_result::got) {
    count_stolen(victim, 1);
    seen_more_ = thief.size();
    return true;
  }
  strand = nullptr;
  task_record* first = nullptr;
  const auto before = ready_.size();
  auto half = defer_steal(victim) ? steal_result::empty : victim.ready_.steal_half(ready_, first);
  if (half == steal_result::lost) half = victim.ready_.steal_half(ready_, first);
  if (half == steal_result::got) {
    count_stolen(victim, 1 + ready_.size() - before);
    seen_more_ = (ready_.size() + victim.ready_.size()) / tasks_for_one;
    push_back(*first);
    return true;
  }
  seen_more_ = 0;
  if (task_record* t = victim.movable_.pop()) {
    count_stolen(victim, 1);
    push_back(*t);
    return true;
  }
  return false;
}

// The last resort of a search, since expose() interrupts all processors of the process. A loop that
// forks publishes its strands by itself, sooner than a thief comes here. So a loop that still has
// private strands now is in a long computation.
bool worker::steal_what_is_private(promise_base*& strand) noexcept {
  for (worker* w : group_->workers) {
    deque<promise_base*>::thief thief(w->forks_.strands);
    if (w == this || !thief.looks_private() || !thief.expose()) continue;
    if (thief.steal(strand) == steal_result::got) {
      count_stolen(*w, 1);
      seen_more_ = thief.size();
      return true;
    }
    strand = nullptr;
  }
  return false;
}

bool worker::anything_for_us(bool elsewhere) noexcept {
  auto& s = *group_;
  // pairs with the end of the runtime: LOOK-TWICE
  if (s.loops_end.load(seq_cst)) return true;
  if (!pinned_.looks_empty() || !movable_.empty() || !s.injection.empty() ||
      timers_.first() <= now())
    return true;
  return elsewhere && others_have_work();
}

// True: this thief shall not steal from the victim's run queue yet.
//   Danger    A task that is the only one in its run queue is mostly awaited by its creator in the
//             next moment. It then runs within that await. If a thief takes it first, the creator
//             has to suspend and to be woken.
//   Remedy    At the first sight of such a task the thief leaves it. It takes the task if the same
//             one is still there at the next look, a microsecond later.
//   Cost      A task whose loop is hogged starts one look later.
bool worker::defer_steal(const worker& victim) noexcept {
  auto& known = neighbours_[victim.index()];
  const auto sole = victim.ready_.sole_entry();
  const bool fresh = sole != run_queue<task_record*>::no_sole_entry && sole != known.sole;
  known.sole = sole;
  steal_deferred_ |= fresh;
  return fresh;
}

bool worker::is_fresh(const worker& other) const noexcept {
  const auto sole = other.ready_.sole_entry();
  return sole != run_queue<task_record*>::no_sole_entry && sole != neighbours_[other.index()].sole;
}

// The last searcher asks this after it has stopped counting, when it goes on with work that was
// sent to it. One such task, mostly the answer of a thread or a peer, is no reason to wake a loop.
// The looks are seq_cst and come after the count was lowered. So they see every push that woke no
// loop because this one was searching.
bool worker::more_to_find() noexcept {
  return local_.size() + ready_.size() + forks_.strands.size() > 1 || !movable_.empty() ||
         !group_->injection.empty() || others_have_work();
}

bool worker::others_have_work() noexcept {
  for (worker* w : group_->workers) {
    if (w == this) continue;
    if ((!w->ready_.looks_empty_again() && !is_fresh(*w)) ||
        !deque<promise_base*>::thief(w->forks_.strands).looks_empty() || !w->movable_.empty())
      return true;
  }
  return false;
}

// ----------------------------------------------------------------- wake-ups

// This loop counts as a searcher, but it has work of its own. A searcher suppresses wake-ups and
// takes a place among the searchers. So it must stop counting before it runs a task.
void worker::stand_down() noexcept {
  if (next_slot_.load(relaxed) == nullptr && local_.empty() && ready_.looks_empty() &&
      forks_.strands.looks_empty())
    return;
  searching_ = false;
  if (group_->idle.stop_searching() && more_to_find())
    wake_searcher();  // another loop searches for what this one was to find
}

void worker::wake(unsigned sleeper) noexcept {
  if (sleeper != idle_set::nobody) group_->workers[sleeper]->wake();
}

void worker::wake_searcher() noexcept { wake(group_->idle.take_for_search(index())); }

void worker::wake_if_wanted() noexcept {
  if (group_->idle.wants_waking()) wake_searcher();
}

// After a push. A sole task in the run queue mostly needs no thief (defer_steal). So each wake-up
// for one that no thief took doubles the number of such pushes that wake nobody. A theft resets
// that number. If the loop does not come to its sole task, a watcher finds the task.
void worker::look_for_sleepers() noexcept {
  if (!group_->idle.wants_waking() || ready_.looks_empty()) return;
  if (ready_.sole_entry() != run_queue<task_record*>::no_sole_entry) {
    if (ready_.robbed()) sole_skips_ = sole_backoff_ = 0;
    if (sole_skips_ != 0) return void(--sole_skips_);
    sole_skips_ = sole_backoff_;
    sole_backoff_ = std::min(2 * sole_backoff_ + 1, most_sole_skips);
  }
  wake_searcher();
}

void worker::wake() noexcept {
  // Of several wakers only the one that turns parked into notified pays for the system call.
  auto expected = sleep_state::parked;
  // pairs with park(): LOOK-TWICE
  if (sleep_.load(seq_cst) == expected &&
      sleep_.compare_exchange_strong(expected, sleep_state::notified, seq_cst, relaxed)) {
    noted(happening::woke);
    ring_note(trace_event::woke_loop, index());
    driver_->wake();
  }
}

void worker::wake_to_watch() noexcept {
  noted(happening::woke);
  driver_->wake();  // the loop parks again at once, as a watcher
}

void worker::stands_still(bool yes) noexcept {
  // pairs with wake() and rescue_if_hogged()
  sleep_.store(yes ? sleep_state::parked : sleep_state::awake, seq_cst);
  if (!yes) ring_watch_bell();
}

}  // namespace heddle::detail

// The classes have virtual functions, so offsetof is "conditionally supported": by both compilers.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

/// What a reader from outside looks at in a runtime and its loops.
template <>
struct layout_of<worker> {
  static constexpr std::uint32_t pointer = sizeof(void*);
  using queue = run_queue<task_record*>;
  using ring = queue::ring;
  using locals = local_queue<std::uintptr_t>;
  static constexpr seeing::field_row rows[] = {
      {"group.serial", offsetof(loop_group, serial), 8},
      {"group.id", offsetof(loop_group, id), 2},
      {"group.workers", offsetof(loop_group, workers), sizeof(std::vector<worker*>)},
      {"group.next", offsetof(loop_group, next_living), pointer},
      {"worker", 0, sizeof(worker)},
      {"worker.group", offsetof(worker, group_), pointer},
      {"worker.driver", offsetof(worker, driver_), pointer},
      {"worker.ready_head", offsetof(worker, ready_) + offsetof(queue, head_), 8},
      {"worker.ready_tail", offsetof(worker, ready_) + offsetof(queue, tail_), 8},
      {"worker.ready_ring", offsetof(worker, ready_) + offsetof(queue, ring_), pointer},
      {"ring.mask", offsetof(ring, mask), 8},
      {"ring.cells", offsetof(ring, cells), pointer},
      {"worker.local_cells", offsetof(worker, local_) + offsetof(locals, cells_), pointer},
      {"worker.local_room", offsetof(worker, local_) + offsetof(locals, capacity_), 8},
      {"worker.local_head", offsetof(worker, local_) + offsetof(locals, head_), 8},
      {"worker.local_tail", offsetof(worker, local_) + offsetof(locals, tail_), 8},
      {"worker.next_slot", offsetof(worker, next_slot_), pointer},
      {"worker.pinned", offsetof(worker, pinned_) + offsetof(inbox, head_), 8},
      {"worker.movable_count", offsetof(worker, movable_) + offsetof(shared_queue, count_), 8},
      {"worker.sleep", offsetof(worker, sleep_), 4},
      {"worker.beat", offsetof(worker, beat_), 8},
      {"worker.stolen", offsetof(worker, stolen_), 8},
      {"worker.polls", offsetof(worker, polls_), 8},
      {"worker.io_events", offsetof(worker, io_events_), 8},
      {"worker.rescues", offsetof(worker, rescues_), 8},
      {"worker.busy", offsetof(worker, busy_ns_), 8},
      {"worker.woke_at", offsetof(worker, woke_at_), 8},
      {"worker.measures", offsetof(worker, measures_), pointer},
      {"measures.lag", offsetof(loop_measures, lag) + offsetof(histogram_cells, counts_),
       sizeof(histogram_cells::counts_)},
      {"worker.timers", offsetof(worker, timers_), sizeof(timers)},
      {"worker.timers_size", offsetof(worker, timers_) + offsetof(timers, size_), 8},
      {"worker.thread_state", offsetof(worker, thread_state_), pointer},
      {"worker.thread_number", offsetof(worker, thread_number_), 4},
      {"timers.heap", offsetof(timers, heap_), sizeof(std::vector<timers::entry>)},
      {"timer_entry.deadline", offsetof(timers::entry, deadline), 8},
      {"timer_entry.node", offsetof(timers::entry, node), pointer},
      {"timer_entry", 0, sizeof(timers::entry)},
      {"timer_node.timers", offsetof(timer_node, armed_in), pointer},
      {"timer_node.place", offsetof(timer_node, place), 4},
      {"thread_state.current", offsetof(thread_role, current), pointer},
      {"join_block.parent", offsetof(join_block, parent), pointer},
      {"join_block.count", offsetof(join_block, count), 4},
  };
};

namespace {
HEDDLE_ROW("heddle_fields") constexpr auto search_fields = std::to_array(layout_of<worker>::rows);
}  // namespace

}  // namespace heddle::detail
