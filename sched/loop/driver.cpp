// SPDX-License-Identifier: MIT
#include <heddle/sched/loop/driver.h>

#include <heddle/core/errors.h>

namespace heddle::detail {

void driver::subscribe(occasion, int, loop&, driver&, counted_ptr<handler>) {
  throw_usage("this loop watches neither descriptors nor signals");
}

bool driver::unsubscribe(occasion, int) { return false; }

}  // namespace heddle::detail
