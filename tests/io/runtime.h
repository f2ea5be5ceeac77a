// SPDX-License-Identifier: MIT
// Runs a test's body as the main task of a runtime, for each reactor and at 1, 2 and 8 loops.
#pragma once

#include <heddle/core/future.h>
#include <heddle/io/descriptors/fd.h>
#include <heddle/io/memory_pair.h>
#include <heddle/io/server.h>
#include <heddle/io/stream.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/loop/driver.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/wait_for.h>

#include <support/streams.h>
#include <support/waiting.h>

#include <gtest/gtest.h>

#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace io_test {

namespace h = heddle;
using namespace std::chrono_literals;
using support::code_of;
using support::drain;
using support::ends;
using support::feed;
using support::open_descriptors;
using support::until;
using support::waits;
using support::words;

struct setup {
  h::reactor_kind reactor;
  unsigned loops;
  bool memory = false;  // connections are memory pairs
};

inline std::string name_of(const testing::TestParamInfo<setup>& p) {
  const char* kind = p.param.reactor == h::reactor_kind::epoll ? "epoll" : "uring";
  return std::string(p.param.memory ? "memory" : kind) + "_" + std::to_string(p.param.loops);
}

/// Both reactors where the kernel allows both; where it does not, the tests say so and try epoll
/// alone.
inline std::vector<setup> all_setups() {
  std::vector<setup> all;
  for (const unsigned loops : {1u, 2u, 8u}) all.push_back({h::reactor_kind::epoll, loops});
  std::string note;
  if (h::detail::choose_reactor(h::reactor_kind::automatic, note) == h::reactor_kind::uring ||
      note.empty())
    for (const unsigned loops : {1u, 2u, 8u}) all.push_back({h::reactor_kind::uring, loops});
  else
    std::fprintf(stderr, "%s\n", note.c_str());
  return all;
}

/// All that a stream can stand on: both reactors, and memory.
inline std::vector<setup> all_ways() {
  std::vector<setup> all = all_setups();
  for (const unsigned loops : {1u, 2u, 8u}) all.push_back({h::reactor_kind::epoll, loops, true});
  return all;
}

class on_each_reactor : public testing::TestWithParam<setup> {
 protected:
  /// Runs `body(args...)`; one that is stuck fails.
  template <class F>
  void run(F body) {
    h::options o;
    o.loops = GetParam().loops;
    o.reactor = GetParam().reactor;
    if (debug) o.debug = true;
    o.exception_handler = [this](const h::error_context& c) {
      reports.push_back(c.message);
      ++report_count;
    };
    h::run(in_time(std::move(body)), o);
  }

  bool debug = false;
  std::vector<std::string> reports;           // for when the runtime has ended
  std::atomic<std::size_t> report_count = 0;  // for while it runs

 private:
  template <class F>
  static h::task<> in_time(F body) {
    auto limited = h::wait_for(h::create_task(std::move(body)), 40s);
    co_await std::move(limited);
  }
};

/// Two ends of a TCP connection.
inline h::task<ends> connect_ends(std::size_t limit = h::default_stream_limit) {
  return support::connect_by_tcp(limit);
}

/// Two ends of what the setup says.
inline h::task<ends> connect_ends(setup how) {
  if (!how.memory) {
    auto by_socket = connect_ends();
    ends e = co_await std::move(by_socket);
    co_return e;
  }
  auto [client, server] = h::memory_pair();
  ends e{std::move(client), std::move(server)};
  co_return e;
}

/// The error that `work` ends with, or null.
template <class T>
h::task<std::exception_ptr> error_of(h::task<T> work) {
  std::exception_ptr e;
  try {
    co_await work;
  } catch (...) { e = std::current_exception(); }
  co_return e;
}

template <class E>
bool is(const std::exception_ptr& e) {
  if (!e) return false;
  try {
    std::rethrow_exception(e);
  } catch (const E&) { return true; } catch (...) {
    return false;
  }
}

inline h::task<> closed(h::stream_writer& w) { co_await w.wait_closed(); }

/// A connected pair of Unix sockets that do not block.
struct couple {
  couple() {
    int both[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, both) != 0)
      throw std::runtime_error("socketpair");
    near = h::detail::fd(both[0]);
    far = h::detail::fd(both[1]);
  }
  h::detail::fd near, far;
};

/// Nothing runs but the caller.
inline bool everybody_else_waits() {
  for (const auto& t : h::all_tasks())
    if (t != h::current_task() && !waits(t)) return false;
  return true;
}

}  // namespace io_test
