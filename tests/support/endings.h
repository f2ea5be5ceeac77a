// SPDX-License-Identifier: MIT
// How something ended, as a text.
#pragma once

#include <heddle/core/errors.h>
#include <heddle/core/task.h>
#include <heddle/sched/create_task.h>

#include <exception>
#include <string>

namespace support {

inline std::string text_of(const heddle::cancelled_error& e) {
  return e.message().empty() ? "cancelled" : "cancelled: " + e.message();
}

/// Joins `t` and tells how it ended: "value", "cancelled", "cancelled: message", or the error's
/// text.
template <class T>
heddle::task<std::string> ending(heddle::task_handle<T> t) {
  try {
    co_await t;
    co_return "value";
  } catch (const heddle::cancelled_error& e) {
    co_return text_of(e);
  } catch (const std::exception& e) { co_return e.what(); }
}

/// Awaits what `make()` returns, and tells the error: "none", or as above.
template <class F>
heddle::task<std::string> error_text(F make) {
  try {
    auto&& awaited = make();
    co_await awaited;
    co_return "none";
  } catch (const heddle::cancelled_error& e) {
    co_return text_of(e);
  } catch (const std::exception& e) { co_return e.what(); }
}

}  // namespace support
