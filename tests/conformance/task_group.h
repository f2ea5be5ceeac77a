// SPDX-License-Identifier: MIT
// What the cases of TG share, which stand in two sources.
#pragma once

#include "conformance.h"

#include <heddle/sched/task_group.h>

#include <functional>
#include <string>

namespace conformance {

class TG : public cases {};

/// Sleeps until it is cancelled; then adds `line` and passes the cancellation on.
inline h::task<> sleep_and_tell(journal& log, std::string line) {
  try {
    co_await h::sleep(1h);
  } catch (const h::cancelled_error&) {
    log.add(line);
    throw;
  }
}
inline h::task<> fail_with_e() {
  throw error_e();
  co_return;
}
/// Fails once `go` holds.
inline h::task<> fail_when(std::function<bool()> go) {
  auto wait = until(std::move(go));
  co_await std::move(wait);
  throw error_e();
}
inline unsigned own_count() { return h::current_task().cancelling(); }

}  // namespace conformance
