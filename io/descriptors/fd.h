// SPDX-License-Identifier: MIT
// Internal to io.
// An owned file descriptor, and check(), which turns a failed call into an exception.
#pragma once

#include <heddle/core/errors.h>
#include <heddle/io/owned_descriptor.h>

#include <cerrno>
#include <string>

namespace heddle::detail {

using fd = owned_descriptor;

/// Returns `result`, if it is not negative. Else throws std::system_error for errno, with the name
/// of the call and what it was about.
template <class Result>
Result check(Result result, const char* call, const std::string& about = {}) {
  if (result < 0) [[unlikely]]
    throw_system_error(errno, call, about);
  return result;
}

}  // namespace heddle::detail
