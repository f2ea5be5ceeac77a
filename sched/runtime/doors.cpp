// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/doors.h>

#include <heddle/core/future.h>
#include <heddle/core/scheduler.h>
#include <heddle/sched/runtime/runtime_state.h>

#include <exception>
#include <new>
#include <utility>

namespace heddle::detail {
namespace {

struct posted final : callback, callback_carrier {
  void carry(owned<callback_base> c) noexcept {
    context = std::move(c->context);
    inner = std::move(c);
  }
  void invoke() override { inner->run(); }
  void release() noexcept override { inner.reset(); }
  owned<callback_base> inner;
};

callback_carrier* make_carrier() { return new posted; }

/// A callback that is to be posted to `home`, or to any loop of its runtime.
struct addressed {
  executor* home;
  owned<callback_base> c;
};

void post_in(runtime_state& s, void* argument) {
  auto& p = *static_cast<addressed*>(argument);
  worker* target = s.workers.front();
  for (worker* w : s.workers)
    if (static_cast<executor*>(w) == p.home) target = w;
  auto* carrier = static_cast<posted*>(p.c->carrier.release());
  carrier->carry(std::move(p.c));
  target->deliver(work(*carrier));
}

void post(runtime_number runtime, executor* home, owned<callback_base> c) noexcept {
  addressed p{home, std::move(c)};
  if (!with_runtime(runtime, &post_in, &p)) run_here(std::move(p.c));
}

void report_in(runtime_state& s, void* context) {
  s.report(*static_cast<const error_context*>(context));
}

void report_dropped(std::uint16_t, eventual& what, const std::exception_ptr& error) noexcept {
  error_context context = context_of("an exception was never retrieved", error);
  context_slot* its = nullptr;
  what.ref();
  auto* t = what.what() == kind::task ? &static_cast<task_record&>(what) : nullptr;
  if (t) {
    context.origin = any_task(t);
    context.made = t->made();
    try {
      context.task = t->name();
      its = &t->extra().context;
    } catch (const std::bad_alloc&) {}  // a report without the name, in an empty context
  } else {
    context.future = any_future(&what);
  }
  context_slot empty;  // the handler sees what the task saw, not what the thread that drops it sees
  context_scope inside(its ? its : &empty);
  if (!t) return report_to(static_cast<future_base&>(what).number(), context);
  if (!with_runtime_of(*t, &report_in, &context)) report_on_stderr(context);
}

}  // namespace

void open_doors() {
  const uninterrupted guard;
  static const bool once = [] {
    set_callback_poster(&post, &make_carrier);
    set_unretrieved_reporter(&report_dropped);
    return true;
  }();
  (void)once;
}

}  // namespace heddle::detail
