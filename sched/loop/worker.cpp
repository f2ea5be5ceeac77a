// SPDX-License-Identifier: MIT
#include <heddle/sched/loop/worker.h>

#include <heddle/core/base/thread_state.h>
#include <heddle/sched/loop/join_block.h>
#include <heddle/sched/loop/policy.h>
#include <heddle/sched/loop/task_end.h>
#include <heddle/sched/loop/watch_bell.h>

#include <pthread.h>
#include <unistd.h>

#include <mutex>
#include <string>

namespace heddle::detail {

using namespace policy;

namespace {

[[noreturn]] HEDDLE_COLD void throw_closed(const char* what) {
  throw_usage(std::string(what) + " on a closed runtime");
}

// True: resume the task. False: its step is over already. A task that was cancelled before its
// first step ends here. A task whose wait looks first (task_record::looks_first) may wait again.
bool goes_on(task_record& t) noexcept {
  if (!t.is_unstarted()) return t.wait()->look_again();
  if ((t.state().peek() & word::must) == 0) [[likely]]
    return true;
  worker_of(self_of_thread)->count_end(outcome::cancelled);
  end_unstarted(t);
  return false;
}

}  // namespace

worker::worker(runtime& facade, loop_group& group, unsigned index, owned<driver> d,
               std::uint64_t seed)
    : loop(facade, index),
      group_(&group),
      random_(seed),
      driver_(std::move(d)),
      movable_(group.simulated) {
  if (group.simulated) return;  // its time is virtual
  measures_.reset(new loop_measures());
  timers_.measure_into(measures_->lag);
}

worker::~worker() = default;

// Tries each item once. An item that finds no room again goes back to the end of the list.
void worker::take_what_was_short() noexcept {
  for (std::size_t n = short_.size(); n != 0; --n) {
    const work item = short_.pop();
    if (single_loop_ || !item.is_task() || item.as_task().is_pinned())
      push_local(item);
    else
      push_ready(item.as_task());
  }
}

worker* this_worker() noexcept { return worker_of(self_of_thread); }

void worker::start() {
  neighbours_.resize(group_->workers.size());
  for (auto& known : neighbours_) known.since = now();
  hogged_.reserve(neighbours_.size());
  watch_next_ = index();
  local_.reserve();  // so the loop has some room, however short memory is later
  single_loop_ = group_->workers.size() == 1;
  forks_.strands.share(single_loop_                                   ? sharing::never
                       : group_->simulated || heavy_fence_available() ? sharing::half
                                                                      : sharing::all);
  static const atomic<std::uint32_t> nobody_is_hungry{0};
  forks_.hungry = single_loop_ ? &nobody_is_hungry : &group_->idle.wanted();
  forks_.owner = this;
  forks_.wake_thief = [](worker& w) noexcept { w.wake_if_wanted(); };
  if (auto* s = group_->simulated) {
    virtual_thread_ = s->start("loop " + std::to_string(index()), [this] { main(); });
    return;
  }
  thread_ = std::thread([this] {
    group_->signals.take();
    main();
  });
  pthread_setname_np(thread_.native_handle(), ("heddle-" + std::to_string(index())).c_str());
}

void worker::join() {
  if (auto* s = group_->simulated) return s->join(virtual_thread_);
  if (thread_.joinable()) thread_.join();
}

void worker::main() {
  auto& self = this_thread();
  self.loop = static_cast<loop*>(this);
  self.forks = &forks_;
  self.forced_yields = group_->workers.size() > 1;
  self.runtime = group_->serial;
  prepare_to_be_watched();
  thread_number_.store(::gettid(), relaxed);
  thread_state_.store(&self, relaxed);
  const auto begun = now();
  woke_at_.store(begun.time_since_epoch().count(), relaxed);
  tells_time(begun);
  if (auto* s = group_->simulated) {
    take_turns([s] { s->point(); });
  } else {
    trace_.begin(group_->serial, index());
    take_turns([] {});
    trace_.end();
  }
  thread_state_.store(nullptr, relaxed);
  thread_number_.store(0, relaxed);
  self.loop = nullptr;
  self.forks = nullptr;
  self.runtime = 0;
}

// `overtaken` is called where other loops may do anything; in a simulation they run there.
template <class Overtaken>
void worker::take_turns(Overtaken overtaken) {
  for (;;) {
    if (searching_) stand_down();
    overtaken();
    if (run_next()) continue;
    overtaken();
    // Out of work: this loop counts as a searcher from here on. It finds itself what is sent to it
    // now, so no other loop is woken for that.
    if (!single_loop_ && !searching_ && group_->idle.parked() != 0)
      searching_ = group_->idle.try_search();
    look(true);
    if (searching_) stand_down();
    overtaken();
    if (run_next()) continue;
    const auto looked = search();
    overtaken();
    if (looked == search_result::found) continue;
    if (group_->loops_end.load(acquire)) break;  // pairs with end_runtime()
    park(looked == search_result::nothing);
  }
}

// ------------------------------------------------------------------ policy

// This order is the policy; nothing else decides it.
bool worker::run_next() {
  if (--steps_left_ == 0 || forks_.turn_over) [[unlikely]]
    return run_next_behind_pause();  // so the inboxes, timers and I/O never starve

  const bool queues_first = queue_turn_ != 0;  // so a storm of forks never starves the queues
  if (queues_first) --queue_turn_;

  if (next_slot_.load(relaxed) != nullptr) {  // woken by the last step, so its data is warm
    // pairs with a rescuer's exchange
    if (task_record* t = next_slot_.exchange(nullptr, acq_rel)) {
      if (++next_slot_streak_ <= next_slot_cap) return run_task(*t), true;
      next_slot_streak_ = 0;
      push_ready(*t);
    }
  } else {
    next_slot_streak_ = 0;
  }

  forks_first_ = !forks_first_;  // strands, the youngest first, take turns with the queues
  if (forks_first_ && !queues_first && !forks_.strands.looks_empty())
    if (promise_base* s = forks_.strands.pop()) return run_strand(*s), true;

  if (steps_left_ & 1) {  // pinned and movable take turns
    if (const auto item = local_.pop()) return run_work(work::from(item)), true;
    if (task_record* t = ready_.pop()) return run_task(*t), true;
  } else {
    if (task_record* t = ready_.pop()) return run_task(*t), true;
    if (const auto item = local_.pop()) return run_work(work::from(item)), true;
  }
  if (promise_base* s = forks_.strands.pop()) return run_strand(*s), true;
  return false;
}

bool worker::run_next_behind_pause() {
  const bool is_look = steps_behind_ == 0 || forks_.turn_over;
  const bool is_sampled = steps_left_ == 0 && steps_behind_ == 0;
  // One more, since run_next() counts the step that comes now.
  steps_left_ = (is_look ? fair_every : steps_behind_) + 1;
  steps_behind_ = 0;
  if (is_look) {
    look(false);
    if (searching_) stand_down();
  }
  if (probe_.is_on) follow_probe(now());
  return is_sampled && measures_ ? run_next_measured() : run_next();
}

void worker::housekeep(bool idle) {
  if (!short_.empty()) [[unlikely]]
    take_what_was_short();
  const bool forks_paused = forks_.turn_over;
  forks_.turn_over = false;
  local_size_.store(local_.size(), relaxed);
  const bool got = drain_inboxes();
  const auto t = now();
  tells_time(t);
  // asyncio's order: first what came from outside, then the timers that are due.
  if ((idle && !got) || t - last_poll_ >= poll_every || (single_loop_ && timers_.first() <= t))
    (void)poll(duration::zero());
  expire_timers(t);
  if (trace_.has_to_look()) [[unlikely]]
    look_at_recording(t);
  if (forks_paused) {
    // All that is ready now gets one pass before the forks go on. One task for each turn of forks
    // is not enough: 64 ready tasks then waited for 64 turns, 3 ms.
    time_turn_ = true;
    if (queue_turn_ == 0) queue_turn_ = std::min(local_.size() + ready_.size(), queue_turn);
  }
  if (!single_loop_ && t - last_watch_ >= watch_hogged_every) watch_others(t, watch_window);
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
  probes::step(&t);
  auto& self = self_of_thread;
  self.current = &t;
  self.step_started = 0;
  t.at_home(static_cast<loop*>(this));
  if (this_world()) [[unlikely]]
    group_->simulated->note("runs", &t);
  if (t.needs_a_look() && !goes_on(t)) [[unlikely]] {
    self.current = nullptr;
    return;
  }
  resume(t);
  self.current = nullptr;  // do not touch `t` here: it may be gone, or run on another loop
}

// The awaited child runs within the await.
//   Danger  A task creates a child and awaits it, and nothing else is ready. It would pay for a
//           suspension, a link among the joiners, a claim and a way through the queue.
//   Remedy  If `child` is all that is ready on this loop, it would run next anyway. So its step
//           runs now, on the stack of the awaiting task. If it ends in that step, no task waited.
//   Order   As through the loop. With one loop, or if `waiting` is pinned, what was queued during
//           the step runs before `waiting` goes on, as in asyncio.
//   Bounds  One level deep, and never inside the first step of an eager task, whose creator has
//           not ended its own step. Every fair_every steps the await goes through the loop, which
//           serves timers and I/O.
//   Cancel  Cancelling `waiting` during the step finds it active and sets `must`. If `waiting` then
//           waits for `child` the cancellation goes to `child`; else its resume throws.
awaited_now worker::run_awaited(task_record& waiting, task_record& child) noexcept {
  auto& self = this_thread();
  if (inside_await_ || self.current != &waiting || is_watched() || forks_.turn_over ||
      !forks_.strands.looks_empty() || (steps_left_ == 1 && next_pause_is_look()) ||
      (waiting.state().peek() & (word::must | word::interrupted)) != 0)
    return awaited_now::elsewhere;
  const bool taken = single_loop_ ? local_.take_if_only(work(child).bits())
                                  : next_slot_.load(relaxed) == nullptr && local_.empty() &&
                                        ready_.take_if_only(&child);
  if (!taken) return awaited_now::elsewhere;
  --steps_left_;
  inside_await_ = true;
  run_task(child);
  inside_await_ = false;
  self.current = &waiting;
  if (!child.done()) return awaited_now::elsewhere;
  // The task that `child` woke last is in the next slot. `waiting` goes on before that task, so
  // other loops may take it.
  if (next_slot_.load(relaxed) != nullptr) {
    // pairs with a rescuer's exchange
    if (task_record* woken = next_slot_.exchange(nullptr, acq_rel)) {
      push_ready(*woken);
      look_for_sleepers();
    }
  }
  return (single_loop_ || waiting.is_pinned()) && !local_.empty() ? awaited_now::ended_in_turn
                                                                  : awaited_now::ended;
}

void worker::run_first_step(task_record& t) {
  auto& self = this_thread();
  auto* creator = std::exchange(self.current, &t);
  const bool inside = std::exchange(inside_await_, true);  // what `t` awaits runs after its creator
  {
    context_scope its_own(nullptr);
    if (t.state().peek() & word::must) [[unlikely]] {  // cancelled by the group it was made in
      count_end(outcome::cancelled);
      end_unstarted(t);
    } else {
      run_recorded(t);
    }
  }
  inside_await_ = inside;
  self.current = creator;
}

void worker::resume(task_record& t) {
  if (attends(t)) [[unlikely]]
    return resume_attended(t);
  std::coroutine_handle<>::from_address(t.frame()).resume();
}

void worker::run_strand(promise_base& strand) {
  bump(beat_);
  probes::step(&strand.enclosing());
  auto& self = self_of_thread;
  self.step_started = 0;
  if (this_world()) [[unlikely]]
    group_->simulated->note("runs a strand of", &strand.enclosing().root());
  const bool timed = std::exchange(time_turn_, false);
  const auto began = timed ? now() : time_point{};
  std::uintptr_t recorded = 0;
  if (attends(strand.enclosing())) [[unlikely]]
    recorded = trace_.step_begins(strand.enclosing(), strand.handle().address(),
                                  trace_event::strand_begins, last_poll_);
  join_block::start_counted(strand).resume();
  if (recorded != 0) [[unlikely]]
    trace_.step_ends(recorded);
  self.current = nullptr;
  if (timed && forks_.turn_over) forks_.adapt(now() - began);
}

void worker::run_callback(callback& c) {
  bump(beat_);
  probes::step(nullptr);
  self_of_thread.step_started = 0;
  if (this_world()) [[unlikely]]
    group_->simulated->note("runs a callback", nullptr);
  context_slot own(std::move(c.context));
  context_scope inside(&own);  // the exception handler below runs in it too
  try {
    if (attention_.load(relaxed) != 0) [[unlikely]]
      run_attended(c);
    else
      c.run();
  } catch (...) { group_->callback_threw(c, std::current_exception()); }
  c.unref();
}

unsigned worker::poll(duration limit) {
  last_poll_ = now();
  bump(polls_);
  const unsigned events = driver_->poll(limit);
  probes::polled(index(), events);
  if (events) {
    bump(io_events_, std::uint64_t{events});
    // After a sleep park() tells of them.
    if (limit == duration::zero()) trace_.note(trace_event::polled, events);
  }
  return events;
}

bool worker::drain_inboxes() {
  bool any = false;
  for (work item = pinned_.take(); item;) {
    const auto next = item.next();
    push_local(item);
    item = next;
    any = true;
  }
  // A bounded number at a time, since other loops can take what is left.
  for (unsigned i = 0; i < inbox_batch; ++i) {
    task_record* t = movable_.pop();
    if (!t) break;
    push_back(*t);
    any = true;
  }
  for (unsigned i = 0; i < injection_batch; ++i) {
    task_record* t = group_->injection.pop();
    if (!t) break;
    trace_.note(trace_event::came, trace_name(*t));
    push_back(*t);
    any = true;
  }
  if (any) look_for_sleepers();
  return any;
}

void worker::schedule(task_record& t) noexcept {
  auto& self = self_of_thread;
  worker* here = worker_of(self);
  if (here && here->group_ == group_) [[likely]] {
    // One test for both marks of the task, and for a loop that records every step.
    if (((t.marks() | here->attention_.load(relaxed)) & (task_record::pinned_mark | attended)) !=
        0) {
      if (here->attends(t)) [[unlikely]]
        here->trace_.woken(t);
      if (t.is_pinned()) {
        if (here == this)
          push_local(work(t));
        else
          send_pinned(t);
        return;
      }
    }
    if (here->single_loop_) {
      here->push_local(work(t));
      return;
    }
    // `t` was woken by a running task: it runs next. The task that it displaces goes to the queue.
    if (self.current) {
      if (here->next_slot_.load(relaxed) == nullptr) {  // only this loop fills its slot
        // pairs with a rescuer's exchange
        here->next_slot_.store(&t, release);
        return;
      }
      // pairs with a rescuer's exchange
      task_record* displaced = here->next_slot_.exchange(&t, acq_rel);
      if (!displaced) return;
      here->push_ready(*displaced);
    } else {
      here->push_ready(t);
    }
    here->look_for_sleepers();
    return;
  }
  loop_group::guest inside(*group_);
  if (t.is_traced()) ring_note(trace_event::woken, trace_name(t));
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
  // pairs with park(): LOOK-TWICE
  if (sleep_.load(seq_cst) == sleep_state::parked)
    wake();
  else
    wake_searcher();  // this loop may be busy: another one takes the task
}

void worker::deliver(work item) noexcept {
  if (this_worker() == this) {
    push_local(item);
    return;
  }
  loop_group::guest inside(*group_);
  pinned_.push(item);
  wake();
}

void worker::check_open(const char* what) const {
  if (group_->loops_end.load(acquire) ||  // pairs with end_runtime()
      (self_of_thread.loop == static_cast<const loop*>(this) && sealed_)) [[unlikely]]
    throw_closed(what);
}

void worker::drop_leftovers() noexcept {
  timers_.expire(time_point::max());  // callbacks that waited for their time go to the inbox
  for (work item = pinned_.take(); item;) {
    const auto next = item.next();
    if (!item.is_task()) {
      item.as_callback().drop();
    } else {
      task_record& t = item.as_task();
      HEDDLE_ASSERT(is_on_its_way_home(t), (describe_task(t) + ", outlived its runtime").c_str());
      t.unref();
    }
    item = next;
  }
}

void worker::ended(task_record& t) noexcept {
  worker& here = *this_worker();
  bump_release(here.finished_);  // pairs with finished()
  if (!t.end_is_told()) [[likely]]
    return;
  if (t.is_traced()) here.trace_.task_ended(t);
  if (t.end_is_counted()) group_->awaited_end(t);
}

}  // namespace heddle::detail
