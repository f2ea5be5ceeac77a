// SPDX-License-Identifier: MIT
// Internal to sched.
// A runtime from inside: its loops and what they share. Not a public header.
#pragma once

#include <heddle/core/context.h>
#include <heddle/sched/loop/worker.h>
#include <heddle/sched/runtime/generators.h>
#include <heddle/sched/runtime/interrupt.h>
#include <heddle/sched/runtime/registry.h>
#include <heddle/sched/runtime/reports.h>
#include <heddle/sched/runtime/services.h>
#include <heddle/sched/runtime/thread_pool.h>
#include <heddle/sched/runtime/thread_signals.h>
#include <heddle/sched/simulation/simulation.h>

#include <condition_variable>
#include <memory>
#include <mutex>

namespace heddle::detail {

class runtime_state {
 public:
  runtime_state(runtime& facade, const options& wish);
  ~runtime_state();

  static constexpr unsigned most_loops = 256;
  static constexpr unsigned nobody = ~0u;

  // --- errors ---
  void report(const error_context& what) noexcept;
  void set_handler(std::function<void(const error_context&)> handler);
  /// Something that leaves run at once: the first one is kept, and who waits for the main task is
  /// woken.
  void fatal(std::exception_ptr error) noexcept;
  /// The one that came after the first `told` were told to a waiter, or null. It is told now.
  [[nodiscard]] std::exception_ptr fatal_since(std::uint64_t told);
  [[nodiscard]] std::uint64_t fatals_told();

  // --- the task factory ---
  [[nodiscard]] bool has_task_factory() const noexcept { return has_factory_.load(acquire); }
  void set_task_factory(std::function<void(task_options&)> factory);
  /// Shows `o` to the factory, if there is one. Throws what it throws.
  void ask_task_factory(task_options& o);

  // --- entering from foreign threads ---
  /// While one lives the runtime is not torn down. A foreign thread holds one from before its push
  /// to after its wake-up: the task it pushed may run, end, and be the last, before the wake-up is
  /// made.
  class guest {
   public:
    explicit guest(runtime_state& s) noexcept : s_(&s) { s.guests.fetch_add(1, seq_cst); }
    guest(const guest&) = delete;
    ~guest() { s_->guests.fetch_sub(1, seq_cst); }

   private:
    runtime_state* s_;
  };

  /// A new task from outside: whichever loop is free takes it.
  void inject(task_record& t);

  // --- the life of tasks ---
  [[nodiscard]] std::uint64_t live_tasks() const noexcept;
  void round_ended() noexcept;
  /// Cancels all tasks and waits for them, again until none is left. From a foreign thread.
  void cancel_everything();
  [[nodiscard]] bool is_stopping() const noexcept { return stopping.load(seq_cst); }

  /// What a thread in run knew when it began.
  struct run_wait {
    const atomic<bool>& ended;
    std::uint64_t told;   // so many fatal errors were told
    std::uint64_t stops;  // so many stop() had ended a run
  };
  /// A thread is in run, so the loops do not stand still. Returns how many stop() had ended a run
  /// by now.
  [[nodiscard]] std::uint64_t begin_run() noexcept;
  void end_run() noexcept;
  /// Blocks the calling (foreign) thread until `ended` is set by a call of wake_waiters(), a fatal
  /// error comes, or stop() ends the run.
  void wait_until(const run_wait& w);
  /// The same, and calls `rung()` each time something may have happened, an interrupt among it.
  template <class Rung>
  void wait_interruptibly(const run_wait& w, Rung rung) {
    struct listener {
      bell& b;
      explicit listener(bell& it) noexcept : b(it) { b.listen(true); }
      ~listener() { b.listen(false); }
    } listening(changed);
    for (;;) {
      const auto seen = changed.seen();
      {
        std::lock_guard hold(wait_lock_);
        if (is_over(w)) return;
      }
      rung();
      changed.sleep(seen);
    }
  }
  /// After that: if stop() has ended the run, until the loops have run what was ready then, or
  /// `ended` is set.
  void let_pass_end(const run_wait& w);
  void wake_waiters() noexcept;

  // --- run, run_forever, stop, close ---
  void enter(const char* what);
  void leave() noexcept;
  void run_forever();
  void stop() noexcept;
  /// From a loop: it stands still until standstill `number` is lifted.
  void stand(worker& w, std::uint64_t number) noexcept;
  /// A task from outside is about to be started. Somebody may wait for it, so the loops do not
  /// stand still before ended_from_outside().
  void starts_from_outside() noexcept {
    from_outside_.fetch_add(1, seq_cst);
    if (standing_still_.load(seq_cst)) go_on();  // pairs with ask_to_stand()
  }
  void ended_from_outside() noexcept { from_outside_.fetch_sub(1, seq_cst); }
  /// Throws usage_error while some thread is in run or run_forever, and where its end would wait
  /// for the caller itself.
  void close();
  /// What the calling thread is in that the end of the runtime waits for; nullptr: nothing.
  [[nodiscard]] const char* waits_for_caller() const noexcept;
  /// The shutdown itself, once; whoever comes meanwhile waits for its end.
  void end() noexcept;
  [[nodiscard]] bool is_closed() const noexcept { return closed_.load(acquire); }

  // --- debug ---
  void set_debug(bool on) noexcept;
  [[nodiscard]] bool debug() const noexcept { return debug_.load(relaxed); }

  runtime& facade;
  const thread_signals signals;  // of its loops
  simulation* const simulated;   // whose virtual threads the loops are, or nullptr
  options opts;
  runtime_number serial;     // its name among all there ever were
  std::uint16_t id;          // the short form, its name among the living: in records
  std::string reactor_note;  // before `reactor`, whose choice writes it
  reactor_kind reactor;
  std::vector<std::unique_ptr<worker>> workers;
  idle_set idle;
  shared_queue injection{simulated};
  atomic<unsigned> watchers{0};
  atomic<bool> stopping{false};   // no new work from outside
  atomic<bool> loops_end{false};  // loops leave when they have nothing to do
  atomic<std::uint32_t> guests{0};
  atomic<std::uint64_t> foreign_created{0};
  thread_pool pool;
  service_set services;
  generator_registry generators;
  const context main_context;  // of all main tasks: a copy of that in which the runtime was made
  bell changed;                // rings with every wake_waiters() and fatal()

 private:
  struct sealing;
  void prepare_seals();
  void seal_loops() noexcept;
  void shut_generators() noexcept;
  /// Blocks a foreign thread until `done()`, which is called under wait_lock_, after some
  /// notify_all().
  template <class Done>
  void wait(Done done, when_stuck then) {
    if (world* w = this_world()) {
      const auto look = [&] {
        std::lock_guard hold(wait_lock_);
        return done();
      };
      block_until(*w, time_point::max(), look, then);
      return;
    }
    std::unique_lock hold(wait_lock_);
    waiters_.wait(hold, done);
  }
  void report_failed(const any_task& task) noexcept;
  [[nodiscard]] bool is_over(const run_wait& w) const noexcept {
    return w.ended.load(acquire) || fatals_ != w.told || run_stops_ != w.stops;
  }
  [[nodiscard]] std::uint64_t ask_to_stand(bool runs_end) noexcept;
  void post_standstill(std::uint64_t number) noexcept;
  void go_on() noexcept;

  report_queue reports_;
  std::mutex factory_lock_;
  std::shared_ptr<const std::function<void(task_options&)>> factory_;  // under factory_lock_
  atomic<bool> has_factory_{false};
  mutable std::mutex wait_lock_;
  std::condition_variable waiters_;
  std::exception_ptr fatal_;       // under wait_lock_: the latest
  std::uint64_t fatals_ = 0;       // under wait_lock_: how many came
  std::uint64_t fatals_told_ = 0;  // under wait_lock_: so many were told to some waiter
  // Under wait_lock_: a stop() met no run_forever. One from outside is for the next run_forever,
  // which makes a pass; one by a callback or task of ours ended the pass that was going on, and the
  // next run_forever finds it done.
  enum class early_stop { none, outside, inside } early_stop_ = early_stop::none;
  std::uint64_t stops_ = 0;      // under wait_lock_
  std::uint64_t run_stops_ = 0;  // under wait_lock_: those of them that ended what was in run
  unsigned runs_ = 0;            // under wait_lock_: threads that wait in run
  unsigned callers_ = 0;         // under wait_lock_: threads in run and run_forever
  unsigned forever_ = 0;         // under wait_lock_: threads in run_forever
  bool closing_ = false;         // under wait_lock_
  bool ending_ = false;          // under wait_lock_: some thread is in end()
  std::thread::id ender_;        // under wait_lock_: which
  // Standstills are numbered. A loop stands still in a callback (so after all that was ready there)
  // until its number is lifted.
  std::uint64_t standstills_ = 0;       // under wait_lock_
  std::uint64_t lifted_ = 0;            // under wait_lock_
  std::size_t standing_ = 0;            // under wait_lock_: loops that stand in the latest one
  atomic<bool> standing_still_{false};  // lifted_ < standstills_
  atomic<std::uint64_t> from_outside_{0};
  atomic<bool> closed_{false};
  atomic<bool> debug_{false};
  atomic<std::uint64_t> round_left_{0};
  std::vector<owned<callback>> seals_;  // one a loop, until it is sent
  atomic<std::size_t> unsealed_{0};
};

/// What a report says, where nothing may throw. When memory is too short for `message` the report
/// says "out of memory", and has the error.
[[nodiscard]] error_context context_of(const char* message, std::exception_ptr error = {}) noexcept;

/// Reports to the exception handler of runtime `number`; a line on stderr if that is gone.
void report_to(runtime_number number, const error_context& what) noexcept;

/// The runtime of the calling loop, or nullptr.
HEDDLE_NOINLINE runtime_state* this_runtime() noexcept;

}  // namespace heddle::detail
