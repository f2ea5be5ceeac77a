// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <heddle/sched/shield.h>

#include <tuple>

namespace {

using namespace conformance;

CASES(GATH);

h::task<int> after(std::chrono::milliseconds d, int value) {
  co_await h::sleep(d);
  co_return value;
}
h::task<int> fail_with_e() {
  throw error_e();
  co_return 0;
}
h::task<int> wait_then(h::future<> go, int value) {
  co_await go;
  co_return value;
}

TEST_P(GATH, GATH_01_ResultsStandInTheOrderOfTheArguments) {
  run([]() -> h::task<> {
    auto three = h::gather(after(6ms, 1), after(1ms, 2), after(3ms, 3));
    const auto [a, b, c] = co_await three;
    EQUAL(a, 1);
    EQUAL(b, 2);
    EQUAL(c, 3);
    std::vector<h::task<int>> many;
    for (int i = 0; i < 5; ++i) many.push_back(after(std::chrono::milliseconds(5 - i), i));
    auto range = h::gather(std::move(many));
    const auto all = co_await range;
    EQUAL(all, (std::vector<int>{0, 1, 2, 3, 4}));
    auto none = h::gather(std::vector<h::task<int>>());
    HOLDS(none.done());
    const auto nothing = co_await none;
    HOLDS(nothing.empty());
  });
}

TEST_P(GATH, GATH_02_TheFirstErrorIsThrownAtOnceAndTheOthersFinish) {
  run([]() -> h::task<> {
    h::promise<> first;
    h::promise<> second;
    h::promise<> third;
    auto a = h::create_task(
        [](h::future<> go) -> h::task<int> {
          co_await go;
          throw error_e();
        },
        first.get_future());
    auto b = h::create_task(
        [](h::future<> go) -> h::task<int> {
          co_await go;
          throw error_f();
        },
        second.get_future());
    auto c = h::create_task(wait_then(third.get_future(), 3));
    auto all = h::gather(a, b, c);
    first.set_value();
    EQUAL(co_await ending(std::move(all)), "E");
    HOLDS(!b.done() && !c.done());
    second.set_value();
    third.set_value();
    co_await until_done(b);
    EQUAL(co_await c, 3);
  });
  EQUAL(report_count(), 0u);
}

TEST_P(GATH, GATH_03_CollectingErrorsWaitsForAll) {
  run([]() -> h::task<> {
    auto cancelled = h::create_task(after(1h, 0));
    cancelled.cancel();
    auto all = h::gather_settled(after(3ms, 7), fail_with_e(), cancelled);
    auto [value, error, cancellation] = co_await all;
    EQUAL(value.value(), 7);
    EQUAL(name_of(error.error()), "E");
    HOLDS(cancellation.cancelled());
    EQUAL(name_of(cancellation.error()), "Cancelled");
  });
}

TEST_P(GATH, GATH_04_AChildThatIsCancelledIsAnError) {
  run([]() -> h::task<> {
    auto cancelled = h::create_task(after(1h, 0));
    auto other = h::create_task(after(5ms, 1));
    auto all = h::gather(cancelled, other);
    cancelled.cancel();
    std::string how;
    try {
      (void)co_await all;
    } catch (const h::cancelled_error&) { how = "Cancelled"; }
    EQUAL(how, "Cancelled");
    HOLDS(all.done());
    HOLDS(!all.cancelled());
    EQUAL(h::current_task().cancelling(), 0u);
    EQUAL(co_await other, 1);
  });
}

TEST_P(GATH, GATH_05_CancellingTheTaskCancelsTheChildren) {
  run([]() -> h::task<> {
    auto a = h::create_task(after(1h, 1));
    auto b = h::create_task(after(1h, 2));
    auto all = h::gather(a, b);
    auto t = h::create_task([&]() -> h::task<> { (void)co_await all; });
    co_await until_waiting(t);
    co_await until_waiting(a);
    co_await until_waiting(b);
    t.cancel();
    EQUAL(co_await ending(t), "Cancelled");
    co_await until_done(a);
    co_await until_done(b);
    HOLDS(a.cancelled() && b.cancelled());
    HOLDS(!all.cancel());
  });
}

TEST_P(GATH, GATH_06_CollectingErrorsDoesNotSwallowACancellation) {
  run([]() -> h::task<> {
    std::atomic<int> turns{0};
    auto t = h::create_task([&]() -> h::task<> {
      for (;;) {
        auto all = h::gather_settled(after(1ms, 1), after(1ms, 2));
        (void)co_await all;
        ++turns;
      }
    });
    co_await until([&] { return turns >= 3; });
    t.cancel();
    EQUAL(co_await ending(t), "Cancelled");
  });
}

TEST_P(GATH, GATH_10_CollectingErrorsWaitsForEveryCleanup) {
  run([]() -> h::task<> {
    std::atomic<bool> cleaned{false};
    std::atomic<int> sleeping{0};
    auto prompt = [&]() -> h::task<> {
      ++sleeping;
      co_await h::sleep(1h);
    };
    auto slow = [&]() -> h::task<> {
      try {
        ++sleeping;
        co_await h::sleep(1h);
      } catch (const h::cancelled_error&) {
        // awaits below
      }
      co_await h::sleep(10ms);
      cleaned = true;
      throw h::cancelled_error();
    };
    auto a = h::create_task(prompt);
    auto b = h::create_task(slow);
    auto all = h::gather_settled(a, b);
    co_await until([&] { return sleeping == 2 && waits(a) && waits(b); });
    HOLDS(all.cancel());
    std::string how;
    bool cleaned_first = false;
    try {
      (void)co_await all;
    } catch (const h::cancelled_error&) {
      how = "Cancelled";
      cleaned_first = cleaned;
    }
    EQUAL(how, "Cancelled");
    HOLDS(cleaned_first);
    HOLDS(a.done() && b.done());
  });
}

TEST_P(GATH, GATH_13_OneTaskInSeveralPlaces) {
  run([]() -> h::task<> {
    std::atomic<int> ran{0};
    auto t = h::create_task([&]() -> h::task<int> {
      ++ran;
      co_await h::yield_now();
      co_return 5;
    });
    auto all = h::gather(t, t, after(1ms, 6), t);
    const auto [a, b, c, d] = co_await all;
    EQUAL((std::vector<int>{a, b, c, d}), (std::vector<int>{5, 5, 6, 5}));
    EQUAL(ran.load(), 1);
  });
}

TEST_P(GATH, GATH_15_OneThatHasFailedIsNotCancelledAnyMore) {
  run([]() -> h::task<> {
    h::promise<> go;
    auto other = h::create_task(wait_then(go.get_future(), 1));
    auto all = h::gather(fail_with_e(), other);
    co_await until([&] { return all.done(); });
    HOLDS(!all.cancel());
    co_await settle();
    HOLDS(!other.done());
    EQUAL(other.cancelling(), 0u);
    go.set_value();
    EQUAL(co_await other, 1);
    EQUAL(co_await ending(std::move(all)), "E");
  });
}

TEST_P(GATH, GATH_16_OfFuturesThatAreDoneIsDoneOnReturn) {
  run([]() -> h::task<> {
    h::promise<int> a;
    h::promise<int> b;
    a.set_value(1);
    b.set_value(2);
    bool others_ran = false;
    auto other = h::create_task([&]() -> h::task<> {
      others_ran = true;
      co_return;
    });
    auto all = h::gather(a.get_future(), b.get_future());
    HOLDS(all.done());
    const auto [x, y] = co_await all;
    EQUAL(x + y, 3);
    if (one_loop()) HOLDS(!others_ran);
    co_await other;
  });
}

TEST_P(GATH, GATH_17_CancellingAGatherOfShieldsEndsTheShieldsAlone) {
  run([]() -> h::task<> {
    h::promise<> go;
    auto a = h::create_task(wait_then(go.get_future(), 1));
    auto b = h::create_task(wait_then(go.get_future(), 2));
    auto outer_a = h::shield(a);
    auto outer_b = h::shield(b);
    auto all = h::gather(outer_a, outer_b);
    HOLDS(all.cancel());
    EQUAL(co_await ending(std::move(all)), "Cancelled");
    HOLDS(outer_a.cancelled() && outer_b.cancelled());
    HOLDS(!a.done() && !b.done());
    EQUAL(a.cancelling() + b.cancelling(), 0u);
    go.set_value();
    EQUAL(co_await a + co_await b, 3);
  });
}

TEST_P(GATH, GATH_19_ChildrenOfTwoRuntimesAreABadValue) {
  h::runtime other(h::options{.loops = 1});
  std::atomic<bool> end{false};
  h::task_handle<> stranger;
  std::atomic<bool> made{false};
  auto foreign = other.submit(
      [](h::task_handle<>& out, std::atomic<bool>& made, std::atomic<bool>& end) -> h::task<> {
        out = h::create_task(sleep_long());
        made = true;
        while (!end) co_await h::sleep(1ms);
        out.cancel();
      }(stranger, made, end));
  run([&]() -> h::task<> {
    co_await until([&] { return made.load(); });
    THROWS(h::bad_value, h::gather(h::create_task(after(1ms, 1)), stranger));
    HOLDS(!stranger.done());
    EQUAL(stranger.cancelling(), 0u);
    // Loops of one runtime are another matter.
    auto& rt = h::current_loop().owner();
    h::task_options here;
    here.loop = &rt.loop(0);
    h::task_options there;
    there.loop = &rt.loop(rt.loop_count() - 1);
    auto a = h::create_task(after(1ms, 1), here);
    auto b = h::create_task(after(1ms, 2), there);
    auto fine = h::gather(a, b);
    const auto [x, y] = co_await fine;
    EQUAL(x + y, 3);
  });
  end = true;
  foreign.get();
}

TEST_P(GATH, GATH_20_ManyChildrenThatEndAtOnce) {
  run([]() -> h::task<> {
    for (int round = 0; round < rounds(10); ++round) {
      const int n = round == 0 ? 10000 : 500;
      auto child = [](int i) -> h::task<int> {
        if (i % 5 == 0) co_await h::yield_now();
        if (i % 100 == 7) throw error_e();
        co_return i;
      };
      std::vector<h::task<int>> plain;
      std::vector<h::task<int>> collected;
      for (int i = 0; i < n; ++i) {
        plain.push_back(child(i));
        collected.push_back(child(i));
      }
      EQUAL(co_await ending(h::gather(std::move(plain))), "E");
      auto all = h::gather_settled(std::move(collected));
      auto results = co_await all;
      EQUAL(results.size(), static_cast<std::size_t>(n));
      int wrong = 0;
      for (int i = 0; i < n; ++i) {
        auto& r = results[static_cast<std::size_t>(i)];
        if (i % 100 == 7 ? r.has_value() : !r.has_value() || r.value() != i) ++wrong;
      }
      EQUAL(wrong, 0);
    }
  });
}

}  // namespace
