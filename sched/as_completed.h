// SPDX-License-Identifier: MIT
// as_completed: waits for several tasks, and hands them out one by one in the order of their ends.
//
//   auto all = h::as_completed(std::move(requests));
//   while (auto next = co_await all.next()) pages.push_back(co_await *next);
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/sched/wait_many.h>

#include <cstddef>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <vector>

namespace heddle {

namespace detail {

class next_wait;

/// The members that have ended and were not handed out, and the tasks that wait for the next one.
//
// Danger  A member ends on any loop, while tasks ask for the next one or are cancelled. No member
//         may be lost, and none handed out twice.
// Remedy  The lock of waiting_ guards everything but the members. A task waits only while no member
//         is ready. A member that ends is handed to the oldest waiter. A waiter that is cancelled
//         after that gives the member back, before all others.
class completion_queue {
 public:
  completion_queue(const std::vector<eventual*>& members, std::optional<duration> limit);
  completion_queue(const completion_queue&) = delete;
  ~completion_queue();

 private:
  template <class>
  friend struct layout_of;
  friend class next_wait;
  static constexpr std::size_t none = ~std::size_t{0};
  struct node : join_node {
    node() noexcept : join_node(&fired) {}
    completion_queue* owner = nullptr;
    eventual* member = nullptr;
    std::size_t index = 0;
    node* next = nullptr;  // in the list of ready members
    bool added = false;    // to the joiners of its member
  };
  static void fired(join_node& n, eventual& target, work_list& todo) noexcept;
  void ended(node& n, work_list& todo) noexcept;
  /// Lock held. Takes the oldest ready member, or returns nullptr.
  node* pop() noexcept;
  /// Lock held. Hands the member to the oldest waiter. Without a waiter it becomes ready: as the
  /// first if `first`, else as the last.
  void hand_out(node& n, bool first, work_list& todo) noexcept;
  /// No lock held. Takes the nodes of all members out. A member that has not ended by now never
  /// comes out.
  void close() noexcept;

  node* nodes_ = nullptr;
  const std::size_t count_;
  wait_queue waiting_;
  node* first_ = nullptr;
  node* last_ = nullptr;
  std::size_t left_;  // members that were not handed out
  std::optional<time_point> deadline_;
  bool late_ = false;  // the deadline passed while a task waited
};

/// Waits for the next member; take() returns its index.
class next_wait : private queue_waiter, private timer_node, private ready_await {
 public:
  bool await_ready();
  template <heddle_promise P>
  bool await_suspend(std::coroutine_handle<P> h, std::source_location where = HEDDLE_HERE) {
    if (stands_back()) return stand_back(h, where, [this](task_record& t) { task = &t; });
    return begin(h.promise().suspending(h, where));
  }

 protected:
  explicit next_wait(completion_queue& q) noexcept
      : queue_waiter(q.waiting_), timer_node(&timed_out), from_(&q) {}
  next_wait(next_wait&& unused)
      : queue_waiter(std::move(unused)), timer_node(&timed_out), from_(unused.from_) {}
  ~next_wait() = default;
  /// The index of a member that has ended, or nothing when all were handed out.
  std::optional<std::size_t> take();

 private:
  friend class completion_queue;
  template <class>
  friend struct layout_of;
  static void timed_out(timer_node& n, work_list& todo) noexcept;
  const char* name() const noexcept override { return "as_completed"; }
  bool begin(task_record& t);
  bool look() noexcept;

  completion_queue* from_;
  completion_queue::node* got_ = nullptr;
};

}  // namespace detail

/// What `as_completed` returns. Movable. Dropping it before its end cancels no member.
template <class A>
class [[nodiscard]] completions {
  class awaiter final : public detail::next_wait {
   public:
    explicit awaiter(completions& c) noexcept : next_wait(*c.queue_), all_(&c) {}
    std::optional<A> await_resume() {
      const auto index = take();
      return index ? std::optional<A>(all_->members_[*index]) : std::nullopt;
    }

   private:
    completions* all_;
  };

 public:
  completions(std::vector<A> members, std::optional<duration> limit) {
    detail::distinct_members kept(members.size());
    for (auto& a : members) kept.add(detail::member_target(a));
    kept.settle();
    for (std::size_t i = 0; i < kept.size(); ++i)
      members_.push_back(std::move(members[kept.place(i)]));
    queue_ = detail::owned<detail::completion_queue>(
        new detail::completion_queue(kept.targets(), limit));
  }

  /// `co_await c.next()` yields the next member that ends, or has ended, in the order of their
  /// ends. After the last one it yields nothing.
  ///
  /// A member that it yields is done: call its result() or await it. Several tasks may call next().
  /// Throws    timeout_error, once for each member that has not ended when the time is over.
  ///           Members that ended before come out first.
  /// Cancel    of the waiting task cancels no member, and loses none: the next caller gets it.
  [[nodiscard]] auto next() noexcept { return awaiter(*this); }

 private:
  std::vector<A> members_;
  detail::owned<detail::completion_queue> queue_;  // its nodes are in the members' joiners
};

namespace detail {

template <class A>
struct completion_member {
  using type = A;
  static A start(A a, std::source_location) { return a; }
};
template <class T>
struct completion_member<task<T>> {
  using type = task_handle<T>;
  static task_handle<T> start(task<T> t, std::source_location made) {
    return create_task(std::move(t), made);
  }
};
template <class A>
using started_member = typename completion_member<A>::type;
template <class A>
concept completing = shared_member<started_member<A>>;

template <class Range>
auto start_members(Range&& range, std::source_location made) {
  using given = range_member<Range>;
  std::vector<started_member<given>> all;
  for (auto& a : range) {
    if constexpr (std::is_lvalue_reference_v<Range>)
      all.push_back(completion_member<given>::start(a, made));
    else
      all.push_back(completion_member<given>::start(std::move(a), made));
  }
  return all;
}

}  // namespace detail

/// Waits for all members of `range`: handles, futures, or tasks, which are started in this order.
///
/// A member that is given twice comes out once. `limit` counts from this call and holds for all
/// members together; std::nullopt or left out: no limit.
/// Cost      one block for the queue, one entry in the joiners of each member
/// Throws    no_running_loop outside of a runtime, if there are tasks to start
template <class Range, class D>
  requires detail::completing<detail::range_member<Range>>
[[nodiscard]] auto as_completed(Range&& range, D limit,
                                std::source_location made = std::source_location::current()) {
  auto all = detail::start_members(std::forward<Range>(range), made);
  return completions<typename decltype(all)::value_type>(std::move(all), detail::limit_from(limit));
}
template <class Range>
  requires detail::completing<detail::range_member<Range>>
[[nodiscard]] auto as_completed(Range&& range,
                                std::source_location made = std::source_location::current()) {
  return heddle::as_completed(std::forward<Range>(range), std::nullopt, made);
}
/// The same for tasks and handles of one result type, mixed: `as_completed(f(), handle, g())`.
template <class A, class... As>
  requires(detail::completing<std::remove_cvref_t<A>> && ... &&
           std::is_same_v<detail::started_member<std::remove_cvref_t<A>>,
                          detail::started_member<std::remove_cvref_t<As>>>)
[[nodiscard]] auto as_completed(A&& first, As&&... others) {
  std::vector<detail::started_member<std::remove_cvref_t<A>>> all;
  all.reserve(1 + sizeof...(As));
  const std::source_location unknown;  // no default argument can follow a parameter pack
  all.push_back(
      detail::completion_member<std::remove_cvref_t<A>>::start(std::forward<A>(first), unknown));
  (all.push_back(detail::completion_member<std::remove_cvref_t<As>>::start(std::forward<As>(others),
                                                                           unknown)),
   ...);
  return completions<detail::started_member<std::remove_cvref_t<A>>>(std::move(all), std::nullopt);
}

}  // namespace heddle
