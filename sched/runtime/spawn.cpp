// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/spawn.h>

#include <heddle/core/record/owner.h>
#include <heddle/core/scheduler.h>
#include <heddle/sched/runtime/runtime_state.h>

namespace heddle::detail {

namespace {

outcome what_it_is(task_record& t, const std::exception_ptr& error) noexcept {
  if (is_cancellation(error)) {
    try {
      std::rethrow_exception(error);
    } catch (const cancelled_error& e) {
      try {
        if (!e.message().empty()) t.extra().set(&task_extra::message, e.message());
      } catch (const std::bad_alloc&) {}  // it ends cancelled all the same, without its message
    }
    return outcome::cancelled;
  }
  try {
    std::rethrow_exception(error);
  } catch (const cancelled_error&) { return outcome::cancelled; } catch (const fatal_error&) {
    t.mark_retrieved();
    this_runtime()->fatal.came(error);
  } catch (...) {}
  return outcome::error;
}

}  // namespace

outcome classify_error(task_record& t, const std::exception_ptr& error) noexcept {
  const outcome how = what_it_is(t, error);
  static_cast<worker*>(static_cast<loop*>(t.home()))->count_end(how);
  return how;
}

void finish_root(task_record& t, outcome how, void (*destroy_result)(void*) noexcept) noexcept {
  end_task(t, how, destroy_result);
  static_cast<worker*>(static_cast<loop*>(t.home()))->ended(t);
  // Destructors of the result may ask for the current task. Without any reference left it cannot be
  // that one any more.
  self_of_thread.current = nullptr;
  t.unref();
}

std::string never_began(task_record& t, const task_options& o) {
  return describe_task(o.name.empty() ? t.name() : o.name, t.made()) +
         ", was destroyed before its first step";
}

void apply_options(task_record& t, const task_options& o) {
  if (!o.name.empty()) t.extra().set(&task_extra::name, o.name);
  if (o.context)
    t.extra().context.share(o.context->state());
  else if (auto map = inherited_context())
    t.extra().context.begin_with(std::move(map));
}

namespace {

/// Nothing is set in the creator's context.
bool gives_no_context(const thread_state& creator) noexcept {
  if (creator.context) return !creator.context->begun();
  if (!creator.current) return true;
  auto* x = creator.current->root().extra_if_any();
  return !x || !x->context.begun();
}

/// Nothing but a plain task: no name, and nothing set in the creator's context.
bool is_plain(const task_options& o, const thread_state& creator) noexcept {
  return o.name.empty() && !o.context && gives_no_context(creator);
}

void launch_as(const thread_state& creator, task_record& t, const task_options& o) {
  auto* here = worker_of(creator);
  auto* target = static_cast<worker*>(o.loop);
  try {
    if (target && &target->group() != &here->group())
      throw_usage("create_task: the loop belongs to another runtime; " + never_began(t, o));
    if (!is_plain(o, creator)) [[unlikely]]
      apply_options(t, o);
  } catch (...) {
    discard_unlaunched(t);
    throw;
  }
  t.at_home(here);
  t.belongs_to(here->group().id);
  here->count_created(t);
  if (world* w = this_world()) [[unlikely]]
    (void)w->number_of(t);
  if (target) {
    t.pin();
    t.at_home(here->as_home().at(target));  // the target's own time may be old: it may sleep
    if (target != here) {
      target->deliver(work(t));
      return;
    }
  }
  if (o.eager) return here->run_first_step(t);
  here->push_back(t);
  here->look_for_sleepers();
}

HEDDLE_COLD void launch_by_factory(worker& here, task_record& t, const task_options& given) {
  task_options o;
  try {
    o = given;
    runtime_of(here).ask_task_factory(o);
  } catch (...) {
    discard_unlaunched(t);
    throw;
  }
  launch_as(this_thread(), t, o);
}

}  // namespace

void launch_closing(task_record& t, bool eager) noexcept {
  auto* here = this_worker();
  t.spare();
  t.at_home(here);
  t.belongs_to(here->group().id);
  here->count_created(t);
  if (eager) return here->run_first_step(t);
  here->push_back(t);
  here->look_for_sleepers();
}

void launch_closing_from_outside(runtime_state& s, task_record& t) {
  t.spare();
  t.at_home(home_word(s.workers.front(), clock::now()));
  t.belongs_to(s.id);
  if (s.simulated) (void)s.simulated->number_of(t);
  s.inject(t);
}

HEDDLE_COLD static void launch_without_options(task_record& t) { launch(t, task_options{}); }

// The same as with options that say nothing, and by far the most frequent.
void launch(task_record& t) {
  const auto& creator = self_of_thread;
  auto* here = worker_of(creator);
  if (!here || here->is_sealed() || runtime_of(*here).has_task_factory() || this_world() ||
      !gives_no_context(creator)) [[unlikely]]
    return launch_without_options(t);
  t.at_home(here);
  t.belongs_to(here->group().id);
  here->count_created(t);
  here->push_back(t);
  here->look_for_sleepers();
}

void launch(task_record& t, const task_options& o) {
  const auto& creator = this_thread();
  auto* here = worker_of(creator);
  if (!here || here->is_sealed()) [[unlikely]] {
    discard_unlaunched(t);  // the caller holds the record
    if (!here) throw no_running_loop();
    throw_usage("create_task after the runtime has shut down: " + never_began(t, o));
  }
  if (runtime_of(*here).has_task_factory()) [[unlikely]]
    return launch_by_factory(*here, t, o);
  launch_as(creator, t, o);
}

awaited_now run_awaited(task_record& waiting, task_record& child) noexcept {
  auto* here = this_worker();
  return here ? here->run_awaited(waiting, child) : awaited_now::elsewhere;
}

void warn_never_awaited(std::source_location made) noexcept {
  auto* s = this_runtime();
  if (!s || !s->debug()) return;
  try {
    error_context what;
    what.message =
        "a coroutine was never awaited, and never ran: " + std::string(made.function_name()) +
        created_at(made);
    what.made = made;
    s->report(what);
  } catch (const std::bad_alloc&) {}  // a warning less
}

void warn_of_own_lock(task_record& t, const char* what) noexcept {
  auto* s = this_runtime();
  if (!s || !s->debug()) return;
  try {
    auto& root = t.root();
    const auto at = t.place();  // the task runs, and so nobody else has its link
    error_context told;
    told.task = root.name();
    told.message = &root == &t ? "" : "a strand of ";
    told.message +=
        describe_task(told.task, root.made()) + ", locks a " + what + " that it holds already";
    if (at.line() != 0)
      told.message += ", at " + std::string(at.file_name()) + ":" + std::to_string(at.line());
    told.message += ": it waits for itself";
    root.ref();
    told.origin = any_task(&root);
    told.made = root.made();
    s->report(told);
  } catch (const std::bad_alloc&) {}  // a warning less
}

// Nobody else has a reference, so all fields are the caller's: the record itself travels through
// the loop's inbox, and no memory is needed.
void drop_at_home(task_record& t) noexcept {
  const auto* here = this_runtime();
  const auto send = [](runtime_state& s, void* argument) {
    auto& t = *static_cast<task_record*>(argument);
    mark_on_its_way_home(t);
    s.workers.front()->deliver(work(t));
  };
  const bool sent = !(here && here->id == t.runtime()) && with_runtime_of(t, send, &t);
  if (!sent) t.unref();
}

}  // namespace heddle::detail
