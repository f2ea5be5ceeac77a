// SPDX-License-Identifier: MIT
#include "core/pool.h"

#include <heddle/core/clock.h>
#include <heddle/core/errors.h>
#include <heddle/core/task.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>

namespace {

using namespace support;
namespace h = heddle;

void run(h::task<> body) {
  pool l;
  auto t = l.spawn(std::move(body));
  l.run_all();
  ASSERT_TRUE(t->done());
  if (t->how_ended() == outcome::error) std::rethrow_exception(error_in(t->storage()));
}

h::task<int> number(int n) { co_return n; }
h::task<std::unique_ptr<int>> pointer(int n) { co_return std::make_unique<int>(n); }
h::task<int&> reference(int& x) { co_return x; }
h::task<std::string> text(std::string s) { co_return s; }
h::task<> fails(const char* why) {
  throw std::runtime_error(why);
  co_return;
}
h::task<int> sum_to(int n) {
  if (n == 0) co_return 0;
  auto rest = sum_to(n - 1);
  co_return n + co_await std::move(rest);
}

TEST(Task, YieldsValuesReferencesAndWhatCanOnlyBeMoved) {
  auto body = []() -> h::task<> {
    int x = 1;
    EXPECT_EQ(co_await number(5), 5);
    EXPECT_EQ(*co_await pointer(6), 6);
    (co_await reference(x)) = 7;
    EXPECT_EQ(x, 7);
    std::string long_text(1000, 'x');
    EXPECT_EQ((co_await text(long_text)).size(), 1000u);
  };
  run(body());
}

TEST(Task, AnErrorPassesThroughEveryCaller) {
  auto middle = []() -> h::task<> { co_await fails("deep"); };
  auto body = [&]() -> h::task<> {
    try {
      co_await middle();
      ADD_FAILURE();
    } catch (const std::runtime_error& e) { EXPECT_STREQ(e.what(), "deep"); }
  };
  run(body());
  EXPECT_THROW(run(fails("out")), std::runtime_error);
}

TEST(Task, CallsOfAnyDepthDoNotGrowTheStack) {
  auto body = []() -> h::task<> { EXPECT_EQ(co_await sum_to(20'000), 200'010'000); };
  run(body());
}

TEST(Task, ALoopOfCallsThatNeverSuspendDoesNotGrowTheStack) {
  auto body = []() -> h::task<> {
    long sum = 0;
    for (int i = 0; i < 200'000; ++i) sum += co_await number(1);
    EXPECT_EQ(sum, 200'000);
  };
  run(body());
}

TEST(Task, IsLazy) {
  bool ran = false;
  auto inner = [](bool& r) -> h::task<> {
    r = true;
    co_return;
  };
  {
    auto never = inner(ran);
    EXPECT_TRUE(never.valid());
  }
  EXPECT_FALSE(ran);
}

TEST(Task, DestroyedUnstartedItDestroysItsArguments) {
  auto held = std::make_shared<int>(1);
  auto body = [](std::shared_ptr<int>) -> h::task<> { co_return; };
  {
    auto never = body(held);
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Task, AwaitingTwiceOrAnEmptyOneIsAnError) {
  auto body = []() -> h::task<> {
    auto once = number(1);
    EXPECT_EQ(co_await once, 1);
    EXPECT_THROW((void)co_await once, h::usage_error);
    h::task<int> empty;
    EXPECT_THROW((void)co_await empty, h::usage_error);
    auto moved = number(2);
    auto target = std::move(moved);
    EXPECT_THROW((void)co_await moved, h::usage_error);
    EXPECT_EQ(co_await target, 2);
  };
  run(body());
}

TEST(Task, MoveAssignmentDestroysWhatItHeld) {
  auto held = std::make_shared<int>(1);
  auto body = [](std::shared_ptr<int>) -> h::task<> { co_return; };
  auto a = body(held);
  a = body(nullptr);
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Errors, CancellationAndFatalErrorsPassHandlersOfOrdinaryOnes) {
  static_assert(!std::is_base_of_v<std::exception, h::cancelled_error>);
  static_assert(!std::is_base_of_v<std::exception, h::fatal_error>);
  EXPECT_EQ(h::describe(std::make_exception_ptr(h::cancelled_error("why"))),
            "heddle::cancelled_error: why");
  EXPECT_EQ(h::describe(std::make_exception_ptr(std::runtime_error("x"))), "std::runtime_error: x");
  EXPECT_EQ(h::describe(nullptr), "no exception");
  EXPECT_EQ(h::describe(std::make_exception_ptr(3)), "an exception of type int");
}

TEST(Errors, SystemErrorsNameTheCallAndWhatItWasAbout) {
  try {
    h::throw_system_error(ECONNREFUSED, "connect", "127.0.0.1:9");
    ADD_FAILURE();
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code().value(), ECONNREFUSED);
    EXPECT_NE(std::string(e.what()).find("connect 127.0.0.1:9"), std::string::npos);
  }
}

TEST(Clock, DurationsOfAnyKindAreClampedAndNeverRoundedDown) {
  using namespace std::chrono;
  EXPECT_EQ(h::to_duration(3ms), nanoseconds(3'000'000));
  EXPECT_EQ(h::to_duration(duration<double>(1e-10)), nanoseconds(1));
  EXPECT_EQ(h::to_duration(hours::max()), h::duration::max());
  EXPECT_EQ(h::to_duration(hours::min()), h::duration::min());
  EXPECT_EQ(h::to_duration(duration<unsigned char, std::ratio<3600>>(255)), hours(255));
  EXPECT_EQ(h::to_duration(duration<std::uint64_t, std::nano>(~std::uint64_t{0})),
            h::duration::max());
  EXPECT_EQ(h::to_duration(duration<std::int64_t, std::pico>(7000)), nanoseconds(7));
  EXPECT_EQ(h::to_duration(duration<double>(std::numeric_limits<double>::infinity())),
            h::duration::max());
  EXPECT_EQ(h::to_duration(-duration<double>(std::numeric_limits<double>::infinity())),
            h::duration::min());
  EXPECT_EQ(h::saturating_add(h::clock::now(), h::duration::max()), h::time_point::max());
  EXPECT_EQ(h::saturating_add(h::time_point(nanoseconds(-5)), h::duration::min()),
            h::time_point::min());
}

TEST(Clock, ASourceOfVirtualTimeReplacesIt) {
  struct still final : time_source {
    h::time_point now() noexcept override { return h::time_point(std::chrono::nanoseconds(42)); }
  } source;
  set_time_source(&source);
  EXPECT_EQ(h::clock::now().time_since_epoch().count(), 42);
  set_time_source(nullptr);
  EXPECT_GT(h::clock::now().time_since_epoch().count(), 42);
}

// The joiners of an eventual, by records that nobody runs.
constexpr eventual_ops plain_ops{
    [](eventual& self) noexcept { static_cast<task_record&>(self).recycle(); }, nullptr, nullptr};

struct noting_node : join_node {
  noting_node(std::vector<int>& l, int w) noexcept : join_node(&note), log(&l), who(w) {}
  static void note(join_node& n, eventual&, work_list&) noexcept {
    auto& self = static_cast<noting_node&>(n);
    self.log->push_back(self.who);
  }
  std::vector<int>* log;
  int who;
};

TEST(Join, NodesFireInTheOrderOfAddingOrWereRemoved) {
  auto* t = task_record::make(kind::task, plain_ops, 1);
  std::vector<int> log;
  noting_node a(log, 1), b(log, 2), c(log, 3), late(log, 4);
  EXPECT_TRUE(t->add_joiner(a));
  EXPECT_TRUE(t->add_joiner(b));
  EXPECT_TRUE(t->add_joiner(c));
  EXPECT_TRUE(t->remove_joiner(b));
  EXPECT_FALSE(t->remove_joiner(b));
  (void)end_task(*t, outcome::value, nullptr);
  EXPECT_EQ(log, (std::vector{1, 3}));
  EXPECT_FALSE(t->add_joiner(late));
  EXPECT_FALSE(t->remove_joiner(a));
  t->unref();
}

TEST(Join, EveryNodeFiresOnceOrIsRemovedNeverBoth) {
  struct counting_node : join_node {
    counting_node() noexcept : join_node(&count) {}
    static void count(join_node& n, eventual&, work_list&) noexcept {
      ++static_cast<counting_node&>(n).fired;
    }
    std::atomic<int> fired{0};
  };
  for (int round = 0; round < 500; ++round) {
    auto* t = task_record::make(kind::task, plain_ops, 1);
    std::vector<std::thread> threads;
    std::atomic<int> go{0};
    for (int i = 0; i < 3; ++i)
      threads.emplace_back([&] {
        ++go;
        while (go.load() < 4) std::this_thread::yield();
        for (int k = 0; k < 20; ++k) {
          counting_node n;
          const bool added = t->add_joiner(n);
          const bool removed = t->remove_joiner(n);
          EXPECT_EQ(n.fired + (removed ? 1 : 0), added ? 1 : 0);
        }
      });
    ++go;
    while (go.load() < 4) std::this_thread::yield();
    (void)end_task(*t, outcome::value, nullptr);
    for (auto& th : threads) th.join();
    t->unref();
  }
}

}  // namespace
