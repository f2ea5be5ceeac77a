// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime.h>

#include <heddle/core/base/assert.h>
#include <heddle/core/checked.h>
#include <heddle/sched/async_generator.h>
#include <heddle/sched/runtime/doors.h>
#include <heddle/sched/runtime/interrupt.h>
#include <heddle/sched/runtime/introspect.h>
#include <heddle/sched/runtime/main_waiter.h>
#include <heddle/sched/runtime/runtime_state.h>
#include <heddle/sched/runtime/shutdown.h>

#include <memory>
#include <string>
#include <utility>

namespace heddle {
namespace detail {

caller::caller(runtime_state& s, const char* what) : state_(&s) { s.standstill.begin_call(what); }
caller::~caller() { state_->standstill.end_call(); }

void check_foreign(const char* what) {
  if (this_worker())
    throw_usage(std::string(what) +
                " inside a running loop: a loop's thread must not block; co_await instead");
}

}  // namespace detail

runtime::runtime(const options& o) {
  detail::check_foreign("a runtime");
  detail::open_doors();
  state_.reset(new detail::runtime_state(*this, o));
}

runtime::~runtime() {
  HEDDLE_ASSERT(detail::this_runtime() != state_.get(),
                "a runtime was destroyed by one of its own tasks");
  HEDDLE_ASSERT(detail::waits_for_caller(*state_) == nullptr,
                "a runtime was destroyed by what its own end waits for: a call of its exception "
                "handler, or a job of its to_thread");
  detail::end_runtime(*state_);
}

void runtime::close() {
  detail::check_foreign("close");
  detail::close_runtime(*state_);
}

void runtime::give(void* state, detail::offload_job& j) {
  auto& s = *static_cast<detail::runtime_state*>(state);
  j.ref();  // the thread's
  try {
    s.pool.submit(j);
  } catch (...) {
    j.unref();
    throw;
  }
}

task<bool> runtime::shutdown_default_executor(any_duration limit) {
  auto result = std::make_shared<promise<bool>>();
  auto end = result->get_future();
  state_->pool.shutdown_beside(saturating_add(clock::now(), limit), [result](bool ended) {
    (void)result->try_set_value(ended);  // false: who waited was cancelled
  });
  const bool ended = co_await std::move(end);
  if (!ended) {
    error_context what;
    what.message = "the threads of to_thread did not end within " +
                   std::to_string(static_cast<double>(limit.count()) / 1e9) +
                   " s: what runs there is left alone";
    report(what);
  }
  co_return ended;
}

bool runtime::is_closed() const noexcept { return state_->is_closed(); }

void runtime::set_debug(bool on) noexcept { state_->set_debug(on); }
bool runtime::debug() const noexcept { return state_->debug(); }
void runtime::set_stall_limit(any_duration limit) noexcept { state_->set_stall_limit(limit); }

void runtime::check_owner(const detail::future_base& f) const {
  if (f.number() != 0 && f.number() != state_->serial)
    detail::throw_bad_value("run of a future that belongs to another runtime");
}

context runtime::main_context() const noexcept { return state_->main_context; }

void runtime::set_task_factory(std::function<void(task_options&)> factory) {
  state_->set_task_factory(std::move(factory));
}

void runtime::ask_task_factory(task_options& o) { state_->ask_task_factory(o); }

std::exception_ptr runtime::refused_by_factory(task_options& o) noexcept {
  try {
    state_->ask_task_factory(o);
    return nullptr;
  } catch (...) {
    auto error = std::current_exception();
    auto what = detail::context_of("the task factory refused a submitted task", error);
    what.task.swap(o.name);  // the task will not be made
    report(what);
    return error;
  }
}

void runtime::launch_foreign(detail::task_record& t, const task_options& o, bool somebody_waits) {
  auto& s = *state_;
  detail::loop_group::guest inside(s);
  try {
    if (s.is_stopping())
      detail::throw_usage("run or submit on a closed runtime: " + detail::never_began(t, o));
    if (o.loop && &o.loop->owner() != this)
      detail::throw_usage("the task factory asks for a loop of another runtime: " +
                          detail::never_began(t, o));
    detail::apply_options(t, o);
  } catch (...) {
    detail::discard_unlaunched(t);
    throw;
  }
  t.at_home(detail::home_word(s.workers.front(), clock::now()));
  t.belongs_to(s.id);
  if (s.simulated) (void)s.simulated->number_of(t);
  if (somebody_waits) {
    t.mark_foreign();
    s.standstill.starts_from_outside();
  }
  if (!o.loop) return s.inject(t);
  s.foreign_created.fetch_add(1, detail::acq_rel);
  auto* target = static_cast<detail::worker*>(o.loop);
  t.pin();
  t.at_home(t.home_bits().at(target));
  target->deliver(detail::work(t));
}

void runtime::run_foreign(detail::task_record& t, const task_options& o) {
  const detail::interrupt_watch interrupts(state_->waits.its_bell(), state_->simulated == nullptr);
  detail::main_waiter waiter(
      *state_);  // while it waits the loops go on; when stop() ends that, the task is as others are
  launch_foreign(t, o, false);
  waiter.wait(t, interrupts);
  // Cancelled by the interrupt alone: that is what the caller is told. An interrupt that found it
  // cancelled and at its end has done nothing.
  if (waiter.interrupted() && t.how_ended() == detail::outcome::cancelled &&
      detail::word::requests(t.state().load()) <= 1)
    throw interrupted_error();
}

void runtime::wait_foreign(detail::future_base& f) {
  const detail::interrupt_watch interrupts(state_->waits.its_bell(), state_->simulated == nullptr);
  detail::main_waiter waiter(*state_);
  waiter.wait(f, interrupts);
  if (waiter.interrupted() && f.how_ended() == detail::outcome::cancelled)
    throw interrupted_error();
}

void runtime::run_forever() {
  detail::check_foreign("run_forever");
  const detail::caller inside(*state_, "run_forever");
  state_->standstill.run_forever();
}

void runtime::stop() noexcept { state_->standstill.stop(); }

unsigned runtime::loop_count() const noexcept {
  return detail::narrow<unsigned>(state_->workers.size());
}

class loop& runtime::loop(unsigned i) const {
  if (is_closed()) detail::throw_usage("loop() of a closed runtime");
  if (i >= state_->workers.size())
    throw bad_value("loop(" + std::to_string(i) + "): there are " +
                    std::to_string(state_->workers.size()));
  return *state_->workers[i];
}

runtime_stats runtime::stats() const {
  runtime_stats all;
  for (const auto* w : state_->workers) all.loops.push_back(w->stats());
  all.tasks = state_->live_tasks();
  all.reactor = state_->workers.front()->own_driver().name();
  return all;
}

std::string runtime::reactor() const { return state_->workers.front()->own_driver().name(); }

const std::string& runtime::reactor_note() const noexcept { return state_->reactor_note; }

void runtime::set_exception_handler(std::function<void(const error_context&)> handler) {
  state_->set_handler(std::move(handler));
}

task<> runtime::shutdown_async_generators() {
  return detail::close_generators(state_->generators.shut());
}

void runtime::report(const error_context& what) noexcept { state_->report(what); }

std::vector<any_task> all_tasks(const runtime& r) {
  return r.is_closed() ? std::vector<any_task>() : detail::living_tasks<any_task>(r.state_->id);
}

runtime& current_runtime() {
  auto* s = detail::this_runtime();
  if (!s) throw no_running_loop();
  return s->facade;
}

}  // namespace heddle
