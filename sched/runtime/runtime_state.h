// SPDX-License-Identifier: MIT
// Internal to sched.
// A runtime from inside: its loops and all else that belongs to it. Not a public header.
#pragma once

#include <heddle/core/context.h>
#include <heddle/sched/loop/group.h>
#include <heddle/sched/loop/worker.h>
#include <heddle/sched/options.h>
#include <heddle/sched/runtime/fatal_errors.h>
#include <heddle/sched/runtime/generator_registry.h>
#include <heddle/sched/runtime/reports.h>
#include <heddle/sched/runtime/seals.h>
#include <heddle/sched/runtime/services.h>
#include <heddle/sched/runtime/standstill.h>
#include <heddle/sched/runtime/thread_pool.h>
#include <heddle/sched/runtime/thread_waits.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace heddle::detail {

/// The loops run from construction on. Before it is destroyed end_runtime() has to be called
/// (shutdown.h).
class runtime_state final : public loop_group {
 public:
  runtime_state(runtime& face, const options& wish);
  ~runtime_state();

  static constexpr unsigned most_loops = 256;

  // --- errors ---
  /// Hands it to the exception handler, with the loop that it belongs to.
  void report(const error_context& what) noexcept;
  void set_handler(std::function<void(const error_context&)> handler);

  // --- the task factory ---
  [[nodiscard]] bool has_task_factory() const noexcept {
    return has_factory_.load(acquire);  // pairs with set_task_factory()
  }
  void set_task_factory(std::function<void(task_options&)> factory);
  /// Shows `o` to the factory, if there is one. Throws what it throws.
  void ask_task_factory(task_options& o);

  // --- tasks ---
  /// A new task from a foreign thread: whichever loop is free takes it.
  void inject(task_record& t);
  /// Created and not ended. A task that ends meanwhile may still be counted, never the other way.
  [[nodiscard]] std::uint64_t live_tasks() const noexcept;
  [[nodiscard]] bool is_stopping() const noexcept { return stopping.load(seq_cst); }
  [[nodiscard]] bool is_closed() const noexcept {
    return ending.closed.load(acquire);  // pairs with end_runtime()
  }

  // --- debug ---
  void set_debug(bool on) noexcept;
  [[nodiscard]] bool debug() const noexcept { return debug_.load(relaxed); }

  /// Steps that take longer are reported; zero or less: none.
  void set_stall_limit(duration limit) noexcept;

  // --- what its loops tell it ---
  void step_was_slow(task_record& t, duration took) noexcept override;
  void callback_was_slow(callback& c, duration took) noexcept override;
  void callback_threw(callback& c, std::exception_ptr error) noexcept override;
  void awaited_end(task_record& t) noexcept override;
  void loop_was_kept(const kept_report& what) noexcept override;
  void came_to_rest() noexcept override;  // at_rest.cpp

  /// How far its end has come; end_runtime() moves it.
  struct end_state {
    bool begun = false;          // under the lock of the waits: some thread is in end_runtime()
    std::thread::id by;          // under the same lock: which
    atomic<bool> closed{false};  // it is over
    atomic<std::uint64_t> round_left{0};  // tasks of the round that have not ended
  };

  runtime& facade;
  const options opts;
  std::vector<std::unique_ptr<worker>> own_workers;  // those that loop_group points to
  std::string reactor_note;                          // before `reactor`, whose choice writes it
  const reactor_kind reactor;    // the first choice: make_drivers() may have to take the second
  atomic<bool> stopping{false};  // no new work from outside
  thread_waits waits;
  fatal_errors fatal{waits};
  class standstill standstill{*this, waits, fatal};
  report_queue reports;
  report_queue stall_reports;
  thread_pool pool;
  service_set services;
  generator_registry generators;
  loop_seals seals;
  end_state ending;
  const context main_context;  // of all main tasks: a copy of that in which the runtime was made

 private:
  void make_loops(unsigned n);
  [[nodiscard]] std::vector<owned<driver>> make_drivers(unsigned n);

  std::mutex factory_lock_;
  std::shared_ptr<const std::function<void(task_options&)>> factory_;  // under factory_lock_
  atomic<bool> has_factory_{false};
  atomic<bool> debug_{false};
};

/// The runtime of a loop.
inline runtime_state& runtime_of(const worker& w) noexcept {
  return static_cast<runtime_state&>(w.group());
}

/// The runtime of the calling loop, or nullptr.
HEDDLE_NOINLINE runtime_state* this_runtime() noexcept;

/// Calls `f` with runtime `number` while it is kept alive. False: it is gone. Takes no lock if it
/// is the runtime of the calling loop.
bool with_runtime(runtime_number number, void (*f)(runtime_state&, void*), void* argument) noexcept;
/// The same for the runtime of a task, which may have ended.
bool with_runtime_of(const task_record& t, void (*f)(runtime_state&, void*),
                     void* argument) noexcept;

/// Reports to the exception handler of runtime `number`; a line on stderr if that is gone.
void report_to(runtime_number number, const error_context& what) noexcept;

}  // namespace heddle::detail
