// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/doors.h>

#include <heddle/core/scheduler.h>
#include <heddle/sched/runtime/registry.h>
#include <heddle/sched/runtime/runtime_state.h>

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

void report_in(runtime_state& s, void* context) {
  s.report(*static_cast<const error_context*>(context));
}

}  // namespace

// The doors that core leaves to a scheduler (executor_hooks.h, task_record.h).
void open_doors() {
  const uninterrupted alone;
  static const bool once = [] {
    set_callback_poster(
        [](runtime_number runtime, executor* home, owned<callback_base> c) noexcept {
          struct parcel {
            executor* home;
            owned<callback_base> c;
          } p{home, std::move(c)};
          const bool there = with_runtime(
              runtime,
              [](runtime_state& s, void* argument) {
                auto& p = *static_cast<parcel*>(argument);
                worker* target = s.workers.front().get();
                for (auto& w : s.workers)
                  if (static_cast<executor*>(w.get()) == p.home) target = w.get();
                auto* carrier = static_cast<posted*>(p.c->carrier.release());
                carrier->carry(std::move(p.c));
                target->deliver(work(*carrier));
              },
              &p);
          if (!there) run_here(std::move(p.c));
        },
        []() -> callback_carrier* { return new posted; });
    set_unretrieved_reporter([](std::uint16_t, eventual& what,
                                const std::exception_ptr& error) noexcept {
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
      context_slot empty;  // the handler sees what the task saw, not what who dropped it last sees
      context_scope inside(its ? its : &empty);
      if (!t) return report_to(static_cast<future_base&>(what).number(), context);
      if (!with_runtime_of(*t, &report_in, &context)) report_on_stderr(context);
    });
    return true;
  }();
  (void)once;
}

void report_to(runtime_number number, const error_context& what) noexcept {
  const error_context* told = &what;
  const bool there = with_runtime(
      number, [](runtime_state& s, void* c) { s.report(**static_cast<const error_context**>(c)); },
      &told);
  if (!there) report_on_stderr(what);
}

}  // namespace heddle::detail
