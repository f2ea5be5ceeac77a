// SPDX-License-Identifier: MIT
// A signal that is sent to one thread of the library reaches, once, what the program asked for it.
#include <heddle/io/signal_set.h>
#include <heddle/sched/to_thread.h>

#include "io/runtime.h"

#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <thread>

namespace {

using namespace io_test;

class Signals : public on_each_reactor {};

std::atomic<int> handled{0};
void count_it(int) { ++handled; }

/// The program's own handler, while it lives.
class own_handler {
 public:
  explicit own_handler(int signal) : signal_(signal) {
    handled = 0;
    (void)std::signal(signal, count_it);
  }
  own_handler(const own_handler&) = delete;
  ~own_handler() { (void)std::signal(signal_, SIG_DFL); }

 private:
  int signal_;
};

TEST_P(Signals, RaisedInATaskCallsTheProgramsHandlerBeforeRaiseReturns) {
  run([]() -> h::task<> {
    const own_handler here(SIGUSR1);
    for (int i = 1; i <= 3; ++i) {
      std::raise(SIGUSR1);
      EXPECT_EQ(handled, i);
      co_await h::sleep(1ms);
    }
    EXPECT_EQ(handled, 3);
  });
}

TEST_P(Signals, RaisedInAJobOfToThreadCallsTheProgramsHandler) {
  run([]() -> h::task<> {
    const own_handler here(SIGUSR1);
    auto job = h::to_thread([] {
      std::raise(SIGUSR1);
      return handled.load();
    });
    const int seen = co_await std::move(job);
    EXPECT_EQ(seen, 1);
    EXPECT_EQ(handled, 1);
  });
}

TEST_P(Signals, SentToASleepingLoopReachTheProgramsHandler) {
  run([]() -> h::task<> {
    const own_handler here(SIGUSR1);
    const auto loop = pthread_self();
    h::promise<> sent;
    auto told = sent.get_future();
    std::thread sender([&] {
      pthread_kill(loop, SIGUSR1);
      sent.set_value();
    });
    co_await told;
    sender.join();
    auto seen = until([] { return handled.load() == 1; });
    co_await std::move(seen);
    co_await h::sleep(1ms);
    EXPECT_EQ(handled, 1);
  });
}

TEST_P(Signals, RaisedInATaskAreToldToASetOnce) {
  run([]() -> h::task<> {
    h::signal_set set{SIGUSR1, SIGUSR2};
    std::raise(SIGUSR2);
    auto next = set.wait();
    const int number = co_await std::move(next);
    EXPECT_EQ(number, SIGUSR2);
    auto more = set.wait();
    auto none = h::wait_for(std::move(more), 20ms);
    bool late = false;
    try {
      (void)co_await std::move(none);
    } catch (const h::timeout_error&) { late = true; }
    EXPECT_TRUE(late) << "it was told twice";
    auto job = h::to_thread([] { std::raise(SIGUSR1); });
    co_await std::move(job);
    auto last = set.wait();
    const int other = co_await std::move(last);
    EXPECT_EQ(other, SIGUSR1);
  });
}

TEST_P(Signals, RaisedInATaskCallTheHandlerOfItsLoopOnce) {
  run([]() -> h::task<> {
    std::atomic<int> called{0};
    auto& loop = h::current_loop();
    loop.add_signal_handler(SIGUSR1, [&] { ++called; });
    std::raise(SIGUSR1);
    auto seen = until([&] { return called.load() == 1; });
    co_await std::move(seen);
    co_await h::sleep(5ms);
    EXPECT_EQ(called, 1);
    EXPECT_TRUE(loop.remove_signal_handler(SIGUSR1));
  });
}

TEST_P(Signals, ABrokenPipeIsAnErrorAndEndsNobody) {
  run([]() -> h::task<> {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    ::close(ends[0]);
    const char byte = 'x';
    EXPECT_EQ(::write(ends[1], &byte, 1), -1);
    EXPECT_EQ(errno, EPIPE);
    const int end = ends[1];
    auto job = h::to_thread([end] {
      const char byte = 'x';
      return ::write(end, &byte, 1) == -1 && errno == EPIPE;
    });
    const bool refused = co_await std::move(job);
    EXPECT_TRUE(refused);
    ::close(end);
  });
}

TEST_P(Signals, WhatTheProgramBlocksItsLoopsBlockToo) {
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  run([]() -> h::task<> {
    const auto takes_it = [] {
      sigset_t now;
      sigemptyset(&now);
      pthread_sigmask(SIG_BLOCK, nullptr, &now);
      return sigismember(&now, SIGUSR1) == 0;
    };
    EXPECT_FALSE(takes_it());
    auto job = h::to_thread(takes_it);
    const bool taken = co_await std::move(job);
    EXPECT_FALSE(taken);
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

INSTANTIATE_TEST_SUITE_P(Everywhere, Signals, testing::ValuesIn(all_setups()), name_of);

}  // namespace
