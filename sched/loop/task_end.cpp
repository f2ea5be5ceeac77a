// SPDX-License-Identifier: MIT
#include <heddle/sched/loop/task_end.h>

#include <heddle/core/base/thread_state.h>
#include <heddle/core/record/work_list.h>

#include <coroutine>
#include <utility>

namespace heddle::detail {
namespace {

void destroy_unstarted(task_record& t) noexcept {
  const drops_unstarted silently;
  promise_base& p = promise_base::of(std::coroutine_handle<>::from_address(t.frame()));
  static_cast<root_end&>(p.end.own()).destroy(p);
}

/// What a record waits in that is on its way home: the loop that comes to it drops it, in place of
/// a resumption.
struct homecoming final : wait_base {
  bool look_again() noexcept override {
    task_record& t = *std::exchange(this_thread().current, nullptr);
    t.unref();
    return false;
  }
  const char* name() const noexcept override { return "its end"; }
};
constinit homecoming on_its_way_home;

}  // namespace

void end_unstarted(task_record& t) noexcept {
  destroy_unstarted(t);
  t.starts_at(nullptr);
  end_task(t, outcome::cancelled, nullptr);
  t.home()->ended(t);
  self_of_thread.current = nullptr;  // as in finish_root()
  t.unref();
}

void discard_unlaunched(task_record& t) noexcept {
  destroy_unstarted(t);
  (void)t.state().cancel();
  (void)t.state().finish(outcome::cancelled);
  t.unref();
}

void mark_on_its_way_home(task_record& t) noexcept {
  t.waits_in(&on_its_way_home);
  t.resumes_at(nullptr);
  t.looks_first();
}

bool is_on_its_way_home(const task_record& t) noexcept { return t.wait() == &on_its_way_home; }

}  // namespace heddle::detail
