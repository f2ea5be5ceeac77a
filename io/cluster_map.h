// SPDX-License-Identifier: MIT
// cluster::map and its kin: a job for each item of a range, a bounded number at one time.
//
//   auto all = h::cluster::map(hash_file, paths, {.in_flight = 256});  // in the order of the items
//   for (;;) {
//     auto* one = co_await all.next();
//     if (!one) break;
//     use(*one);
//   }
#pragma once

#include <heddle/core/errors.h>
#include <heddle/io/cluster_job.h>
#include <heddle/sched/async_generator.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/wait_many.h>

#include <deque>
#include <exception>
#include <iterator>
#include <memory>
#include <ranges>
#include <utility>
#include <variant>
#include <vector>

namespace heddle::cluster {

/// The order of the fields is API: fields are appended, never reordered.
struct map_options {
  /// So many jobs are under way at one time, at most. At least 1.
  std::size_t in_flight = 64;
};

namespace detail {

/// The calls that are under way. Whatever is left when it goes is cancelled.
template <class R>
class window {
 public:
  struct item {
    std::size_t index;
    task_handle<R> call;
  };

  window() = default;
  window(const window&) = delete;
  ~window() {
    for (auto& i : items_) i.call.cancel();
  }
  void add(std::size_t index, task<R> call) {
    items_.push_back({index, create_task(std::move(call))});
  }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }
  [[nodiscard]] task_handle<R> first() const { return items_.front().call; }
  /// The place of the first that has ended; size(): none has.
  [[nodiscard]] std::size_t ended() const {
    std::size_t at = 0;
    while (at < items_.size() && !items_[at].call.done()) ++at;
    return at;
  }
  item take_first() {
    auto i = std::move(items_.front());
    items_.pop_front();
    return i;
  }
  item take(std::size_t at) {
    auto i = std::move(items_[at]);
    items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(at));
    return i;
  }
  [[nodiscard]] std::vector<task_handle<R>> calls() const {
    std::vector<task_handle<R>> all;
    for (const auto& i : items_) all.push_back(i.call);
    return all;
  }

 private:
  std::deque<item> items_;
};

/// Arguments of one call: an item, or a tuple of several.
template <class R, class... Args, class Item>
task<R> call_with(std::shared_ptr<backend> place, const job<R(Args...)>& j, Item&& item) {
  if constexpr (sizeof...(Args) == 1) {
    return call_and_decode<R>(std::move(place), j.spec(std::forward<Item>(item)));
  } else {
    auto s = std::apply([&](const auto&... a) { return j.spec(a...); }, item);
    return call_and_decode<R>(std::move(place), std::move(s));
  }
}

/// What is left of a range, and how its items become calls. Job and range outlive it.
template <class Job, class Items>
class map_feed {
 public:
  map_feed(const Job& j, Items& items, const map_options& o)
      : job_(j),
        in_flight_(o.in_flight),
        place_(current_backend()),
        next_(std::ranges::begin(items)),
        end_(std::ranges::end(items)) {
    if (in_flight_ == 0) throw bad_value("map_options.in_flight must be at least 1");
  }
  /// Begins as many calls as may be under way. False: none is, for all items had their turn.
  template <class R>
  [[nodiscard]] bool fill(window<R>& to) {
    for (; to.size() < in_flight_ && next_ != end_; ++next_)
      to.add(index_++, call_with(place_, job_, *next_));
    return to.size() != 0;
  }

 private:
  const Job& job_;
  const std::size_t in_flight_;
  const std::shared_ptr<backend> place_;
  std::ranges::iterator_t<Items> next_;
  const std::ranges::sentinel_t<Items> end_;
  std::size_t index_ = 0;
};

template <class R>
using map_value = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

template <class R, class Call>
map_value<R> take_result(Call& call) {
  if constexpr (std::is_void_v<R>) {
    call.result();
    return {};
  } else {
    return std::move(call.result());
  }
}

}  // namespace detail

/// The outcome of one item of map_settled.
template <class R>
struct map_settled_item {
  std::size_t index = 0;
  std::optional<detail::map_value<R>> value = {};
  std::exception_ptr error = {};  // if there is no value
};

/// Runs a job for each item of a range, and yields the results in the order of the items. Items of
/// jobs with several arguments are tuples. The range is kept, and read only as far as in_flight
/// allows.
/// Throws    what the call of an item throws, at its place; bad_value for in_flight 0
/// Cancel    also by aclose() and an error: the calls that are under way are cancelled
template <class R, class... Args, std::ranges::input_range Items>
async_generator<detail::map_value<R>> map(job<R(Args...)> j, Items items, map_options o) {
  detail::map_feed feed(j, items, o);
  detail::window<R> window;
  while (feed.fill(window)) {
    auto call = window.first();
    co_await call;
    (void)window.take_first();
    co_yield detail::take_result<R>(call);
  }
}
template <class R, class... Args, std::ranges::input_range Items>
async_generator<detail::map_value<R>> map(job<R(Args...)> j, Items items) {
  return map(std::move(j), std::move(items), map_options());
}

/// The same, and an error is yielded in the place of a value: all items have their turn.
template <class R, class... Args, std::ranges::input_range Items>
async_generator<map_settled_item<R>> map_settled(job<R(Args...)> j, Items items, map_options o) {
  detail::map_feed feed(j, items, o);
  detail::window<R> window;
  while (feed.fill(window)) {
    auto call = window.first();
    map_settled_item<R> settled;
    try {
      co_await call;
      settled.value = detail::take_result<R>(call);
    } catch (const cancelled_error&) { throw; } catch (...) {
      settled.error = std::current_exception();
    }
    settled.index = window.take_first().index;
    co_yield std::move(settled);
  }
}
template <class R, class... Args, std::ranges::input_range Items>
async_generator<map_settled_item<R>> map_settled(job<R(Args...)> j, Items items) {
  return map_settled(std::move(j), std::move(items), map_options());
}

/// As map, but yields each result when it comes, with the index of its item.
template <class R, class... Args, std::ranges::input_range Items>
async_generator<std::pair<std::size_t, detail::map_value<R>>> map_unordered(job<R(Args...)> j,
                                                                            Items items,
                                                                            map_options o) {
  detail::map_feed feed(j, items, o);
  detail::window<R> window;
  while (feed.fill(window)) {
    const auto found = window.ended();
    if (found == window.size()) {
      auto waiting = wait(window.calls(), wait_until::first_completed);
      (void)co_await std::move(waiting);
      continue;
    }
    auto one = window.take(found);
    co_yield std::pair<std::size_t, detail::map_value<R>>(one.index,
                                                          detail::take_result<R>(one.call));
  }
}
template <class R, class... Args, std::ranges::input_range Items>
async_generator<std::pair<std::size_t, detail::map_value<R>>> map_unordered(job<R(Args...)> j,
                                                                            Items items) {
  return map_unordered(std::move(j), std::move(items), map_options());
}

}  // namespace heddle::cluster
