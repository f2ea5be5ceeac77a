// SPDX-License-Identifier: MIT
//
// What the primitives cost, alone and contended.
#include <utility>

#include "micro/in_loops.h"

namespace {

using benchmark::State;
using heddle::task;

task<> mutex_alone(State& state) {
  heddle::mutex m;
  for (auto _ : state) {
    co_await m.lock();
    m.unlock();
  }
}

task<> lock_times(heddle::mutex& m, long& shared, int times) {
  for (int i = 0; i < times; ++i) {
    auto guard = co_await m.scoped_lock();
    ++shared;
  }
}

// Four tasks want the same mutex all the time. Time is that of one lock and unlock.
task<> mutex_among_four(State& state) {
  constexpr int each = 10'000;
  heddle::mutex m;
  long shared = 0;
  long expected = 0;
  while (state.KeepRunningBatch(4 * each)) {
    co_await heddle::gather(lock_times(m, shared, each), lock_times(m, shared, each),
                            lock_times(m, shared, each), lock_times(m, shared, each));
    expected += 4 * each;
  }
  if (shared != expected) state.SkipWithError("the mutex let two tasks in");
}

task<> semaphore_alone(State& state) {
  heddle::semaphore s(1);
  for (auto _ : state) {
    co_await s.acquire();
    s.release();
  }
}

task<> event_that_is_set(State& state) {
  heddle::event e;
  e.set();
  for (auto _ : state) co_await e.wait();
}

task<> answer_pings(heddle::queue<int>& pings, heddle::queue<int>& pongs, int times) {
  for (int i = 0; i < times; ++i) co_await pongs.put(co_await pings.get());
}

task<> send_pings(heddle::queue<int>& pings, heddle::queue<int>& pongs, int times) {
  for (int i = 0; i < times; ++i) {
    co_await pings.put(i);
    benchmark::DoNotOptimize(co_await pongs.get());
  }
}

// There and back through two queues of one place. Time is that of the round trip.
task<> queue_of_one_round_trip(State& state) {
  constexpr int times = 10'000;
  heddle::queue<int> pings(1);
  heddle::queue<int> pongs(1);
  while (state.KeepRunningBatch(times)) {
    co_await heddle::gather(answer_pings(pings, pongs, times), send_pings(pings, pongs, times));
  }
}

task<> produce(heddle::queue<long>& q, long count) {
  for (long i = 0; i < count; ++i) co_await q.put(i);
}

task<long> consume(heddle::queue<long>& q, long count) {
  long sum = 0;
  for (long i = 0; i < count; ++i) sum += co_await q.get();
  co_return sum;
}

// One producer, one consumer. Time is that of one item.
task<> queue_of_1024(State& state) {
  constexpr long count = 100'000;
  heddle::queue<long> q(1024);
  while (state.KeepRunningBatch(count)) {
    auto [none, sum] = co_await heddle::gather(produce(q, count), consume(q, count));
    if (sum != count * (count - 1) / 2) state.SkipWithError("the queue lost or doubled an item");
  }
}

task<> set(heddle::promise<int> p) {
  p.set_value(1);
  co_return;
}

// A task is made that sets the promise, and its future awaited.
task<> future_of_another_task(State& state) {
  for (auto _ : state) {
    heddle::promise<int> p;
    heddle::future<int> f = p.get_future();
    heddle::create_task(set(std::move(p)));
    benchmark::DoNotOptimize(co_await f);
  }
}

}  // namespace

int main(int argc, char** argv) {
  using bench::micro::in_loops;
  in_loops("mutex_alone", mutex_alone);
  in_loops("mutex_among_four", mutex_among_four);
  in_loops("semaphore_alone", semaphore_alone);
  in_loops("event_that_is_set", event_that_is_set);
  in_loops("queue_of_one_round_trip", queue_of_one_round_trip);
  in_loops("queue_of_1024", queue_of_1024);
  in_loops("future_of_another_task", future_of_another_task);
  return bench::micro::run_registered(argc, argv);
}
