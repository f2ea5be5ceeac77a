// SPDX-License-Identifier: MIT
#include <heddle/sched/async_generator.h>

#include <heddle/core/base/assert.h>
#include <heddle/core/base/thread_state.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/runtime/runtime_state.h>

#include <typeinfo>
#include <vector>

namespace heddle::detail {
namespace {

/// Resumes a generator that the awaiting task has claimed to close.
class close_await {
 public:
  explicit close_await(generator_base& g) noexcept : generator_(&g) {}
  static bool await_ready() noexcept { return false; }
  template <heddle_promise P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> closer,
                                        std::source_location where = HEDDLE_HERE) noexcept {
    generator_->enter_to_close(closer.promise(), closer, where);
    return generator_->handle();
  }
  void await_resume() { generator_->check_closed(); }

 private:
  generator_base* generator_;
};

/// The body of the tasks that close what nobody else closes: nobody awaits them, so errors are
/// reported.
task<> close_and_report(generator_ref g) {
  std::exception_ptr error;
  try {
    close_await closing(*g);
    co_await closing;
  } catch (const fatal_error&) { throw; } catch (...) {
    error = std::current_exception();
  }
  g = {};
  if (error && !is_cancellation(error))
    this_runtime()->report(
        {"an error in the cleanup of an async generator that was closed", error, {}});
}

constexpr const char* not_closed =
    "an async generator was destroyed while it stood at a yield and no loop could close it: its "
    "destructors ran, its cleanup did not";

}  // namespace

task<> close_generator(generator_ref g) {
  if (!g->claim_to_close()) co_return;
  close_await closing(*g);
  co_await closing;
}

namespace {

/// Null: there is nothing to close. One for which there is no memory is reported, and its
/// destructors run without its cleanup.
task_handle<> begin_to_close(generator_ref g) {
  if (!g->try_claim_to_close()) return {};
  task_handle<> closer;
  try {
    closer = task_handle<>(&make_root(close_and_report(std::move(g))));
  } catch (const std::bad_alloc&) {
    this_runtime()->report(context_of(not_closed, std::current_exception()));
    return {};
  }
  launch_closing(*closer.record(), false);
  return closer;
}

}  // namespace

// At the same time, as far as there is memory to remember the closers; without it, one after the
// other.
task<> close_generators(generator_chain all) {
  std::vector<task_handle<>> closers;
  while (auto listed = all.pop()) {
    auto* g = static_cast<generator_base*>(listed.get());
    g->ref();
    listed = {};
    auto closer = begin_to_close(generator_ref(g));
    if (!closer.valid()) continue;
    bool kept = true;
    try {
      closers.push_back(closer);
    } catch (const std::bad_alloc&) { kept = false; }
    if (!kept) co_await closer;
  }
  for (auto& c : closers) co_await c;
}

bool generator_base::enter_slow(generator_phase was, promise_base& caller) {
  for (;;) {
    switch (was) {
      case generator_phase::ended: return false;
      case generator_phase::running:
        detail::throw_usage(
            "next() of an async generator that a task is in already: one at a time");
      case generator_phase::closing:
        detail::throw_usage("next() of an async generator that is being closed");
      case generator_phase::fresh:
      case generator_phase::suspended: break;
    }
    if (phase_.compare_exchange_weak(was, generator_phase::running, acq_rel, acquire)) break;
  }
  if (was != generator_phase::fresh) return true;
  auto* here = this_worker();
  if (!here || runtime_of(*here).id != caller.enclosing().runtime()) return true;
  runtime_.store(runtime_of(*here).serial, release);
  list_ = static_cast<std::uint16_t>(here->index());
  if (!runtime_of(*here).generators.add(*this))
    runtime_of(*here).report(
        {"an async generator began after the generators of its runtime were shut down: the runtime "
         "will not close it",
         nullptr,
         {}});
  return true;
}

bool generator_base::claim_to_close() {
  auto was = phase_.load(acquire);
  for (;;) {
    auto to = generator_phase::closing;
    switch (was) {
      case generator_phase::ended: return false;
      case generator_phase::running:
      case generator_phase::closing:
        detail::throw_usage("aclose() of an async generator that a task is in: one at a time");
      case generator_phase::fresh: to = generator_phase::ended; break;
      case generator_phase::suspended: break;
    }
    if (phase_.compare_exchange_weak(was, to, acq_rel, acquire))
      return to == generator_phase::closing;
  }
}

void generator_base::check_closed() {
  if (yielded_) {
    unlist();
    phase_.store(generator_phase::ended, release);  // what it holds goes with its object
    detail::throw_usage(
        "an async generator ignored generator_exit: it yielded while it was being closed");
  }
  auto error = take_error();
  if (error && *error.__cxa_exception_type() != typeid(generator_exit))
    std::rethrow_exception(std::move(error));
}

void generator_base::unlist() noexcept {
  const auto id = runtime_.load(acquire);
  if (id == 0) return;
  bool was_listed = false;
  struct captured {
    generator_base* g;
    bool* was_listed;
  } p{this, &was_listed};
  (void)with_runtime(
      id,
      [](runtime_state& s, void* argument) {
        auto& p = *static_cast<captured*>(argument);
        *p.was_listed = s.generators.remove(*p.g);
      },
      &p);
  if (was_listed) unref();  // never the last: who calls this has another
}

// Problem   A generator often holds the one that it reads from. To let go of it destroys its frame,
//           or closes it on this stack, and so lets go of the next. A chain of 20,000 generators
//           would overflow the stack.
// Rejected  To leave all of it to tasks of their own. The destructors of what a generator holds
//           would not have run when the destructor of its object has.
// Chosen    Below sixteen calls the rest is listed. The outermost call goes through the list before
//           it returns. So each generator is let go of once, in a bounded number of calls. Only the
//           order among those far below changes.
void generator_base::let_go() noexcept {
  constexpr unsigned deepest = 16;
  auto& role = static_cast<thread_role&>(this_thread());
  if (role.generators_let_go >= deepest) {
    later_ = nullptr;
    (role.generators_first ? role.generators_last->later_ : role.generators_first) = this;
    role.generators_last = this;
    return;
  }
  ++role.generators_let_go;
  let_go_now();
  if (role.generators_let_go == 1)
    while (auto* g = role.generators_first) {
      role.generators_first = g->later_;
      g->let_go_now();
    }
  --role.generators_let_go;
}

void generator_base::let_go_now() noexcept {
  HEDDLE_ASSERT(phase_.load(acquire) != generator_phase::running,
                "an async_generator was destroyed while a task was in its next()");
  if (!try_claim_to_close()) return unref();  // not begun, ended, or in the hands of a closer
  if (const auto id = runtime_.load(acquire); id != 0) {
    auto* here = this_worker();
    const auto close = [](runtime_state& s, void* argument) {
      auto& g = *static_cast<generator_base**>(argument);
      auto* worker_here = this_worker();
      const bool inside = worker_here && &worker_here->group() == &s;
      if (inside ? worker_here->is_sealed() : s.is_stopping()) return;
      task_handle<> handle;
      try {
        g->ref();  // the closer's; without memory for it, it is dropped again
        handle = task_handle<>(&make_root(close_and_report(generator_ref(g))));
      } catch (const std::bad_alloc&) { return; }
      std::exchange(g, nullptr)->unref();
      auto& t = *handle.record();
      if (inside)
        launch_closing(t, true);
      else
        launch_closing_from_outside(s, t);
    };
    generator_base* mine = this;
    if (here && runtime_of(*here).serial == id)
      close(runtime_of(*here), &mine);
    else
      (void)with_runtime(id, close, &mine);
    if (!mine) return;
    // The runtime ends, or memory is short. If its shutdown has not come to this one yet, it closes
    // it.
    phase_.store(generator_phase::suspended, release);
    struct question {
      generator_base* g;
      bool listed;
    } q{this, false};
    (void)with_runtime(
        id,
        [](runtime_state& s, void* argument) {
          auto& q = *static_cast<question*>(argument);
          q.listed = s.generators.has(*q.g);
        },
        &q);
    if (q.listed || !try_claim_to_close()) return unref();
  }
  report_to(runtime_.load(relaxed), context_of(not_closed));
  unref();
}

}  // namespace heddle::detail
