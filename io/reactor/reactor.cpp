// SPDX-License-Identifier: MIT
#include <heddle/io/reactor/reactor.h>

#include <heddle/core/base/thread_state.h>

namespace heddle::detail {

reactor* reactor_here() noexcept { return this_thread().loop ? &current_reactor() : nullptr; }

}  // namespace heddle::detail
