// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/shutdown.h>

#include <heddle/core/base/spin_lock.h>
#include <heddle/core/errors.h>
#include <heddle/sched/async_generator.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/runtime/registry.h>
#include <heddle/sched/stalls/watch.h>

#include <algorithm>
#include <mutex>
#include <new>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace heddle::detail {
namespace {

// -------------------------------------------------------------------- rounds

// Tasks are cancelled in rounds, each over the tasks that there are. A task is cancelled once, and
// what its cleanup starts lives until the round is over.

/// The tasks of one round. Without memory for all of them it is as many as it has places for.
class task_round {
 public:
  explicit task_round(runtime_state& s) {
    task_record::scan([this](task_record& r) noexcept { take(r); }, s.id);
    if (s.simulated)  // not by their places in memory, which no seed decides
      std::sort(tasks().begin(), tasks().end(), [&s](const any_task& a, const any_task& b) {
        return s.simulated->number_of(*a.record()) < s.simulated->number_of(*b.record());
      });
  }
  [[nodiscard]] std::span<any_task> tasks() noexcept {
    return many_.empty() ? std::span(few_, few_count_) : std::span(many_);
  }

 private:
  void take(task_record& r) noexcept {
    if (full_ || r.what() != kind::task || r.done() || r.is_in_round() || r.is_spared()) return;
    r.ref();
    any_task found(&r);
    try {
      many_.push_back(found);
    } catch (const std::bad_alloc&) {
      full_ = !many_.empty() || few_count_ == std::size(few_);
      if (!full_) few_[few_count_++] = std::move(found);
    }
  }

  std::vector<any_task> many_;
  any_task few_[16];
  std::size_t few_count_ = 0;
  bool full_ = false;
};

/// All that might have asked for its error has ended too. A handle that lives on elsewhere does not
/// make the report wait.
void report_failed(runtime_state& s, const any_task& task) noexcept {
  auto& t = *task.record();
  if (t.how_ended() != outcome::error || t.is_retrieved()) return;
  t.mark_retrieved();
  auto what =
      context_of("unhandled exception during the shutdown of the runtime", error_in(t.storage()));
  what.origin = task;
  what.made = t.made();
  try {
    what.task = t.name();
  } catch (const std::bad_alloc&) {}  // a report without the name
  s.report(what);
}

void cancel_round(runtime_state& s, std::span<any_task> tasks) noexcept {
  auto& left = s.ending.round_left;
  for (auto& t : tasks) {
    left.fetch_add(1, relaxed);
    t.record()->put_in_round();
    // It may have ended before it was marked, and then no loop counts it down.
    if (t.record()->done() && t.record()->take_out_of_round()) left.fetch_sub(1, relaxed);
  }
  for (auto& t : tasks) (void)cancel_now(*t.record());
}

/// The caller's own count has been taken off.
void wait_for_round(runtime_state& s, std::span<any_task> tasks) noexcept {
  auto& left = s.ending.round_left;
  const auto over = [&] { return left.load(acquire) == 0; };  // pairs with awaited_end()
  // The mark and the end of a task are two words, so the loop that ends it may miss the mark. The
  // round looks again now and then.
  const auto look_again = [&] {
    for (auto& t : tasks)
      if (t.record()->done() && t.record()->take_out_of_round()) left.fetch_sub(1, acq_rel);
    return over();
  };
  if (s.simulated) {
    block_until(*s.simulated, time_point::max(), look_again, when_stuck::abandoned);
    return;
  }
  while (!s.waits.wait_for(std::chrono::milliseconds(20), over)) (void)look_again();
}

void cancel_everything(runtime_state& s) noexcept {
  unsigned looks = 0;
  for (;;) {
    s.ending.round_left.store(1, relaxed);  // so that it does not reach 0 while we count
    task_round round(s);
    const auto tasks = round.tasks();
    if (tasks.empty()) {
      if (s.live_tasks() == 0) return;
      // The last ones are between their end and their count, or close a generator.
      if (s.simulated || ++looks < 100)
        yield_thread();
      else
        std::this_thread::sleep_for(std::chrono::microseconds(200));
      continue;
    }
    cancel_round(s, tasks);
    if (s.ending.round_left.fetch_sub(1, acq_rel) != 1) wait_for_round(s, tasks);
    for (const auto& t : tasks) report_failed(s, t);
  }
}

// ---------------------------------------------------------------- generators

/// A thread that waits for the end of a task.
struct end_waiter final : join_node {
  explicit end_waiter(thread_waits& w) noexcept : join_node(&fired), waits(&w) {}
  static void fired(join_node& node, eventual&, work_list&) noexcept {
    auto& self = static_cast<end_waiter&>(node);
    std::lock_guard hold(self.waits->lock());
    self.ended = true;
    self.waits->look_again();
  }
  thread_waits* waits;
  bool ended = false;  // under their lock
};

// Waits for the closing task by a joiner, as a task would that awaits it. A fatal error meanwhile
// is told to nobody, since the runtime ends.
void close_all_generators(runtime_state& s) noexcept {
  auto all = s.generators.shut();
  if (all.empty()) return;
  task_handle<> handle;
  try {
    handle = task_handle<>(&make_root(close_generators(std::move(all))));
  } catch (const std::bad_alloc&) {  // they are gone, and their cleanups did not run
    s.report(context_of("no memory to close the async generators of a runtime that ends",
                        std::current_exception()));
    return;
  }
  auto& t = *handle.record();
  end_waiter end(s.waits);
  (void)t.add_joiner(end);
  launch_closing_from_outside(s, t);
  s.waits.wait([&] { return end.ended; }, when_stuck::abandoned);
  // No thread touches `end` after this: firing and removing take the same lock.
  (void)t.remove_joiner(end);
}

// -------------------------------------------------------------------- phases

void wait_for_guests(runtime_state& s) noexcept {
  for (backoff wait; s.guests.load(seq_cst) != 0;) wait.pause();
}

void end_loops(runtime_state& s) noexcept {
  s.loops_end.store(true, seq_cst);
  for (worker* w : s.workers) w->wake();
  for (worker* w : s.workers) w->join();
}

/// False: another thread ends the runtime.
bool begin_end(runtime_state& s) noexcept {
  const uninterrupted guard;
  std::lock_guard hold(s.waits.lock());
  const bool mine = !std::exchange(s.ending.begun, true);
  if (mine) s.ending.by = std::this_thread::get_id();
  s.standstill.end_locked();
  return mine;
}

}  // namespace

void end_runtime(runtime_state& s) noexcept {
  if (!begin_end(s)) return s.waits.wait([&] { return s.is_closed(); }, when_stuck::abandoned);
  s.stopping.store(true, seq_cst);
  wait_for_guests(s);  // a foreign thread that saw it false has pushed by then
  cancel_everything(s);
  close_all_generators(s);
  cancel_everything(s);  // what their cleanup has started
  (void)s.pool.shutdown();
  s.services.end();
  s.seals.seal(s, s.waits);
  cancel_everything(s);  // what a late callback or job may have started
  watch_of_process().remove(s);
  end_loops(s);
  unregister_runtime(s);
  wait_for_guests(s);  // a foreign thread may be between its push and its wake-up
  for (worker* w : s.workers) w->drop_leftovers();
  s.ending.closed.store(true, release);  // pairs with is_closed()
  s.waits.wake_all();
}

void close_runtime(runtime_state& s) {
  if (const char* inside = waits_for_caller(s))
    throw_usage(std::string("close of a runtime inside ") + inside +
                ": it would wait for the caller itself");
  s.standstill.close();
  end_runtime(s);
}

const char* waits_for_caller(runtime_state& s) noexcept {
  if (s.is_closed()) return nullptr;
  if (s.reports.is_telling_here()) return "a call of its exception handler";
  if (s.stall_reports.is_telling_here()) return "a call of its stall handler";
  if (s.pool.is_in_own_job()) return "a job of its own to_thread";
  if (s.simulated) return nullptr;  // its threads are one
  std::lock_guard hold(s.waits.lock());
  return s.ending.begun && s.ending.by == std::this_thread::get_id() ? "its own end" : nullptr;
}

}  // namespace heddle::detail
