// SPDX-License-Identifier: MIT
// ensure_future: whatever may be awaited, as something that has a life of its own.
#pragma once

#include <heddle/core/future.h>
#include <heddle/sched/create_task.h>

#include <source_location>
#include <utility>

namespace heddle {

/// A task that has not begun: the same as create_task(t).
template <class T>
task_handle<T> ensure_future(task<T> t,
                             std::source_location made = std::source_location::current()) {
  return create_task(std::move(t), made);
}
/// What runs already, or will be set, is itself.
template <class T>
task_handle<T> ensure_future(task_handle<T> running) {
  return running;
}
template <class T>
future<T> ensure_future(future<T> f) {
  return f;
}

}  // namespace heddle
