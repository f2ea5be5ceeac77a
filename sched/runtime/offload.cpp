// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/offload.h>

#include <heddle/core/seeing/layout.h>

#include <array>

namespace heddle::detail {

bool offload_job::begin() noexcept {
  auto expected = state::queued;
  return state_.compare_exchange_strong(expected, state::running, acq_rel,
                                        relaxed);  // pairs with cancel()
}

task_record* offload_job::end() noexcept {
  task_record* waits = nullptr;
  state_.store(state::done, relaxed);
  queue_.lock();
  ended_ = true;
  if (waiter* w = queue_.claim_first()) waits = w->task;
  queue_.unlock();
  return waits;
}

task_record* offload_job::execute() noexcept {
  task_record* waits = nullptr;
  if (begin()) {
    context_slot own(std::move(context));
    context_scope inside(&own);
    try {
      invoke();
    } catch (...) { error_ = std::current_exception(); }
    waits = end();
  }
  unref();  // whoever waits has a reference: so the arguments do not end here and hold it up
  return waits;
}

task_record* offload_job::refuse(std::exception_ptr error) noexcept {
  task_record* waits = nullptr;
  if (begin()) {
    error_ = std::move(error);
    refused();
    waits = end();
  }
  unref();
  return waits;
}

bool offload_job::wait_for_end::suspend(task_record& t) noexcept {
  job_->queue_.lock();
  const bool suspended = !job_->ended_ && job_->queue_.suspend(*this, t);
  job_->queue_.unlock();
  return suspended;
}

}  // namespace heddle::detail

// The classes have virtual functions, so offsetof is "conditionally supported": by both compilers.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

template <>
struct layout_of<offload_job> {
  static constexpr seeing::kind_row kinds[] = {
      {.type = "N6heddle6detail11offload_job12wait_for_endE",
       .name = "to_thread",
       .text = ", %0[queued|running|done|cancelled]",
       .figures = {{offsetof(offload_job::wait_for_end, job_), offsetof(offload_job, state_), 1}}},
  };
};

namespace {
HEDDLE_ROW("heddle_kinds")
constexpr auto offload_kinds = std::to_array(layout_of<offload_job>::kinds);
}  // namespace

}  // namespace heddle::detail
