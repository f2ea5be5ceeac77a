// SPDX-License-Identifier: MIT
#include <heddle/sched/worker.h>

#include <heddle/core/thread_state.h>
#include <heddle/sched/join_block.h>
#include <heddle/sched/runtime_state.h>
#include <heddle/sched/spawn.h>

#include <pthread.h>
#include <signal.h>

#include <string>

namespace heddle::detail {
namespace {

constexpr std::uint64_t fair_every = 61;  // steps between looks at inboxes, timers and the reactor
constexpr duration poll_every = std::chrono::microseconds(50);
constexpr duration watch_every = std::chrono::milliseconds(1);
constexpr duration watch_hogged_every = std::chrono::microseconds(250);
constexpr duration watcher_naps = std::chrono::milliseconds(2);
constexpr duration watch_lingers = std::chrono::milliseconds(20);
constexpr unsigned most_watchers =
    2;  // parked loops that nap; two, so that one may leave without waking another
constexpr std::size_t queue_turn = 256;  // steps from the queues between two turns of forks
constexpr unsigned slot_cap = 16;        // how often in a row the slot may jump the queue
constexpr unsigned most_spins =
    12;  // rounds of searching before parking, when that has paid lately: some 15 us
constexpr duration spin_would_do = std::chrono::microseconds(30);
constexpr unsigned lone_looks = 3;          // rounds more for what was left to its owner
constexpr unsigned most_lone_skips = 1023;  // lone pushes that wake nobody, when that was in vain

void report_slow(runtime_state& s, const any_task& task, const callback_handle& callback,
                 const std::string& what, duration took) noexcept {
  try {
    error_context context;
    if (task.valid()) {
      context.task = task.get_name();
      context.made = task.record()->made();
    }
    context.origin = task;
    context.callback = callback;
    context.took = took;
    context.message =
        "slow: " + what + " took " +
        std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(took).count() / 1e6) +
        " s, and nothing else ran on its loop meanwhile";
    s.report(context);
  } catch (const std::bad_alloc&) {}  // a warning less
}

}  // namespace

worker::worker(runtime& facade, runtime_state& state, unsigned index, owned<driver> d,
               std::uint64_t seed)
    : loop(facade, index),
      state_(&state),
      random_(seed),
      driver_(std::move(d)),
      movable_(state.simulated) {}

worker::~worker() = default;

worker* this_worker() noexcept {
  return static_cast<worker*>(static_cast<loop*>(this_thread().loop));
}

void worker::start() {
  neighbours_.resize(state_->workers.size());
  alone_ = state_->workers.size() == 1;
  forks_.strands.share(alone_                                         ? sharing::never
                       : state_->simulated || heavy_fence_available() ? sharing::half
                                                                      : sharing::all);
  static const atomic<std::uint32_t> nobody_is_hungry{0};
  forks_.hungry = alone_ ? &nobody_is_hungry : &state_->idle.parked_hint();
  if (auto* s = state_->simulated) {
    virtual_thread_ = s->start("loop " + std::to_string(index()), [this] { main(); });
    return;
  }
  // Signals for the process go to its own threads, never to a loop: a handler would run inside a task.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { main(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), ("heddle-" + std::to_string(index())).c_str());
}

void worker::join() {
  if (auto* s = state_->simulated) return s->join(virtual_thread_);
  if (thread_.joinable()) thread_.join();
}

void worker::main() {
  auto& self = this_thread();
  self.loop = static_cast<loop*>(this);
  self.forks = &forks_;
  self.forced_yields = state_->workers.size() > 1;
  self.runtime = state_->id;
  woke_at_.store(now().time_since_epoch().count(), relaxed);
  if (auto* s = state_->simulated)
    take_turns([s] { s->point(); });
  else
    take_turns([] {});
  self.loop = nullptr;
  self.forks = nullptr;
  self.runtime = 0;
}

// `overtaken`: between these, other loops may do anything (and simulated ones get their chance to).
template <class Overtaken>
void worker::take_turns(Overtaken overtaken) {
  for (;;) {
    if (searching_) stand_down();
    overtaken();
    if (run_next()) continue;
    overtaken();
    // It counts as a searcher from here on: what is sent to it now it finds itself, and nobody else is woken for it.
    if (state_->workers.size() != 1 && !searching_) searching_ = state_->idle.try_search();
    housekeep(true);
    if (searching_) stand_down();
    overtaken();
    if (run_next()) continue;
    const auto looked = search();
    overtaken();
    if (looked == search_result::found) continue;
    if (state_->loops_end.load(acquire)) break;  // pairs with ~runtime_state
    park(looked == search_result::nothing);
  }
}

// ------------------------------------------------------------------ policy

// This order is the policy; nothing else decides it.
bool worker::run_next() {
  if (++tick_ % fair_every == 0 || forks_.turn_over)
    housekeep(false);                          // outsiders, timers and I/O never starve
  const bool queues_first = queue_turn_ != 0;  // nor does what is ready, while forks storm
  if (queues_first) --queue_turn_;

  if (slot_.load(relaxed) != nullptr) {                       // just woken by us, still warm
    if (task_record* t = slot_.exchange(nullptr, acq_rel)) {  // pairs with a rescuer's exchange
      if (++slot_streak_ <= slot_cap) return run_task(*t), true;
      slot_streak_ = 0;
      ready_.push(t);
    }
  } else {
    slot_streak_ = 0;
  }

  forks_first_ = !forks_first_;  // depth first, but what waits in the queues gets every other turn
  if (forks_first_ && !queues_first)
    if (promise_base* s = forks_.strands.pop()) return run_strand(*s), true;

  if (tick_ & 1) {  // pinned and movable take turns
    if (const auto item = local_.pop()) return run_work(work::from(item)), true;
    if (task_record* t = ready_.pop()) return run_task(*t), true;
  } else {
    if (task_record* t = ready_.pop()) return run_task(*t), true;
    if (const auto item = local_.pop()) return run_work(work::from(item)), true;
  }
  if (promise_base* s = forks_.strands.pop()) return run_strand(*s), true;
  return false;
}

void worker::housekeep(bool idle) {
  const bool forks_paused = forks_.turn_over;
  forks_.turn_over = false;
  local_size_.store(local_.size(), relaxed);
  const bool got = drain_inboxes();
  const auto t = now();
  timers_.expire(t);
  if ((idle && !got) || t - last_poll_ >= poll_every) (void)poll(duration::zero());
  if (forks_paused) {
    // One pass over what is ready, and then the forks go on. One task a turn is not enough: 64 ready ones waited for 64 turns, 3 ms.
    time_turn_ = true;
    if (queue_turn_ == 0) queue_turn_ = std::min(local_.size() + ready_.size(), queue_turn);
  }
  if (state_->workers.size() > 1 && t - last_watch_ >= watch_hogged_every) rescue_hogged(t);
}

worker::search_result worker::search() {
  const bool alone = state_->workers.size() == 1;
  if (alone && spin_ == 0) return search_result::nothing;
  if (!alone && !searching_) {
    if (!state_->idle.try_search()) {
      if (spin_ < 2) return search_result::refused;
      spin_ /= 2;  // as after a search in vain: others search now, and we look at nothing of theirs
      noted(happening::spun);
      for (int i = 0; i < 64; ++i) cpu_relax();
      return search_result::found;
    }
    searching_ = true;
  }
  const auto n = static_cast<unsigned>(state_->workers.size());
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
      for (int i = 0; i < 16; ++i) cpu_relax();
    }
  }
  if (!found) found = steal_what_is_private(strand);
  spin_ = found ? most_spins : spin_ / 2;  // spin again only while that pays
  if (alone) return found ? search_result::found : search_result::nothing;
  searching_ = false;
  if (found && !came_to_us)
    wake(state_->idle.stop_searching_and_pass_on());  // one that finds work wakes the next
  else if (state_->idle.stop_searching() && found && more_to_find())
    wake_searcher();
  if (strand) run_strand(*strand);
  return found ? search_result::found : search_result::nothing;
}

// `searched`: nobody else does it for us, so the second look covers what could be stolen too. Who was refused leaves that to the searchers: the
// last of them looks again before it sleeps.
void worker::park(bool searched) {
  auto& s = *state_;
  const bool alone = s.workers.size() == 1;
  if (!alone && anything_for_us(searched)) return;  // the announcement would be taken back at once
  sleep_.store(sleep_state::parked, seq_cst);       // LOOK-TWICE: announced ...
  if (!alone) s.idle.park(index());
  if (!anything_for_us(searched)) {  // ... then looked again
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
    // What another thread sent would have come within a spin: next time. Not so for I/O, which a spin does not see.
    if (was_woken && events == 0 && t - parked_at < spin_would_do) spin_ = most_spins;
    if (!alone) {
      searching_ = s.idle.unpark(index());
      const bool work_came = events != 0 || was_woken || timers_.first() <= t;
      if (work_came) quiet_since_ = t;
      // Nobody watches us while we run: arm it. Only after a quiet time; watchers linger.
      if (work_came && s.watchers.load(relaxed) == 0 && s.idle.parked() != 0)
        if (const unsigned other = s.idle.take_any(index()); other != idle_set::nobody)
          s.workers[other]->wake_to_watch();
      rescue_hogged(t);
    }
    timers_.expire(t);
    return;
  }
  sleep_.store(sleep_state::awake, seq_cst);
  if (!alone) searching_ = s.idle.unpark(index());
}

// --------------------------------------------------------------- mechanism

void worker::run_work(work item) {
  if (item.is_task())
    run_task(item.as_task());
  else
    run_callback(item.as_callback());
}

void worker::run_task(task_record& t) {
  bump(beat_);
  bump(run_);
  auto& self = this_thread();
  self.current = &t;
  self.step_started = 0;
  t.at_home(static_cast<loop*>(this));
  if (this_world()) [[unlikely]]
    state_->simulated->note("runs", &t);
  if (t.is_unstarted() && (t.state().peek() & word::must)) [[unlikely]] {
    end_unstarted(t);
    self.current = nullptr;
    return;
  }
  resume(t);
  self.current = nullptr;  // `t` may be gone, or run elsewhere
}

// If `child` is all that is ready here, it would run next, after a suspension that nobody else sees. So it takes its step now, on the stack of
// the one who awaits it; and if it ends in that step, nobody had to wait: no link, no claim, no way through the queue.
//   order   that of the loop. With one loop, or for a pinned task, what was queued meanwhile comes before `waiting` goes on, as in asyncio.
//   bounds  one deep, and never below code that has not ended its own step (who creates an eager task); and every so often it goes
//           through the loop, which serves timers and I/O.
//   cancel  of `waiting` during the step finds it active: `must`, which goes to `child` if it is then waited for, or else is thrown at
//           the resume.
awaited_now worker::run_awaited(task_record& waiting, task_record& child) noexcept {
  auto& self = this_thread();
  if (inside_await_ || self.current != &waiting || watched_.load(relaxed) || forks_.turn_over ||
      !forks_.strands.looks_empty() || (tick_ + 1) % fair_every == 0 ||
      (waiting.state().peek() & (word::must | word::interrupted)) != 0)
    return awaited_now::elsewhere;
  const bool taken =
      alone_ ? local_.take_if_alone(work(child).bits())
             : slot_.load(relaxed) == nullptr && local_.empty() && ready_.take_if_alone(&child);
  if (!taken) return awaited_now::elsewhere;
  ++tick_;
  inside_await_ = true;
  run_task(child);
  inside_await_ = false;
  self.current = &waiting;
  if (!child.done()) return awaited_now::elsewhere;
  // What `child` woke last stands in the slot. `waiting` goes on in its place, and others may take it.
  if (slot_.load(relaxed) != nullptr) {
    if (task_record* woken = slot_.exchange(nullptr, acq_rel)) {  // pairs with a rescuer's exchange
      ready_.push(woken);
      look_for_sleepers();
    }
  }
  return (alone_ || waiting.is_pinned()) && !local_.empty() ? awaited_now::ended_in_turn
                                                            : awaited_now::ended;
}

void worker::run_first_step(task_record& t) {
  auto& self = this_thread();
  auto* creator = std::exchange(self.current, &t);
  const bool inside = std::exchange(inside_await_, true);  // what it awaits comes after its creator
  {
    context_scope its_own(nullptr);
    if (t.state().peek() & word::must) [[unlikely]]  // by the group that it was made in
      end_unstarted(t);
    else
      std::coroutine_handle<>::from_address(t.frame()).resume();
  }
  inside_await_ = inside;
  self.current = creator;
}

void worker::resume(task_record& t) {
  if (watched_.load(relaxed)) [[unlikely]]
    return resume_watched(t);
  std::coroutine_handle<>::from_address(t.frame()).resume();
}

void worker::resume_watched(task_record& t) {
  auto& root = t.root();
  root.ref();
  const any_task task(&root);  // keeps it for the report
  const auto began = now();
  std::coroutine_handle<>::from_address(t.frame()).resume();
  const auto took = now() - began;
  if (took > state_->opts.slow_callback) report_slow(*state_, task, {}, "a step of a task", took);
}

void worker::run_watched(callback& c) {
  c.ref();
  const callback_handle handle(&c);
  const auto name = type_name(c.function_type());
  const auto began = now();
  c.run();
  const auto took = now() - began;
  if (took > state_->opts.slow_callback)
    report_slow(*state_, {}, handle, "the callback " + name, took);
}

void worker::stands_still(bool yes) noexcept {
  sleep_.store(yes ? sleep_state::parked : sleep_state::awake, seq_cst);
}

void worker::run_strand(promise_base& strand) {
  bump(beat_);
  bump(run_);
  auto& self = this_thread();
  self.step_started = 0;
  if (this_world()) [[unlikely]]
    state_->simulated->note("runs a strand of", &strand.enclosing().root());
  const bool timed = std::exchange(time_turn_, false);
  const auto began = timed ? now() : time_point{};
  join_block::start_counted(strand).resume();
  self.current = nullptr;
  if (timed && forks_.turn_over) forks_.adapt(now() - began);
}

void worker::run_callback(callback& c) {
  bump(beat_);
  bump(run_);
  this_thread().step_started = 0;
  if (this_world()) [[unlikely]]
    state_->simulated->note("runs a callback", nullptr);
  context_slot own(std::move(c.context));
  context_scope inside(&own);  // also for the exception handler
  try {
    if (watched_.load(relaxed)) [[unlikely]]
      run_watched(c);
    else
      c.run();
  } catch (const fatal_error&) { state_->fatal(std::current_exception()); } catch (...) {
    c.ref();
    error_context what;
    what.message = "exception in a callback";
    what.error = std::current_exception();
    what.callback = callback_handle(&c);
    state_->report(what);
  }
  c.unref();
}

unsigned worker::poll(duration limit) {
  last_poll_ = now();
  bump(polls_);
  const unsigned events = driver_->poll(limit);
  if (events) bump(io_events_, std::uint64_t{events});
  return events;
}

bool worker::drain_inboxes() {
  bool any = false;
  for (work item = pinned_.take(); item;) {
    const auto next = item.next();
    local_.push(item.bits());
    item = next;
    any = true;
  }
  // A bounded number at a time: what waits behind can be taken by others.
  for (int i = 0; i < 64; ++i) {
    task_record* t = movable_.pop();
    if (!t) break;
    push_back(*t);
    any = true;
  }
  for (int i = 0; i < 16; ++i) {
    task_record* t = state_->injection.pop();
    if (!t) break;
    push_back(*t);
    any = true;
  }
  if (any) look_for_sleepers();
  return any;
}

bool worker::steal_from(worker& victim, promise_base*& strand) {
  deque<promise_base*>::thief thief(victim.forks_.strands);
  auto got = thief.steal(strand);
  if (got == steal_result::lost) got = thief.steal(strand);
  if (got == steal_result::got) {
    bump(stolen_);
    return true;
  }
  strand = nullptr;
  task_record* first = nullptr;
  const auto before = ready_.size();
  auto half = leave_alone(victim) ? steal_result::empty : victim.ready_.steal_half(ready_, first);
  if (half == steal_result::lost) half = victim.ready_.steal_half(ready_, first);
  if (half == steal_result::got) {
    bump(stolen_, std::uint64_t{1 + ready_.size() - before});
    push_back(*first);
    return true;
  }
  if (task_record* t = victim.movable_.pop()) {
    bump(stolen_);
    push_back(*t);
    return true;
  }
  return false;
}

// A loop that forks publishes by itself, sooner than we get here. Who has something private to this moment computes for long.
bool worker::steal_what_is_private(promise_base*& strand) noexcept {
  for (auto& w : state_->workers) {
    deque<promise_base*>::thief thief(w->forks_.strands);
    if (w.get() == this || !thief.looks_private() || !thief.expose()) continue;
    if (thief.steal(strand) == steal_result::got) {
      bump(stolen_);
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

// A task that is alone in its queue is most often run by its loop a moment later: who created it is about to await it. So a thief leaves it
// there at the first look, and takes it if it still stands there at the next one, a microsecond later.
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

// Asked by the last searcher, when it goes on with what came to it. If that is one task, as a rule the answer of a thread or of a peer, nobody
// need be woken for it. The looks are seq_cst and come after the count: who pushed before, and woke nobody since we searched, is seen.
bool worker::more_to_find() noexcept {
  return local_.size() + ready_.size() + forks_.strands.size() > 1 || !movable_.empty() ||
         !state_->injection.empty() || others_have_work();
}

bool worker::others_have_work() noexcept {
  for (auto& w : state_->workers) {
    if (w.get() == this) continue;
    if ((!w->ready_.looks_empty_again() && !is_fresh(*w)) ||
        !deque<promise_base*>::thief(w->forks_.strands).looks_empty() || !w->movable_.empty())
      return true;
  }
  return false;
}

// A loop whose heartbeat has not moved since the last look, and that is not parked, is hogged by what it runs. Its queued tasks are stolen as
// ever; here its timers are expired, its I/O collected, and the task in its slot taken.
void worker::rescue_hogged(time_point t) {
  auto& s = *state_;
  const bool full_look = t - last_watch_ >= watch_every;
  last_watch_ = t;
  for (unsigned i = 0; i < s.workers.size(); ++i) {
    if (i == index()) continue;
    worker& other = *s.workers[i];
    seen& known = neighbours_[i];
    const auto beat = other.beat_.load(relaxed);
    if (beat != known.beat || other.sleep_.load(relaxed) != sleep_state::awake) {
      if (beat != known.beat) quiet_since_ = t;
      known.beat = beat;
      known.hogged = false;
      continue;
    }
    if (full_look) known.hogged = true;
    if (!known.hogged) continue;
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
  }
}

// It counts as a searcher, but there is work of its own: while it ran that nobody else would be woken, or allowed, to search.
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

void worker::wake_searcher(bool must) noexcept { wake(state_->idle.take_for_search(must)); }

// For a task that is alone there is mostly no need (leave_alone), so wake-ups that were in vain are followed by fewer. A task that its loop does
// not come to is then found by a watcher.
void worker::look_for_sleepers() noexcept {
  if (!state_->idle.wants_waking() || ready_.looks_empty()) return;
  if (ready_.lone() != run_queue<task_record*>::not_alone) {
    if (ready_.robbed()) lone_skips_ = lone_backoff_ = 0;
    if (lone_skips_ != 0) return void(--lone_skips_);
    lone_skips_ = lone_backoff_;
    lone_backoff_ = std::min(2 * lone_backoff_ + 1, most_lone_skips);
  }
  wake_searcher(false);
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

void worker::push_back(task_record& t) noexcept {
  if (t.is_pinned() || alone_)
    local_.push(work(t).bits());
  else
    ready_.push(&t);
}

void worker::schedule(task_record& t) noexcept {
  worker* here = this_worker();
  if (here && here->state_ == state_) [[likely]] {
    if (t.is_pinned()) {
      if (here == this)
        local_.push(work(t).bits());
      else
        send_pinned(t);
      return;
    }
    if (here->alone_) {
      here->local_.push(work(t).bits());
      return;
    }
    if (this_thread()
            .current) {  // woken by a task that runs: it is next, what it displaces goes to the queue
      task_record* displaced =
          here->slot_.exchange(&t, acq_rel);  // pairs with a rescuer's exchange
      if (!displaced) return;
      here->ready_.push(displaced);
    } else {
      here->ready_.push(&t);
    }
    here->look_for_sleepers();
    return;
  }
  runtime_state::guest inside(*state_);
  if (t.is_pinned())
    send_pinned(t);
  else
    send_movable(t);
}

void worker::send_pinned(task_record& t) noexcept {
  pinned_.push(work(t));
  wake();
}

void worker::send_movable(task_record& t) noexcept {
  movable_.push(t);
  if (sleep_.load(seq_cst) == sleep_state::parked)
    wake();
  else
    wake_searcher();  // we may be busy: somebody else takes it
}

void worker::deliver(work item) noexcept {
  if (this_worker() == this) {
    local_.push(item.bits());
    return;
  }
  runtime_state::guest inside(*state_);
  pinned_.push(item);
  wake();
}

void worker::check_open(const char* what) const {
  if ((this_worker() == this && sealed_) ||
      state_->loops_end.load(acquire))  // pairs with ~runtime_state
    throw_usage(std::string(what) + " on a closed runtime");
}

void worker::drop_leftovers() noexcept {
  timers_.expire(
      time_point::max());  // the callbacks that waited for their time come into the inbox
  for (work item = pinned_.take(); item;) {
    const auto next = item.next();
    HEDDLE_ASSERT(!item.is_task(),
                  (describe_task(item.as_task()) + ", outlived its runtime").c_str());
    item.as_callback().drop();
    item = next;
  }
}

void worker::ended(task_record& t) noexcept {
  bump(this_worker()->finished_);
  if (t.is_in_round() && t.leave_round()) state_->round_ended();
  if (t.is_foreign()) state_->ended_from_outside();
}

loop_stats worker::stats() const noexcept {
  loop_stats s;
  s.id = index();
  s.run = run_.load(relaxed);
  s.stolen = stolen_.load(relaxed);
  s.parked = parked_.load(relaxed);
  s.woken = woken_.load(relaxed);
  s.polls = polls_.load(relaxed);
  s.io_events = io_events_.load(relaxed);
  s.rescues = rescues_.load(relaxed);
  s.created = created();
  s.finished = finished();
  s.busy_ns = busy_ns_.load(relaxed);
  if (const auto since = woke_at_.load(relaxed))
    s.busy_ns += static_cast<std::uint64_t>(now().time_since_epoch().count() - since);
  s.queue = ready_.size() + local_size_.load(relaxed) + (slot_.load(relaxed) ? 1 : 0);
  s.forks = forks_.strands.size();
  s.inbox = movable_.size() + (pinned_.looks_empty() ? 0 : 1);
  s.timers = timers_.size();
  return s;
}

}  // namespace heddle::detail
