// SPDX-License-Identifier: MIT
// fork_join: parallel recursion, depth first. Runs its children in parallel and waits for all.
//
//   h::task<std::uint64_t> fib(unsigned n) {
//     if (n < 2) co_return n;
//     auto [a, b] = co_await h::fork_join(fib(n - 1), fib(n - 2));
//     co_return a + b;
//   }
//
// Protocol FORK, by which it counts its children, stands in loop/join_block.h.
#pragma once

#include <heddle/core/checked.h>
#include <heddle/sched/loop/join_block.h>
#include <heddle/sched/loop/join_errors.h>
#include <heddle/sched/loop/join_range.h>
#include <heddle/sched/runtime/body.h>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace heddle {
namespace detail {

/// The part that does not depend on the number and the types of the children.
class fork_join_base {
 protected:
  fork_join_base() noexcept {}
  ~fork_join_base() {}
  fork_join_base(const fork_join_base&) = delete;

  union {
    join_block join_;
  };
};

template <class T>
using strand_value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class... Ts>
class [[nodiscard]] fork_join_awaiter : fork_join_base {
  static constexpr bool all_void = (std::is_void_v<Ts> && ...);

 public:
  explicit fork_join_awaiter(task<Ts>&&... children) noexcept : frames_(children.release()...) {}
  HEDDLE_INLINE ~fork_join_awaiter() { drop(std::index_sequence_for<Ts...>()); }

#ifndef __clang__  // g++ 12 would make a copy of what is awaited
  auto operator co_await() && { return awaiter_reference<fork_join_awaiter>(*this); }
  auto operator co_await() & { return awaiter_reference<fork_join_awaiter>(*this); }
#endif

  static bool await_ready() noexcept { return sizeof...(Ts) == 0; }
  template <heddle_promise P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) {
    return start(h.promise(), std::index_sequence_for<Ts...>());
  }
  auto await_resume() {
    if constexpr (sizeof...(Ts) > 0) {
      if (!join_.sound()) [[unlikely]]
        raise();
    }
    if constexpr (!all_void) return values(std::index_sequence_for<Ts...>());
  }

 private:
  // Index sequences: std::apply costs the user's compiler ten times as much.
  template <std::size_t... I>
  std::coroutine_handle<> start(promise_base& parent, std::index_sequence<I...>) {
    void* const frames[] = {std::get<I>(frames_).address()...};
    return join_block::start(call_or_end::by(&join_), parent, frames, sizeof...(I));
  }
  template <std::size_t... I>
  std::tuple<strand_value<Ts>...> values(std::index_sequence<I...>) {
    return {value_of(std::get<I>(frames_).promise())...};  // in order
  }
  template <std::size_t... I>
  void see_all(join_errors& errors, std::index_sequence<I...>) noexcept {
    (see(errors, std::get<I>(frames_).promise()), ...);
  }
  template <class T>
  static strand_value<T> value_of(task_promise<T>& child) {
    if constexpr (std::is_void_v<T>)
      return {};
    else
      return child.result.take_value();  // no child has failed
  }
  [[noreturn]] HEDDLE_COLD void raise() {
    join_errors errors;
    see_all(errors, std::index_sequence_for<Ts...>());
    errors.raise(join_);
  }
  template <class P>
  static void see(join_errors& errors, P& p) noexcept {
    if (p.result.how() == outcome::error) errors.see(p.result.error());
  }

  // As ~task() for each child, but with one look for all: the children were all awaited, or none.
  template <std::size_t... I>
  HEDDLE_INLINE void drop(std::index_sequence<I...>) noexcept {
    if constexpr (sizeof...(Ts) > 0) {
      if (std::get<0>(frames_).promise().record & promise_base::unawaited_tag) [[unlikely]]
        (drop_never_awaited(std::get<I>(frames_).promise()), ...);
      else
        (std::get<I>(frames_).destroy(), ...);
    }
  }

  std::tuple<std::coroutine_handle<task_promise<Ts>>...> frames_;  // owned
};

/// Children of one type that lie side by side. `Storage` holds them, or refers to them. It tells
/// data() and size(), and results() takes the results and makes of them what the await yields.
template <class T, class Storage>
class [[nodiscard]] fork_join_row : fork_join_base {
 public:
  explicit fork_join_row(Storage&& children) noexcept : children_(std::move(children)) {}

#ifndef __clang__  // as above
  auto operator co_await() && { return awaiter_reference<fork_join_row>(*this); }
  auto operator co_await() & { return awaiter_reference<fork_join_row>(*this); }
#endif

  bool await_ready() const noexcept { return children_.size() == 0; }
  template <heddle_promise P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) {
    // A task is its frame's address and nothing else.
    static_assert(std::is_standard_layout_v<task<T>> && sizeof(task<T>) == sizeof(void*));
    return join_block::start(call_or_end::by(&join_), h.promise(),
                             reinterpret_cast<void* const*>(children_.data()), children_.size());
  }
  auto await_resume() {
    if (children_.size() != 0 && !join_.sound()) [[unlikely]]
      raise();
    return children_.results();
  }

 private:
  [[noreturn]] HEDDLE_COLD void raise() {
    join_errors errors;
    for (std::size_t i = 0; i < children_.size(); ++i) {
      auto& result = children_.data()[i].frame().promise().result;
      if (result.how() == outcome::error) errors.see(result.error());
    }
    errors.raise(join_);
  }

  Storage children_;
};

/// No child has failed.
template <class T>
T result_of(task<T>& child) {
  return child.frame().promise().result.take_value();
}

template <class T>
struct forked_vector {
  std::vector<task<T>> all;

  [[nodiscard]] task<T>* data() noexcept { return all.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return all.size(); }
  auto results() {
    if constexpr (!std::is_void_v<T>) {
      std::vector<T> values;
      values.reserve(all.size());
      for (auto& child : all) values.push_back(result_of(child));
      return values;
    }
  }
};

template <class T, std::size_t N>
struct forked_array {
  std::array<task<T>, N> all;

  [[nodiscard]] task<T>* data() noexcept { return all.data(); }
  [[nodiscard]] static constexpr std::size_t size() noexcept { return N; }
  auto results() { return in_order(std::make_index_sequence<N>()); }
  template <std::size_t... I>
  auto in_order(std::index_sequence<I...>) {
    if constexpr (!std::is_void_v<T>) return std::array<T, N>{result_of(all[I])...};
  }
};

/// Children that the caller keeps, and the places of their results.
template <class T>
struct forked_span {
  std::span<task<T>> all;
  strand_value<T>* into;

  [[nodiscard]] task<T>* data() noexcept { return all.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return all.size(); }
  void results() {
    if constexpr (!std::is_void_v<T>) {
      auto* to = into;
      for (auto& child : all) *to++ = result_of(child);
    }
    for (auto& child : all) child = task<T>();
  }
};

/// Where results of children go that are made on demand. A child that ends puts its result there at
/// once, on the thread that ran it.
template <class T>
struct into_vector {
  // Not a vector yet: places of a vector<bool> are not objects that two threads may write.
  std::unique_ptr<T[]> all;
  std::size_t size;

  void put(std::size_t i, task_promise<T>& child) { all[i] = child.result.take_value(); }
  auto results() {
    return std::vector<T>(std::make_move_iterator(all.get()),
                          std::make_move_iterator(all.get() + size));
  }
};
template <>
struct into_vector<void> {
  static void put(std::size_t, task_promise<void>&) noexcept {}
  static void results() noexcept {}
};
template <class T>
struct into_span {
  T* first;

  void put(std::size_t i, task_promise<T>& child) { first[i] = child.result.take_value(); }
  static void results() noexcept {}
};

/// `n` children that `Make` makes when their turn comes.
template <class T, class Make, class Into>
class [[nodiscard]] fork_join_on_demand {
  using children = range_children<T, Make, Into>;

 public:
  fork_join_on_demand(std::size_t n, Make make, Into into)
      : n_(narrow<std::int32_t>(n)), make_(std::move(make)), into_(std::move(into)) {}
  fork_join_on_demand(const fork_join_on_demand&) = delete;
  ~fork_join_on_demand() {}  // NOLINT(modernize-use-equals-default): of a union

#ifndef __clang__  // as above
  auto operator co_await() && { return awaiter_reference<fork_join_on_demand>(*this); }
  auto operator co_await() & { return awaiter_reference<fork_join_on_demand>(*this); }
#endif

  bool await_ready() const noexcept { return n_ == 0; }
  template <heddle_promise P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) {
    if (std::exchange(awaited_, true)) [[unlikely]]
      throw_range_awaited_again();
    join_block::check_due(h.promise());
    return (::new (static_cast<void*>(&all_)) children(n_, h.promise(), make_, into_))->step();
  }
  auto await_resume() {
    if (n_ != 0) {
      if (!all_.sound()) [[unlikely]]
        raise();
      std::destroy_at(&all_);
    }
    return into_.results();
  }

 private:
  [[noreturn]] HEDDLE_COLD void raise() {
    struct destroyed {
      children& all;
      ~destroyed() { std::destroy_at(&all); }
    } const at_end{all_};
    all_.raise();
  }

  const std::int32_t n_;
  Make make_;
  Into into_;
  bool awaited_ = false;
  union {
    children all_;  // from the suspension to the resumption
  };
};

template <class Make>
using made_task = std::invoke_result_t<Make&, std::size_t>;

}  // namespace detail

/// Runs the children in parallel and waits for all of them.
///
/// The children are strands of the calling task, not tasks: in them `current_task()` is the calling
/// task. The first child runs at once. Idle loops may steal the others. Children that are not
/// stolen run here, depth first. The parent resumes on the loop that ends the last child; the
/// parent of a pinned task resumes at home.
/// Yields    a tuple of the results (std::monostate for void); nothing if all are void
/// Cost      for each child one frame and at most one locked operation; no allocation. Without a
///           theft a join does no atomic read-modify-write.
/// Throws    the first failure in argument order, after all children have ended. A failure skips
///           the children that have not begun, and cancels those that wait. usage_error if it is
///           awaited a second time.
/// Cancel    of the task, or by a timeout or task group in which a strand is, reaches all strands
///           below. Those that wait end their wait at once. Those that compute see it at their next
///           fork, by a plain load. Each is cancelled once.
template <class... Ts>
[[nodiscard]] detail::fork_join_awaiter<Ts...> fork_join(task<Ts>... children) {
  detail::check_fork_children(children...);
  return detail::fork_join_awaiter<Ts...>(std::move(children)...);
}
/// The same for any number of children of one type: yields a vector (nothing for void).
/// Cost      an allocation for the vector of results, beside that of the tasks
template <class T>
[[nodiscard]] auto fork_join(std::vector<task<T>> children) {
  for (auto& child : children) detail::check_fork_children(child);
  return detail::fork_join_row<T, detail::forked_vector<T>>(
      detail::forked_vector<T>{std::move(children)});
}
/// The same for a fixed number of children: yields an array (nothing for void). It allocates
/// nothing but the frames.
///   std::array<h::task<int>, 2> halves = {sum(left), sum(right)};
///   const auto [a, b] = co_await h::fork_join(std::move(halves));
template <class T, std::size_t N>
[[nodiscard]] auto fork_join(std::array<task<T>, N> children) {
  for (auto& child : children) detail::check_fork_children(child);
  return detail::fork_join_row<T, detail::forked_array<T, N>>(
      detail::forked_array<T, N>{std::move(children)});
}
/// The same for children that the caller keeps, such as the first n of an array. Their results are
/// moved to the first places of `results`, in order, and their frames are freed. It allocates
/// nothing.
///   std::array<h::task<int>, 8> some;
///   std::array<int, 8> found;
///   ...                                                      // n of them are set
///   co_await h::fork_join(std::span(some).first(n), found);
/// Both must live until the await has ended. After a failure `results` are as they were.
/// Throws    bad_value for more children than results
template <class T, std::size_t Extent>
[[nodiscard]] auto fork_join(std::span<task<T>, Extent> children,
                             std::span<std::type_identity_t<T>> results) {
  for (auto& child : children) detail::check_fork_children(child);
  if (results.size() < children.size()) [[unlikely]]
    detail::throw_no_room_for_results(children.size(), results.size());
  return detail::fork_join_row<T, detail::forked_span<T>>(
      detail::forked_span<T>{children, results.data()});
}
/// The same for children without results.
template <std::size_t Extent>
[[nodiscard]] auto fork_join(std::span<task<>, Extent> children) {
  for (auto& child : children) detail::check_fork_children(child);
  return detail::fork_join_row<void, detail::forked_span<void>>(
      detail::forked_span<void>{children, nullptr});
}

/// The same for `n` children that are made one after the other, when their turn comes: so no more
/// frames are there than children run, and a child's frame is often the memory of the one before.
/// The quickest shape for recursions whose nodes are wide. A flat range of very short children goes
/// from loop to loop as a whole, so parallel_for_each is better for that.
///   co_await h::fork_join(n, [&](std::size_t i) { return search(boards[i]); }, found);
/// `make(i)` yields the task<T> for an index. It is called once for each, until a child fails, in
/// order and by one thread at a time, though not always by the same; it runs within the calling
/// task, and must not block. What it refers to must live until the await has ended.
/// Yields    a vector of the results in order (nothing for void), or sets the first n places of
///           `results`
/// Cost      a frame beside those of the children; a locked operation for each child once one was
///           stolen or has waited. The vector needs two allocations, and a T that can be
///           default-constructed; with `results` there is none.
/// Throws    as above; what `make` throws counts as the failure of that child. After a failure some
///           of `results` are set. bad_value for more than 2^31 - 1 children, or more than results;
///           std::bad_alloc.
template <class Make>
  requires std::invocable<Make&, std::size_t>
[[nodiscard]] auto fork_join(std::size_t n, Make make) {
  using T = typename detail::made_task<Make>::value_type;
  using into = detail::into_vector<T>;
  detail::check_range(n);
  if constexpr (std::is_void_v<T>) {
    return detail::fork_join_on_demand<T, Make, into>(n, std::move(make), into{});
  } else {
    static_assert(std::is_object_v<T> && std::default_initializable<T>,
                  "fork_join of children made on demand: give it a span of results");
    return detail::fork_join_on_demand<T, Make, into>(
        n, std::move(make), into{n == 0 ? nullptr : std::make_unique<T[]>(n), n});
  }
}
template <class Make>
  requires std::invocable<Make&, std::size_t>
[[nodiscard]] auto fork_join(
    std::size_t n, Make make,
    std::span<std::type_identity_t<typename detail::made_task<Make>::value_type>> results) {
  using T = typename detail::made_task<Make>::value_type;
  using into = detail::into_span<T>;
  detail::check_range(n);
  if (results.size() < n) [[unlikely]]
    detail::throw_no_room_for_results(n, results.size());
  return detail::fork_join_on_demand<T, Make, into>(n, std::move(make), into{results.data()});
}

}  // namespace heddle
