// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/sync/waiting/basic_queue.h>
#include <heddle/sync/waiting/buffers.h>

#include <cstddef>
#include <utility>

namespace heddle {

/// Carries items from the tasks that put them to the tasks that get them: first in, first out. Up
/// to `max_size` items wait in it; 0 or less means no bound.
///
///     h::queue<int> q(1);
///     co_await q.put(1);
///
/// Cost      put and get when ready: 1 locked operation, and no allocation once the ring has grown.
///           A wait allocates nothing
/// Ordering  put() synchronizes-with the get() of its item. Each getter sees the items of one
///           putter in the order in which they were put. The task that waits longest is woken
///           first, but a newcomer may be faster than a woken task that has not run yet
/// Cancel    a cancelled get() took nothing, a cancelled put() put nothing. If it was woken before,
///           it wakes the next task in its place
/// Throws    cancelled_error from a wait; queue_shut_down; queue_full and queue_empty from the
///           _nowait forms. A queue that is destroyed while tasks wait in it ends the process
/// Danger    items are moved under the queue's lock, and a priority_queue compares them there.
///           Their moves and comparisons must not use the queue
template <class T>
class queue final : public detail::basic_queue<T, detail::fifo_buffer<detail::cell<T>>> {
 public:
  explicit queue(std::ptrdiff_t max_size = 0)
      : detail::basic_queue<T, detail::fifo_buffer<detail::cell<T>>>(max_size) {}
};

/// A `queue` that gives the latest item first.
template <class T>
class lifo_queue final : public detail::basic_queue<T, detail::lifo_buffer<detail::cell<T>>> {
 public:
  explicit lifo_queue(std::ptrdiff_t max_size = 0)
      : detail::basic_queue<T, detail::lifo_buffer<detail::cell<T>>>(max_size) {}
};

/// A `queue` that gives the least item first, by `Less`, which must not throw. Equal items come in
/// any order.
template <class T, class Less = std::less<T>>
class priority_queue final
    : public detail::basic_queue<T, detail::priority_buffer<detail::cell<T>, Less>> {
 public:
  explicit priority_queue(std::ptrdiff_t max_size = 0, Less less = {})
      : detail::basic_queue<T, detail::priority_buffer<detail::cell<T>, Less>>(max_size,
                                                                               std::move(less)) {}
};

}  // namespace heddle
