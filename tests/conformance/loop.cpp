// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <support/threads.h>

#include <heddle/sched/to_thread.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

namespace {

using namespace conformance;
using support::comes;
using support::wake_ups;

CASES(LOOP);

TEST_P(LOOP, LOOP_01_CallbacksOfOneThreadRunInTheirOrder) {
  run([]() -> h::task<> {
    journal log;
    auto& l = h::current_loop();
    l.call_soon([&log] {
      for (int i = 0; i < 5; ++i)
        h::current_loop().call_soon([&log, i] { log.add(std::to_string(i)); });
    });
    co_await until([&] { return log.lines().size() == 5; });
    EQUAL(log.joined(), "0 1 2 3 4");
  });
}

TEST_P(LOOP, LOOP_02_WhatACallbackAddsWaitsForTheNextPass) {
  run([]() -> h::task<> {
    journal log;
    auto& l = h::current_loop();
    l.call_soon([&] {
      l.call_soon([&] {
        log.add("a");
        l.call_soon([&] { log.add("a2"); });
        log.add("a-end");
      });
      l.call_soon([&] { log.add("b"); });
    });
    co_await until([&] { return log.lines().size() == 4; });
    EQUAL(log.joined(), "a a-end b a2");  // never inside call_soon, and of one loop in this order
  });
}

TEST_P(LOOP, LOOP_03_ACancelledCallbackNeverRunsAndHoldsNothing) {
  h::runtime rt(with());
  auto held = std::make_shared<int>(1);
  std::atomic<bool> ran{false}, release{false}, entered{false}, after{false};
  rt.loop(0).call_soon([&] {
    entered = true;
    while (!release) std::this_thread::yield();
  });
  HOLDS(comes([&] { return entered.load(); }));
  auto handle = rt.loop(0).call_soon([held, &ran] { ran = true; });
  HOLDS(!handle.cancelled());
  EQUAL(held.use_count(), 2);
  handle.cancel();
  HOLDS(handle.cancelled());
  EQUAL(held.use_count(), 1);
  handle.cancel();
  HOLDS(handle.cancelled());
  rt.loop(0).call_soon([&] { after = true; });
  release = true;
  HOLDS(comes([&] { return after.load(); }));
  HOLDS(!ran);
}

TEST_P(LOOP, LOOP_04_StopLetsWhatIsReadyRunAndNoMore) {
  h::runtime rt(with());
  for (int again = 0; again < rounds(50); ++again) {
    journal log;
    auto& l = rt.loop(again % static_cast<int>(loops()));
    l.call_soon([&] {
      l.call_soon([&] {
        log.add("a");
        rt.stop();
        l.call_soon([&] { log.add("later"); });
      });
      l.call_soon([&] { log.add("b"); });
    });
    rt.run_forever();
    EQUAL(log.joined(), "a b");
    std::this_thread::yield();
    EQUAL(log.joined(), "a b");
    l.call_soon([&] { rt.stop(); });
    rt.run_forever();
    EQUAL(log.joined(), "a b later");
  }
  // What stands still goes on for a task from outside, and at the end.
  EQUAL(rt.run([]() -> h::task<int> {
    co_await h::sleep(100us);
    co_return 1;
  }()),
        1);
  rt.stop();
  EQUAL(rt.submit([]() -> h::task<int> { co_return 2; }).get(), 2);
  rt.stop();
}

TEST_P(LOOP, LOOP_05_StoppedBeforeItRunsForeverItMakesOnePass) {
  h::runtime rt(with());
  for (int again = 0; again < rounds(50); ++again) {
    journal log;
    auto& l = rt.loop(static_cast<unsigned>(again) % loops());
    rt.stop();
    rt.run_forever();  // all of them stand still now
    l.call_soon([&] {
      log.add("ready");
      l.call_soon([&] { log.add("next"); });
    });
    l.call_later(1h, [&] { log.add("never"); });
    EQUAL(log.joined(), "");
    rt.stop();
    // returns although nothing stops it any more, and does not wait for the timer
    rt.run_forever();
    EQUAL(log.joined(), "ready");
    rt.stop();
    rt.run_forever();
    EQUAL(log.joined(), "ready next");
  }
}

TEST_P(LOOP, LOOP_07_ARunningLoopsThreadMayNotRunAnother) {
  h::runtime rt(with());
  auto o = with();
  h::runtime other(o);
  rt.run([](h::runtime& mine, h::runtime& others) -> h::task<> {
    std::atomic<bool> started{false};
    auto body = [](std::atomic<bool>& s) -> h::task<> {
      s = true;
      co_return;
    };
    THROWS(h::usage_error, mine.run(body(started)));
    THROWS(h::usage_error, others.run(body(started)));
    THROWS(h::usage_error, mine.run_forever());
    THROWS(h::usage_error, others.run_forever());
    THROWS(h::usage_error, h::runtime());
    HOLDS(!started);
    co_return;
  }(rt, other));
}

TEST_P(LOOP, LOOP_08_AFutureOfAnotherRuntimeIsABadValue) {
  h::runtime rt(with()), other(with());
  auto make = []() -> h::task<h::promise<int>> { co_return h::promise<int>(); };
  auto mine = rt.run(make());
  auto theirs = other.run(make());
  THROWS(h::bad_value, rt.run(theirs.get_future()));
  mine.set_value(1);
  theirs.set_value(2);
  EQUAL(rt.run(mine.get_future()), 1);
  EQUAL(other.run(theirs.get_future()), 2);
  auto submitted = rt.submit([]() -> h::task<int> {
    co_await h::yield_now();
    co_return 3;
  });
  EQUAL(rt.run(submitted), 3);
  h::promise<std::unique_ptr<int>> nobodys;
  nobodys.set_value(std::make_unique<int>(4));
  EQUAL(*rt.run(nobodys.get_future()), 4);
}

TEST_P(LOOP, LOOP_09_AClosedLoopRefusesEverything) {
  h::runtime rt(with());
  auto& l = rt.loop(loops() - 1);
  int ends[2];
  HOLDS(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  rt.close();
  auto held = std::make_shared<int>(1);
  auto body = [](std::shared_ptr<int>) -> h::task<> { co_return; };
  THROWS(h::usage_error, l.call_soon([held] {}));
  THROWS(h::usage_error, l.call_later(1ms, [held] {}));
  THROWS(h::usage_error, l.call_at(l.now(), [held] {}));
  std::thread foreign([&] { THROWS(h::usage_error, l.call_soon([held] {})); });
  foreign.join();
  THROWS(h::usage_error, rt.submit(body(held)));
  THROWS(h::usage_error, rt.run(body(held)));
  THROWS(h::usage_error, rt.run_forever());
  THROWS(h::usage_error, rt.run_in_executor([held] {}));
  THROWS(h::usage_error, h::create_task(body(held)));
  THROWS(h::usage_error, l.add_reader(ends[0], [held] {}));
  THROWS(h::usage_error, l.add_writer(ends[0], [held] {}));
  THROWS(h::usage_error, l.add_signal_handler(SIGUSR2, [held] {}));
  HOLDS(!l.remove_reader(ends[0]));
  HOLDS(!l.remove_writer(ends[0]));
  rt.close();
  EQUAL(held.use_count(), 1);  // what was refused is released
  ::close(ends[0]);
  ::close(ends[1]);
  // A loop of another runtime does not help.
  run(
      [](h::loop& closed, std::shared_ptr<int> h) -> h::task<> {
        THROWS(h::usage_error, closed.call_soon([h] {}));
        co_return;
      },
      std::ref(l), held);
  EQUAL(held.use_count(), 1);
}

TEST_P(LOOP, LOOP_10_ARunningLoopIsNotClosed) {
  h::runtime rt(with());
  rt.run([](h::runtime& r) -> h::task<> {
    THROWS(h::usage_error, r.close());
    std::atomic<unsigned> refused{0};
    for (unsigned i = 0; i < r.loop_count(); ++i)
      r.loop(i).call_soon([&] {
        THROWS(h::usage_error, r.close());
        ++refused;
      });
    co_await until([&] { return refused == r.loop_count(); });
    auto close_it =
        h::to_thread([&r] { r.close(); });  // a foreign thread, while another one runs it
    EQUAL(co_await ending(std::move(close_it)), "Usage");
    HOLDS(!r.is_closed());
    co_await h::sleep(100us);
  }(rt));
  EQUAL(rt.run([]() -> h::task<int> { co_return 1; }()), 1);
  rt.close();
  HOLDS(rt.is_closed());
}

TEST_P(LOOP, LOOP_11_WhatAClosedLoopRefusesIsDestroyedUnstarted) {
  h::runtime rt(with());
  rt.close();
  auto held = std::make_shared<int>(1);
  std::atomic<bool> started{false};
  auto body = [](std::shared_ptr<int>, std::atomic<bool>& s) -> h::task<> {
    s = true;
    co_return;
  };
  THROWS(h::usage_error, rt.submit(body(held, started)));
  THROWS(h::usage_error, rt.submit(body, held, std::ref(started)));
  THROWS(h::usage_error, rt.run(body(held, started)));
  EQUAL(held.use_count(), 1);
  HOLDS(!started);
  EQUAL(report_count(), 0u);
}

TEST_P(LOOP, LOOP_12_ACallbackThatThrowsIsReportedOnceAndTheNextRuns) {
  h::callback_handle bad;
  std::atomic<bool> good{false};
  h::runtime rt(with());
  rt.run([](h::callback_handle& handle, std::atomic<bool>& g) -> h::task<> {
    auto& l = h::current_loop();
    handle = l.call_soon([] { throw error_e(); });
    l.call_soon([&] { g = true; });
    co_await until([&] { return g.load(); });
  }(bad, good));
  rt.close();
  EQUAL(report_count(), 1u);
  for (const auto& r : reports()) {
    EQUAL(name_of(r.error), "E");
    HOLDS(r.callback == bad);
    HOLDS(!r.origin.valid());
  }
  HOLDS(good);
}

TEST_P(LOOP, LOOP_14_TheRunningLoopIsKnownInsideAndNotOutside) {
  THROWS(h::no_running_loop, h::current_loop());
  HOLDS(h::current_loop_if_any() == nullptr);
  h::runtime rt(with());
  HOLDS(h::current_loop_if_any() == nullptr);
  rt.run([](h::runtime& r) -> h::task<> {
    HOLDS(&h::current_loop().owner() == &r);
    std::atomic<unsigned> seen{0};
    for (unsigned i = 0; i < r.loop_count(); ++i)
      r.loop(i).call_soon([&, i] {
        HOLDS(h::current_loop_if_any() == &r.loop(i));
        ++seen;
      });
    auto inside = [](h::runtime& rr) -> h::task<> {
      for (int k = 0; k < 10; ++k) {
        HOLDS(&h::current_loop().owner() == &rr);
        co_await h::yield_now();
      }
    };
    std::vector<h::task_handle<>> all;
    for (int i = 0; i < 16; ++i) all.push_back(h::create_task(inside(r)));
    for (auto& t : all) co_await t;
    co_await h::to_thread([] { HOLDS(h::current_loop_if_any() == nullptr); });
    co_await until([&] { return seen == r.loop_count(); });
  }(rt));
}

TEST_P(LOOP, LOOP_19_ATaskThatOnlyYieldsStarvesNeitherTimersNorDescriptors) {
  int ends[2];
  HOLDS(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  h::runtime rt(with());
  rt.run([](h::runtime& r, int in, int out) -> h::task<> {
    std::atomic<bool> stop{false};
    auto spin = [](std::atomic<bool>& s) -> h::task<> {
      while (!s) co_await h::yield_now();
    };
    std::vector<h::task_handle<>> spinners;
    for (unsigned i = 0; i < r.loop_count(); ++i)
      spinners.push_back(h::create_task({.loop = &r.loop(i)}, spin, std::ref(stop)));
    std::atomic<unsigned> timers{0}, bytes{0};
    for (unsigned i = 0; i < r.loop_count(); ++i) r.loop(i).call_later(1ms, [&] { ++timers; });
    auto& l = h::current_loop();
    l.add_reader(in, [&bytes, in] {
      char c;
      if (::read(in, &c, 1) == 1) ++bytes;
    });
    HOLDS(::write(out, "x", 1) == 1);
    co_await until([&] { return timers == r.loop_count() && bytes == 1; });
    EQUAL(timers, r.loop_count());
    EQUAL(bytes, 1u);
    HOLDS(l.remove_reader(in));
    stop = true;
    for (auto& t : spinners) co_await t;
  }(rt, ends[0], ends[1]));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_P(LOOP, LOOP_20_ShortSleepsDoNotMakeItPollAllTheTime) {
  h::runtime rt(with());
  rt.run([](h::runtime& r) -> h::task<> {
    const auto polls = [&] {
      std::uint64_t n = 0;
      for (const auto& l : r.stats().loops) n += l.polls;
      return n;
    };
    std::uint64_t fewest = ~std::uint64_t{0};
    for (int i = 0; i < 5;
         ++i) {  // the watch of several loops naps and wakes meanwhile: the quietest round counts
      const auto before = polls();
      co_await h::sleep(10ms);
      co_await h::sleep(1ms);
      co_await h::sleep(100us);
      co_await h::sleep(1us);
      co_await h::sleep(std::chrono::duration<double, std::nano>(0.1));
      fewest = std::min(fewest, polls() - before);
    }
    // At 400 ns each a loop that polls all the time would have made some 30 000.
    HOLDS(fewest <= (r.loop_count() == 1 ? 40u : 2'000u)) << fewest;
  }(rt));
}

TEST_P(LOOP, LOOP_21_AnIdleRuntimeDoesNotWakeUpAndStartsACallbackAtOnce) {
  h::runtime rt(with());
  rt.run([]() -> h::task<> {
    std::vector<h::task_handle<>> all;
    for (int i = 0; i < 50; ++i)
      all.push_back(h::create_task([]() -> h::task<> { co_await h::sleep(100us); }));
    for (auto& t : all) co_await t;
  }());
  // The watch lingers for a while; then there is a window without any wake-up.
  std::uint64_t more = 1;
  for (int i = 0; i < 100 && more != 0; ++i) {
    const auto before = wake_ups();
    // The window itself. A shorter one would only show less.
    std::this_thread::sleep_for(60ms);
    more = wake_ups() - before;
  }
  EQUAL(more, 0u);
  for (unsigned i = 0; i < loops(); ++i) {
    std::atomic<bool> ran{false};
    rt.loop(i).call_soon([&] { ran = true; });
    HOLDS(comes([&] { return ran.load(); }));
  }
}

}  // namespace
