// SPDX-License-Identifier: MIT
// with(manager, body).
#include <heddle/core/future.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/with.h>

#include <support/loops.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;
using support::journal;
using support::until;

class With : public support::at_loops {};

std::string name_of(const std::exception_ptr& error) {
  if (!error) return "none";
  try {
    std::rethrow_exception(error);
  } catch (const h::cancelled_error& e) {
    return e.message().empty() ? "cancelled" : "cancelled:" + e.message();
  } catch (const h::timeout_error&) { return "timeout"; } catch (const std::exception& e) {
    return e.what();
  }
}
template <class T>
h::task<std::string> ending(h::task<T> work) {
  std::exception_ptr error;
  try {
    (void)co_await std::move(work);
  } catch (...) { error = std::current_exception(); }
  co_return name_of(error);
}
template <>
h::task<std::string> ending(h::task<void> work) {
  std::exception_ptr error;
  try {
    co_await std::move(work);
  } catch (...) { error = std::current_exception(); }
  co_return name_of(error);
}

/// Notes what is done to it.
struct plain_manager {
  explicit plain_manager(journal& l) : log(&l) {}
  plain_manager(plain_manager&&) = default;
  h::task<> enter() {
    log->add("entering");
    co_await h::yield_now();
    log->add("entered");
  }
  h::task<> exit(std::exception_ptr error) {
    log->add("exit(" + name_of(error) + ")");
    co_await h::yield_now();
    log->add("left");
  }
  journal* log;
};
/// Yields a value to its body.
struct giving_manager : plain_manager {
  using plain_manager::plain_manager;
  h::task<std::string> enter() {
    log->add("entered");
    co_return "it";
  }
};
/// Swallows errors of this kind.
struct swallowing_manager : plain_manager {
  swallowing_manager(journal& l, std::string w) : plain_manager(l), which(std::move(w)) {}
  h::task<bool> exit(std::exception_ptr error) {
    log->add("exit(" + name_of(error) + ")");
    co_await h::yield_now();
    co_return name_of(error) == which;
  }
  std::string which;
};

TEST_P(With, TheBodyRunsBetweenEnteringAndLeaving) {
  journal log;
  run([](journal& log) -> h::task<> {
    plain_manager m(log);
    co_await h::with(m, [&]() -> h::task<> {
      log.add("body");
      co_await h::yield_now();
      log.add("end");
    });
    log.add("after");
  }(log));
  EXPECT_EQ(log.joined(), "entering entered body end exit(none) left after");
}

TEST_P(With, NothingHappensBeforeItIsAwaited) {
  journal log;
  run([](journal& log) -> h::task<> {
    plain_manager m(log);
    auto later = h::with(m, [&] { log.add("body"); });
    co_await h::yield_now();
    EXPECT_EQ(log.joined(), "");
    co_await std::move(later);
    {
      auto never = h::with(m, [&] { log.add("never"); });
    }
  }(log));
  EXPECT_EQ(log.joined(), "entering entered body exit(none) left");
}

TEST_P(With, TheBodyGetsWhatEnterYieldsByReferenceByValueOrNotAtAll) {
  journal log;
  run([](journal& log) -> h::task<> {
    giving_manager m(log);
    const int by_reference = co_await h::with(m, [](std::string& it) -> h::task<int> {
      it += "!";
      co_await h::yield_now();
      EXPECT_EQ(it, "it!");  // it lives as long as the body
      co_return 1;
    });
    const int by_value = co_await h::with(m, [](std::string it) -> h::task<int> {
      co_await h::yield_now();
      EXPECT_EQ(it, "it");
      co_return 2;
    });
    const int moved = co_await h::with(m, [](std::string&& it) { return it == "it" ? 3 : 0; });
    const int unasked = co_await h::with(m, [] { return 4; });
    EXPECT_EQ(by_reference + by_value + moved + unasked, 10);
  }(log));
}

TEST_P(With, TheBodyMayBePlainATaskOrGiveAnythingThatCanBeAwaited) {
  journal log;
  run([](journal& log) -> h::task<> {
    plain_manager m(log);
    static_assert(std::is_same_v<decltype(h::with(m, [] {})), h::task<void>>);
    static_assert(std::is_same_v<decltype(h::with(m, [] { return 1; })), h::task<int>>);
    static_assert(
        std::is_same_v<decltype(h::with(m, []() -> h::task<std::string> { co_return ""; })),
                       h::task<std::string>>);
    co_await h::with(m, [] {});
    const int value = co_await h::with(m, [] { return 5; });
    EXPECT_EQ(value, 5);
    auto owned = co_await h::with(
        m, []() -> h::task<std::unique_ptr<int>> { co_return std::make_unique<int>(6); });
    EXPECT_EQ(*owned, 6);
    h::promise<int> p;
    p.set_value(7);
    const int of_future = co_await h::with(m, [&] { return p.get_future(); });
    EXPECT_EQ(of_future, 7);
    const int of_handle =
        co_await h::with(m, [] { return h::create_task([]() -> h::task<int> { co_return 8; }); });
    EXPECT_EQ(of_handle, 8);
  }(log));
}

TEST_P(With, AnErrorOfTheBodyIsToldToExitAndThrownAfterIt) {
  for (const bool later : {false, true}) {
    journal log;
    run([](journal& log, bool later) -> h::task<> {
      plain_manager m(log);
      auto how = co_await ending(h::with(m, [&]() -> h::task<int> {
        if (later) co_await h::yield_now();
        throw std::runtime_error("E");
      }));
      log.add(how);
      how = co_await ending(h::with(m, [] { throw std::runtime_error("F"); }));
      log.add(how);
    }(log, later));
    EXPECT_EQ(log.joined(), "entering entered exit(E) left E entering entered exit(F) left F");
  }
}

TEST_P(With, ExitMaySwallowAnErrorAndThenTheResultIsEmpty) {
  journal log;
  run([](journal& log) -> h::task<> {
    swallowing_manager m(log, "E");
    const std::optional<int> kept = co_await h::with(m, []() -> h::task<int> { co_return 3; });
    EXPECT_EQ(kept, 3);
    const std::optional<int> swallowed = co_await h::with(m, []() -> h::task<int> {
      throw std::runtime_error("E");
      co_return 3;
    });
    EXPECT_FALSE(swallowed.has_value());
    static_assert(std::is_same_v<decltype(h::with(m, [] {})), h::task<void>>);
    co_await h::with(m, [] { throw std::runtime_error("E"); });
    auto other = h::with(m, [] { throw std::runtime_error("F"); });
    EXPECT_EQ(co_await ending(std::move(other)), "F");
    auto with_value = h::with(m, []() -> int { throw std::runtime_error("F"); });
    EXPECT_EQ(co_await ending(std::move(with_value)), "F");
  }(log));
}

TEST_P(With, ExitMaySwallowACancellationWhichStaysCounted) {
  journal log;
  run([](journal& log) -> h::task<> {
    auto t = h::create_task([&]() -> h::task<unsigned> {
      swallowing_manager m(log, "cancelled");
      co_await h::with(m, []() -> h::task<> { co_await h::sleep(1h); });
      log.add("went on");
      co_await h::yield_now();  // it is not delivered again
      co_return h::current_task().cancelling();
    });
    co_await until([&] { return t.state().starts_with("waiting"); });
    t.cancel();
    const unsigned requests = co_await t;
    EXPECT_EQ(requests, 1u);
  }(log));
  EXPECT_EQ(log.joined(), "entering entered exit(cancelled) went on");
}

TEST_P(With, ACancelledBodyIsLeftLikeAFailedOneAndExitMayAwait) {
  journal log;
  run([](journal& log) -> h::task<> {
    std::atomic<bool> inside{false};
    auto t = h::create_task([&]() -> h::task<> {
      plain_manager m(log);
      co_await h::with(m, [&]() -> h::task<> {
        inside = true;
        co_await h::sleep(1h);
      });
      log.add("not reached");
    });
    co_await until([&] { return inside && t.state().starts_with("waiting"); });
    t.cancel("stop");
    co_await until([&] { return t.done(); });
    EXPECT_TRUE(t.cancelled());
  }(log));
  EXPECT_EQ(log.joined(), "entering entered exit(cancelled:stop) left");
}

TEST_P(With, ACancellationWhileItLeavesReachesExit) {
  struct slow_to_leave : plain_manager {
    slow_to_leave(journal& l, std::atomic<bool>& a) : plain_manager(l), leaving(&a) {}
    h::task<> exit(std::exception_ptr error) {
      log->add("exit(" + name_of(error) + ")");
      *leaving = true;
      try {
        co_await h::sleep(1h);
      } catch (const h::cancelled_error&) { log->add("interrupted"); }
      throw h::cancelled_error("left");
    }
    std::atomic<bool>* leaving;
  };
  journal log;
  run([](journal& log) -> h::task<> {
    std::atomic<bool> leaving{false};
    auto t = h::create_task([&]() -> h::task<> {
      slow_to_leave m(log, leaving);
      co_await h::with(m, [] {});
    });
    co_await until([&] { return leaving && t.state().starts_with("waiting"); });
    t.cancel();
    co_await until([&] { return t.done(); });
    EXPECT_TRUE(t.cancelled());
  }(log));
  EXPECT_EQ(log.joined(), "entering entered exit(none) interrupted");
}

TEST_P(With, IfEnteringFailsOrIsCancelledNeitherBodyNorExitHappens) {
  struct barred : plain_manager {
    using plain_manager::plain_manager;
    h::task<> enter() {
      log->add("entering");
      co_await h::yield_now();
      throw std::runtime_error("barred");
    }
  };
  struct endless : plain_manager {
    using plain_manager::plain_manager;
    h::task<int> enter() {
      log->add("entering");
      co_await h::sleep(1h);
      co_return 1;
    }
  };
  journal log;
  run([](journal& log) -> h::task<> {
    barred m(log);
    auto how = co_await ending(h::with(m, [&] { log.add("body"); }));
    EXPECT_EQ(how, "barred");
    how = co_await ending(h::with(m, [&] {
      log.add("body");
      return 1;
    }));
    EXPECT_EQ(how, "barred");
    auto t = h::create_task([&]() -> h::task<> {
      endless e(log);
      co_await h::with(e, [&] { log.add("body"); });
    });
    co_await until([&] { return t.state().starts_with("waiting"); });
    t.cancel();
    co_await until([&] { return t.done(); });
    EXPECT_TRUE(t.cancelled());
  }(log));
  EXPECT_EQ(log.joined(), "entering entering entering");
}

TEST_P(With, AnErrorOfExitTakesThePlaceOfTheBodys) {
  struct fails_to_leave : plain_manager {
    using plain_manager::plain_manager;
    h::task<> exit(std::exception_ptr error) {
      log->add("exit(" + name_of(error) + ")");
      co_await h::yield_now();
      throw std::runtime_error("X");
    }
  };
  struct fails_to_decide : plain_manager {
    using plain_manager::plain_manager;
    h::task<bool> exit(std::exception_ptr) {
      throw std::runtime_error("X");
      co_return true;
    }
  };
  journal log;
  run([](journal& log) -> h::task<> {
    fails_to_leave m(log);
    auto how = co_await ending(h::with(m, [] { throw std::runtime_error("E"); }));
    EXPECT_EQ(how, "X");
    how = co_await ending(h::with(m, [] { return 1; }));
    EXPECT_EQ(how, "X");
    fails_to_decide d(log);
    how = co_await ending(h::with(d, [] { throw std::runtime_error("E"); }));
    EXPECT_EQ(how, "X");
    how = co_await ending(h::with(d, [] { return 1; }));
    EXPECT_EQ(how, "X");
  }(log));
  EXPECT_EQ(log.joined(),
            "entering entered exit(E) entering entered exit(none) entering entered "
            "entering entered");
}

TEST_P(With, AnLvalueManagerIsUsedWhereItIsAndAnRvalueIsKept) {
  struct counted : plain_manager {
    counted(journal& l, std::shared_ptr<int> h) : plain_manager(l), held(std::move(h)) {}
    h::task<> enter() {
      ++entries;
      co_return;
    }
    h::task<> exit(std::exception_ptr) {
      co_await h::yield_now();
      *held += entries;
    }
    std::shared_ptr<int> held;
    int entries = 0;
  };
  journal log;
  auto held = std::make_shared<int>(0);
  run([](journal& log, std::shared_ptr<int>& held) -> h::task<> {
    counted here(log, held);
    co_await h::with(here, [] {});
    co_await h::with(here, [] {});
    EXPECT_EQ(here.entries, 2);
    EXPECT_EQ(*held, 3);
    auto kept = h::with(counted(log, held), []() -> h::task<> { co_await h::yield_now(); });
    EXPECT_EQ(held.use_count(), 3);
    co_await std::move(kept);
    EXPECT_EQ(*held, 4);
  }(log, held));
  EXPECT_EQ(held.use_count(), 1);
}

TEST_P(With, NestsAndLeavesInTheOppositeOrder) {
  struct named : plain_manager {
    named(journal& l, std::string n) : plain_manager(l), name(std::move(n)) {}
    h::task<> enter() {
      log->add("+" + name);
      co_return;
    }
    h::task<> exit(std::exception_ptr error) {
      log->add("-" + name + "(" + name_of(error) + ")");
      co_return;
    }
    std::string name;
  };
  journal log;
  run([](journal& log) -> h::task<> {
    named outer(log, "a"), inner(log, "b");
    auto how = co_await ending(h::with(outer, [&]() -> h::task<> {
      co_await h::with(inner, []() -> h::task<> {
        co_await h::yield_now();
        throw std::runtime_error("E");
      });
    }));
    log.add(how);
  }(log));
  EXPECT_EQ(log.joined(), "+a +b -b(E) -a(E) E");
}

TEST_P(With, ATimeoutAroundItRunsExit) {
  journal log;
  run([](journal& log) -> h::task<> {
    plain_manager m(log);
    auto limited = h::timeout(1h, [&](h::timeout_scope& scope) -> h::task<> {
      co_await h::with(m, [&]() -> h::task<> {
        scope.reschedule(h::clock::now() + 1ms);
        co_await h::sleep(1h);
      });
    });
    EXPECT_EQ(co_await ending(std::move(limited)), "timeout");
    EXPECT_EQ(h::current_task().cancelling(), 0u);
  }(log));
  EXPECT_EQ(log.joined(), "entering entered exit(cancelled) left");
}

TEST_P(With, ManyThatAreCancelledAnywhereEnterAndLeaveEquallyOften) {
  struct balance : plain_manager {
    balance(journal& l, std::atomic<int>& n) : plain_manager(l), inside(&n) {}
    h::task<> enter() {
      co_await h::yield_now();
      ++*inside;
    }
    h::task<> exit(std::exception_ptr) {
      --*inside;
      co_return;
    }
    std::atomic<int>* inside;
  };
  journal log;
  run([](journal& log) -> h::task<> {
    std::atomic<int> inside{0};
    for (int i = 0; i < support::rounds(500); ++i) {
      auto t = h::create_task([&]() -> h::task<> {
        auto whole = h::with(balance(log, inside), []() -> h::task<> {
          for (int k = 0; k < 3; ++k) co_await h::yield_now();
        });
        co_await std::move(whole);
      });
      for (int k = 0; k < i % 7; ++k) co_await h::yield_now();
      t.cancel();
      co_await until([&] { return t.done(); });
      EXPECT_EQ(inside, 0);
    }
  }(log));
}

HEDDLE_AT_LOOPS(With);

}  // namespace
