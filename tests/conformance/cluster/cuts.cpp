// SPDX-License-Identifier: MIT
// CLU-SUB, CLU-RES, CLU-WRK: servers that die or stop, and connections that are cut.
#include "cluster_cases.h"
#include "raw_nats.h"

#include <heddle/io/server.h>
#include <heddle/io/stream.h>

#include <atomic>
#include <fstream>
#include <mutex>

namespace {

using namespace conformance;

CLUSTER_CASES(CLU_CUTS);

/// Stands between a client and the server, and cuts.
struct proxy {
  std::atomic<bool> open{true};           // false: whoever connects is turned away
  std::atomic<bool> eat_next_ack{false};  // cuts in place of passing an answer to a submit
  std::atomic<bool> eat_next_outcome{false};
  std::atomic<bool> deaf{false};  // nothing that the server says is read
  std::atomic<int> cuts{0};
  std::uint16_t port = 0;  // the server's
  std::mutex lock;
  std::vector<std::shared_ptr<h::connection>> ends;

  void cut() {
    const std::lock_guard hold(lock);
    for (auto& e : ends) e->writer.abort();
    ends.clear();
    ++cuts;
  }
};

h::task<> pass(std::shared_ptr<proxy> p, std::shared_ptr<h::connection> from,
               std::shared_ptr<h::connection> to, bool answers) {
  try {
    for (;;) {
      while (answers && p->deaf) co_await h::sleep(5ms);
      const auto bytes = co_await from->reader.read(65536);
      if (bytes.empty()) break;
      const bool ack = answers && bytes.find("{\"stream\":\"HJ_") != std::string::npos;
      const bool outcome = answers && bytes.find("Heddle-Kind:") != std::string::npos;
      if ((ack && p->eat_next_ack.exchange(false)) ||
          (outcome && p->eat_next_outcome.exchange(false))) {
        p->cut();
        break;
      }
      to->writer.write(bytes);
      co_await to->writer.drain();
    }
  } catch (const std::system_error&) {}  // NOLINT(bugprone-empty-catch): an end was reset
  to->writer.close();
}

h::task<> between(std::shared_ptr<proxy> p, h::connection guest) {
  if (!p->open) co_return;
  auto a = std::make_shared<h::connection>(std::move(guest));
  auto b = std::make_shared<h::connection>(co_await h::open_connection("127.0.0.1", p->port));
  {
    const std::lock_guard hold(p->lock);
    p->ends.push_back(a);
    p->ends.push_back(b);
  }
  auto up = h::create_task(pass(p, a, b, false));
  auto down = h::create_task(pass(p, b, a, true));
  (void)co_await ending(up);
  (void)co_await ending(down);
}

/// Runs body(client behind the proxy, proxy, client that is not).
template <class F>
h::task<> behind_proxy(cl::options o, F body) {
  auto p = std::make_shared<proxy>();
  p->port = o.servers.front().port;
  auto server = co_await h::start_server([p](h::connection c) { return between(p, std::move(c)); },
                                         "127.0.0.1", 0);
  {
    cl::client straight(o);
    auto through = o;
    through.servers = {{"127.0.0.1", server.port()}};
    cl::client c(through);
    cl::use(c);
    auto running = body(c, p, straight);
    co_await std::move(running);
  }
  p->cut();
  server.close();
  co_await server.wait_closed();
}

TEST_P(CLU_CUTS, CLU_SUB_02_AnAcceptedJobOutlivesTheServer) {
  cluster([](cl::client c) -> h::task<> {
    auto handle = co_await cl::submit(jobs::twice, 21);
    nats_server::common().kill();
    nats_server::common().start();
    here_worker w(c);
    const auto value = co_await handle.result();
    EQUAL(value, 42);
    (void)co_await w.stop();
  });
}

TEST_P(CLU_CUTS, CLU_SUB_03_ALostAcknowledgementMakesNoSecondJob) {
  run([]() -> h::task<> {
    auto body = [](cl::client c, std::shared_ptr<proxy> p, cl::client straight) -> h::task<> {
      const auto file = fresh_file();
      co_await c.connect();
      p->eat_next_ack = true;
      auto handle = co_await cl::submit(jobs::log_and_wait, file, 1, 0);
      EQUAL(p->cuts.load(), 1);
      EQUAL(c.stats().submitted, 1u);
      here_worker w(straight);
      (void)co_await handle.result();
      EQUAL(count_lines(file, "begin"), 1u);
      raw_nats raw(straight);
      const auto empty = co_await eventually([&] { return raw.jobs() == 0; });
      HOLDS(empty);
      (void)co_await w.stop();
    };
    auto running = behind_proxy(fresh_cluster(), body);
    co_await std::move(running);
  });
}

TEST_P(CLU_CUTS, CLU_SUB_09_AStoppedServerStopsNoTimer) {
  served([](cl::client c) -> h::task<> {
    (void)co_await h::to_cluster(jobs::twice, 1);
    nats_server::common().pause();
    std::vector<h::task_handle<int>> calls;
    for (int i = 0; i < 50; ++i) calls.push_back(h::create_task(h::to_cluster(jobs::twice, i)));
    const auto began = std::chrono::steady_clock::now();
    int ticks = 0;
    while (std::chrono::steady_clock::now() - began < 1s) {
      co_await h::sleep(1ms);
      ++ticks;
    }
    HOLDS(ticks >= 20);  // some hundreds; a busy machine is slow, a blocked loop has one
    for (const auto& call : calls) HOLDS(!call.done());
    nats_server::common().go_on();
    int wrong = 0;
    for (int i = 0; i < 50; ++i) {
      const int got = co_await calls[static_cast<std::size_t>(i)];
      wrong += got != 2 * i;
    }
    EQUAL(wrong, 0);
    (void)c;
  });
}

TEST_P(CLU_CUTS, CLU_RES_03_AnOutcomeThatIsMissedIsFound) {
  run([]() -> h::task<> {
    auto body = [](cl::client c, std::shared_ptr<proxy> p, cl::client straight) -> h::task<> {
      here_worker w(straight);
      const auto first = co_await h::to_cluster(jobs::twice, 1);
      EQUAL(first, 2);
      p->eat_next_outcome = true;
      const auto second = co_await h::to_cluster(jobs::twice, 2);
      EQUAL(second, 4);
      EQUAL(p->cuts.load(), 1);
      HOLDS(c.stats().connects >= 2);
      (void)co_await w.stop();
    };
    auto running = behind_proxy(fresh_cluster(), body);
    co_await std::move(running);
  });
}

TEST_P(CLU_CUTS, CLU_FLT_03_ASubmitterThatDoesNotReadFindsItsOutcomes) {
  const auto settings = fresh_file();
  std::ofstream(settings) << "max_pending: 1048576\nwrite_deadline: \"1s\"\n";
  nats_server server({"-c", settings});
  auto o = fresh_cluster();
  o.servers = {{"127.0.0.1", server.port()}};
  o.max_bytes = 64 * 1024 * 1024;
  o.request_limit = 2s;
  run([&]() -> h::task<> {
    auto body = [&](cl::client c, std::shared_ptr<proxy> p, cl::client straight) -> h::task<> {
      const std::size_t size = 500'000;  // 50 MB: more than the kernel keeps
      std::vector<h::task_handle<std::string>> calls;
      for (int i = 0; i < 100; ++i)
        calls.push_back(h::create_task(h::to_cluster(jobs::makes_bytes, size)));
      const auto all = co_await eventually([&] { return c.stats().submitted == 100; });
      HOLDS(all);
      p->deaf = true;
      here_worker w(straight);
      const auto dropped = co_await eventually(
          [&] { return server.log().find("Slow Consumer") != std::string::npos; });
      HOLDS(dropped);
      p->deaf = false;
      int wrong = 0;
      for (auto& one : calls) {
        const auto text = co_await one;
        wrong += text.size() != size;
      }
      EQUAL(wrong, 0);
      (void)co_await w.stop();
    };
    auto running = behind_proxy(o, body);
    co_await std::move(running);
  });
}

TEST_P(CLU_CUTS, CLU_TIM_03_ATimeOutAroundTheCallTravelsWithTheJob) {
  run([]() -> h::task<> {
    auto body = [](cl::client c, std::shared_ptr<proxy> p, cl::client straight) -> h::task<> {
      const auto file = fresh_file();
      co_await c.connect();
      raw_nats raw(straight);
      // Two blocks, the outer one ends first. No cancellation reaches the cluster: the link is cut.
      auto waiting = h::create_task([&]() -> h::task<> {
        co_await h::timeout(700ms, [&]() -> h::task<> {
          auto call = h::wait_for(h::to_cluster(jobs::log_and_wait, file, 1, 0), 1h);
          (void)co_await std::move(call);
        });
      });
      const auto there = co_await eventually([&] { return raw.jobs() == 1; });
      HOLDS(there);
      p->open = false;
      p->cut();
      const auto how = co_await ending(waiting);
      EQUAL(how, "Timeout");
      here_worker w(straight);
      const auto ended = co_await eventually([&] { return raw.jobs() == 0; });
      HOLDS(ended);
      HOLDS(lines_of(file).empty());
      EQUAL(straight.stats().started, 0u);
      p->open = true;
      (void)co_await w.stop();
    };
    auto running = behind_proxy(fresh_cluster(), body);
    co_await std::move(running);
  });
}

TEST_P(CLU_CUTS, CLU_WRK_05_AJobOutlivesItsWorkersConnection) {
  run([]() -> h::task<> {
    auto body = [](cl::client c, std::shared_ptr<proxy> p, cl::client straight) -> h::task<> {
      const auto file = fresh_file();
      cl::use(straight);
      here_worker w(c);
      auto running = h::create_task(h::to_cluster(jobs::log_and_wait, file, 1, 300));
      const auto begun = co_await eventually([&] { return count_lines(file, "begin") == 1; });
      HOLDS(begun);
      p->open = false;
      p->cut();
      const auto over = co_await eventually([&] { return count_lines(file, "end") == 1; });
      HOLDS(over);
      HOLDS(!running.done());
      p->open = true;
      const auto where = co_await running;
      EQUAL(where, w.worker().name());
      EQUAL(count_lines(file, "begin"), 1u);
      (void)co_await w.stop();
    };
    auto running = behind_proxy(fresh_cluster(), body);  // its ack_wait is 10 s
    co_await std::move(running);
  });
}

}  // namespace
