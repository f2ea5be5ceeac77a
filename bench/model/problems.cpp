// SPDX-License-Identifier: MIT
#include "model/problems.h"

#include <heddle/sched/create_task.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sync/mutex.h>
#include <heddle/sync/queue.h>

#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "fib/problem.h"
#include "nqueens/problem.h"
#include "skynet/problem.h"

namespace bench::model {
namespace {

using heddle::task;

void check(bool right) {
  if (!right) throw std::runtime_error("wrong result");
}

// --------------------------------------------------------------- fork-join

task<long> fib_of(long n) {
  in_body(&n);
  if (n < 2) co_return n;
  auto [a, b] = co_await heddle::fork_join(fib_of(n - 1), fib_of(n - 2));
  co_return a + b;
}

task<long> fib(long n) {
  check(co_await fib_of(n) == fib::expected(n));
  co_return 2 * fib::expected(n + 1) - 1;
}

task<long> skynet_of(long first, long leaves) {
  in_body(&first);
  if (leaves == 1) co_return first;
  const long part = leaves / skynet::fan_out;
  std::vector<task<long>> children;
  children.reserve(skynet::fan_out);
  for (long i = 0; i < skynet::fan_out; ++i) children.push_back(skynet_of(first + i * part, part));
  const std::vector<long> sums = co_await heddle::fork_join(std::move(children));
  long sum = 0;
  for (const long s : sums) sum += s;
  co_return sum;
}

task<long> skynet(long leaves) {
  check(co_await skynet_of(0, leaves) == skynet::expected(leaves));
  const long tasks = (leaves * skynet::fan_out - 1) / (skynet::fan_out - 1);
  co_return tasks;
}

/// Solutions in the low half, boards in the high one.
task<long> queens_of(nqueens::board placed, int n) {
  in_body(&placed);
  constexpr long one = 1L << 32;
  if (placed.rows == n) co_return one + 1;
  std::vector<task<long>> children;
  for (int column = 0; column < n; ++column) {
    if (placed.allows(column)) children.push_back(queens_of(placed.with(column), n));
  }
  if (children.empty()) co_return one;
  const std::vector<long> sums = co_await heddle::fork_join(std::move(children));
  long sum = one;
  for (const long s : sums) sum += s;
  co_return sum;
}

task<long> nqueens(long n) {
  const long both = co_await queens_of(nqueens::board{}, static_cast<int>(n));
  check((both & 0xffffffff) == nqueens::expected({"nqueens", "model"}, n));
  co_return both >> 32;
}

constexpr long coarse_ns = 10'000;

task<> halve(long leaves) {
  in_body(&leaves);
  if (leaves == 1) {
    compute(coarse_ns);
    co_return;
  }
  co_await heddle::fork_join(halve(leaves / 2), halve(leaves - leaves / 2));
}

task<long> coarse(long leaves) {
  co_await halve(leaves);
  co_return leaves;
}

// ------------------------------------------------------------------- tasks

task<long> give(long value) {
  in_body(&value);
  co_return value;
}

task<long> one_at_a_time(long count) {
  long sum = 0;
  for (long i = 0; i < count; ++i) sum += co_await heddle::create_task(give(i));
  check(sum == count * (count - 1) / 2);
  co_return count;
}

task<long> at_once(long count) {
  std::vector<heddle::task_handle<long>> handles;
  handles.reserve(static_cast<std::size_t>(count));
  for (long i = 0; i < count; ++i) handles.push_back(heddle::create_task(give(i)));
  long sum = 0;
  for (auto& h : handles) sum += co_await h;
  check(sum == count * (count - 1) / 2);
  co_return count;
}

constexpr long storm_ns = 1000;

task<> drop(long value) {
  in_body(&value);
  compute(storm_ns);
  co_return;
}

task<long> storm(long count) {
  std::vector<heddle::task_handle<>> handles;
  handles.reserve(static_cast<std::size_t>(count));
  for (long i = 0; i < count; ++i) handles.push_back(heddle::create_task(drop(i)));
  for (auto& h : handles) co_await h;
  co_return count;
}

task<> yield_times(long times) {
  for (long i = 0; i < times; ++i) {
    in_body(&i);
    co_await heddle::yield_now();
  }
}

task<long> yields(long times) {
  co_await heddle::gather(yield_times(times), yield_times(times), yield_times(times),
                          yield_times(times));
  co_return 4 * times;
}

constexpr int pinned_per_loop = 8;
constexpr long pinned_ns = 500;

task<> serve(long times) {
  for (long i = 0; i < times; ++i) {
    in_body(&i);
    compute(pinned_ns);
    co_await heddle::yield_now();
  }
}

task<long> pinned(long times) {
  auto& all = heddle::current_runtime();
  std::vector<heddle::task_handle<>> handles;
  for (unsigned i = 0; i < all.loop_count(); ++i) {
    heddle::task_options there;
    there.loop = &all.loop(i);
    for (int k = 0; k < pinned_per_loop; ++k)
      handles.push_back(heddle::create_task(serve(times), there));
  }
  for (auto& h : handles) co_await h;
  co_return static_cast<long>(handles.size()) * times;
}

// -------------------------------------------------------------- primitives

task<> produce(heddle::queue<long>& q, long count) {
  for (long i = 0; i < count; ++i) co_await q.put(i);
}

task<long> consume(heddle::queue<long>& q, long count) {
  long sum = 0;
  for (long i = 0; i < count; ++i) sum += co_await q.get();
  co_return sum;
}

task<long> queue_1024(long count) {
  heddle::queue<long> q(1024);
  auto [none, sum] = co_await heddle::gather(produce(q, count), consume(q, count));
  check(sum == count * (count - 1) / 2);
  co_return count;
}

task<> answer_pings(heddle::queue<long>& pings, heddle::queue<long>& pongs, long times) {
  for (long i = 0; i < times; ++i) co_await pongs.put(co_await pings.get());
}

task<> send_pings(heddle::queue<long>& pings, heddle::queue<long>& pongs, long times) {
  for (long i = 0; i < times; ++i) {
    co_await pings.put(i);
    check(co_await pongs.get() == i);
  }
}

task<long> queue_of_one(long times) {
  heddle::queue<long> pings(1);
  heddle::queue<long> pongs(1);
  co_await heddle::gather(answer_pings(pings, pongs, times), send_pings(pings, pongs, times));
  co_return times;
}

task<> lock_times(heddle::mutex& m, long& shared, long times) {
  for (long i = 0; i < times; ++i) {
    auto guard = co_await m.scoped_lock();
    ++shared;
  }
}

task<long> mutex_of_four(long times) {
  heddle::mutex m;
  long shared = 0;
  co_await heddle::gather(lock_times(m, shared, times), lock_times(m, shared, times),
                          lock_times(m, shared, times), lock_times(m, shared, times));
  check(shared == 4 * times);
  co_return shared;
}

struct letters {
  explicit letters(long count) : there(static_cast<std::size_t>(count)), back(there.size()) {}
  std::vector<heddle::promise<long>> there;
  std::vector<heddle::promise<long>> back;
};

task<> answer_letters(letters& post) {
  for (std::size_t i = 0; i < post.there.size(); ++i)
    post.back[i].set_value(co_await post.there[i].get_future());
}

task<> send_letters(letters& post) {
  for (std::size_t i = 0; i < post.there.size(); ++i) {
    auto answer = post.back[i].get_future();
    post.there[i].set_value(static_cast<long>(i));
    check(co_await answer == static_cast<long>(i));
  }
}

// Between the first loop and the last.
task<long> futures(long times) {
  letters post(times);
  auto& all = heddle::current_runtime();
  heddle::task_options first, last;
  first.loop = &all.loop(0);
  last.loop = &all.loop(all.loop_count() - 1);
  auto answers = heddle::create_task(answer_letters(post), last);
  auto sends = heddle::create_task(send_letters(post), first);
  co_await sends;
  co_await answers;
  co_return times;
}

constexpr problem all[]{
    {"fib", "fib, a call", true, {32, 25, 15}, 18, &fib},
    {"skynet", "skynet, a task", true, {1'000'000, 100'000, 1000}, 22, &skynet},
    {"nqueens", "nqueens, a board", true, {12, 10, 7}, 190, &nqueens},
    {"coarse",
     "a tree with leaves of 10 µs, a leaf",
     true,
     {1 << 14, 1 << 12, 64},
     10'130,
     &coarse},
    {"storm",
     "create_task of 1 µs from one task, a task",
     true,
     {50'000, 10'000, 200},
     1160,
     &storm},
    {"pinned", "pinned tasks that yield, 500 ns a step", true, {500, 100, 10}, 566, &pinned},
    {"create_await",
     "create_task and await, one at a time",
     false,
     {100'000, 20'000, 200},
     250,
     &one_at_a_time},
    {"create_many",
     "create many, then await all, a task",
     false,
     {100'000, 20'000, 200},
     250,
     &at_once},
    {"yield", "yield of one of four tasks", false, {50'000, 10'000, 100}, 33, &yields},
    {"queue_1024", "queue of 1024, an item", false, {200'000, 20'000, 1000}, 31, &queue_1024},
    {"queue_1", "queue of 1, a round trip", false, {50'000, 5'000, 100}, 270, &queue_of_one},
    {"mutex",
     "mutex among four tasks, a lock and unlock",
     false,
     {50'000, 5'000, 100},
     27,
     &mutex_of_four},
    {"future", "future to the last loop and back", false, {20'000, 2'000, 100}, 400, &futures},
};

}  // namespace

std::span<const problem> problems() { return all; }

const problem* find_problem(const char* name) {
  for (const auto& p : all)
    if (std::string_view(p.name) == name) return &p;
  return nullptr;
}

}  // namespace bench::model
