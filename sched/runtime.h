// SPDX-License-Identifier: MIT
// run: runs a task on a runtime of its own, like asyncio.run. runtime: the loops of a program, for
// more than one task.
//
//   auto page = h::run(fetch("a"));       // makes a runtime, runs the task, shuts the runtime down
//
//   h::runtime rt;                        // a runtime that stays
//   auto first = rt.submit(fetch("b"));   // from any thread
//   auto second = rt.run(fetch("c"));     // blocks this thread
//   first.get();
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/owned.h>
#include <heddle/core/future.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/options.h>
#include <heddle/sched/to_thread.h>

namespace heddle {

struct metrics;

namespace detail {
class runtime_state;

/// While a submitted task runs, this passes the cancellation of its future on to the task.
class cancel_link : public join_node {
 public:
  cancel_link() noexcept : join_node(&fired) {}
  task_record* task = nullptr;

 private:
  static void fired(join_node& node, eventual& target, work_list& todo) noexcept {
    auto& self = static_cast<cancel_link&>(node);
    if (target.how_ended() == outcome::cancelled) (void)todo.cancel(*self.task);
  }
};

/// Awaited, yields the record of the awaiting frame's task. Does not suspend.
struct own_record {
  task_record* record = nullptr;
  static bool await_ready() noexcept { return false; }
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h) {
    record = &h.promise().suspending(h);
    return false;
  }
  task_record& await_resume() const noexcept { return *record; }
};

/// The promise of a submitted task. If the task is cancelled before its first step, none of its
/// code runs. So the destructor of this object cancels the future.
template <class T>
class submitted_promise {
 public:
  explicit submitted_promise(promise<T> p) noexcept : promise_(std::move(p)) {}
  submitted_promise(submitted_promise&&) noexcept = default;
  ~submitted_promise() {
    if (promise_.valid()) (void)promise_.get_future().cancel();
  }
  promise<T> take() noexcept { return std::move(promise_); }

 private:
  promise<T> promise_;
};

template <class T>
task<> run_for_promise(task<T> work, submitted_promise<T> submitted) {
  own_record asks;
  task_record& self = co_await asks;
  auto result = submitted.take();
  auto future = result.get_future();
  cancel_link link;
  link.task = &self;
  if (!future.state().add_joiner(link)) co_return;  // the future was cancelled before it began
  std::exception_ptr error;
  bool cancelled = false;
  std::string message;
  try {
    if constexpr (std::is_void_v<T>) {
      co_await work;
      future.state().remove_joiner(link);
      if (!future.done()) result.set_value();
    } else {
      T value = co_await work;
      future.state().remove_joiner(link);
      if (!future.done()) result.set_value(std::forward<T>(value));
    }
  } catch (const cancelled_error& e) {
    cancelled = true;
    message = e.message();
  } catch (const fatal_error&) {
    future.state().remove_joiner(link);
    (void)future.state().fail(std::current_exception());  // unless a cancellation was faster
    throw;
  } catch (...) { error = std::current_exception(); }
  future.state().remove_joiner(link);
  if (future.done()) co_return;
  if (cancelled)
    future.cancel(message);
  else if (error)
    (void)future.state().fail(std::move(error));
}

/// Throws usage_error on the thread of a loop, which `what` would block.
void check_foreign(const char* what);

/// Marks that a thread is in run: close() throws meanwhile. Throws usage_error if the runtime is
/// closed.
class caller {
 public:
  caller(runtime_state& s, const char* what);
  caller(const caller&) = delete;
  ~caller();

 private:
  runtime_state* state_;
};

}  // namespace detail

/// The loops, their threads, and all that belongs to them. The loops run from construction to
/// close() or destruction.
///
/// `run` may be called any number of times, one call after the other or from several threads. Tasks
/// that are left when it returns go on until the runtime is closed.
///
/// close(), which the destructor calls, is an orderly shutdown. Nothing new is accepted. All tasks
/// are cancelled and awaited, those made meanwhile too. The jobs of to_thread are awaited, and then
/// the loops end. Destroy a runtime from a foreign thread, not from one of its tasks. After close()
/// every call that needs a loop throws usage_error, also through a `loop&` from before.
///
/// A child of fork(2) has none of the loops. Its thread is no loop, even if it was one. It may make
/// runtimes of its own, or exec. It must not touch the runtimes of its parent, not even to destroy
/// them. So it must end by exec or _exit, never through `main`. (create_subprocess runs no code of
/// the library in the child.)
/// Thread-safety  every function may be called from any thread, unless it says otherwise
class runtime {
 public:
  /// Makes the loops and starts them.
  /// Throws    bad_value for options out of range; std::system_error if threads or reactors cannot
  ///           be made; usage_error inside a loop
  explicit runtime(const options& o = {});
  runtime(const runtime&) = delete;
  ~runtime();

  /// Runs `main` to its end, blocks the calling thread meanwhile, and returns the result.
  ///
  /// All main tasks of a runtime share one context. It begins as a copy of the context in which the
  /// runtime was made. What one main task sets, the next one sees.
  ///
  /// In the main thread, while SIGINT has its default action, run takes SIGINT for its time. The
  /// first SIGINT cancels `main`; if `main` then ends cancelled, interrupted_error is thrown. The
  /// second SIGINT throws interrupted_error at once.
  /// Throws    what `main` throws, or the first fatal_error of any task or callback; usage_error on
  ///           the thread of a loop, and once closed
  template <class T>
  T run(task<T> main, std::source_location made = std::source_location::current()) {
    detail::check_foreign("run");
    const detail::caller inside(*state_, "run");
    task_options o;
    o.context = main_context();
    ask_task_factory(o);
    auto& record = detail::make_root(std::move(main), made);
    task_handle<T> handle(&record);
    run_foreign(record, o);
    if constexpr (std::is_void_v<T> || std::is_reference_v<T>)
      return handle.result();
    else
      return std::move(handle.result());
  }

  /// The same for a future of something that is under way. Returns its result, moved out if it
  /// cannot be copied. Throws bad_value at once for a future of another runtime.
  template <class T>
  T run(future<T> f) {
    check_owner(f.state());
    detail::check_foreign("run");
    const detail::caller inside(*state_, "run");
    wait_foreign(f.state());
    if constexpr (std::is_void_v<T> || std::is_reference_v<T> || std::is_copy_constructible_v<T>)
      return f.result();
    else
      return std::move(f.result());
  }

  /// Starts `t` from any thread, in a copy of the caller's context. The `get()` of the future
  /// blocks a foreign thread; `co_await` suspends a task. Cancelling the future cancels the task.
  /// If the task is cancelled before it began, the future is cancelled. What a task factory throws
  /// is reported, and the future fails with it. Throws usage_error after shutdown.
  template <class T>
  future<T> submit(task<T> t, std::source_location made = std::source_location::current()) {
    promise<T> result;
    auto f = result.get_future();
    task_options o;
    if (auto error = refused_by_factory(o)) {
      f.state().mark_retrieved();  // the error was reported already
      result.set_exception(std::move(error));
      return f;
    }
    auto& record = detail::make_root(
        detail::run_for_promise<T>(std::move(t), detail::submitted_promise<T>(std::move(result))),
        made);
    task_handle<void> handle(&record);
    launch_foreign(record, o, true);
    return f;
  }
  /// The same for a callable and its arguments, which are kept while the task lives.
  template <class F, class A = detail::no_argument, class B = detail::no_argument,
            class C = detail::no_argument, class D = detail::no_argument>
    requires detail::makes_task_of<F, A, B, C, D>
  auto submit(F&& f, A&& a = detail::omitted, B&& b = detail::omitted, C&& c = detail::omitted,
              D&& d = detail::omitted,
              std::source_location made = std::source_location::current()) {
    return submit(detail::kept_call_of<F, A, B, C, D>(std::forward<F>(f), std::forward<A>(a),
                                                      std::forward<B>(b), std::forward<C>(c),
                                                      std::forward<D>(d)),
                  made);
  }
  template <class F, class... As>
    requires(sizeof...(As) > 4 && detail::makes_task<F, As...>)
  auto submit(F&& f, As&&... as) {
    return submit(detail::kept_call(std::forward<F>(f), std::forward<As>(as)...),
                  std::source_location());
  }

  /// Calls `f(args...)` on a thread of the pool behind to_thread. From any thread. If the future is
  /// cancelled, a job that has not started never runs. Throws usage_error once closed, and after
  /// shutdown_default_executor.
  template <class F, class... Args>
    requires std::invocable<std::decay_t<F>, std::decay_t<Args>...>
  auto run_in_executor(F&& f, Args&&... args) {
    return detail::submit_promised(&give, state_.get(), std::forward<F>(f),
                                   std::forward<Args>(args)...);
  }
  /// Ends the pool behind to_thread: it takes no new jobs, and the jobs there are are awaited. To
  /// be awaited by a task. False: they did not end within `limit`. Then a warning goes to the
  /// exception handler, and no one waits for those jobs any more, close() neither. So they must
  /// not use what ends before them. Throws bad_value for a NaN.
  [[nodiscard]] task<bool> shutdown_default_executor(any_duration limit = duration::max());

  /// Blocks the calling thread until stop() is called. If stop() was called before, it returns
  /// after one pass over what is ready. Throws a fatal error; usage_error inside a loop and once
  /// closed.
  void run_forever();
  /// Makes run_forever() return, or the next run_forever() if none runs.
  ///
  /// Each loop first runs what is ready there. Then the loops stand still, timers and I/O included,
  /// until the next run, run_forever or submit. While a task of submit has not ended, a thread may
  /// wait for it, so the loops do not stand still.
  ///
  /// If no thread is in run_forever but one is in run, stop() ends that run. Then run throws
  /// usage_error, unless the awaited task or future ends in this last pass. The task goes on in the
  /// next run, whatever that runs. From any thread, task or callback. After close() it does
  /// nothing.
  void stop() noexcept;
  /// The orderly shutdown. A second call does nothing. Throws usage_error inside a loop and while a
  /// thread is in run or run_forever. It also throws usage_error where it would wait for the caller
  /// itself: in a call of the exception handler, in a job of its to_thread, in a destructor of
  /// something that the shutdown drops. If it throws, nothing has changed.
  void close();
  /// The shutdown has come to its end.
  [[nodiscard]] bool is_closed() const noexcept;

  /// Debug mode (options.debug), for all that begins from now on. From any thread.
  void set_debug(bool on) noexcept;
  [[nodiscard]] bool debug() const noexcept;

  /// The stall limit (options.stall_limit) from now on; 0 or less: nothing is watched any more.
  /// From any thread but that of the stall handler. Throws bad_value for a NaN.
  void set_stall_limit(any_duration limit) noexcept;

  [[nodiscard]] unsigned loop_count() const noexcept;
  /// Loop `i`. Throws bad_value unless `i` is below loop_count(); usage_error once closed.
  [[nodiscard]] class loop& loop(unsigned i) const;
  /// What each loop has done and has to do. Costs some loads for each loop. From any thread.
  [[nodiscard]] runtime_stats stats() const;
  /// Figures for whoever watches the program: of the loops, the tasks, and the threads of
  /// to_thread, with histograms. Include <heddle/sched/metrics.h>. Costs a few us for each loop.
  /// From any thread. Throws std::bad_alloc.
  [[nodiscard]] struct metrics metrics() const;
  /// "epoll" or "io_uring".
  [[nodiscard]] std::string reactor() const;
  /// Why the reactor is epoll although io_uring was tried first: a sentence for people, or empty.
  [[nodiscard]] const std::string& reactor_note() const noexcept;
  /// Replaces the exception handler; an empty one restores the default, which needs no memory. From
  /// any thread. The former handler still gets what was reported before, perhaps after this call
  /// has returned.
  void set_exception_handler(std::function<void(const error_context&)> handler);
  /// Replaces the task factory (options.task_factory); an empty one restores the default, which
  /// needs no memory. From any thread.
  void set_task_factory(std::function<void(task_options&)> factory);
  /// Closes all async generators that are at a yield, as the end of the runtime does, and awaits
  /// their cleanup. Generators that begin later are reported, and not closed.
  [[nodiscard]] task<> shutdown_async_generators();
  /// Hands an error to the exception handler, as the library does for errors that no other code can
  /// get.
  void report(const error_context& what) noexcept;

 private:
  static void give(void* state, detail::offload_job& j);
  void check_owner(const detail::future_base& f) const;
  void launch_foreign(detail::task_record& t, const task_options& o, bool somebody_waits);
  [[nodiscard]] context main_context() const noexcept;
  void ask_task_factory(task_options& o);
  /// Asks the task factory. Returns what it throws, which is then reported already; null if it lets
  /// the task pass.
  std::exception_ptr refused_by_factory(task_options& o) noexcept;
  void run_foreign(detail::task_record& t, const task_options& o);
  void wait_foreign(detail::future_base& f);

  friend std::vector<any_task> all_tasks(const runtime& r);
  detail::owned<detail::runtime_state> state_;
};

/// The runtime of the calling loop. Throws no_running_loop elsewhere.
runtime& current_runtime();

/// The tasks of `r` that have not ended, from any thread, which may be none of its loops. They may
/// end at any moment; none once `r` is closed. Cost: a look at every record there is.
std::vector<any_task> all_tasks(const runtime& r);

/// Makes a runtime, runs `main` on it, shuts the runtime down (which cancels the tasks that are
/// left), and returns the result: asyncio.run. Blocks the calling thread. Throws what `main`
/// throws; usage_error inside a running loop, and if stop() comes before the end of `main`.
template <class T>
T run(task<T> main, const options& o = {},
      std::source_location made = std::source_location::current()) {
  detail::check_foreign("run");
  runtime r(o);
  return r.run(std::move(main), made);
}

}  // namespace heddle
