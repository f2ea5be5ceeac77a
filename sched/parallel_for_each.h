// SPDX-License-Identifier: MIT
// parallel_for_each: calls one function for all elements of a range, on all loops, by fork_join.
//
//   const auto brighten = [](int& pixel) { pixel *= 2; };
//   co_await h::parallel_for_each(pixels, 64, brighten);
#pragma once

#include <heddle/core/checked.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/runtime/body.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <type_traits>
#include <utility>
#include <vector>

namespace heddle {
namespace detail {

namespace range_access {
using std::begin;
using std::end;
template <class R>
auto begin_of(R& r) -> decltype(begin(r)) {
  return begin(r);
}
template <class R>
auto end_of(R& r) -> decltype(end(r)) {
  return end(r);
}
}  // namespace range_access

template <class R>
concept iterable = requires(std::remove_reference_t<R>& r) {
  range_access::begin_of(r) != range_access::end_of(r);
  *range_access::begin_of(r);
};

/// A range of indices, or of iterators that can be split anywhere: its start and its length.
template <class I>
struct stretch {
  I first;
  std::uint64_t length;

  [[nodiscard]] I at(std::uint64_t i) const {
    if constexpr (std::integral<I>)
      return static_cast<I>(static_cast<std::uint64_t>(first) + i);
    else
      return first + static_cast<std::iter_difference_t<I>>(i);
  }
  [[nodiscard]] stretch head(std::uint64_t n) const { return {first, n}; }
  [[nodiscard]] stretch tail(std::uint64_t n) const { return {at(n), length - n}; }
};

template <class I>
decltype(auto) element_at(I& i) {
  if constexpr (std::integral<I>)
    return static_cast<I>(i);
  else
    return *i;
}

/// Calls f for the `n` elements of a leaf, one after the other, from `i` on. What f returns is
/// awaited if it can be; otherwise it is dropped.
template <class I, class F>
task<> each_of_leaf(I i, std::uint64_t n, F& f) {
  using result = std::invoke_result_t<F&, decltype(element_at(i))>;
  for (; n != 0; --n, ++i) {
    if constexpr (body_value<result>::awaited) {
      result one = f(element_at(i));
      co_await in_place<result>(one);
    } else {
      (void)f(element_at(i));
    }
  }
  co_return;
}

template <class I, class F>
task<> each_of_stretch(stretch<I> all, std::uint64_t grain, F& f) {
  const std::uint64_t half = all.length / 2;
  const auto part = [grain, &f](stretch<I> s) {
    return s.length <= grain ? each_of_leaf(s.first, s.length, f) : each_of_stretch(s, grain, f);
  };
  co_await fork_join(part(all.head(half)), part(all.tail(half)));
}

/// The root: its frame keeps f, to which all leaves refer.
template <class I, class F>
task<> for_each_of_stretch(stretch<I> all, std::uint64_t grain, F f) {
  if (all.length <= grain)
    co_await each_of_leaf(all.first, all.length, f);
  else
    co_await each_of_stretch(all, grain, f);
}

/// An element that was taken from an input range. It is a class, since a vector<bool> holds no
/// objects.
template <class T>
struct taken {
  T value;
};

/// Calls f for a batch of an input range. f may move from these elements.
template <class T, class F>
task<> each_of_batch(std::vector<taken<T>> given, F& f) {
  auto batch = std::move(given);  // a parameter would live until the whole round has ended
  using argument = std::conditional_t<std::invocable<F&, T>, T&&, T&>;
  using result = std::invoke_result_t<F&, argument>;
  for (taken<T>& element : batch) {
    if constexpr (body_value<result>::awaited) {
      result one = f(static_cast<argument>(element.value));
      co_await in_place<result>(one);
    } else {
      (void)f(static_cast<argument>(element.value));
    }
  }
  co_return;
}

/// How many batches of a range of unknown length are under way at most: four for each loop.
[[nodiscard]] std::size_t batches_at_once() noexcept;

/// Takes a batch and forks. The batch runs here. The rest of the range is a strand that can be
/// stolen; the loop that runs that strand takes the next batch. So one strand at a time reads the
/// range, and only as fast as loops have time for it. The nesting ends after `batches`.
template <class I, class S, class F>
task<> each_of_round(I& i, const S& last, std::uint64_t grain, std::size_t batches, F& f) {
  std::uint64_t n = 0;
  if constexpr (std::forward_iterator<I>) {
    const I first = i;
    for (; n < grain && i != last; ++n) ++i;
    if (batches <= 1 || i == last)
      co_await each_of_leaf(first, n, f);
    else
      co_await fork_join(each_of_leaf(first, n, f), each_of_round(i, last, grain, batches - 1, f));
  } else {
    std::vector<taken<std::iter_value_t<I>>> batch;
    for (; n < grain && i != last; ++n, ++i) batch.push_back({*i});
    if (batches <= 1 || i == last)
      co_await each_of_batch(std::move(batch), f);
    else
      co_await fork_join(each_of_batch(std::move(batch), f),
                         each_of_round(i, last, grain, batches - 1, f));
  }
}

template <class I, class S, class F>
task<> for_each_until(I i, S last, std::uint64_t grain, F f) {
  while (i != last) co_await each_of_round(i, last, grain, batches_at_once(), f);
}

template <class I, class S, class F>
task<> for_each_between(I first, S last, std::uint64_t grain, F f) {
  if constexpr (std::integral<I>) {
    const auto length = first < last
                            ? static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(first)
                            : std::uint64_t{0};
    return for_each_of_stretch(stretch<I>{first, length}, grain, std::move(f));
  } else if constexpr (std::random_access_iterator<I> && std::sized_sentinel_for<S, I>) {
    const auto length = static_cast<std::uint64_t>(last - first);
    return for_each_of_stretch(stretch<I>{first, length}, grain, std::move(f));
  } else {
    return for_each_until(std::move(first), std::move(last), grain, std::move(f));
  }
}

/// R is a reference to the caller's range, or the range itself, which this frame then keeps.
template <class R, class F>
task<> for_each_in(R range, std::uint64_t grain, F f) {
  co_await for_each_between(range_access::begin_of(range), range_access::end_of(range), grain,
                            std::move(f));
}

void check_grain(std::size_t grain);

/// An end of a range of integers, in the common type of both ends. Throws bad_value for -1 if that
/// type is unsigned.
template <class To, class From>
To index_as(From i) {
  if constexpr (std::same_as<To, From>)
    return i;
  else
    return checked<To>(i, "an index of parallel_for_each");
}

}  // namespace detail

/// Calls `f` with each element of `range`, on all loops, and waits for all calls. The range is
/// halved by fork_join until at most `grain` elements are left. These make a leaf: a plain loop.
///
/// `f` is kept until the end. Several threads call it at once, in no order across leaves. If `f`
/// returns something that can be awaited, that is awaited before the next element of the leaf. Any
/// other result is dropped. A range given as an rvalue is kept too. The caller resumes on the loop
/// that ends the last leaf; a pinned caller resumes at home.
///
/// A range that cannot be split (a list, an input range) is read in batches of `grain`, by one
/// strand at a time, while earlier batches run. At most four batches a loop are under way. From an
/// input range elements are taken by value, and `f` may move from them.
/// Grain     choose it so that a leaf takes some microseconds
/// Cost      a leaf costs two frames, about 1 % of its work at that grain; an element nothing
/// Throws    what `f` throws: the first failure in the order of the range, after all calls that had
///           begun have ended. The rest of that leaf, and leaves not begun, are skipped.
///           usage_error for grain 0; bad_value for a negative index beside an unsigned one.
/// Cancel    of the task is seen at every fork, and by every element that waits
template <class R, class F>
  requires detail::iterable<R>
[[nodiscard]] task<> parallel_for_each(R&& range, std::size_t grain, F f) {
  detail::check_grain(grain);
  return detail::for_each_in<R>(std::forward<R>(range), grain, std::move(f));
}
/// The same from `first` to before `last`. These are iterators, whose elements must outlive the
/// call, or integers, each of which `f` gets.
template <class I, class S, class F>
  requires(std::integral<I> && std::integral<S>) || std::sentinel_for<S, I>
[[nodiscard]] task<> parallel_for_each(I first, S last, std::size_t grain, F f) {
  detail::check_grain(grain);
  if constexpr (std::integral<I>) {
    using index = std::common_type_t<I, S>;
    return detail::for_each_between(detail::index_as<index>(first), detail::index_as<index>(last),
                                    grain, std::move(f));
  } else {
    return detail::for_each_between(std::move(first), std::move(last), grain, std::move(f));
  }
}

}  // namespace heddle
