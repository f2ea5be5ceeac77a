// SPDX-License-Identifier: MIT
#include <heddle/core/base/thread_state.h>
#include <heddle/core/checked.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/runtime/runtime_state.h>

#include <algorithm>
#include <memory>
#include <span>

namespace heddle::detail {

// The loops and what they share stay in memory until the runtime is destroyed, so that who still
// has a `loop&` is told, not killed.
void runtime_state::end() noexcept {
  bool mine;
  {
    const uninterrupted alone;
    std::lock_guard hold(wait_lock_);
    mine = !std::exchange(ending_, true);
    if (mine) ender_ = std::this_thread::get_id();
    closing_ = true;
    lifted_ = ~std::uint64_t{0};  // nobody stands still any more
    standing_still_.store(false, seq_cst);
    waiters_.notify_all();
  }
  if (!mine) return wait([&] { return is_closed(); }, when_stuck::abandoned);
  stopping.store(true, seq_cst);
  for (backoff wait; guests.load(seq_cst) != 0; wait.pause()) {
  }  // who saw it false has pushed by then
  cancel_everything();
  shut_generators();
  cancel_everything();  // what their cleanup has started
  (void)pool.shutdown();
  services.end();
  seal_loops();
  cancel_everything();  // what a late callback or job may have started
  loops_end.store(true, seq_cst);
  for (auto& w : workers) w->wake();
  for (auto& w : workers) w->join();
  unregister_runtime(*this);
  for (backoff wait; guests.load(seq_cst) != 0;)
    wait.pause();  // a foreign thread is between its push and its wake-up
  for (auto& w : workers) w->drop_leftovers();
  closed_.store(true, release);  // pairs with is_closed()
  wake_waiters();
}

void runtime_state::close() {
  if (const char* inside = waits_for_caller())
    throw_usage(std::string("close of a runtime inside ") + inside +
                ": it would wait for the caller itself");
  {
    std::lock_guard hold(wait_lock_);
    if (callers_ != 0)
      throw_usage("close of a runtime while a thread is in its run or run_forever");
    closing_ = true;
  }
  end();
}

const char* runtime_state::waits_for_caller() const noexcept {
  if (is_closed()) return nullptr;
  if (reports_.is_telling_here()) return "a call of its exception handler";
  if (pool.is_in_own_job()) return "a job of its own to_thread";
  if (simulated) return nullptr;  // its threads are one
  std::lock_guard hold(wait_lock_);
  return ending_ && ender_ == std::this_thread::get_id() ? "its own end" : nullptr;
}

// Like everybody who awaits a task; what is fatal meanwhile is told to nobody, since the runtime
// ends.
void runtime_state::shut_generators() noexcept {
  auto all = generators.shut();
  if (all.empty()) return;
  struct ending final : join_node {
    explicit ending(runtime_state& s) noexcept : join_node(&fired), state(&s) {}
    static void fired(join_node& node, eventual&, work_list&) noexcept {
      auto& self = static_cast<ending&>(node);
      std::lock_guard hold(self.state->wait_lock_);
      self.ended = true;
      self.state->waiters_.notify_all();
    }
    runtime_state* state;
    bool ended = false;  // under wait_lock_
  };
  task_handle<> handle;
  try {
    handle = task_handle<>(&make_root(close_generators(std::move(all))));
  } catch (const std::bad_alloc&) {  // they are gone, and their cleanups did not run
    report(context_of("no memory to close the async generators of a runtime that ends",
                      std::current_exception()));
    return;
  }
  auto& t = *handle.record();
  ending end(*this);
  (void)t.add_joiner(end);
  launch_closing_from_outside(*this, t);
  wait([&] { return end.ended; }, when_stuck::abandoned);
  (void)t.remove_joiner(
      end);  // nobody touches it after that: firing and removing take the same lock
}

std::uint64_t runtime_state::live_tasks() const noexcept {
  // Ends first: a task that ends between the two sums is counted as alive, never the other way.
  // finished() acquires, so whoever counts an end also counts what the ended task had created;
  // otherwise shutdown could find nobody while a child lives.
  std::uint64_t finished = 0;
  for (auto& w : workers) finished += w->finished();
  std::uint64_t created = foreign_created.load(acquire);
  for (auto& w : workers) created += w->created();
  return created - finished;
}

void runtime_state::round_ended() noexcept {
  if (round_left_.fetch_sub(1, acq_rel) == 1) {  // pairs with cancel_everything()
    std::lock_guard hold(wait_lock_);
    waiters_.notify_all();
  }
}

// All that might have asked for its error has ended too; a handle that lives on elsewhere does not
// make the report wait.
void runtime_state::report_failed(const any_task& task) noexcept {
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
  report(what);
}

void runtime_state::cancel_everything() {
  // In rounds, each over the tasks there are: a task is cancelled once, and what its cleanup starts
  // lives until the round is over.
  unsigned looks = 0;
  for (;;) {
    std::vector<any_task> round;
    any_task few[16];  // when there is no memory at all a round is as many as these
    std::size_t few_count = 0;
    bool full = false;
    round_left_.store(1, relaxed);  // so that it does not reach 0 while we count
    task_record::scan(
        [&](task_record& r) noexcept {
          if (full || r.what() != kind::task || r.done() || r.is_in_round() || r.is_spared())
            return;
          r.ref();
          any_task found(&r);
          try {
            round.push_back(found);
          } catch (const std::bad_alloc&) {
            full = !round.empty() || few_count == std::size(few);
            if (!full) few[few_count++] = std::move(found);
          }
        },
        id);
    const std::span<any_task> those = round.empty() ? std::span(few, few_count) : std::span(round);
    if (those.empty()) {
      if (live_tasks() == 0) return;
      // The last ones are between their end and their count, or close a generator.
      if (simulated || ++looks < 100)
        yield_thread();
      else
        std::this_thread::sleep_for(std::chrono::microseconds(200));
      continue;
    }
    if (simulated)  // not by their places in memory, which no seed decides
      std::sort(those.begin(), those.end(), [this](const any_task& a, const any_task& b) {
        return simulated->number_of(*a.record()) < simulated->number_of(*b.record());
      });
    for (auto& t : those) {
      round_left_.fetch_add(1, relaxed);
      t.record()->put_in_round();
      // It may have ended before it was marked, and then is not counted down by anybody.
      if (t.record()->done() && t.record()->leave_round()) round_left_.fetch_sub(1, relaxed);
    }
    for (auto& t : those) (void)cancel_now(*t.record());
    if (round_left_.fetch_sub(1, acq_rel) != 1) {
      const auto over = [&] { return round_left_.load(acquire) == 0; };
      // The mark and the end of a task are two words, so who ends it may miss the mark: look again
      // now and then.
      const auto look_again = [&] {
        for (auto& t : those)
          if (t.record()->done() && t.record()->leave_round()) round_left_.fetch_sub(1, acq_rel);
        return over();
      };
      if (simulated) {
        block_until(*simulated, time_point::max(), look_again, when_stuck::abandoned);
        continue;
      }
      std::unique_lock hold(wait_lock_);
      while (!waiters_.wait_for(hold, std::chrono::milliseconds(20), over)) (void)look_again();
    }
    for (const auto& t : those) report_failed(t);
  }
}

// A loop seals itself, by a callback: what it started before that is there for all to see, and it
// starts nothing after that.
struct runtime_state::sealing final : callback {
  sealing(runtime_state& s, worker& w) noexcept : state(&s), loop(&w) {}
  void invoke() override {
    loop->seal();
    const uninterrupted alone;
    std::lock_guard hold(state->wait_lock_);
    state->unsealed_.fetch_sub(1, acq_rel);
    state->waiters_.notify_all();
  }
  void release() noexcept override {}
  runtime_state* state;
  worker* loop;
};

// Made when the runtime begins, since its end must not fail for lack of memory.
void runtime_state::prepare_seals() {
  seals_.reserve(workers.size());
  for (auto& w : workers) seals_.emplace_back(new sealing(*this, *w));
}

void runtime_state::seal_loops() noexcept {
  unsealed_.store(workers.size(), relaxed);
  for (auto& w : workers) {
    auto& seal = seals_[w->index()];
    w->deliver(work(*seal.release()));
  }
  wait([&] { return unsealed_.load(acquire) == 0; }, when_stuck::abandoned);
}

}  // namespace heddle::detail
