// SPDX-License-Identifier: MIT
// The cases of RUN that are about SIGINT.
#include "io_cases.h"

namespace {

using namespace conformance;

class RUN_SIGINT : public cases {};
HEDDLE_AT_LOOPS(RUN_SIGINT);

bool sigint_is_default() {
  struct sigaction now{};
  ::sigaction(SIGINT, nullptr, &now);
  return now.sa_handler == SIG_DFL;
}

void interrupt() { ::kill(::getpid(), SIGINT); }

h::task<> interrupt_when_waiting(h::any_task main) {
  co_await until_waiting(main);
  interrupt();
}

TEST_P(RUN_SIGINT, RUN_11_TheFirstSigintCancelsMainOnce) {
  enum class way { sleeps, awaits, spins };
  for (const way w : {way::sleeps, way::awaits, way::spins}) {
    std::atomic<int> cancelled{0};
    h::promise<> never;
    auto future = never.get_future();
    auto main = [](way how, std::atomic<int>& n, h::future<> f) -> h::task<> {
      if (how == way::spins)
        interrupt();
      else
        (void)h::create_task(interrupt_when_waiting(h::current_task()));
      try {
        if (how == way::sleeps) co_await h::sleep(1h);
        if (how == way::awaits) co_await f;
        for (;;) {
          // A yield is no wait; a sleep of nothing is the point where a cancellation is delivered.
          auto turn = h::sleep(0s);
          co_await turn;
        }
      } catch (const h::cancelled_error&) { ++n; }
      // Once only: it may wait again.
      co_await h::sleep(1ms);
      throw h::cancelled_error();
    };
    THROWS(h::interrupted_error, run(main, w, std::ref(cancelled), future));
    EQUAL(cancelled.load(), 1);
    if (w == way::awaits) HOLDS(future.cancelled());
    HOLDS(sigint_is_default());
  }
}

TEST_P(RUN_SIGINT, RUN_11_AMainThatGoesOnHasItsResult) {
  auto main = []() -> h::task<int> {
    (void)h::create_task(interrupt_when_waiting(h::current_task()));
    try {
      co_await h::sleep(1h);
    } catch (const h::cancelled_error&) {}
    co_return 42;
  };
  EQUAL(run(main), 42);
  HOLDS(sigint_is_default());
}

TEST_P(RUN_SIGINT, RUN_11_ASecondSigintLeavesAtOnce) {
  std::atomic<bool> went_on{false};
  auto main = [](std::atomic<bool>& went_on) -> h::task<> {
    (void)h::create_task(interrupt_when_waiting(h::current_task()));
    try {
      co_await h::sleep(1h);
    } catch (const h::cancelled_error&) {}
    interrupt();
    co_await h::sleep(1h);  // cancelled by the end of the runtime
    went_on = true;
  };
  THROWS(h::interrupted_error, run(main, std::ref(went_on)));
  HOLDS(!went_on.load());
  HOLDS(sigint_is_default());
}

std::atomic<int> own_calls{0};
void own_handler(int) { ++own_calls; }

TEST_P(RUN_SIGINT, RUN_15_AHandlerOfTheUsersIsCalledAndStays) {
  own_calls = 0;
  (void)std::signal(SIGINT, own_handler);
  auto main = []() -> h::task<int> {
    interrupt();
    auto called = until([] { return own_calls.load() == 1; });
    co_await std::move(called);
    co_return 1;
  };
  EQUAL(run(main), 1);
  EQUAL(own_calls.load(), 1);
  HOLDS(std::signal(SIGINT, SIG_DFL) == own_handler);
  // Without one: ours while it runs, the default afterwards.
  auto look = []() -> h::task<bool> { co_return sigint_is_default(); };
  HOLDS(!run(look));
  HOLDS(sigint_is_default());
  // One that the program installs meanwhile stays, too.
  auto install = []() -> h::task<> {
    (void)std::signal(SIGINT, own_handler);
    co_return;
  };
  run(install);
  HOLDS(std::signal(SIGINT, SIG_DFL) == own_handler);
}

}  // namespace
