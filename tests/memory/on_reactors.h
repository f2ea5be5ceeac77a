// SPDX-License-Identifier: MIT
// The fixture of programs that use io: each runs on both reactors, with one loop and with two.
#pragma once

#include "memory/shortage.h"

#include <heddle/io/stream.h>
#include <heddle/sched/loop/driver.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace memory {

struct kind {
  h::reactor_kind reactor;
  unsigned loops;
};

inline std::vector<kind> kinds() {
  std::vector<kind> all{{h::reactor_kind::epoll, 1}, {h::reactor_kind::epoll, 2}};
  std::string note;
  if (h::detail::choose_reactor(h::reactor_kind::automatic, note) == h::reactor_kind::uring)
    all.push_back({h::reactor_kind::uring, 2});
  return all;
}

inline std::string name_of(const testing::TestParamInfo<kind>& p) {
  return std::string(p.param.reactor == h::reactor_kind::epoll ? "epoll" : "uring") + "_" +
         std::to_string(p.param.loops);
}

class on_reactors : public testing::TestWithParam<kind> {
 protected:
  static void check(const char* program, const std::function<h::task<int>()>& f, int expected) {
    survives({program, GetParam().loops, GetParam().reactor}, f, expected);
  }
};

/// Sends a line to whoever echoes it. 1: the line came back.
inline h::task<int> say_a_line(h::connection c) {
  const std::string said = std::string(3000, 'x') + "\n";
  c.writer.write(said);
  co_await c.writer.drain();
  const std::string answer = co_await c.reader.read_line();
  c.writer.close();
  co_await c.writer.wait_closed();
  co_return answer == said ? 1 : 0;
}

inline h::task<int> talk(std::uint16_t port) {
  auto opening = h::open_connection("127.0.0.1", port);
  auto c = co_await std::move(opening);
  auto saying = say_a_line(std::move(c));
  const int heard = co_await std::move(saying);
  co_return heard;
}

}  // namespace memory
