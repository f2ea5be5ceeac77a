// SPDX-License-Identifier: MIT
// TLS: many handshakes at once, and a loop that does not return, beside connections that go on.
#include "tls_support.h"

#include <heddle/core/base/config.h>

namespace {

using namespace conformance;

REACTOR_CASES(IO_TLS_LOAD);

h::task<bool> asks(h::connection& c, std::string line) {
  c.writer.write(line);
  const std::string answer = co_await c.reader.read_line();
  co_return answer == line;
}

h::task<bool> connects_and_asks(std::uint16_t port, h::connection_options o) {
  auto c = co_await h::open_connection(here, port, o);
  auto work = asks(c, "question\n");
  const bool right = co_await std::move(work);
  c.writer.close();
  co_return right;
}

/// Counts the turns of a timer, until `over`.
h::task<> tick(std::atomic<bool>& over, std::atomic<std::size_t>& ticks) {
  while (!over) {
    co_await h::sleep(100us);
    ++ticks;
  }
}
/// Counts the answers on a connection, until `over`.
h::task<std::size_t> chat(h::connection& c, std::atomic<bool>& over) {
  std::size_t answers = 0;
  while (!over) {
    auto work = asks(c, "beside\n");
    answers += co_await std::move(work);
    co_await h::sleep(100us);
  }
  co_return answers;
}

// Not a time but a number is asked for, so that the machine may be as slow as it likes. A loop that
// looked at its timers and its reactor only every 61 steps would come to a dozen turns or so. On
// several loops the kernel decides which thread has turns, so there the number is not asked for.
TEST_P(IO_TLS_LOAD, IO_TLS_46_ManyHandshakesAtOnceLeaveTurnsToOthers) {
  run([alone = one_loop()]() -> h::task<> {
    auto s = co_await h::start_server(echo, here, 0, with_tls());
    h::tls_options forgetful = trusting();
    forgetful.sessions = 0;  // full handshakes
    const auto o = by_tls(h::tls_context::client(forgetful));
    auto beside = co_await h::open_connection(here, s.port(), o);
    std::atomic<bool> over{false};
    std::atomic<std::size_t> ticks{0};
    auto ticking = h::create_task(tick(over, ticks));
    auto chatting = h::create_task(chat(beside, over));
    std::vector<h::task_handle<bool>> all;
    const std::size_t n = sized(100, 1000);
    for (std::size_t i = 0; i < n; ++i)
      all.push_back(h::create_task(connects_and_asks(s.port(), o)));
    std::size_t right = 0;
    for (auto& one : all) right += co_await one;
    over = true;
    co_await ticking;
    const std::size_t answers = co_await chatting;
    EQUAL(right, n);
    HOLDS(!alone || ticks >= 20) << ticks;
    HOLDS(!alone || answers >= 5) << answers;
  });
}

TEST_P(IO_TLS_LOAD, IO_TLS_47_AHoggedLoopsConnectionsAndHandshakesAreServedByOthers) {
  run([alone = one_loop()]() -> h::task<> {
    auto s = co_await h::start_server(echo, here, 0, with_tls());
    const auto o = by_tls();
    std::vector<h::connection> live;
    for (int i = 0; i < 8; ++i) {
      auto c = co_await h::open_connection(here, s.port(), o);
      live.push_back(std::move(c));
    }
    std::atomic<bool> hogging{false};
    std::atomic<bool> done{alone};  // with one loop there is nobody to help
    auto hog = h::create_task([&]() -> h::task<> {
      hogging = true;
      while (!done) h::detail::cpu_relax();
      co_return;
    });
    auto begun = until([&] { return hogging.load(); });
    co_await std::move(begun);
    std::size_t right = 0;
    for (auto& c : live) {
      auto work = asks(c, "during\n");
      right += co_await std::move(work);
    }
    for (int i = 0; i < 8; ++i) {
      auto work = connects_and_asks(s.port(), o);
      right += co_await std::move(work);
    }
    EQUAL(right, 16u);
    done = true;
    co_await hog;
  });
}

}  // namespace
