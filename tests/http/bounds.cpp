// SPDX-License-Identifier: MIT
// What clients of http::server can cost is bounded. What a deadline costs does not depend on how
// many others there are.
#include "http/site.h"

#include <heddle/io/http/serving/engine.h>

#include <sys/socket.h>

#include <memory>
#include <string>
#include <vector>

namespace {

using namespace http_test;

class HttpServerBounds : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, HttpServerBounds, testing::ValuesIn(all_setups()), name_of);

TEST_P(HttpServerBounds, NoHandlerIsCalledWhileTheClientHasALotToTake) {
  run([]() -> h::task<> {
    site s;
    std::atomic<std::size_t> made = 0;
    s.server.get("/page", [&](http::request&) -> h::task<http::response> {
      co_await h::yield_now();
      made += 60'000;
      co_return http::response::text(std::string(60'000, 'x'));
    });
    co_await s.start();
    h::connection c = co_await h::open_connection("127.0.0.1", s.server.port());
    std::string requests;
    for (int i = 0; i < 420; ++i) requests += get("/page");
    c.writer.write(requests + get("/hello", and_close));
    // Waits until the server stands still. Nothing is read here.
    std::size_t seen = 1;
    for (int same = 0; same < 50; same = made == seen ? same + 1 : 0) {
      seen = made;
      co_await h::sleep(2ms);
    }
    const std::size_t pending = made;
    std::string all = co_await read_to_end(c);
    EXPECT_TRUE(all.ends_with("hello")) << all.size();
    EXPECT_EQ(made, 420u * 60'000u);
    // The kernel holds some megabytes. All answers together would be 25.
    EXPECT_LT(pending, 20u * 1000 * 1000);
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

TEST_P(HttpServerBounds, ConnectionsBeyondTheLimitAreToldSo) {
  run([]() -> h::task<> {
    http::server_options o;
    o.max_connections = 2;
    o.linger_timeout = 20ms;
    site s(o);
    co_await s.start();
    h::connection a = co_await h::open_connection("127.0.0.1", s.server.port());
    h::connection b = co_await h::open_connection("127.0.0.1", s.server.port());
    co_await until([&] { return s.server.stats().connections == 2; });
    const std::string refused = co_await talk(s, get("/hello"));
    EXPECT_TRUE(bodies(refused).starts_with("503:")) << refused;
    EXPECT_NE(refused.find("max_connections"), std::string::npos);
    a.writer.close();
    co_await until([&] { return s.server.stats().connections == 1; });
    const std::string all = co_await talk(s, get("/hello", and_close));
    EXPECT_EQ(bodies(all), "hello");
  });
}

TEST_P(HttpServerBounds, BodiesOfAllRequestsTogetherAreLimited) {
  run([]() -> h::task<> {
    http::server_options o;
    o.max_held_bytes = 1'000'000;
    site s(o);
    co_await s.start();
    const std::string head = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n";
    std::vector<h::connection> slow;
    std::size_t refused = 0;
    for (int i = 0; i < 4; ++i) {
      h::connection c = co_await h::open_connection("127.0.0.1", s.server.port());
      c.writer.write(head + std::string(400'000, 'x'));
      slow.push_back(std::move(c));
    }
    co_await until([&] { return s.server.stats().refused > 0; });
    for (auto& c : slow) c.writer.write_eof();
    for (auto& c : slow) {
      const std::string all = co_await read_to_end(c);
      if (all.empty()) continue;
      EXPECT_TRUE(bodies(all).starts_with("503:")) << all;
      EXPECT_NE(all.find("max_held_bytes"), std::string::npos);
      ++refused;
    }
    EXPECT_GE(refused, 1u);
    EXPECT_LE(refused, 3u);
    co_await until([&] { return s.server.stats().connections == 0; });
    const std::string fine = co_await talk(s, get("/hello", and_close));
    EXPECT_EQ(bodies(fine), "hello");
  });
}

TEST_P(HttpServerBounds, EmptyLinesAreCountedHoweverTheyAreCut) {
  run([]() -> h::task<> {
    site s;
    co_await s.start();
    h::connection c = co_await h::open_connection("127.0.0.1", s.server.port());
    std::string answer;
    int sent = 0;
    for (; sent < 500 && answer.empty(); ++sent) {
      c.writer.write("\r\n");
      co_await h::sleep(1ms);
      auto reading = h::wait_for(c.reader.read(10), 1ms);
      try {
        answer = co_await std::move(reading);
      } catch (const h::timeout_error&) {}
    }
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 4")) << answer << " after " << sent;
  });
}

// If each deadline took a look at all connections, there would be 4 million looks.
TEST_P(HttpServerBounds, EachDeadlineCostsOneLookAtOneConnection) {
  run([]() -> h::task<> {
    constexpr std::size_t many = 2000;
    const auto e = http::detail::engine::make(http::server_options());
    ends both = co_await connect_ends();
    std::vector<std::unique_ptr<http::detail::watched>> all;
    const auto now = h::clock::now();
    for (std::size_t i = 0; i < many; ++i) {
      all.push_back(std::make_unique<http::detail::watched>(e->watching, both.server.writer));
      const auto by = now + std::chrono::microseconds(100 * ((i * 7919) % many));
      EXPECT_TRUE(all.back()->wait(http::detail::phase::reading, by, false));
    }
    co_await until([&] { return e->watching.count().open == 0; });
    EXPECT_EQ(e->watching.looks(), many);
    for (auto& s : all) EXPECT_EQ(s->back(), http::detail::after::nothing);
  });
}

TEST_P(HttpServerBounds, ADeadlineThatMovesAwayCostsNothingUntilTheOldOneIsOver) {
  run([]() -> h::task<> {
    const auto e = http::detail::engine::make(http::server_options());
    ends both = co_await connect_ends();
    {
      http::detail::watched busy(e->watching, both.server.writer);
      http::detail::watched other(e->watching, both.server.writer);
      for (int i = 0; i < 10'000; ++i) {
        EXPECT_TRUE(busy.wait(http::detail::phase::reading, h::clock::now() + 1h, false));
        EXPECT_EQ(busy.back(), http::detail::after::go_on);
      }
      EXPECT_TRUE(other.wait(http::detail::phase::reading, h::clock::now() + 1ms, false));
      co_await until([&] { return e->watching.count().open == 1; });
      EXPECT_EQ(e->watching.looks(), 1u);
      EXPECT_EQ(other.back(), http::detail::after::nothing);
    }
    EXPECT_EQ(e->watching.others(), 0u);
  });
}

}  // namespace
