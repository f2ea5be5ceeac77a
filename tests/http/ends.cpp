// SPDX-License-Identifier: MIT
// How connections of http::server end. Whose cancellation a handler gets; clients that are gone,
// that send on, or that take nothing; handlers that outlast the grace.
#include "http/site.h"

#include <heddle/sched/to_thread.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace http_test;

class HttpServerEnds : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, HttpServerEnds, testing::ValuesIn(all_setups()), name_of);

/// A client without a stream: a stream would read ahead.
class plain_client {
 public:
  explicit plain_client(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const int small = 64 * 1024;
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  }
  plain_client(const plain_client&) = delete;
  ~plain_client() { ::close(socket_); }

  void send(std::string_view text) const {
    EXPECT_EQ(::send(socket_, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  /// What recv() returns. The bytes are dropped.
  ssize_t take() { return ::recv(socket_, dropped_.data(), dropped_.size(), MSG_DONTWAIT); }

 private:
  int socket_;
  std::array<char, 32 * 1024> dropped_{};
};

h::task<> wait_for_ever() {
  h::event never;
  co_await never.wait();
}

/// Awaits a task that another one cancels.
h::task<http::response> await_a_cancelled_task(http::request&) {
  auto other = h::create_task(wait_for_ever());
  other.cancel();
  co_await other;
  co_return http::response::text("not reached");
}

// ---- whose cancellation

TEST_P(HttpServerEnds, AHandlerThatAwaitedACancelledTaskHasFailed) {
  run([]() -> h::task<> {
    site s;
    s.server.get("/awaits", await_a_cancelled_task);
    s.server.get("/throws/it",
                 [](http::request&) -> http::response { throw h::cancelled_error(); });
    s.server.get("/streams", [](http::request&) {
      http::response r;
      r.stream.write = [](http::body_writer&) -> h::task<> {
        auto other = h::create_task(wait_for_ever());
        other.cancel();
        co_await other;
      };
      return r;
    });
    co_await s.start();
    const std::string all = co_await talk(s, get("/hello") + get("/awaits") + get("/throws/it") +
                                                 get("/streams") + get("/hello", and_close));
    const std::string failed = "500:500 Internal Server Error\n ";
    EXPECT_EQ(bodies(all), "hello " + failed + failed + failed + "hello");
  });
  EXPECT_EQ(reports,
            (std::vector<std::string>{"unhandled exception in the handler of GET /awaits",
                                      "unhandled exception in the handler of GET /throws/it",
                                      "unhandled exception in the handler of GET /streams"}));
}

TEST_P(HttpServerEnds, AStreamedAnswerThatCannotBeSentIs500AndHarmsNoEarlierOne) {
  run([]() -> h::task<> {
    site s;
    s.server.get("/status", [](http::request& r) {
      auto answer = site::pieces(std::nullopt);
      answer.status = std::stoi(std::string(r.raw_query()));
      return answer;
    });
    s.server.get("/fails/first", [](http::request&) {
      http::response r;
      r.stream.write = [](http::body_writer&) -> h::task<> {
        throw http::status_error(409, "not now");
        co_return;
      };
      return r;
    });
    co_await s.start();
    const std::string failed = "500:500 Internal Server Error\n ";
    const std::string all =
        co_await talk(s, get("/hello") + get("/status?99") + get("/status?1000") +
                             get("/status?100") + get("/fails/first") + get("/hello", and_close));
    EXPECT_EQ(bodies(all),
              "hello " + failed + failed + failed + "409:409 Conflict: not now\n hello");
  });
  EXPECT_EQ(reports, std::vector<std::string>(3, "a handler's response cannot be sent"));
}

// ---- clients that have gone

TEST_P(HttpServerEnds, PipelinedRequestsOfAClientThatResetAreNotBegun) {
  run([]() -> h::task<> {
    site s;
    co_await s.start();
    h::connection c = co_await h::open_connection("127.0.0.1", s.server.port());
    std::string requests;
    for (int i = 0; i < 300; ++i) requests += get("/gated");
    c.writer.write(requests);
    co_await s.entered.wait();
    c.writer.abort();
    co_await until([&] { return s.server.stats().connections == 0; });
    EXPECT_LE(s.server.stats().requests, 1u);
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

TEST_P(HttpServerEnds, AHandlerIsCancelledWhenItsClientResetsUnlessItChangesSomething) {
  run([]() -> h::task<> {
    site s;
    bool cancelled = false;
    bool finished = false;
    h::event begun, go_on;
    s.server.get("/safe", [&](http::request&) -> h::task<http::response> {
      struct note {
        bool& to;
        ~note() { to = true; }
      } at_end{cancelled};
      begun.set();
      co_await wait_for_ever();
      co_return http::response();
    });
    s.server.post("/unsafe", [&](http::request&) -> h::task<http::response> {
      begun.set();
      co_await go_on.wait();
      finished = true;
      co_return http::response::text("done");
    });
    co_await s.start();
    for (const std::string method : {"GET /safe", "POST /unsafe"}) {
      h::connection c = co_await h::open_connection("127.0.0.1", s.server.port());
      c.writer.write(method + " HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
      co_await begun.wait();
      begun.clear();
      c.writer.abort();
      if (method.starts_with("GET"))
        co_await until([&] { return s.server.stats().connections == 0; });
    }
    EXPECT_TRUE(cancelled);
    EXPECT_EQ(s.server.stats().working, 1u);
    go_on.set();
    co_await until([&] { return s.server.stats().connections == 0; });
    EXPECT_TRUE(finished);
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

TEST_P(HttpServerEnds, WritesOfAStreamedBodyFailSoonAfterTheClientHasGone) {
  run([]() -> h::task<> {
    site s;
    std::atomic<int> late = 0;
    std::atomic<bool> resets = false;
    std::atomic<bool> ended = false;
    s.server.get("/drip", [&](http::request&) {
      http::response r;
      r.stream.write = [&](http::body_writer& out) -> h::task<> {
        for (int n = 0; n < 10'000; ++n) {
          h::task<> sent = out.write("x");
          std::exception_ptr gone;
          try {
            co_await sent;
          } catch (const std::system_error&) { gone = std::current_exception(); }
          if (gone) {
            ended = true;
            std::rethrow_exception(gone);
          }
          if (resets) ++late;
          co_await h::sleep(1ms);
        }
      };
      return r;
    });
    co_await s.start();
    for (const bool by_reset : {true, false}) {
      resets = ended = false;
      late = 0;
      h::connection c = co_await h::open_connection("127.0.0.1", s.server.port());
      c.writer.write(get("/drip"));
      const std::string head = co_await c.reader.read_until("\r\n\r\n");
      EXPECT_TRUE(head.starts_with("HTTP/1.1 200"));
      if (by_reset)
        c.writer.abort();
      else
        c.writer.close();
      co_await closed(c.writer);
      resets = true;
      co_await until([&] { return s.server.stats().connections == 0; });
      EXPECT_TRUE(ended);
      EXPECT_LT(late, 300);
    }
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

TEST_P(HttpServerEnds, OthersAreServedBetweenPipelinedRequestsThatTakeLong) {
  run([]() -> h::task<> {
    site s;
    std::atomic<int> spun = 0;
    s.server.get("/spin", [&](http::request&) {
      const auto until = h::clock::now() + 5ms;
      while (h::clock::now() < until) {}
      ++spun;
      return http::response::text("spun");
    });
    co_await s.start();
    std::vector<h::connection> hogs;
    for (int i = 0; i < 16; ++i) {
      h::connection c = co_await h::open_connection("127.0.0.1", s.server.port());
      std::string requests;
      for (int k = 0; k < 300; ++k) requests += get("/spin");
      c.writer.write(requests);
      hogs.push_back(std::move(c));
    }
    co_await until([&] { return spun > 0; });
    // Without turns, this task would wait for the end of the batch.
    const std::string all = co_await talk(s, get("/hello", and_close));
    EXPECT_EQ(bodies(all), "hello");
    EXPECT_LT(spun, 16 * 300 / 2);
    for (auto& c : hogs) c.writer.abort();
    co_await s.server.stop(30s);
    EXPECT_LT(spun, 16 * 300 / 2);
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

// ---- clients that send on, or take nothing

TEST_P(HttpServerEnds, TheLastAnswerArrivesAlthoughTheClientIsStillSending) {
  run([]() -> h::task<> {
    site s;
    co_await s.start();
    const std::string more(3'000'000, 'x');
    const std::string all = co_await talk(s, get("/hello", and_close) + more);
    EXPECT_EQ(bodies(all), "hello");
    const std::string old = co_await talk(s, "GET /pieces HTTP/1.0\r\n\r\n" + more);
    EXPECT_EQ(bodies(old), "onetwosix");
    const std::string head = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 20000000\r\n\r\n";
    const std::string refused = co_await talk(s, head + std::string(20'000'000, 'x'));
    EXPECT_TRUE(bodies(refused).starts_with("413:")) << refused.substr(0, 100);
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

TEST_P(HttpServerEnds, RequestTimeoutArrivesAlthoughTheClientSendsOn) {
  run([]() -> h::task<> {
    http::server_options o;
    o.header_timeout = 50ms;
    o.linger_timeout = 50ms;
    site s(o);
    co_await s.start();
    h::connection c = co_await h::open_connection("127.0.0.1", s.server.port());
    c.writer.write("GET / HTTP/1.1\r\nX: ");
    const std::string answer = co_await c.reader.read_until("\r\n\r\n408 Request Timeout\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 408")) << answer;
    c.writer.write("more");
    const std::string rest = co_await read_to_end(c);
    EXPECT_EQ(rest, "");
    co_await until([&] { return s.server.stats().connections == 0; });
  });
}

TEST_P(HttpServerEnds, AClientThatStaysAfterItsLastAnswerIsWaitedForOnlySoLong) {
  run([]() -> h::task<> {
    http::server_options o;
    o.linger_timeout = 20ms;
    o.linger_time = 60ms;
    site s(o);
    co_await s.start();
    h::connection silent = co_await h::open_connection("127.0.0.1", s.server.port());
    silent.writer.write(get("/hello", and_close));
    h::connection loud = co_await h::open_connection("127.0.0.1", s.server.port());
    loud.writer.write(get("/hello", and_close));
    co_await until([&] { return s.server.stats().requests == 2; });
    co_await until([&] {
      loud.writer.write("x");
      return s.server.stats().connections == 0;
    });
  });
}

TEST_P(HttpServerEnds, AHalfClosedClientThatReadsNothingIsEnded) {
  run([]() -> h::task<> {
    http::server_options o;
    o.write_timeout = 40ms;
    site s(o);
    s.server.get("/much",
                 [](http::request&) { return http::response::text(std::string(60'000, 'x')); });
    co_await s.start();
    h::connection c = co_await h::open_connection("127.0.0.1", s.server.port());
    const int small = 4096;
    ::setsockopt(c.writer.native_handle(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    std::string requests;
    for (int i = 0; i < 200; ++i) requests += get("/much");
    c.writer.write(requests);
    c.writer.write_eof();
    co_await until([&] { return s.server.stats().requests > 0; });
    co_await until([&] { return s.server.stats().connections == 0; });
    const auto before = open_descriptors();
    c.writer.abort();
    co_await until([&] { return open_descriptors() < before; });
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

TEST_P(HttpServerEnds, ASlowClientThatTakesSomethingIsNotCutOff) {
  run([]() -> h::task<> {
    http::server_options o;
    o.write_timeout = 600ms;
    site s(o);
    co_await s.start();
    plain_client c(s.server.port());
    c.send(get("/large", and_close));
    std::size_t taken = 0;
    // Some 1.6 s in all, more than twice the time-out. But the client never takes nothing for long.
    for (ssize_t n = 1; n != 0;) {
      for (std::size_t part = 0; part < 128u * 1024; part += static_cast<std::size_t>(n)) {
        n = c.take();
        if (n <= 0) break;
        taken += static_cast<std::size_t>(n);
      }
      if (n < 0 && errno != EAGAIN) break;
      if (n != 0) co_await h::sleep(25ms);
    }
    EXPECT_GT(taken, 8u << 20);
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

// ---- stop

TEST_P(HttpServerEnds, StopCancelsWhatOutlastsTheGraceAndWaitsForItsEnd) {
  run([]() -> h::task<> {
    site s;
    bool cleaned = false;
    bool streamed = false;
    h::event begun;
    s.server.get("/stays", [&](http::request&) -> h::task<http::response> {
      begun.set();
      bool cancelled = false;
      try {
        co_await wait_for_ever();
      } catch (const h::cancelled_error&) { cancelled = true; }
      co_await h::sleep(20ms);
      cleaned = cancelled;
      throw h::cancelled_error();
    });
    s.server.get("/streams", [&](http::request&) {
      http::response r;
      r.stream.write = [&](http::body_writer& out) -> h::task<> {
        struct note {
          bool& to;
          ~note() { to = true; }
        } at_end{streamed};
        for (;;) {
          h::task<> sent = out.write("x");
          co_await sent;
          co_await h::sleep(1ms);
        }
      };
      return r;
    });
    co_await s.start();
    h::connection a = co_await h::open_connection("127.0.0.1", s.server.port());
    a.writer.write(get("/stays"));
    h::connection b = co_await h::open_connection("127.0.0.1", s.server.port());
    b.writer.write(get("/streams"));
    const std::string head = co_await b.reader.read_until("\r\n\r\n");
    EXPECT_TRUE(head.starts_with("HTTP/1.1 200"));
    co_await begun.wait();
    co_await s.server.stop(10ms);
    EXPECT_TRUE(cleaned);
    EXPECT_TRUE(streamed);
    EXPECT_EQ(s.server.stats().connections, 0u);
    const std::string rest = co_await read_to_end(a);
    EXPECT_EQ(bodies(rest.substr(0, rest.find('('))), "");
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

TEST_P(HttpServerEnds, AHandlerMayStopItsOwnServer) {
  run([]() -> h::task<> {
    site s;
    bool stopped = false;
    s.server.get("/stop", [&](http::request&) -> h::task<http::response> {
      h::task<> work = s.server.stop(20ms);
      co_await work;
      stopped = true;
      co_return http::response::text("stopped");
    });
    co_await s.start();
    h::connection c = co_await h::open_connection("127.0.0.1", s.server.port());
    c.writer.write(get("/stop"));
    const std::string nothing = co_await read_to_end(c);
    co_await until([&] { return s.server.stats().connections == 0; });
    EXPECT_TRUE(stopped);
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

}  // namespace
