// SPDX-License-Identifier: MIT
// How a server's clients spread over the loops, also when some of these are busy.
#include "reactor_cases.h"

#include <atomic>
#include <numeric>
#include <thread>

namespace {

using namespace conformance;

REACTOR_CASES(IO_CONN_SPREAD);

/// Holds its loop's thread until it is told to stop. A test that fails must end, too: so it gives
/// up after half a minute.
h::task<> hog(std::atomic<unsigned>& hogs, std::atomic<bool>& stop, std::atomic<bool>& gave_up) {
  ++hogs;
  const auto end = std::chrono::steady_clock::now() + 30s;
  while (!stop.load()) {
    std::this_thread::sleep_for(200us);
    if (std::chrono::steady_clock::now() < end) continue;
    gave_up = true;
    break;
  }
  co_return;
}

h::task<> greet(h::stream_reader, h::stream_writer w) {
  w.write("served");
  w.close();
  co_await w.wait_closed();
}

h::task<bool> is_greeted(std::uint16_t port) {
  h::connection c = co_await h::open_connection("127.0.0.1", port);
  const std::string greeting = co_await c.reader.read();
  c.writer.close();
  co_return greeting == "served";
}

h::task<std::size_t> greet_all(std::uint16_t port, std::size_t clients) {
  std::size_t greeted = 0;
  for (std::size_t left = clients; left != 0;) {
    std::vector<h::task_handle<bool>> some;
    for (; left != 0 && some.size() < 50; --left) some.push_back(h::create_task(is_greeted(port)));
    for (auto& one : some) {
      const bool is = co_await one;
      greeted += is ? 1 : 0;
    }
  }
  co_return greeted;
}

TEST_P(IO_CONN_SPREAD, IO_CONN_19_NoClientWaitsForABusyLoopWhileAnotherIsIdle) {
  const unsigned n = loops();
  run([n]() -> h::task<> {
    const std::size_t clients = sized(100, 1000);
    auto starting = h::start_server(greet, "127.0.0.1", 0);
    h::server s = co_await starting;
    EQUAL(s.sockets().size(), n);
    std::atomic<unsigned> hogs{0};
    std::atomic<bool> stop{false}, gave_up{false};
    std::vector<h::task_handle<void>> busy;
    for (unsigned i = 1; i < n; ++i) busy.push_back(h::create_task(hog(hogs, stop, gave_up)));
    co_await until([&] { return hogs.load() == n - 1; });
    const std::size_t greeted = co_await greet_all(s.port(), clients);
    EQUAL(greeted, clients);
    HOLDS(!gave_up.load());
    stop = true;
    for (auto& one : busy) co_await one;
    const h::server_stats told = s.stats();
    EQUAL(told.accepted, clients);
    EQUAL(told.accepted_by_loop.size(), n);
    const auto& each = told.accepted_by_loop;
    EQUAL(std::accumulate(each.begin(), each.end(), std::uint64_t{0}), clients);
    s.close();
    co_await s.wait_closed();
    EQUAL(s.stats().connections, 0u);
  });
}

TEST_P(IO_CONN_SPREAD, IO_CONN_19_TheSpreadOfAnIdleServerIsTold) {
  const unsigned n = loops();
  run([n]() -> h::task<> {
    auto starting = h::start_server(greet, "127.0.0.1", 0);
    h::server s = co_await starting;
    EQUAL(s.stats().accepted_by_loop, std::vector<std::uint64_t>(n, 0));
    const std::size_t greeted = co_await greet_all(s.port(), 20);
    EQUAL(greeted, 20u);
    EQUAL(s.stats().accepted, 20u);
    s.close();
    co_await s.wait_closed();
    EQUAL(s.stats().accepted, 20u);
  });
}

}  // namespace
