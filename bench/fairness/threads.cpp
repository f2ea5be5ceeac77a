// SPDX-License-Identifier: MIT
//
// What the kernel alone gives: as many threads as there would be loops do nothing but run, one
// sleeps a millisecond at a time, one blocks in the socket. No library can be asked for more with
// as many threads as processors; with fewer, a thread that sleeps finds a free one.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "fairness/problem.h"

namespace {

using namespace bench::fairness;

bool run_storm(const bench::identity& who, const bench::settings& with) {
  std::uint16_t port = 0;
  const int listener = listen_anywhere(port);
  if (listener < 0) bench::give_up(who, "cannot listen on 127.0.0.1");
  delays timer;
  delays socket;
  std::atomic<bool> over{false};
  std::atomic<long> steps{0};
  const std::int64_t counts_from = bench::now_ns() + warm_up_ns;
  std::vector<std::thread> all;
  for (unsigned i = 0; i < with.threads; ++i) {
    all.emplace_back([&] {
      long n = 0;
      for (; !over.load(std::memory_order_relaxed); ++n) {}
      steps.fetch_add(n);
    });
  }
  all.emplace_back([&] {
    while (!over.load()) {
      const auto due = bench::now_ns() + period_ns;
      std::this_thread::sleep_for(std::chrono::nanoseconds(period_ns));
      const auto now = bench::now_ns();
      if (now >= counts_from) timer.add(now - due);
    }
  });
  all.emplace_back([&] {
    const int s = ::accept(listener, nullptr, nullptr);
    message m{};
    while (::recv(s, m.data(), m.size(), MSG_WAITALL) == ssize_t(m.size())) {
      const auto now = bench::now_ns();
      if (now >= counts_from) socket.add(now - sent_at(m.data()));
      if (::send(s, m.data(), m.size(), MSG_NOSIGNAL) != ssize_t(m.size())) break;
    }
    ::close(s);
  });
  all.emplace_back([&] { send_messages(port, over); });
  std::this_thread::sleep_for(std::chrono::milliseconds(with.size));
  over.store(true);
  for (auto& t : all) t.join();
  ::close(listener);
  return print(who, with, "threads", steps.load(), timer, socket);
}

}  // namespace

int main(int argc, char** argv) {
  constexpr bench::identity who{"fairness", "threads"};
  const auto with = bench::read_settings(argc, argv, who, default_size, size_means);
  bool fine = true;
  for (int i = 0; i < with.repeat; ++i) fine = run_storm(who, with) && fine;
  return fine ? 0 : 1;
}
