// SPDX-License-Identifier: MIT
// A runtime from inside: its loops and what they share. Not a public header.
#pragma once

#include <heddle/sched/simulation.h>
#include <heddle/sched/thread_pool.h>
#include <heddle/sched/worker.h>

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
  /// Something that leaves run at once: the first one is kept, and who waits for the main task is woken.
  void fatal(std::exception_ptr error) noexcept;
  /// The one that came after the first `told` were told to a waiter, or null. It is told now.
  [[nodiscard]] std::exception_ptr fatal_since(std::uint64_t told);
  [[nodiscard]] std::uint64_t fatals_told();

  // --- entering from foreign threads ---
  /// While one lives the runtime is not torn down. A foreign thread holds one from before its push to after its wake-up: the task it
  /// pushed may run, end, and be the last, before the wake-up is made.
  class guest {
   public:
    explicit guest(runtime_state& s) noexcept : s_(&s) { s.guests.fetch_add(1, seq_cst); }
    guest(const guest&) = delete;
    ~guest() { s_->guests.fetch_sub(1, seq_cst); }

   private:
    runtime_state* s_;
  };

  // --- the life of tasks ---
  [[nodiscard]] std::uint64_t live_tasks() const noexcept;
  void round_ended() noexcept;
  /// Cancels all tasks and waits for them, again until none is left. From a foreign thread.
  void cancel_everything();
  [[nodiscard]] bool is_stopping() const noexcept { return stopping.load(seq_cst); }

  /// Blocks the calling (foreign) thread until `ended` is set by a call of wake_waiters(), or a fatal error came after the first `told`.
  void wait_until(const atomic<bool>& ended, std::uint64_t told);
  void wake_waiters() noexcept;
  /// run_forever and its end.
  void wait_stopped();
  void stop() noexcept;

  runtime& facade;
  simulation* const simulated;  // whose virtual threads the loops are, or nullptr
  options opts;
  std::uint16_t id;
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

 private:
  void seal_loops();
  /// Blocks a foreign thread until `done()`, which is called under wait_lock_, after some notify_all().
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

  std::recursive_mutex
      handler_lock_;  // serialises the handler's calls; what it does may lead to another report
  std::shared_ptr<const std::function<void(const error_context&)>> handler_;
  std::mutex wait_lock_;
  std::condition_variable waiters_;
  std::exception_ptr fatal_;       // under wait_lock_: the latest
  std::uint64_t fatals_ = 0;       // under wait_lock_: how many came
  std::uint64_t fatals_told_ = 0;  // under wait_lock_: so many were told to some waiter
  bool stop_asked_ = false;        // under wait_lock_
  atomic<std::uint64_t> round_left_{0};
};

/// Runtimes by number, for those who may come late: calls `f` with it while it is kept alive; false if it is gone.
bool with_runtime(std::uint16_t id, void (*f)(runtime_state&, void*), void* argument) noexcept;

/// The runtime of the calling loop, or nullptr.
HEDDLE_NOINLINE runtime_state* this_runtime() noexcept;

}  // namespace heddle::detail
