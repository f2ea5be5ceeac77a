// SPDX-License-Identifier: MIT
// ensure_future: makes a task of what is not yet one; a handle or future it returns as it is.
//
//   auto started = h::ensure_future(fetch("a"));     // a task, which runs from here on
//   auto same = h::ensure_future(started);           // that task
#pragma once

#include <heddle/core/future.h>
#include <heddle/sched/create_task.h>

#include <source_location>
#include <utility>

namespace heddle {

/// Starts `t`: the same as create_task(t), with its cost, throws and thread-safety.
template <class T>
task_handle<T> ensure_future(task<T> t,
                             std::source_location made = std::source_location::current()) {
  return create_task(std::move(t), made);
}
/// Returns the handle itself. Costs nothing.
template <class T>
task_handle<T> ensure_future(task_handle<T> running) {
  return running;
}
/// Returns the future itself. Costs nothing.
template <class T>
future<T> ensure_future(future<T> f) {
  return f;
}

}  // namespace heddle
