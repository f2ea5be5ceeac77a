// SPDX-License-Identifier: MIT
// wait: waits for the first end, the first failure, or the end of all of several tasks. It cancels
// none of them.
//
//   auto [done, pending] = co_await h::wait(tasks, h::wait_until::all_completed, 10s);
#pragma once

#include <heddle/core/future.h>
#include <heddle/core/record/budget.h>
#include <heddle/core/record/wait.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/sleep.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <vector>

namespace heddle {

/// When `wait` returns, unless its time limit passes before.
enum class wait_until : std::uint8_t { first_completed, first_exception, all_completed };

/// What `wait` yields: the members in the order in which they were given, each once.
template <class A>
struct wait_result {
  std::vector<A> done;
  std::vector<A> pending;
};

namespace detail {

/// A handle, a future or a shield: several tasks may await it, and it goes on without them.
template <class A>
concept shared_member = is_task_handle<A> || is_future<A> || requires(A a) {
  { a.target() } -> std::same_as<eventual&>;
};
template <shared_member A>
eventual& member_target(A& member) {
  if constexpr (is_task_handle<A>) {
    if (!member.valid()) detail::throw_usage("an empty task handle among those to wait for");
    return *member.record();
  } else if constexpr (is_future<A>) {
    return member.state();
  } else {
    return member.target();
  }
}
template <class Range>
using range_member =
    std::remove_cvref_t<decltype(*std::declval<Range&>().begin())>;  // a range of members

/// The members in order, each once.
class distinct_members {
 public:
  explicit distinct_members(std::size_t most);
  ~distinct_members();
  distinct_members(const distinct_members&) = delete;
  distinct_members& operator=(const distinct_members&) = delete;

  /// Adds a member. After the last one call settle().
  void add(eventual& member);
  void settle();
  [[nodiscard]] const std::vector<eventual*>& targets() const noexcept { return targets_; }
  [[nodiscard]] std::size_t size() const noexcept { return kept_.size(); }
  /// The place of the i-th member among all that were added.
  [[nodiscard]] std::size_t place(std::size_t i) const noexcept { return kept_[i]; }
  [[nodiscard]] bool done(std::size_t i) const noexcept;

 private:
  std::vector<eventual*> targets_;
  std::vector<std::size_t> kept_;
};

/// The limit as a duration, which counts from the begin of the wait: a wait that is made now may be
/// awaited later.
template <class Rep, class Period>
std::optional<duration> limit_from(std::chrono::duration<Rep, Period> d) {
  return to_duration(d);
}
inline std::optional<duration> limit_from(any_duration d) noexcept { return d.get(); }
inline std::optional<duration> limit_from(std::nullopt_t) noexcept { return std::nullopt; }
inline std::optional<duration> limit_from(const std::optional<any_duration>& d) noexcept {
  return d ? limit_from(*d) : std::nullopt;
}
template <class Rep, class Period>
std::optional<duration> limit_from(const std::optional<std::chrono::duration<Rep, Period>>& d) {
  return d ? limit_from(*d) : std::nullopt;
}

/// One leaf wait for the ends of several members. When it resumes, its nodes are in no list.
//
// Danger  A member may end, or the timer may fire, on another loop while this wait is destroyed.
// Remedy  Each node fires under the joiner lock of its member, the timer under the lock of its
//         timers. Removing a node takes the same lock, so it waits for a firing that is under way.
//         After detach() no other thread touches this object.
// Touch   The lock of queue_ guards left_ and enough_. This object is the only waiter in queue_.
class many_wait final : private queue_waiter, private timer_node, private ready_await {
 public:
  /// Throws bad_value if there are no members, and for an unknown condition.
  many_wait(const std::vector<eventual*>& members, wait_until until, std::optional<duration> limit);
  ~many_wait();

  bool await_ready() noexcept;
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h, std::source_location where = HEDDLE_HERE) {
    if (stands_back()) return stand_back(h, where, [this](task_record& t) { task = &t; });
    return begin(h.promise().suspending(h, where));
  }
  void await_resume();

 private:
  template <class>
  friend struct layout_of;
  struct node : join_node {
    node() noexcept : join_node(&fired) {}
    many_wait* owner = nullptr;
    bool added = false;
  };
  static void fired(join_node& n, eventual& target, work_list& todo) noexcept;
  static void timed_out(timer_node& n, work_list& todo) noexcept;
  const char* name() const noexcept override { return "wait"; }
  bool begin(task_record& t);
  /// One more member has ended, with `how`. True: the wait is over.
  bool counts(outcome how) noexcept;
  void ended(outcome how, work_list& todo) noexcept;
  void detach() noexcept;

  const std::vector<eventual*>& members_;
  const wait_until until_;
  const std::optional<duration> limit_;
  wait_queue queue_;
  node* nodes_ = nullptr;
  std::size_t left_;
  bool enough_ = false;
};

template <class A>
task<wait_result<A>> wait_for_many(std::vector<A> given, wait_until until,
                                   std::optional<duration> limit) {
  distinct_members members(given.size());
  for (auto& a : given) members.add(member_target(a));
  members.settle();
  many_wait all(members.targets(), until, limit);
  co_await all;
  wait_result<A> result;
  for (std::size_t i = 0; i < members.size(); ++i)
    (members.done(i) ? result.done : result.pending).push_back(std::move(given[members.place(i)]));
  co_return result;
}

template <class Range>
std::vector<range_member<Range>> members_of(Range&& range) {
  if constexpr (std::is_same_v<std::remove_cvref_t<Range>, std::vector<range_member<Range>>>) {
    return std::forward<Range>(range);
  } else {
    std::vector<range_member<Range>> all;
    for (auto& a : range) all.push_back(a);
    return all;
  }
}

}  // namespace detail

/// Waits for several handles, futures or shields. Yields the members that are done and those that
/// are pending.
///
/// first_exception: until a member has failed, or all have ended. A cancelled member has not
/// failed. If `limit` passes first, the wait yields what is done by then; with zero or less it
/// yields at once. `limit` is any duration, or std::nullopt for none. A member given twice counts
/// once.
/// Cost      an entry in the joiners of each member, taken out again at the end
/// Throws    bad_value if there are no members. An error of a member is not thrown: ask its handle.
/// Cancel    of the awaiting task does not cancel the members
template <class Range, class D>
  requires detail::shared_member<detail::range_member<Range>>
[[nodiscard]] task<wait_result<detail::range_member<Range>>> wait(Range&& range, wait_until until,
                                                                  D limit) {
  return detail::wait_for_many(detail::members_of(std::forward<Range>(range)), until,
                               detail::limit_from(limit));
}
template <class Range>
  requires detail::shared_member<detail::range_member<Range>>
[[nodiscard]] task<wait_result<detail::range_member<Range>>> wait(
    Range&& range, wait_until until = wait_until::all_completed) {
  return detail::wait_for_many(detail::members_of(std::forward<Range>(range)), until, std::nullopt);
}

}  // namespace heddle
