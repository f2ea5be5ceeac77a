// SPDX-License-Identifier: MIT
// Internal to io.
#pragma once

#include <heddle/core/errors.h>
#include <heddle/core/future.h>

#include <utility>

namespace heddle::cluster::detail {

/// Sets a promise whose future may be cancelled at any time, by whichever loop: between a look at
/// done() and a set it could end. False: it has ended already.
template <class T, class... Value>
bool set_if_wanted(promise<T>& to, Value&&... value) {
  if (to.done()) return false;
  try {
    to.set_value(std::forward<Value>(value)...);
  } catch (const invalid_state_error&) { return false; }
  return true;
}

}  // namespace heddle::cluster::detail
