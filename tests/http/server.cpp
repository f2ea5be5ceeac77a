// SPDX-License-Identifier: MIT
// What http::server answers: pipelining, bodies, methods, errors, time-outs.
#include "http/site.h"

#include <heddle/io/http/run_app.h>
#include <heddle/io/http/session.h>

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace http_test;

class HttpServer : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, HttpServer, testing::ValuesIn(all_setups()), name_of);

TEST_P(HttpServer, AnswersAndKeepsTheConnectionUntilItIsAskedToClose) {
  run([]() -> h::task<> {
    site s;
    co_await s.start();
    const std::string all =
        co_await talk(s, get("/hello") + get("/late") + get("/hello", and_close));
    EXPECT_EQ(bodies(all), "hello late hello");
    EXPECT_EQ(s.server.stats().requests, 3u);
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

/// Asks on a connection of its own. Yields the body of the answer.
h::task<std::string> ask_alone(std::uint16_t port, std::string path) {
  h::connection c = co_await h::open_connection("127.0.0.1", port);
  c.writer.write(get(path, and_close));
  std::string all;
  for (;;) {
    const bool more = co_await c.reader.fill();
    if (!more) break;
    all += c.reader.buffered();
    c.reader.consume(c.reader.buffered().size());
  }
  co_return all.substr(std::min(all.size(), all.find("\r\n\r\n") + 4));
}

TEST_P(HttpServer, HandlersReachTheFiguresOfTheirServer) {
  run([]() -> h::task<> {
    http::router r;
    r.get("/count", [](http::request& q) {
      const auto s = q.server_stats();
      return std::to_string(s.requests) + " " + std::to_string(s.by_class[1]) + " " +
             std::to_string(s.by_class[3]);
    });
    http::run_options o;
    o.listen = {http::listen("127.0.0.1", 0)};
    std::uint16_t port = 0;
    h::event started;
    o.on_started = [&](http::server& s) {
      port = s.port();
      started.set();
    };
    auto running = h::create_task(http::run_app(r, o));
    co_await started.wait();
    EXPECT_EQ(co_await ask_alone(port, "/count"), "0 0 0");
    (void)co_await ask_alone(port, "/nowhere");
    EXPECT_EQ(co_await ask_alone(port, "/count"), "2 1 1");
    running.cancel();
    try {
      co_await running;
    } catch (const h::cancelled_error&) {}
    EXPECT_EQ(http::request().server_stats().requests, 0u);
  });
}

TEST_P(HttpServer, AnswersAPipelinedReadWithOneSend) {
  run([]() -> h::task<> {
    site s;
    co_await s.start();
    h::connection c = co_await h::open_connection("127.0.0.1", s.server.port());
    std::string requests;
    for (int i = 0; i < 16; ++i) requests += get("/hello");
    c.writer.write(requests);
    std::size_t answers = 0;
    http::response_parser parser;
    while (answers < 16) {
      const bool more = co_await c.reader.fill();
      if (!more) break;
      while (!c.reader.buffered().empty()) {
        c.reader.consume(parser.feed(c.reader.buffered()));
        if (!parser.done()) break;
        ++answers;
        parser.next();
      }
    }
    EXPECT_EQ(answers, 16u);
    tcp_info info{};
    socklen_t size = sizeof info;
    EXPECT_EQ(::getsockopt(c.writer.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    // One, but the kernel repeats a segment whose acknowledgement it misses on a busy machine.
    EXPECT_LE(info.tcpi_data_segs_in, 2u) << "segments for 16 answers";
  });
}

TEST_P(HttpServer, AnswersPipelinedRequestsInTheirOrder) {
  run([]() -> h::task<> {
    site s;
    co_await s.start();
    std::string requests;
    std::string expected;
    for (int i = 0; i < 40; ++i) {
      const bool late = i % 3 == 1;
      requests += get(late ? "/late" : "/any/" + std::to_string(i));
      expected += (late ? "late " : "/any/" + std::to_string(i) + " ");
    }
    const std::string all = co_await talk(s, requests + get("/hello", and_close));
    EXPECT_EQ(bodies(all), expected + "hello");
  });
}

TEST_P(HttpServer, SendsWhatIsReadyBeforeItCallsAHandlerThatMayWait) {
  run([]() -> h::task<> {
    site s;
    co_await s.start();
    h::connection c = co_await h::open_connection("127.0.0.1", s.server.port());
    c.writer.write(get("/hello") + get("/gated", and_close));
    const std::string head = co_await c.reader.read_until("hello");
    EXPECT_TRUE(head.ends_with("hello"));
    s.gate.set();
    const std::string rest = co_await read_to_end(c);
    EXPECT_EQ(bodies(rest), "through");
  });
}

TEST_P(HttpServer, TakesRequestsByteByByte) {
  run([]() -> h::task<> {
    site s;
    co_await s.start();
    h::connection c = co_await h::open_connection("127.0.0.1", s.server.port());
    const std::string text =
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        "5\r\nhello\r\n7;x=y\r\n, again\r\n0\r\nT: x\r\n\r\n";
    for (const char byte : text) {
      c.writer.write(std::string_view(&byte, 1));
      co_await h::yield_now();
    }
    const std::string all = co_await read_to_end(c);
    EXPECT_EQ(bodies(all), "hello, again");
  });
}

TEST_P(HttpServer, StreamsABodyInChunksOrByItsLengthOrUntilTheEnd) {
  run([]() -> h::task<> {
    site s;
    co_await s.start();
    const std::string chunked = co_await talk(s, get("/pieces") + get("/counted", and_close));
    EXPECT_EQ(bodies(chunked), "onetwosix onetwosix");
    EXPECT_NE(chunked.find("\r\nTransfer-Encoding: chunked\r\n"), std::string::npos);
    EXPECT_NE(chunked.find("\r\nContent-Length: 9\r\n"), std::string::npos);
    const std::string old =
        co_await talk(s, "GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(bodies(old), "onetwosix");
    EXPECT_EQ(old.find("chunked"), std::string::npos);
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

TEST_P(HttpServer, BreaksTheConnectionWhenAStreamedBodyBreaksItsPromise) {
  run([]() -> h::task<> {
    site s;
    co_await s.start();
    const std::string too_short = co_await talk(s, get("/short"));
    EXPECT_EQ(bodies(too_short.substr(0, too_short.find('('))), "(broken)");
    const std::string too_long = co_await talk(s, get("/long"));
    EXPECT_EQ(too_long.find("twosix"), std::string::npos);
  });
  EXPECT_EQ(reports,
            (std::vector<std::string>{"a streamed body failed", "a streamed body failed"}));
}

TEST_P(HttpServer, AnswersHeadWithoutTheBody) {
  run([]() -> h::task<> {
    site s;
    co_await s.start();
    const std::string all = co_await talk(
        s,
        "HEAD /hello HTTP/1.1\r\nHost: h\r\n\r\nHEAD /pieces HTTP/1.1\r\nHost: h\r\n\r\n"
        "HEAD /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(bodies(all, http::method::head), "  ");
    EXPECT_NE(all.find("Content-Length: 5\r\n"), std::string::npos);
  });
}

TEST_P(HttpServer, FindsTheLongestPrefixAndAnyExactRouteFirst) {
  run([]() -> h::task<> {
    site s;
    s.server.get("/any/exact", [](http::request&) { return http::response::text("exact"); });
    co_await s.start();
    const std::string all = co_await talk(
        s, get("/any/x%20y?q") + get("/any/more/x") + get("/any/exact") + get("/any", and_close));
    EXPECT_EQ(bodies(all), "/any/x y more exact 404:404 Not Found\n");
  });
}

TEST_P(HttpServer, NamesTheMethodsThatAPathAllows) {
  run([]() -> h::task<> {
    site s;
    s.server.route(http::method::put, "/hello",
                   [](http::request&) { return http::response::text("put"); });
    co_await s.start();
    const std::string all =
        co_await talk(s,
                      "POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
                      "PUT /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"
                      "BIND /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(bodies(all), "405:405 Method Not Allowed\n put 405:405 Method Not Allowed\n");
    EXPECT_NE(all.find("\r\nAllow: GET, HEAD, PUT\r\n"), std::string::npos);
  });
}

TEST_P(HttpServer, AnswersForAHandlerThatFailsAndReportsIt) {
  run([]() -> h::task<> {
    site s;
    co_await s.start();
    const std::string all = co_await talk(s, get("/throws") + get("/throws/late") + get("/teapot") +
                                                 get("/nonsense") + get("/hello", and_close));
    const std::string failed = "500:500 Internal Server Error\n ";
    EXPECT_EQ(bodies(all), failed + failed + "409:409 Conflict: no tea\n " + failed + "hello");
  });
  EXPECT_EQ(reports,
            (std::vector<std::string>{"unhandled exception in the handler of GET /throws",
                                      "unhandled exception in the handler of GET /throws/late",
                                      "a handler's response cannot be sent"}));
}

TEST_P(HttpServer, RefusesWhatIsMalformedOrTooLargeAndCloses) {
  run([]() -> h::task<> {
    http::server_options o;
    o.limits.body_bytes = 100;
    site s(o);
    co_await s.start();
    struct refusal {
      std::string text;
      int status;
    };
    const std::vector<refusal> cases = {
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET /\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        {get("/", "A: b\r\n c\r\n"), 400},
        {get("/", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), 400},
        {get("/" + std::string(9000, 'a')), 414},
        {get("/", "A: " + std::string(70'000, 'a') + "\r\n"), 431},
        {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n", 413},
        {"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n", 413},
        {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
        {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
    };
    for (const auto& c : cases) {
      const std::string all = co_await talk(s, get("/hello") + c.text);
      EXPECT_TRUE(bodies(all).starts_with("hello " + std::to_string(c.status) + ":")) << all;
      EXPECT_NE(all.find("\r\nConnection: close\r\n"), std::string::npos) << all;
    }
    EXPECT_EQ(s.server.stats().refused, cases.size());
  });
}

TEST_P(HttpServer, LetsARefusedClientReadWhyAlthoughItIsStillSending) {
  run([]() -> h::task<> {
    site s;
    co_await s.start();
    const std::string head = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n";
    const std::string all = co_await talk(s, head + std::string(900'000, 'x'));
    EXPECT_TRUE(bodies(all).starts_with("413:")) << all.substr(0, 100);
  });
}

TEST_P(HttpServer, TellsAClientToGoOnWithItsBody) {
  run([]() -> h::task<> {
    site s;
    co_await s.start();
    h::connection c = co_await h::open_connection("127.0.0.1", s.server.port());
    c.writer.write(
        "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: "
        "2\r\nConnection: close\r\n\r\n");
    const std::string go_on = co_await c.reader.read_until("\r\n\r\n");
    EXPECT_EQ(go_on, "HTTP/1.1 100 Continue\r\n\r\n");
    c.writer.write("hi");
    const std::string all = co_await read_to_end(c);
    EXPECT_EQ(bodies(all), "hi");
  });
}

TEST_P(HttpServer, AnswersRequestTimeoutToAHeadOrABodyThatDoesNotCome) {
  run([]() -> h::task<> {
    http::server_options o;
    o.header_timeout = 100ms;  // enough for what is sent at once, on a busy machine too
    o.body_timeout = 100ms;
    site s(o);
    co_await s.start();
    const std::string head = co_await talk(s, get("/hello") + "GET /hel");
    EXPECT_EQ(bodies(head), "hello 408:408 Request Timeout\n");
    const std::string body =
        co_await talk(s, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel");
    EXPECT_EQ(bodies(body), "408:408 Request Timeout\n");
    EXPECT_EQ(s.server.stats().refused, 2u);
  });
}

TEST_P(HttpServer, ClosesIdleConnectionsWithoutAWord) {
  run([]() -> h::task<> {
    http::server_options o;
    o.idle_timeout = 100ms;
    site s(o);
    co_await s.start();
    const std::string never = co_await talk(s, "");
    EXPECT_EQ(never, "");
    const std::string once = co_await talk(s, get("/hello"));
    EXPECT_EQ(bodies(once), "hello");
  });
}

TEST_P(HttpServer, DoesNotTimeTheHandler) {
  run([]() -> h::task<> {
    http::server_options o;
    o.idle_timeout = o.header_timeout = o.body_timeout = o.write_timeout = 100ms;
    site s(o);
    s.server.get("/slow", [](http::request&) -> h::task<http::response> {
      co_await h::sleep(250ms);
      co_return http::response::text("slow");
    });
    co_await s.start();
    const std::string all = co_await talk(s, get("/slow", and_close));
    EXPECT_EQ(bodies(all), "slow");
  });
}

TEST_P(HttpServer, ResetsAClientThatTakesNothing) {
  run([]() -> h::task<> {
    http::server_options o;
    o.write_timeout = 30ms;
    site s(o);
    co_await s.start();
    h::connection c = co_await h::open_connection("127.0.0.1", s.server.port());
    c.writer.write(get("/endless"));
    const std::string begun =
        co_await c.reader.read_until("\r\n\r\n");  // the request is being served
    EXPECT_TRUE(begun.starts_with("HTTP/1.1 200"));
    co_await until([&] { return s.server.stats().connections == 0; });
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

TEST_P(HttpServer, SendsALargeBodyWholeToASlowClient) {
  run([]() -> h::task<> {
    site s;
    co_await s.start();
    h::connection c = co_await h::open_connection("127.0.0.1", s.server.port());
    c.writer.write(get("/large") + get("/hello", and_close));
    std::string all;
    while (co_await c.reader.fill()) {
      all += c.reader.buffered();
      c.reader.consume(c.reader.buffered().size());
      co_await h::yield_now();
    }
    const std::string body = bodies(all);
    EXPECT_EQ(body.size(), (8u << 20) + 6);
    EXPECT_TRUE(body.ends_with("x hello"));
  });
}

TEST_P(HttpServer, SurvivesClientsThatGoAwayAtAnyPoint) {
  run([]() -> h::task<> {
    site s;
    co_await s.start();
    const std::string text = get("/hello") + get("/pieces") + get("/late") +
                             "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    for (std::size_t n = 0; n < text.size(); n += 7) {
      h::connection c = co_await h::open_connection("127.0.0.1", s.server.port());
      c.writer.write(text.substr(0, n));
      co_await h::yield_now();
      if (n % 2 == 0) c.writer.abort();
    }
    co_await until([&] { return s.server.stats().connections == 0; });
    const std::string all = co_await talk(s, get("/hello", and_close));
    EXPECT_EQ(bodies(all), "hello");
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

TEST_P(HttpServer, ServesManyClientsAtOnceOnAllLoops) {
  run([]() -> h::task<> {
    site s;
    co_await s.start();
    http::session_options so;
    so.keep = 64;
    http::session client(so);
    auto work = [](http::session& c, const site& from, int id) -> h::task<int> {
      int good = 0;
      for (int i = 0; i < 50; ++i) {
        const std::string path = "/any/" + std::to_string(id) + "/" + std::to_string(i);
        auto request = c.get(from.url(path));
        const auto answer = co_await request;
        good += answer.status == 200 && answer.text() == path;
      }
      co_return good;
    };
    std::vector<h::task_handle<int>> tasks;
    for (int id = 0; id < 32; ++id) tasks.push_back(h::create_task(work(client, s, id)));
    int good = 0;
    for (auto& t : tasks) good += co_await t;
    EXPECT_EQ(good, 32 * 50);
    EXPECT_EQ(s.server.stats().requests, 32u * 50u);
    EXPECT_LE(client.kept_connections(), 32u);
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

}  // namespace
