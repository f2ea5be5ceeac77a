// SPDX-License-Identifier: MIT
// What is the user's runs under no lock of the library's, and on no thread but its own runtime's.
#include <heddle/core/future.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/to_thread.h>

#include <support/loops.h>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;
using support::until;

class Guests : public support::at_loops {};
class Handler : public support::at_loops {};
class Close : public support::at_loops {};
class Looking : public support::at_loops {};

/// Calls something when it is destroyed, unless it was moved from.
class at_the_end {
 public:
  explicit at_the_end(std::function<void()> f) : f_(std::move(f)) {}
  at_the_end(at_the_end&& other) noexcept : f_(std::exchange(other.f_, nullptr)) {}
  ~at_the_end() {
    if (f_) f_();
  }

 private:
  std::function<void()> f_;
};

// ------------------------------------------------------------ destructors

h::task_handle<> handle_of(const h::any_task& t) {
  t.record()->ref();
  return h::task_handle<>(t.record());
}

TEST_P(Guests, AResultThatADroppedGatherHeldMayTouchTheChildThatEndedLast) {
  std::atomic<int> touched{0};
  run([](std::atomic<int>& touched) -> h::task<> {
    h::promise<> go;
    auto gone = go.get_future();
    auto last = h::create_task([](h::future<> f) -> h::task<> { co_await f; }, gone);
    auto made = [](h::any_task other, std::atomic<int>& touched) -> h::task<at_the_end> {
      co_return at_the_end([other, &touched] {
        // Each of these takes the lock of those who wait for `other`.
        const auto handle = handle_of(other);
        auto callback = handle.add_done_callback([] {});
        callback.cancel();
        ++touched;
      });
    };
    {
      auto first = h::create_task(made(last, touched));
      auto both = h::gather(first, last);
      auto ended = until([&] { return first.done(); });
      co_await std::move(ended);
    }
    go.set_value();
    co_await last;
    auto seen = until([&] { return touched.load() == 1; });
    co_await std::move(seen);
  }(touched));
  EXPECT_EQ(touched, 1);
}

TEST_P(Guests, AnErrorThatADroppedGatherHeldIsReportedWithNoLockHeld) {
  std::atomic<int> reported{0};
  h::any_task last;
  auto o = with();
  o.exception_handler = [&](const h::error_context&) {
    const auto handle = handle_of(last);
    auto callback = handle.add_done_callback([] {});
    callback.cancel();
    ++reported;
  };
  {
    h::runtime rt(o);
    rt.run([](h::any_task& last) -> h::task<> {
      h::promise<> go;
      auto gone = go.get_future();
      auto child = h::create_task([](h::future<> f) -> h::task<> { co_await f; }, gone);
      last = child;
      {
        auto failing = h::create_task([]() -> h::task<> {
          co_await h::yield_now();
          throw std::runtime_error("E");
        });
        auto both = h::gather(failing, child);
        auto failed = until([&] { return failing.done(); });
        co_await std::move(failed);
      }
      go.set_value();
      co_await child;
    }(last));
    rt.close();
  }
  EXPECT_EQ(reported, 1);
}

TEST_P(Guests, WhatACallbackOfAnEndedRuntimeHeldMayTouchTheTaskItWaitedFor) {
  std::atomic<bool> destroyed{false};
  h::runtime host(with());
  h::promise<> go;
  auto gone = go.get_future();
  host.run([](h::runtime& host, h::promise<>& go, h::future<> gone, h::options o,
              std::atomic<bool>& destroyed) -> h::task<> {
    auto waiting = h::create_task([](h::future<> f) -> h::task<> { co_await f; }, gone);
    auto add = [](h::task_handle<> handle, std::atomic<bool>& destroyed) -> h::task<> {
      auto held = std::make_shared<at_the_end>([other = h::any_task(handle), &destroyed] {
        const auto again = handle_of(other);
        auto callback = again.add_done_callback([] {});
        callback.cancel();
        destroyed = true;
      });
      handle.add_done_callback([held] {});
      co_return;
    };
    // Another runtime adds a callback, and ends before the task does.
    auto other = h::to_thread([&] { h::run(add(waiting, destroyed), o); });
    co_await std::move(other);
    go.set_value();
    co_await waiting;
    (void)host;
  }(host, go, gone, with(), destroyed));
  EXPECT_TRUE(destroyed);
}

TEST_P(Guests, TheDestructorOfAResultMayAskForTheCurrentTask) {
  std::atomic<int> ended{0};
  run([](std::atomic<int>& ended) -> h::task<> {
    {
      auto dropped = h::create_task(
          [](std::atomic<int>& ended) -> h::task<at_the_end> {
            co_return at_the_end([&ended] {
              (void)h::current_task().valid();
              ++ended;
            });
          },
          std::ref(ended));
    }
    auto seen = until([&] { return ended.load() != 0; });
    co_await std::move(seen);
    co_await h::sleep(1ms);
  }(ended));
  EXPECT_EQ(ended, 1);
}

// -------------------------------------------------------------- operator==

/// Compares by number, after doing what it was told to do. As a callback it notes its number; any
/// loop may call it.
struct comparing {
  int number = 0;
  support::journal* log = nullptr;
  std::function<void()>* inside = nullptr;
  void operator()() const {
    if (log) log->add(std::to_string(number));
  }
  friend bool operator==(const comparing& a, const comparing& b) {
    for (const auto* one : {&a, &b})
      if (one->inside && *one->inside) (*one->inside)();
    return a.number == b.number;
  }
};

TEST_P(Guests, AComparisonOfCallbacksMayCallTheFutureAgain) {
  run([](unsigned) -> h::task<> {
    h::promise<> p;
    auto f = p.get_future();
    support::journal log;
    bool once = false;
    std::function<void()> inside = [&] {
      if (std::exchange(once, true)) return;
      // All that takes the future's lock: a callback more, one less, and its end.
      f.add_done_callback(comparing{4, &log});
      EXPECT_EQ(f.remove_done_callback(comparing{3}), 1u);
      p.set_value();
      f.add_done_callback(comparing{5, &log});
    };
    f.add_done_callback(comparing{1, &log, &inside});
    f.add_done_callback(comparing{2, &log, &inside});
    f.add_done_callback(comparing{3, &log, &inside});
    const comparing wanted{2};
    EXPECT_EQ(f.remove_done_callback(wanted), 1u);
    EXPECT_EQ(f.remove_done_callback(wanted), 0u);
    auto* where = &log;
    auto all = until([where] { return where->lines().size() == 3; });
    co_await std::move(all);
    EXPECT_EQ(log.lines(), (std::vector<std::string>{"1", "4", "5"}));
  }(0));
}

TEST_P(Guests, AComparisonThatThrowsLeavesTheCallbacksInTheirOrder) {
  run([](unsigned) -> h::task<> {
    h::promise<> p;
    auto f = p.get_future();
    support::journal log;
    int asked = 0;
    std::function<void()> inside = [&] {
      if (++asked == 2) throw std::runtime_error("no comparison");
    };
    for (int i = 1; i <= 3; ++i) f.add_done_callback(comparing{i, &log, &inside});
    EXPECT_THROW(f.remove_done_callback(comparing{3}), std::runtime_error);
    p.set_value();
    auto* where = &log;
    auto all = until([where] { return where->lines().size() == 2; });
    co_await std::move(all);
    EXPECT_EQ(log.lines(),
              (std::vector<std::string>{"1", "2"}));  // the third was found before the throw
  }(0));
}

// ----------------------------------------------------------------- handler

TEST_P(Handler, AReportWhileACallIsUnderWayWaitsForNobody) {
  std::atomic<int> calls{0}, inside{0}, overlapped{0};
  std::atomic<bool> second_reported{false};
  auto o = with();
  o.exception_handler = [&](const h::error_context& what) {
    if (inside.fetch_add(1) != 0) ++overlapped;
    if (what.message == "first") {
      // The second reporter must come back although this call has not ended.
      while (!second_reported) std::this_thread::yield();
    }
    --inside;
    ++calls;
  };
  h::runtime rt(o);
  std::thread first([&] { rt.report({"first"}); });
  while (inside == 0) std::this_thread::yield();
  std::thread second([&] {
    rt.report({"second"});
    second_reported = true;
  });
  first.join();
  second.join();
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(overlapped, 0);
}

TEST_P(Handler, WhatTheHandlerItselfReportsComesAfterItsCall) {
  std::vector<std::string> log;
  h::runtime* runtime = nullptr;
  auto o = with();
  o.exception_handler = [&](const h::error_context& what) {
    log.push_back(what.message + " begins");
    if (what.message == "outer") runtime->report({"inner"});
    log.push_back(what.message + " ends");
  };
  h::runtime rt(o);
  runtime = &rt;
  rt.report({"outer"});
  EXPECT_EQ(log,
            (std::vector<std::string>{"outer begins", "outer ends", "inner begins", "inner ends"}));
}

TEST_P(Handler, MayReplaceItselfAndWaitForAnotherThreadThatDoes) {
  std::atomic<int> old_calls{0}, new_calls{0};
  h::runtime rt(with());
  rt.set_exception_handler([&](const h::error_context&) {
    ++old_calls;
    std::thread([&] {
      rt.set_exception_handler([&](const h::error_context&) { ++new_calls; });
    }).join();
  });
  rt.report({"one"});
  rt.report({"two"});
  EXPECT_EQ(old_calls, 1);
  EXPECT_EQ(new_calls, 1);
}

TEST_P(Handler, EachReportIsToldInItsOwnContext) {
  h::context_var<int> number("number", 0);
  std::vector<int> seen;
  h::runtime* runtime = nullptr;
  auto o = with();
  o.exception_handler = [&](const h::error_context& what) {
    seen.push_back(number.get());
    if (what.message != "outer") return;
    number.set(2);
    runtime->report({"inner"});
    number.set(3);
  };
  h::runtime rt(o);
  runtime = &rt;
  number.set(1);
  rt.report({"outer"});
  EXPECT_EQ(seen, (std::vector<int>{1, 2}));
}

/// An error that tells when it is destroyed.
struct heavy_error : h::fatal_error {
  explicit heavy_error(std::shared_ptr<at_the_end> e) : fatal_error("heavy"), held(std::move(e)) {}
  std::shared_ptr<at_the_end> held;
};

TEST_P(Guests, TheDestructorOfAFatalErrorMayCallTheRuntime) {
  std::atomic<int> destroyed{0};
  h::runtime rt(with());
  const auto fail = [&] {
    auto held = std::make_shared<at_the_end>([&] {
      rt.stop();
      ++destroyed;
    });
    EXPECT_THROW(rt.run([](std::shared_ptr<at_the_end> held) -> h::task<> {
      co_await h::yield_now();
      throw heavy_error(std::move(held));
    }(std::move(held))),
                 heavy_error);
  };
  fail();
  fail();  // the first one is dropped for it
  rt.close();
  EXPECT_GE(destroyed, 1);
}

// ------------------------------------------------------------------- close

TEST_P(Close, InsideTheExceptionHandlerOnAForeignThreadIsAUsageError) {
  h::runtime rt(with());
  std::string refused;
  rt.set_exception_handler([&](const h::error_context&) {
    try {
      rt.close();
    } catch (const h::usage_error& e) { refused = e.what(); }
  });
  rt.report({"from a foreign thread"});
  EXPECT_NE(refused.find("exception handler"), std::string::npos) << refused;
  EXPECT_FALSE(rt.is_closed());
  EXPECT_EQ(rt.run([]() -> h::task<int> { co_return 1; }()), 1);
  rt.close();
}

TEST_P(Close, InsideAJobOfItsOwnToThreadIsAUsageError) {
  h::runtime rt(with());
  auto closing = [](h::runtime& rt) {
    try {
      rt.close();
    } catch (const h::usage_error&) { return true; }
    return false;
  };
  auto in_thread = [](h::runtime& rt, auto closing) -> h::task<bool> {
    auto job = h::to_thread(closing, std::ref(rt));
    co_return co_await std::move(job);
  };
  EXPECT_TRUE(rt.run(in_thread(rt, closing)));
  auto in_arena = [](h::runtime& rt, auto closing) -> h::task<bool> {
    auto job = h::to_arena(closing, std::ref(rt));
    co_return co_await std::move(job);
  };
  EXPECT_TRUE(rt.run(in_arena(rt, closing)));
  EXPECT_TRUE(rt.run_in_executor(closing, std::ref(rt)).get());
  EXPECT_FALSE(rt.is_closed());
}

TEST_P(Close, OfAnotherRuntimeInsideAJobIsFine) {
  h::runtime rt(with());
  EXPECT_TRUE(rt.run([](h::options o) -> h::task<bool> {
    auto job = h::to_thread([o] {
      h::runtime other(o);
      other.close();
      return other.is_closed();
    });
    co_return co_await std::move(job);
  }(with())));
}

TEST_P(Close, ByADestructorOfWhatItDropsIsAUsageError) {
  std::string refused;
  h::runtime rt(with());
  {
    auto held = std::make_shared<at_the_end>([&] {
      try {
        rt.close();
      } catch (const h::usage_error& e) { refused = e.what(); }
    });
    rt.loop(0).call_later(1h, [held] {});
  }
  rt.close();
  EXPECT_NE(refused.find("its own end"), std::string::npos) << refused;
  EXPECT_TRUE(rt.is_closed());
}

TEST(ThreadPool, ShutdownInOneOfItsJobsIsAUsageError) {
  h::thread_pool pool(2);
  auto refused = pool.submit([&] {
    try {
      pool.shutdown();
    } catch (const h::usage_error&) { return true; }
    return false;
  });
  EXPECT_TRUE(refused.get());
  auto in_time = pool.submit([&] {
    try {
      (void)pool.shutdown(1h);
    } catch (const h::usage_error&) { return true; }
    return false;
  });
  EXPECT_TRUE(in_time.get());
  pool.shutdown();
}

// ----------------------------------------------------------------- looking

TEST_P(Looking, WhoLooksAtAllTasksNeverDestroysTheResultOfAnotherRuntimes) {
  h::runtime rt(with());
  std::atomic<bool> destroyed{false};
  std::atomic<h::runtime*> where{nullptr};
  std::optional<h::task_handle<at_the_end>> handle;
  rt.run([](auto& handle, std::atomic<bool>& destroyed,
            std::atomic<h::runtime*>& where) -> h::task<> {
    handle = h::create_task(
        [](std::atomic<bool>& destroyed, std::atomic<h::runtime*>& where) -> h::task<at_the_end> {
          co_return at_the_end([&] {
            auto* l = h::current_loop_if_any();
            where = l ? &l->owner() : nullptr;
            destroyed = true;
          });
        },
        std::ref(destroyed), std::ref(where));
    co_await *handle;
  }(handle, destroyed, where));
  // The handle is dropped just while a foreign thread looks: the look has the last reference then.
  auto* record = handle->record();
  h::detail::task_record::scan([&](h::detail::task_record& r) {
    if (&r == record) handle.reset();
  });
  while (!destroyed) std::this_thread::yield();
  EXPECT_EQ(where, &rt);
}

TEST_P(Looking, AllTasksOfARuntimeFromAForeignThread) {
  h::runtime rt(with());
  EXPECT_TRUE(h::all_tasks(rt).empty());
  h::promise<> go;
  std::atomic<int> began{0};
  auto wait = [](std::atomic<int>& began, h::future<> f) -> h::task<> {
    ++began;
    co_await f;
  };
  std::vector<h::future<>> all;
  for (int i = 0; i < 3; ++i) all.push_back(rt.submit(wait, std::ref(began), go.get_future()));
  while (began != 3) std::this_thread::yield();
  const auto seen = h::all_tasks(rt);
  EXPECT_EQ(seen.size(), 3u);
  for (const auto& t : seen) EXPECT_FALSE(t.done());
  h::runtime other(with());
  EXPECT_TRUE(h::all_tasks(other).empty());
  go.set_value();
  for (auto& f : all) f.get();
  while (!h::all_tasks(rt).empty()) std::this_thread::yield();
  rt.close();
  EXPECT_TRUE(h::all_tasks(rt).empty());
}

HEDDLE_AT_LOOPS(Guests);
HEDDLE_AT_LOOPS(Handler);
HEDDLE_AT_LOOPS(Close);
HEDDLE_AT_LOOPS(Looking);

}  // namespace
