// SPDX-License-Identifier: MIT
#include <heddle/sched/loop/work.h>

namespace heddle::detail {

// What was captured may own the handle that we are called through, so a reference is held until it
// is released.
bool callback::cancel() noexcept {
  if (cancel_timer()) {
    release();
    unref();
    return true;
  }
  auto expected = state::queued;
  if (!state_.compare_exchange_strong(expected, state::cancelled, acq_rel,
                                      acquire))  // pairs with run()
    return expected == state::cancelled;
  if (!disarm()) ref();
  release();
  unref();
  return true;
}

void callback::drop() noexcept {
  auto expected = state::queued;
  if (state_.compare_exchange_strong(expected, state::cancelled, acq_rel, relaxed)) release();
  unref();
}

void callback::run() {
  auto expected = state::queued;
  if (!state_.compare_exchange_strong(expected, state::running, acq_rel, relaxed))
    return;  // pairs with cancel()
  struct at_end {
    callback& self;
    ~at_end() {
      self.state_.store(state::done, relaxed);
      self.release();
    }
  } end{*this};
  invoke();
}

}  // namespace heddle::detail
