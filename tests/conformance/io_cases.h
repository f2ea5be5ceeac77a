// SPDX-License-Identifier: MIT
// What the conformance cases of io share.
#pragma once

#include "conformance.h"

#include <heddle/io/memory_pair.h>
#include <heddle/io/server.h>
#include <heddle/io/stream.h>
#include <heddle/sched/simulate.h>

#include <support/streams.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

namespace conformance {

using support::code_of;
using support::drain;
using support::ends;
using support::feed;
using support::fill_up;
using support::open_descriptors;
using support::swallow;
using support::words;

/// How much of something a case does: `usual`, or with HEDDLE_SIZE=full (tools/nightly) as much as
/// the catalogue says.
inline std::size_t sized(std::size_t usual, std::size_t full) {
  const char* asked = std::getenv("HEDDLE_SIZE");
  return asked && std::string_view(asked) == "full" ? full : usual;
}

/// What the ends of a case are, and whether it runs simulated; set before each.
struct stream_way {
  bool memory = false;
  bool simulated = false;
};
inline stream_way way;

/// Cases of streams: over TCP, over memory, and over memory in a simulated program with a few
/// seeds. The parameter is the number of loops, and 100 or 200 for the latter two.
class stream_cases : public cases {
 protected:
  void SetUp() override {
    cases::SetUp();
    way = {GetParam() >= 100, GetParam() >= 200};
  }
  void TearDown() override {
    way = {};
    cases::TearDown();
  }
  /// How often run() runs its body.
  [[nodiscard]] static std::size_t runs() { return way.simulated ? 3 : 1; }
  template <class F, class... Args>
  void run(F body, Args&&... args) {
    if (!way.simulated) {
      cases::run(body, std::forward<Args>(args)...);
      return;
    }
    h::testing::simulation_limits limits;
    limits.steps = 50'000'000;
    for (std::uint64_t seed = 1; seed <= runs(); ++seed)
      h::testing::simulate(seed, with(), [&] { return body(args...); }, limits);
  }
};

/// The suite of a group of streams.
#define STREAM_CASES(group)                                                              \
  class group : public ::conformance::stream_cases {};                                   \
  HEDDLE_AT_LOOPS(group);                                                                \
  INSTANTIATE_TEST_SUITE_P(Memory, group, ::testing::Values(101u, 102u, 108u),           \
                           [](const auto& p) { return std::to_string(p.param - 100); }); \
  INSTANTIATE_TEST_SUITE_P(Simulated, group, ::testing::Values(201u, 202u, 208u),        \
                           [](const auto& p) { return std::to_string(p.param - 200); })

inline h::task<ends> connect_ends(std::size_t limit = h::default_stream_limit) {
  if (way.memory) {
    auto [a, b] = h::memory_pair(h::default_memory_buffer, limit);
    ends pair{std::move(a), std::move(b)};
    co_return pair;
  }
  auto by_tcp = support::connect_by_tcp(limit);
  ends pair = co_await std::move(by_tcp);
  co_return pair;
}

/// The error that `work` ends with, or null.
template <class T>
h::task<std::exception_ptr> error_of(h::task<T> work) {
  std::exception_ptr e;
  try {
    (void)co_await work;
  } catch (...) { e = std::current_exception(); }
  co_return e;
}
template <>
inline h::task<std::exception_ptr> error_of(h::task<void> work) {
  std::exception_ptr e;
  try {
    co_await work;
  } catch (...) { e = std::current_exception(); }
  co_return e;
}

/// The peer has gone: a reset or a broken pipe.
inline bool is_broken(const std::exception_ptr& e) {
  const int code = code_of(e);
  return code == ECONNRESET || code == EPIPE;
}

inline h::task<> wait_closed(h::stream_writer& w) { co_await w.wait_closed(); }
inline h::task<> join(h::task_handle<void> t) { co_await t; }

inline h::task<> echo(h::stream_reader r, h::stream_writer w) {
  for (;;) {
    const bool more = co_await r.fill();
    if (!more) break;
    w.write(r.buffered());
    r.consume(r.buffered().size());
    co_await w.drain();
  }
}

inline h::task<std::string> ask(std::uint16_t port, std::string line) {
  auto c = co_await h::open_connection("127.0.0.1", port);
  c.writer.write(line + "\n");
  std::string answer = co_await c.reader.read_line();
  co_return answer;
}

/// A path for a Unix socket or a file that nothing stands at.
inline std::string fresh_path(const char* what) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("heddle-case-" + std::to_string(::getpid()) + "-" + what);
  std::filesystem::remove(path);
  return path;
}

/// A connected pair of plain sockets, closed at the end.
class socket_pair {
 public:
  socket_pair() {
    (void)::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, both_);
  }
  socket_pair(const socket_pair&) = delete;
  ~socket_pair() {
    close_one(0);
    close_one(1);
  }
  [[nodiscard]] int operator[](int i) const { return both_[i]; }
  void close_one(int i) {
    if (both_[i] >= 0) ::close(both_[i]);
    both_[i] = -1;
  }

 private:
  int both_[2] = {-1, -1};
};

}  // namespace conformance
