// SPDX-License-Identifier: MIT
// Results, captures, arguments and locals that are aligned to more than the heap's 16 bytes stand
// where they must, wherever they are kept.
#include <heddle/core/future.h>
#include <heddle/sched/as_completed.h>
#include <heddle/sched/async_generator.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/parallel_for_each.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/shield.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/to_thread.h>
#include <heddle/sched/wait_for.h>

#include <support/loops.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;

std::atomic<int> misplaced{0};

/// Knows where it stands, each time one is made, moved or destroyed.
template <std::size_t A>
struct alignas(A) wide {
  explicit wide(int v = 0) : value(v) { look(); }
  wide(const wide& o) noexcept : value(o.value) { look(); }
  wide& operator=(const wide& o) noexcept {
    value = o.value;
    look();
    return *this;
  }
  ~wide() { look(); }
  void look() const noexcept {
    if (reinterpret_cast<std::uintptr_t>(this) % A != 0) ++misplaced;
  }
  int value;
};

template <class W>
class Alignment : public testing::Test {
 protected:
  void SetUp() override { misplaced = 0; }
  void TearDown() override { EXPECT_EQ(misplaced, 0); }
  template <class T>
  static void run(h::task<T> (*body)()) {
    for (const unsigned loops : {1u, 2u, 8u}) {
      h::options o;
      o.loops = loops;
      h::run(body(), o);
    }
  }
};
using widths = testing::Types<wide<32>, wide<64>, wide<4096>>;
class width_names {
 public:
  template <class W>
  static std::string GetName(int) {
    return std::to_string(alignof(W));
  }
};
TYPED_TEST_SUITE(Alignment, widths, width_names);

template <class W>
h::task<W> give(int value) {
  W here(value);  // in the frame, across a suspension
  co_await h::yield_now();
  here.look();
  co_return here;
}
template <class W>
h::task<int> take(W argument) {
  co_await h::yield_now();
  argument.look();
  co_return argument.value;
}
template <class W>
h::async_generator<W> count(int n) {
  for (int i = 0; i < n; ++i) {
    W item(i);
    co_await h::yield_now();
    if (i % 2 == 0)
      co_yield item;
    else
      co_yield W(i);
  }
}

TYPED_TEST(Alignment, OfResultsAndFrames) {
  this->run(+[]() -> h::task<> {
    using W = TypeParam;
    std::vector<h::task_handle<W>> all;  // several at once: neighbours in a chunk
    for (int i = 0; i < 20; ++i) all.push_back(h::create_task(give<W>(i)));
    for (int i = 0; i < 20; ++i) {
      const auto got1 = co_await all[static_cast<std::size_t>(i)];
      EXPECT_EQ(got1.value, i);
    }
    const W argument(5);
    EXPECT_EQ(co_await take<W>(argument), 5);
    auto kept = h::create_task(take<W>, argument);
    EXPECT_EQ(co_await kept, 5);
    auto limited = h::wait_for(give<W>(6), 1h);
    const auto got2 = co_await std::move(limited);
    EXPECT_EQ(got2.value, 6);
    auto shielded = h::shield(give<W>(8));
    const auto got3 = co_await std::move(shielded);
    EXPECT_EQ(got3.value, 8);
  });
}

TYPED_TEST(Alignment, OfWhatSeveralCameTo) {
  this->run(+[]() -> h::task<> {
    using W = TypeParam;
    auto both = h::gather(give<W>(1), give<W>(2));
    const auto [a, b] = co_await std::move(both);
    EXPECT_EQ(a.value + b.value, 3);
    auto forked = h::fork_join(give<W>(3), give<W>(4));
    const auto [c, d] = co_await std::move(forked);
    EXPECT_EQ(c.value + d.value, 7);
    std::vector<h::task<W>> more;
    for (int i = 0; i < 5; ++i) more.push_back(give<W>(i));
    auto settled = h::gather_settled(std::move(more));
    const auto got4 = co_await std::move(settled);
    EXPECT_EQ(got4.size(), 5u);
    std::vector<W> items(50);
    const W extra(1);
    auto each = h::parallel_for_each(items, 3, [extra](W& item) {
      extra.look();
      item.value += extra.value;
    });
    co_await std::move(each);
    for (const auto& item : items) EXPECT_EQ(item.value, 1);
  });
}

TYPED_TEST(Alignment, OfTheValuesOfGenerators) {
  this->run(+[]() -> h::task<> {
    using W = TypeParam;
    auto all = count<W>(6);
    int sum = 0;
    for (;;) {
      auto* item = co_await all.next();
      if (!item) break;
      item->look();
      sum += item->value;
    }
    EXPECT_EQ(sum, 15);
    const W extra(1);
    int seen = 0;
    auto each = h::for_each(count<W>(4), [extra, &seen](W& item) {
      extra.look();
      item.look();
      ++seen;
    });
    co_await std::move(each);
    EXPECT_EQ(seen, 4);
    auto left = count<W>(3);
    (void)co_await left.next();
    auto closing = left.aclose();
    co_await std::move(closing);
  });
}

TYPED_TEST(Alignment, OfFuturesAndTheirCallbacks) {
  this->run(+[]() -> h::task<> {
    using W = TypeParam;
    const W extra(2);
    std::atomic<int> called{0};
    h::promise<W> p;
    auto f = p.get_future();
    f.add_done_callback([extra, &called](const h::future<W>& end) {
      extra.look();
      end.result().look();
      called += extra.value;
    });
    auto t = h::create_task(give<W>(1));
    t.add_done_callback([extra, &called](const h::task_handle<W>&) {
      extra.look();
      called += extra.value;
    });
    p.set_value(W(9));
    const auto got5 = co_await f;
    EXPECT_EQ(got5.value, 9);
    const auto got6 = co_await t;
    EXPECT_EQ(got6.value, 1);
    auto both = support::until([&] { return called == 4; });
    co_await std::move(both);
  });
}

TYPED_TEST(Alignment, OfCallbacksAndJobs) {
  this->run(+[]() -> h::task<> {
    using W = TypeParam;
    const W extra(2);
    std::atomic<int> called{0};
    const auto call = [extra, &called](const W& argument) {
      extra.look();
      argument.look();
      called += extra.value;
    };
    auto& loop = h::current_loop();
    (void)loop.call_soon(call, extra);
    (void)loop.call_later(1us, call, extra);
    auto cancelled = loop.call_later(1h, call, extra);
    cancelled.cancel();
    auto both = support::until([&] { return called == 4; });
    co_await std::move(both);
    auto job = h::to_thread(
        [extra](W argument) {
          extra.look();
          return argument;
        },
        extra);
    const auto got7 = co_await std::move(job);
    EXPECT_EQ(got7.value, 2);
    auto block = [extra]() -> h::task<W> { return give<W>(extra.value); };
    auto limited = h::timeout(1h, block);
    const auto got8 = co_await std::move(limited);
    EXPECT_EQ(got8.value, 2);
  });
}

}  // namespace
