// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/reports.h>

#include <heddle/core/errors.h>

#include <cstdio>
#include <exception>
#include <string>
#include <utility>

namespace heddle::detail {

error_context context_of(const char* message, std::exception_ptr error) noexcept {
  error_context what;
  what.error = std::move(error);
  try {
    what.message = message;
  } catch (const std::bad_alloc&) {
    what.message = "out of memory";  // fits into the string itself
  }
  return what;
}

void report_on_stderr(const error_context& what) noexcept {
  try {
    std::string text = "heddle: " + what.message;
    if (!what.task.empty()) text += " (" + describe_task(what.task, what.made) + ")";
    if (what.error) text += ": " + describe(what.error);
    std::fprintf(stderr, "%s\n", text.c_str());
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "heddle: %s (no memory to say more)\n", what.message.c_str());
  }
}

report_queue::report_queue(simulation* s, handler h)
    : simulated_(s), handler_(std::make_shared<const handler>(std::move(h))) {}

void report_queue::set_handler(handler h) {
  // The default is restored by destructors, so it needs no memory.
  static const handler& none = *new const handler;  // read after static destruction too
  auto shared = h ? std::make_shared<const handler>(std::move(h))
                  : std::shared_ptr<const handler>(std::shared_ptr<const handler>(), &none);
  const uninterrupted guard;
  std::lock_guard hold(lock_);
  handler_.swap(shared);  // the former one is destroyed after the unlock
}

void report_queue::report(error_context what) noexcept {
  const simulation::calm guard(simulated_);
  std::unique_lock hold(lock_);
  if (telling_) {
    bool queued = false;
    try {
      auto context = inherited_context();
      auto& last = waiting_.emplace_back();
      last.what = std::move(what);
      last.told_to = handler_;
      last.context = std::move(context);
      queued = true;
    } catch (const std::bad_alloc&) {}
    hold.unlock();
    if (!queued) report_on_stderr(what);
    return;
  }
  const std::shared_ptr<const handler> now = handler_;  // kept: it may replace itself
  telling_ = true;
  teller_ = std::this_thread::get_id();
  hold.unlock();
  tell(*now, what);
  for (entry e; next(e);) {
    context_slot its(std::move(e.context));
    context_scope inside(&its);
    tell(*e.told_to, e.what);
  }
}

bool report_queue::next(entry& e) noexcept {
  e = {};  // what the last one held is the user's, too
  std::lock_guard hold(lock_);
  telling_ = !waiting_.empty();
  if (!telling_) return false;
  e = std::move(waiting_.front());
  waiting_.pop_front();
  return true;
}

void report_queue::tell(const handler& to, const error_context& what) noexcept {
  if (!to) return report_on_stderr(what);
  try {
    to(what);
  } catch (...) {
    error_context failed;
    failed.message = "the exception handler itself failed";
    failed.error = std::current_exception();
    report_on_stderr(failed);
    report_on_stderr(what);
  }
}

bool report_queue::is_telling_here() const noexcept {
  std::lock_guard hold(lock_);
  return telling_ && teller_ == std::this_thread::get_id();
}

}  // namespace heddle::detail
