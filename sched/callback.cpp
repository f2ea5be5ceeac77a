// SPDX-License-Identifier: MIT
#include <heddle/sched/work.h>

namespace heddle::detail {

bool callback::cancel() noexcept {
  auto expected = state::queued;
  if (!state_.compare_exchange_strong(expected, state::cancelled, acq_rel,
                                      acquire))  // pairs with run()
    return expected == state::cancelled;
  release();
  return true;
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
