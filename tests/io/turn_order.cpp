// SPDX-License-Identifier: MIT
// One loop, one turn: what the kernel brings runs before a timer that is due, as in asyncio.
#include "io/runtime.h"

#include <heddle/sched/loop.h>

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace io_test;

/// Two connected sockets.
struct socket_pair {
  int ends[2] = {-1, -1};
  socket_pair() { (void)::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends); }
  socket_pair(const socket_pair&) = delete;
  ~socket_pair() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
};

std::vector<setup> one_loop() {
  std::vector<setup> all = all_setups();
  std::erase_if(all, [](const setup& s) { return s.loops != 1; });
  return all;
}

class TurnOrder : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, TurnOrder, testing::ValuesIn(one_loop()), name_of);

constexpr int rounds = 20;

/// Holds the loop until a timer of a millisecond is due.
void hold_the_loop() { std::this_thread::sleep_for(3ms); }

TEST_P(TurnOrder, AReadyDescriptorsCallbackRunsBeforeATimerThatIsDue) {
  run([]() -> h::task<> {
    const socket_pair pair;
    auto& loop = h::current_loop();
    std::string order;
    const int from = pair.ends[0];
    loop.add_reader(from, [&order, from] {
      char byte;
      if (::recv(from, &byte, 1, 0) == 1) order += "io ";
    });
    for (int i = 0; i < rounds; ++i) {
      order.clear();
      co_await h::sleep(1ms);  // nothing is left of the round before
      (void)loop.call_later(1ms, [&order] { order += "timer "; });
      EXPECT_EQ(::send(pair.ends[1], "x", 1, 0), 1);
      hold_the_loop();
      auto both = until([&order] { return order.size() == 9; });
      co_await std::move(both);
      EXPECT_EQ(order, "io timer ") << "round " << i;
    }
    (void)loop.remove_reader(from);
  });
}

TEST_P(TurnOrder, ATaskThatReadsGoesOnBeforeOneThatHasSleptEnough) {
  run([]() -> h::task<> {
    auto connecting = connect_ends();
    ends e = co_await std::move(connecting);
    for (int i = 0; i < rounds; ++i) {
      std::string order;
      auto sleeps = h::create_task([&order]() -> h::task<> {
        co_await h::sleep(1ms);
        order += "timer ";
      });
      auto reads = h::create_task(
          [&order](h::stream_reader& from) -> h::task<> {
            const std::string byte = co_await from.read(1);
            order += "io ";
          },
          std::ref(e.server.reader));
      auto waiting = until([&] { return waits(sleeps) && waits(reads); });
      co_await std::move(waiting);
      e.client.writer.write("x");
      hold_the_loop();
      co_await sleeps;
      co_await reads;
      EXPECT_EQ(order, "io timer ") << "round " << i;
    }
    e.client.writer.close();
    e.server.writer.close();
  });
}

/// The other way round would be wrong, too: what comes while a timer's callback runs is later.
TEST_P(TurnOrder, WhatComesWhileATimersCallbackRunsComesAfterIt) {
  run([]() -> h::task<> {
    const socket_pair pair;
    auto& loop = h::current_loop();
    std::string order;
    const int from = pair.ends[0];
    const int to = pair.ends[1];
    loop.add_reader(from, [&order, from] {
      char byte;
      if (::recv(from, &byte, 1, 0) == 1) order += "io ";
    });
    (void)loop.call_later(1ms, [&order, to] {
      order += "timer ";
      EXPECT_EQ(::send(to, "x", 1, 0), 1);
    });
    (void)loop.call_later(1ms, [&order] { order += "timer "; });
    hold_the_loop();
    auto all = until([&order] { return order.size() == 15; });
    co_await std::move(all);
    EXPECT_EQ(order, "timer timer io ");
    (void)loop.remove_reader(from);
  });
}

}  // namespace
