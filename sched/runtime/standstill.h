// SPDX-License-Identifier: MIT
// Internal to sched.
// Threads in run and run_forever, and stop(), after which the loops stand still. Not a public
// header.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/sched/loop/group.h>
#include <heddle/sched/runtime/fatal_errors.h>
#include <heddle/sched/runtime/thread_waits.h>

#include <cstddef>
#include <cstdint>
#include <mutex>

namespace heddle::detail {

/// What a thread in run knew when it began to wait.
struct run_wait {
  const atomic<bool>& ended;  // set, and then all threads are woken, when what it waits for ends
  std::uint64_t told;         // so many fatal errors were told
  std::uint64_t stops;        // so many stop() had ended a run
};

// Protocol STANDSTILL.
//
// Danger    After stop() the loops are to stand still, but only once they have run what was ready.
//           And while a task from outside has not ended, some thread may wait for it: if the loops
//           stood still then, that thread would wait for ever.
// Chosen    stop() sends each loop a callback in which it stands still. So what was ready on that
//           loop has run before, and what that added has not. A standstill has a number and is
//           lifted by it. If it is lifted before its callbacks have their turn, they let the loops
//           pass.
//           Whoever starts a task from outside counts it, then looks whether the loops stand.
//           Whoever asks them to stand says so, then looks at the count. Both are seq_cst, so one
//           of the two sees the other.
// Cost      A callback for each loop at each stop(); two locked operations for a task of submit.
class standstill {
 public:
  standstill(loop_group& loops, thread_waits& waits, fatal_errors& fatal) noexcept
      : loops_(&loops), waits_(&waits), fatal_(&fatal) {}
  standstill(const standstill&) = delete;

  // --- run ---
  /// A thread is in run, so the loops do not stand still. Returns how many stop() had ended a run
  /// by now.
  [[nodiscard]] std::uint64_t begin_run() noexcept;
  void end_run() noexcept;
  /// Blocks the calling (foreign) thread until `ended` is set and all are woken, a fatal error
  /// comes, or stop() ends the run.
  void wait_until(const run_wait& w);
  /// The same, and calls `rung()` each time something may have happened, an interrupt among it.
  template <class Rung>
  void wait_interruptibly(const run_wait& w, Rung rung) {
    bell& its = waits_->its_bell();
    struct listener {
      bell& b;
      explicit listener(bell& it) noexcept : b(it) { b.listen(true); }
      ~listener() { b.listen(false); }
    } listening(its);
    for (;;) {
      const auto seen = its.seen();
      {
        std::lock_guard hold(waits_->lock());
        if (is_over(w)) return;
      }
      rung();
      its.sleep(seen);
    }
  }
  /// After that: if stop() has ended the run, until the loops have run what was ready then, or
  /// `ended` is set.
  void let_pass_end(const run_wait& w);

  // --- run_forever, stop ---
  void run_forever();
  void stop() noexcept;

  // --- tasks from outside ---
  /// A task from outside is about to be started. Some thread may wait for it, so the loops do not
  /// stand still before ended_from_outside().
  void starts_from_outside() noexcept {
    from_outside_.fetch_add(1, seq_cst);
    if (standing_still_.load(seq_cst)) go_on();  // pairs with ask_to_stand()
  }
  void ended_from_outside() noexcept { from_outside_.fetch_sub(1, seq_cst); }

  // --- close ---
  /// A thread is about to be in run or run_forever: `what`. Throws usage_error once the runtime
  /// closes.
  void begin_call(const char* what);
  void end_call() noexcept;
  /// How many threads are in run or run_forever.
  [[nodiscard]] unsigned callers() noexcept {
    std::lock_guard hold(waits_->lock());
    return callers_;
  }
  /// From now on begin_call() throws. Throws usage_error while a thread is in run or run_forever.
  void close();
  /// Lock of the waits held: nothing stands still any more, and nothing ever will again.
  void end_locked() noexcept;

 private:
  [[nodiscard]] bool is_over(const run_wait& w) const noexcept {
    return w.ended.load(acquire) || fatal_->any_since(w.told) || run_stops_ != w.stops;
  }
  /// The loops stand in the latest standstill, or `number` is lifted.
  [[nodiscard]] bool has_passed(std::uint64_t number) const noexcept {
    return lifted_ >= number || standing_ >= loops_->workers.size();
  }
  [[nodiscard]] std::uint64_t ask_to_stand(bool runs_end) noexcept;
  void post_standstill(std::uint64_t number) noexcept;
  void stand(worker& w, std::uint64_t number) noexcept;
  void go_on() noexcept;
  void lift(std::uint64_t up_to) noexcept;
  [[nodiscard]] std::uint64_t wait_for_stop(std::uint64_t stops, std::uint64_t told);

  loop_group* loops_;
  thread_waits* waits_;
  fatal_errors* fatal_;

  // Under the lock of the waits, up to the atomics.
  /// A stop() met no run_forever. One from outside is for the next run_forever, which makes a pass.
  /// One by a callback or task of ours ended the pass that was going on, and the next run_forever
  /// finds it done.
  enum class early_stop { none, outside, inside } early_stop_ = early_stop::none;
  std::uint64_t stops_ = 0;
  std::uint64_t run_stops_ = 0;  // those of them that ended what was in run
  unsigned runs_ = 0;            // threads that wait in run
  unsigned callers_ = 0;         // threads in run and run_forever
  unsigned forever_ = 0;         // threads in run_forever
  bool closing_ = false;
  std::uint64_t standstills_ = 0;       // the number of the latest one
  std::uint64_t lifted_ = 0;            // all up to this number are lifted
  std::size_t standing_ = 0;            // loops that stand in the latest one
  atomic<bool> standing_still_{false};  // lifted_ < standstills_; written under the lock
  atomic<std::uint64_t> from_outside_{0};
};

}  // namespace heddle::detail
