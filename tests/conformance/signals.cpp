// SPDX-License-Identifier: MIT
#include "io_cases.h"

#include <heddle/io/signal_set.h>

#include <sys/wait.h>

namespace {

using namespace conformance;

CASES(SIG);

bool has_default_action(int signal) {
  struct sigaction now{};
  ::sigaction(signal, nullptr, &now);
  return now.sa_handler == SIG_DFL;
}

TEST_P(SIG, SIG_01_AHandlerRunsAsACallbackAndWakesABlockedPoll) {
  run([]() -> h::task<> {
    std::atomic<int> sum{0}, outside{0};
    auto& loop = h::current_loop();
    const unsigned index = loop.index();
    loop.add_signal_handler(
        SIGUSR1,
        [&, index](int n) {
          auto* here = h::current_loop_if_any();
          if (!here || here->index() != index) ++outside;
          sum += n;
        },
        7);
    ::kill(::getpid(), SIGUSR1);
    co_await until([&] { return sum.load() == 7; });
    // Nobody but the signal wakes it: everything waits.
    h::promise<> told;
    auto future = told.get_future();
    loop.add_signal_handler(SIGUSR1, [&] { told.set_value(); });
    std::thread sender([] {
      ::usleep(20'000);  // for all loops to fall asleep; too short, it would only show less
      ::kill(::getpid(), SIGUSR1);
    });
    co_await future;
    sender.join();
    EQUAL(outside.load(), 0);
    EQUAL(sum.load(), 7);
    HOLDS(loop.remove_signal_handler(SIGUSR1));
  });
}

TEST_P(SIG, SIG_02_RemovingBringsTheDefaultActionBack) {
  run([]() -> h::task<> {
    auto& loop = h::current_loop();
    loop.add_signal_handler(SIGUSR1, [] {});
    HOLDS(!has_default_action(SIGUSR1));
    co_await h::yield_now();
    HOLDS(h::current_loop().remove_signal_handler(SIGUSR1));
    HOLDS(!h::current_loop().remove_signal_handler(SIGUSR1));
    HOLDS(has_default_action(SIGUSR1));
    struct sigaction before{}, during{}, after{};
    ::sigaction(SIGINT, nullptr, &before);
    loop.add_signal_handler(SIGINT, [] {});
    ::sigaction(SIGINT, nullptr, &during);
    HOLDS(during.sa_handler != before.sa_handler);
    HOLDS(loop.remove_signal_handler(SIGINT));
    ::sigaction(SIGINT, nullptr, &after);
    HOLDS(after.sa_handler == before.sa_handler);
  });
}

TEST_P(SIG, SIG_03_WhatIsNoSignalOrCannotBeCaughtIsRefused) {
  run([]() -> h::task<> {
    auto& loop = h::current_loop();
    for (const int number : {0, -1, 65, 1000}) {
      THROWS(h::bad_value, loop.add_signal_handler(number, [] {}));
      THROWS(h::bad_value, loop.remove_signal_handler(number));
    }
    THROWS(h::usage_error, loop.add_signal_handler(SIGKILL, [] {}));
    THROWS(h::usage_error, loop.add_signal_handler(SIGSTOP, [] {}));
    THROWS(h::usage_error, loop.add_signal_handler(32, [] {}));  // the C library's own
    HOLDS(!loop.remove_signal_handler(SIGKILL));
    HOLDS(!loop.remove_signal_handler(32));
    co_return;
  });
}

TEST_P(SIG, SIG_04_ASecondHandlerTakesThePlaceOfTheFirst) {
  run([]() -> h::task<> {
    std::atomic<int> first{0}, second{0};
    auto held = std::make_shared<int>(1);
    h::current_loop().add_signal_handler(SIGUSR2, [&, held] { ++first; });
    co_await h::yield_now();
    h::current_loop().add_signal_handler(SIGUSR2, [&] { ++second; });
    EQUAL(held.use_count(), 1);
    ::kill(::getpid(), SIGUSR2);
    co_await until([&] { return second.load() == 1; });
    EQUAL(first.load(), 0);
    HOLDS(h::current_loop().remove_signal_handler(SIGUSR2));
    HOLDS(!h::current_loop().remove_signal_handler(SIGUSR2));
  });
}

TEST_P(SIG, SIG_05_TheEndOfTheRuntimeRemovesAll) {
  auto held = std::make_shared<int>(1);
  const auto before = open_descriptors();
  run(
      [](std::shared_ptr<int> own) -> h::task<> {
        for (const int s : {SIGUSR1, SIGUSR2, SIGHUP, SIGTERM})
          h::current_loop().add_signal_handler(s, [own] {});
        HOLDS(!has_default_action(SIGTERM));
        co_return;
      },
      held);
  for (const int s : {SIGUSR1, SIGUSR2, SIGHUP, SIGTERM}) HOLDS(has_default_action(s));
  EQUAL(held.use_count(), 1);
  EQUAL(open_descriptors(), before);
}

/// Runs `body` in a forked child and yields what it returns; 255 if the child ended otherwise.
template <class F>
int in_a_child(F body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

TEST_P(SIG, SIG_07_AForkedChildHasNeitherTheLoopsNorTheHandlers) {
  static std::atomic<int> childs{0};
  run([]() -> h::task<> {
    std::atomic<int> ours{0};
    h::current_loop().add_signal_handler(SIGUSR1, [&] { ++ours; });
    const int looked = in_a_child([&] {
      if (h::current_loop_if_any()) return 1;
      if (!has_default_action(SIGUSR1)) return 2;
      // Its own handler gets its own signal, once.
      (void)std::signal(SIGUSR1, [](int) { ++childs; });
      (void)std::raise(SIGUSR1);
      if (childs.load() != 1 || ours.load() != 0) return 3;
      return 0;
    });
    EQUAL(looked, 0);
    co_await settle();
    EQUAL(ours.load(), 0);
    // What comes to us does not come to a child.
    ::kill(::getpid(), SIGUSR1);
    co_await until([&] { return ours.load() == 1; });
    EQUAL(ours.load(), 1);
    HOLDS(h::current_loop().remove_signal_handler(SIGUSR1));
  });
}

// ThreadSanitizer allows no threads in a forked child.
#if !HEDDLE_TSAN
TEST_P(SIG, SIG_07_AForkedChildMayHaveALoopOfItsOwn) {
  run(
      [](unsigned loops) -> h::task<> {
        std::atomic<int> ours{0};
        h::current_loop().add_signal_handler(SIGUSR1, [&] { ++ours; });
        const int code = in_a_child([&] {
          h::options o;
          o.loops = loops;
          auto main = [&]() -> h::task<int> {
            h::signal_set mine{SIGUSR1};
            ::kill(::getpid(), SIGUSR1);
            const int number = co_await mine.wait();
            co_await h::sleep(1ms);  // its timers and its reactor work too
            co_return number == SIGUSR1&& ours.load() == 0 ? 0 : 4;
          };
          try {
            return h::run(main(), o);
          } catch (...) { return 5; }
        });
        EQUAL(code, 0);
        co_await settle();
        EQUAL(ours.load(), 0);
        HOLDS(h::current_loop().remove_signal_handler(SIGUSR1));
      },
      loops());
}
#endif

}  // namespace
