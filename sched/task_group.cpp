// SPDX-License-Identifier: MIT
#include <heddle/sched/task_group.h>

#include <heddle/core/scheduler.h>
#include <heddle/core/seeing/layout.h>
#include <heddle/sched/runtime/runtime_state.h>

#include <array>
#include <memory>
#include <vector>

namespace heddle {

using detail::eventual;
using detail::group_access;
using detail::join_node;
using detail::task_record;
using detail::work_list;

// Problem   Children end and fail on any loop. At the same time other code may cancel the group, or
//           the task that runs the block (the parent). The block must end once and with the right
//           error. The parent's count of cancellations must then be what code outside asked for.
// Chosen    One lock decides the order. The thread that sets aborting_ also cancels the parent,
//           under the lock, if the body still runs: own_request_. At the end of the block the
//           parent takes that request back. Requests above the count at its entry are from outside.
// Promised  A child's node is fired exactly once. From its admission to its end a child is in one
//           of the rings. The group lives until count_ is 0: a thread that works on the group
//           without the lock raises count_. Once leaving_ is set and count_ is 0 the group is over:
//           no child is admitted and nothing changes.

/// A child's place in the group. The rings of the group own it. It is freed when the child ends
/// without a failure, or with the group.
struct task_group::child final : join_node, detail::group_link, detail::frame_cached {
  child(task_group& g, task_record& t) noexcept : join_node(&fired), group(&g), record(&t) {
    t.ref();
  }
  ~child() { record->unref(); }

  static void fired(join_node& node, eventual& target, work_list& todo) noexcept {
    auto& c = static_cast<child&>(node);
    c.group->gone(c, target.how_ended() == detail::outcome::error, todo);
  }

  task_group* group;
  task_record* record;
};

task_group::~task_group() {
  for (auto* ring : {&running_, &asked_})
    HEDDLE_ASSERT(ring->empty(),
                  ("a task group was destroyed before its " +
                   describe_task(*static_cast<child*>(ring->after)->record) + ", had ended")
                      .c_str());
  while (!failed_.empty()) {
    auto* c = static_cast<child*>(failed_.after);
    c->remove();
    delete c;
  }
}

// The child is in a ring and its joiner is added before the launch. For inside the launch the child
// may end, and the group may be cancelled.
void task_group::start(task_record& t, const task_options& options) {
  std::unique_ptr<child> fresh;
  try {
    fresh = std::make_unique<child>(*this, t);
    admit(*fresh);
  } catch (...) {
    discard_unlaunched(t);
    throw;
  }
  child& c = *fresh.release();
  (void)t.add_joiner(c);
  try {
    launch(t, options);
  } catch (...) {
    (void)t.remove_joiner(c);
    work_list todo;
    gone(c, false, todo);
    todo.settle();
    throw;
  }
}

void task_group::admit(child& c) {
  const char* refused = nullptr;
  all_ended_.lock();
  if (!entered_)
    refused = "create_task in a task group that was not entered";
  else if (leaving_ && count_ == 0)
    refused = "create_task in a task group that is over";
  else if (aborting_)
    refused = "create_task in a task group that is being cancelled";
  else {
    c.enter(running_);
    ++count_;
  }
  all_ended_.unlock();
  if (refused) detail::throw_usage(refused);
}

void task_group::gone(child& c, bool failed, work_list& todo) noexcept {
  if (failed) c.record->mark_retrieved();
  all_ended_.lock();
  c.remove();
  if (failed) {
    c.enter(failed_);
    if (!aborting_ && !abort_queued_ && !abort_later()) abort(todo);
  }
  let_go(todo);
  all_ended_.unlock();  // do not touch the group from here on: it may be gone
  if (!failed) delete &c;
}

void task_group::let_go(work_list& todo) noexcept {
  if (--count_ == 0)
    if (auto* w = all_ended_.claim_first()) todo.schedule(*w->task);
}

// Lock held, by the parent or by a thread that has raised count_. The lock is released every 64
// children, so that children that end do not spin for it for long.
void task_group::abort(work_list& todo) noexcept {
  aborting_ = true;
  for (unsigned n = 1; !running_.empty(); ++n) {
    auto* c = static_cast<child*>(running_.after);
    c->remove();
    c->enter(asked_);
    (void)todo.cancel(*c->record);
    if (n % 64 == 0) {
      all_ended_.unlock();
      all_ended_.lock();
    }
  }
  if (leaving_) return;  // the parent waits for the children already
  own_request_ = true;
  (void)todo.cancel(*parent_);
}

// With one loop, what is ready runs before the siblings are cancelled. asyncio has this order,
// since it learns of the failure by a callback. The callback counts in count_, so the group
// outlives it.
struct task_group::later final : detail::callback_base {
  explicit later(task_group& g) noexcept : group(&g) {}
  void run() override {
    work_list todo;
    group->all_ended_.lock();
    if (!group->aborting_) group->abort(todo);
    group->let_go(todo);
    group->all_ended_.unlock();
    todo.settle();
  }

  task_group* group;
};

// Lock held. Queues the callback. False: there are several loops and so no such order, or no child
// is left to cancel, or memory is short. The caller then cancels at once.
bool task_group::abort_later() noexcept {
  const auto* s = detail::this_runtime();
  if (!s || s->workers.size() != 1 || (leaving_ && running_.empty() && asked_.empty()))
    return false;
  try {
    auto callback = detail::owned<later>(new later(*this));
    detail::prepare_callback(*callback);
    abort_queued_ = true;
    ++count_;
    detail::post_callback(s->serial, nullptr, std::move(callback));
    return true;
  } catch (const std::bad_alloc&) { return false; }
}

void task_group::cancel() noexcept {
  work_list todo;
  all_ended_.lock();
  if (!entered_) {
    cancel_at_entry_ = true;
  } else if (!aborting_ && !(leaving_ && count_ == 0)) {
    ++count_;
    abort(todo);
    let_go(todo);
  }
  all_ended_.unlock();
  todo.settle();
}

namespace detail {

void group_access::enter(task_group& g, task_record& parent) {
  work_list todo;
  g.all_ended_.lock();
  const bool again = g.entered_;
  if (!again) {
    g.entered_ = true;
    g.parent_ = &parent;
    g.requests_at_entry_ = parent.state().requests_delivered();
    if (g.cancel_at_entry_) g.abort(todo);
  }
  g.all_ended_.unlock();
  todo.settle();
  if (again) detail::throw_usage("with_task_group of a group that was entered before");
}

void group_access::body_ended(task_group& g, bool failed) noexcept {
  work_list todo;
  g.all_ended_.lock();
  g.leaving_ = true;
  if (failed && !g.aborting_) g.abort(todo);
  g.all_ended_.unlock();
  todo.settle();
}

void group_access::interrupted(task_group& g) noexcept {
  work_list todo;
  g.all_ended_.lock();
  g.interrupted_ = true;
  if (!g.aborting_) g.abort(todo);
  g.all_ended_.unlock();
  todo.settle();
}

bool group_access::empty(task_group& g) noexcept {
  g.all_ended_.lock();
  const bool none = g.count_ == 0;
  g.all_ended_.unlock();
  return none;
}

bool group_access::wait_in(task_group& g, waiter& w, task_record& t) noexcept {
  g.all_ended_.lock();
  const bool suspended = g.count_ != 0 && g.all_ended_.suspend(w, t);
  g.all_ended_.unlock();
  return suspended;
}

namespace {
bool is_fatal(const std::exception_ptr& error) noexcept {
  if (!error) return false;
  try {
    std::rethrow_exception(error);
  } catch (const fatal_error&) { return true; } catch (...) {
    return false;
  }
}
}  // namespace

void group_access::exit(task_group& g, std::exception_ptr of_body) {
  auto& word = g.parent_->state();
  const auto floor = g.requests_at_entry_;
  const auto left = g.own_request_ ? word.uncancel(floor) : word::requests(word.load());
  const bool outside = left > floor;

  std::vector<std::exception_ptr> errors;
  for (auto* l = g.failed_.after; l != &g.failed_; l = l->after) {
    auto& error = error_in(static_cast<task_group::child*>(l)->record->storage());
    if (is_fatal(error)) std::rethrow_exception(error);
    errors.push_back(error);
  }
  const bool body_cancelled = is_cancellation(of_body);
  if (of_body && !body_cancelled) {
    if (is_fatal(of_body)) std::rethrow_exception(std::move(of_body));
    errors.push_back(std::move(of_body));
  }
  if (!errors.empty()) {
    // The failure is thrown in place of a cancellation from outside. So that one is delivered at
    // the next wait.
    if (outside) word.set_must();
    throw exception_group("unhandled errors in a task group", std::move(errors));
  }
  if (!body_cancelled && !g.interrupted_) return;
  if (g.own_request_) {
    if (!outside) return;      // the cancellation was the group's own
    (void)word.take_cancel();  // one from outside came too: the error below delivers both
  }
  if (body_cancelled) std::rethrow_exception(std::move(of_body));
  throw_cancelled(*g.parent_);
}

void throw_no_value_of_body() {
  throw cancelled_error("the task group was cancelled before its body had a value");
}

}  // namespace detail
}  // namespace heddle

// The classes have virtual functions, so offsetof is "conditionally supported": by both compilers.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

template <>
struct layout_of<task_group> {
  static constexpr seeing::kind_row kinds[] = {
      {.type = "N6heddle6detail10exit_groupE",
       .name = "task_group",
       .text = " %0 left",
       .figures = {{offsetof(exit_group, group_), offsetof(task_group, count_), 8}},
       // Of a child the link of the ring stands behind the joiner's node.
       .members = {seeing::member_list::ring, offsetof(exit_group, group_),
                   offsetof(task_group, running_), 0, 0,
                   offsetof(task_group::child, record) - sizeof(join_node)},
       .ended_by = seeing::kind_row::tasks},
  };
};

namespace {
HEDDLE_ROW("heddle_kinds")
constexpr auto task_group_kinds = std::to_array(layout_of<task_group>::kinds);
}  // namespace

}  // namespace heddle::detail
