// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <heddle/sched/shield.h>

namespace {

using namespace conformance;

CASES(SHLD);

h::task<int> wait_then(h::future<> go, int value) {
  co_await go;
  co_return value;
}

TEST_P(SHLD, SHLD_01_TheOuterEndsAsTheInnerDoes) {
  run([]() -> h::task<> {
    for (int done_before = 0; done_before < 2; ++done_before) {
      h::promise<int> value;
      h::promise<int> error;
      h::promise<int> cancelled;
      if (done_before) {
        value.set_value(7);
        error.set_exception(error_e());
        cancelled.cancel();
      }
      auto a = h::shield(value.get_future());
      auto b = h::shield(error.get_future());
      auto c = h::shield(cancelled.get_future());
      EQUAL(a.done(), done_before == 1);
      if (!done_before) {
        value.set_value(7);
        error.set_exception(error_e());
        cancelled.cancel();
      }
      EQUAL(co_await a, 7);
      EQUAL(co_await ending(b), "E");
      EQUAL(co_await ending(c), "Cancelled");
      HOLDS(a.done() && b.done() && c.cancelled());
      HOLDS(!a.cancelled() && !b.cancelled());
    }
    auto moved = h::shield([]() -> h::task<std::unique_ptr<int>> {
      co_await h::yield_now();
      co_return std::make_unique<int>(5);
    }());
    auto p = co_await std::move(moved);
    EQUAL(*p, 5);
  });
  EQUAL(report_count(), 0u);
}

TEST_P(SHLD, SHLD_02_CancellingTheOuterLeavesTheInner) {
  run([]() -> h::task<> {
    h::promise<int> p;
    auto f = p.get_future();
    auto outer = h::shield(f);
    HOLDS(outer.cancel());
    HOLDS(!outer.cancel());
    HOLDS(outer.cancelled());
    HOLDS(!f.done());
    EQUAL(co_await ending(outer), "Cancelled");
    EQUAL(h::current_task().cancelling(), 0u);
    p.set_value(3);
    EQUAL(co_await f, 3);
  });
}

TEST_P(SHLD, SHLD_02_AnErrorThatNobodyGetsIsReportedOnce) {
  run([]() -> h::task<> {
    {
      h::promise<> go;
      auto outer = h::shield([](h::future<> go) -> h::task<> {
        co_await go;
        throw error_e();
      }(go.get_future()));
      outer.cancel();
      go.set_value();
    }
    co_await until([] { return h::all_tasks().size() == 1; });
    co_await settle();
  });
  EQUAL(report_count(), 1u);
  for (const auto& r : reports()) EQUAL(name_of(r.error), "E");
}

TEST_P(SHLD, SHLD_03_OneThatIsDoneYieldsAtOnce) {
  run([]() -> h::task<> {
    auto t = h::create_task([]() -> h::task<std::string> { co_return "done"; });
    co_await until_done(t);
    bool others_ran = false;
    auto other = h::create_task([&]() -> h::task<> {
      others_ran = true;
      co_return;
    });
    auto outer = h::shield(t);
    HOLDS(outer.done());
    HOLDS(outer.inner() == t);
    auto& result = co_await outer;
    HOLDS(&result == &t.result());
    if (one_loop()) HOLDS(!others_ran);
    co_await other;
  });
}

TEST_P(SHLD, SHLD_04_ACoroutineRunsToItsEndThoughNobodyHoldsIt) {
  run([]() -> h::task<> {
    h::promise<> go;
    std::atomic<bool> begun{false};
    std::atomic<bool> ended{false};
    auto t = h::create_task([&]() -> h::task<> {
      auto outer = h::shield(
          [](h::future<> go, std::atomic<bool>& begun, std::atomic<bool>& ended) -> h::task<> {
            begun = true;
            co_await go;
            ended = true;
          }(go.get_future(), begun, ended));
      co_await outer;
    });
    co_await until([&] { return begun && waits(t); });
    t.cancel("stop");
    EQUAL(co_await ending(t), "Cancelled: stop");
    HOLDS(!ended);
    go.set_value();
    co_await until([&] { return ended.load(); });
    HOLDS(ended);
  });
}

TEST_P(SHLD, SHLD_06_TheHandlerMayAwaitTheInnerAndRethrow) {
  run([]() -> h::task<> {
    h::promise<> go;
    auto inner = h::create_task(wait_then(go.get_future(), 4));
    std::atomic<int> seen{0};
    std::atomic<bool> in_handler{false};
    auto t = h::create_task([&]() -> h::task<> {
      std::exception_ptr error;
      try {
        auto outer = h::shield(inner);
        co_await outer;
      } catch (const h::cancelled_error&) { error = std::current_exception(); }
      in_handler = true;
      seen = co_await inner;
      std::rethrow_exception(error);
    });
    co_await until_waiting(t);
    co_await until_waiting(inner);
    t.cancel();
    co_await until([&] { return t.done() || (in_handler && waits(t)); });
    go.set_value();
    EQUAL(co_await ending(t), "Cancelled");
    EQUAL(seen.load(), 4);
    EQUAL(inner.result(), 4);
  });
}

TEST_P(SHLD, SHLD_08_TheInnerIsCancelledByOthers) {
  run([]() -> h::task<> {
    auto inner = h::create_task(sleep_long());
    std::atomic<unsigned> count{99};
    auto t = h::create_task([&]() -> h::task<> {
      try {
        auto outer = h::shield(inner);
        co_await outer;
      } catch (const h::cancelled_error&) { count = h::current_task().cancelling(); }
    });
    co_await until_waiting(t);
    co_await until_waiting(inner);
    inner.cancel();
    EQUAL(co_await ending(t), "value");
    EQUAL(count.load(), 0u);
    HOLDS(inner.cancelled());
  });
}

TEST_P(SHLD, SHLD_10_AShieldedGatherGoesOn) {
  run([]() -> h::task<> {
    h::promise<> go;
    auto a = h::create_task(wait_then(go.get_future(), 1));
    auto b = h::create_task(wait_then(go.get_future(), 2));
    auto outer = h::shield(h::gather(a, b));
    HOLDS(outer.cancel());
    EQUAL(co_await ending(std::move(outer)), "Cancelled");
    HOLDS(!a.done() && !b.done());
    EQUAL(a.cancelling() + b.cancelling(), 0u);
    auto again = h::shield(h::gather(a, b));
    go.set_value();
    const auto [x, y] = co_await again;
    EQUAL(x + y, 3);
  });
}

TEST_P(SHLD, SHLD_11_ShutdownCancelsAShieldedTask) {
  std::atomic<bool> cancelled{false};
  std::atomic<bool> begun{false};
  run([&]() -> h::task<> {
    auto t = h::create_task([&]() -> h::task<> {
      auto outer =
          h::shield([](std::atomic<bool>& begun, std::atomic<bool>& cancelled) -> h::task<> {
            begun = true;
            try {
              co_await h::sleep(1h);
            } catch (const h::cancelled_error&) {
              cancelled = true;
              throw;
            }
          }(begun, cancelled));
      co_await outer;
    });
    co_await until([&] { return begun.load(); });
    co_await until_waiting(t);
  });
  HOLDS(cancelled);
}

TEST_P(SHLD, SHLD_02_ManyShieldsOfOneTaskGivenUpInARace) {
  run([]() -> h::task<> {
    for (int round = 0; round < rounds(300); ++round) {
      h::promise<> go;
      auto inner = h::create_task(wait_then(go.get_future(), 1));
      std::vector<h::task_handle<>> all;
      for (int i = 0; i < 4; ++i)
        all.push_back(h::create_task(
            [](h::task_handle<int> inner) -> h::task<> {
              auto dropped = h::shield(inner);
              auto outer = h::shield(inner);
              co_await outer;
            },
            inner));
      auto setter = h::create_task([&]() -> h::task<> {
        go.set_value();
        co_return;
      });
      for (auto& t : all) t.cancel();
      for (auto& t : all) {
        const auto how = co_await ending(t);
        HOLDS(how == "Cancelled" || how == "value");
      }
      co_await setter;
      EQUAL(co_await inner, 1);
      EQUAL(inner.cancelling(), 0u);
    }
  });
}

}  // namespace
