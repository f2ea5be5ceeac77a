// SPDX-License-Identifier: MIT
// Internal to sched.
// What becomes of a runtime whose kernel allows a first ring, and refuses another.
#pragma once

#include <heddle/sched/loop/driver.h>

#include <string>
#include <system_error>

namespace heddle::detail {

/// Defined by io. choose_reactor() has chosen uring, and the driver of a loop could not be made:
/// `why`. A probe makes one ring, and the limit of locked memory may allow no more. Returns epoll
/// if the choice was automatic, and `note` says why. An explicit uring throws std::system_error,
/// whose message says what to do.
reactor_kind second_choice(reactor_kind wish, const std::system_error& why, std::string& note);

}  // namespace heddle::detail
