// SPDX-License-Identifier: MIT
//
// Storms on every loop: of forks without work, of forks with a microsecond of it, of yields, and of
// forks and yields at once. The timer is a task that sleeps, the socket a connection of a stream
// server. All are ordinary tasks: nothing is pinned or preferred.
#include <heddle/heddle.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "fairness/problem.h"

namespace {

using namespace bench::fairness;

constexpr int yielders = 64;  // for each loop

struct scene {
  std::atomic<bool> over{false};
  std::atomic<long> steps{0};
  delays timer;
  delays socket;
  std::int64_t counts_from = 0;
};

heddle::task<long> fib(long n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await heddle::fork_join(fib(n - 1), fib(n - 2));
  co_return a + b;
}

heddle::task<> fork_for_ever(scene& s) {
  for (long n = 20; !s.over.load(std::memory_order_relaxed); n = n == 25 ? 20 : n + 1) {
    s.steps.fetch_add(co_await fib(n), std::memory_order_relaxed);
  }
}

heddle::task<long> working_fib(long n) {
  if (n < 2) {
    for (const auto until = bench::now_ns() + 1000; bench::now_ns() < until;) {}
    co_return n;
  }
  auto [a, b] = co_await heddle::fork_join(working_fib(n - 1), working_fib(n - 2));
  co_return a + b;
}

heddle::task<> fork_work_for_ever(scene& s) {
  while (!s.over.load(std::memory_order_relaxed)) {
    s.steps.fetch_add(co_await working_fib(16), std::memory_order_relaxed);
  }
}

heddle::task<> yield_for_ever(scene& s) {
  long n = 0;
  for (; !s.over.load(std::memory_order_relaxed); ++n) co_await heddle::yield_now();
  s.steps.fetch_add(n, std::memory_order_relaxed);
}

heddle::task<> tick(scene& s) {
  while (!s.over.load(std::memory_order_relaxed)) {
    const auto due = bench::now_ns() + period_ns;
    co_await heddle::sleep(std::chrono::nanoseconds(period_ns));
    const auto now = bench::now_ns();
    if (now >= s.counts_from) s.timer.add(now - due);
  }
}

heddle::task<> echo(scene& s, heddle::connection peer) {
  while (co_await peer.reader.fill()) {
    while (peer.reader.buffered().size() >= sizeof(message)) {
      const auto bytes = peer.reader.buffered().substr(0, sizeof(message));
      const auto now = bench::now_ns();
      if (now >= s.counts_from) s.socket.add(now - sent_at(bytes.data()));
      peer.writer.write(bytes);
      peer.reader.consume(sizeof(message));
    }
    co_await peer.writer.drain();
  }
}

struct storm {
  std::string_view name;
  heddle::task<> (*one)(scene&);
  int for_each_loop;
  heddle::task<> (*other)(scene&) = nullptr;
  int of_other = 0;
};

constexpr storm storms[] = {
    {"forks", fork_for_ever, 1},
    {"working forks", fork_work_for_ever, 1},
    {"yields", yield_for_ever, yielders},
    {"forks and yields", fork_for_ever, 1, yield_for_ever, yielders},
};

heddle::task<> blow(scene& s, const storm& what, const bench::settings& with,
                    std::function<void(std::uint16_t)> connect) {
  auto server = co_await heddle::start_server(
      [&s](heddle::connection peer) { return echo(s, std::move(peer)); }, "127.0.0.1", 0);
  std::vector<heddle::task_handle<void>> all;
  for (unsigned loop = 0; loop < with.threads; ++loop) {
    for (int i = 0; i < what.for_each_loop; ++i)
      all.push_back(heddle::create_task(what.one, std::ref(s)));
    for (int i = 0; i < what.of_other; ++i)
      all.push_back(heddle::create_task(what.other, std::ref(s)));
  }
  s.counts_from = bench::now_ns() + warm_up_ns;
  all.push_back(heddle::create_task(tick, std::ref(s)));
  connect(server.port());
  co_await heddle::sleep(std::chrono::milliseconds(with.size));
  s.over.store(true);
  for (auto& t : all) co_await t;
}

bool run_storm(const bench::identity& who, const bench::settings& with, const storm& what) {
  scene s;
  std::thread other_end;
  heddle::run(blow(s, what, with,
                   [&](std::uint16_t port) {
                     other_end = std::thread([&s, port] { send_messages(port, s.over); });
                   }),
              {.loops = with.threads});
  other_end.join();
  return print(who, with, what.name, s.steps.load(), s.timer, s.socket);
}

}  // namespace

int main(int argc, char** argv) {
  constexpr bench::identity who{"fairness", "heddle"};
  const auto with = bench::read_settings(argc, argv, who, default_size, size_means);
  bool fine = true;
  for (int i = 0; i < with.repeat; ++i)
    for (const storm& what : storms) fine = run_storm(who, with, what) && fine;
  return fine ? 0 : 1;
}
