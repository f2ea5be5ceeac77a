// SPDX-License-Identifier: MIT
// HTTP-SRV-RSP and HTTP-SRV-CMP: answers that stream, their fields, and large ones that are packed.
#include "fields.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/codings.h>
#include <heddle/io/http/cookies.h>
#include <heddle/io/http/middlewares.h>
#include <heddle/sched/simulate.h>

#include <thread>

namespace {

using namespace conformance;

CASES(HTTP_SRV_RSP_SENT);
CASES(HTTP_SRV_CMP_LARGE);

http::response pieces(std::vector<std::string> list) {
  http::response r;
  r.stream.write = [list = std::move(list)](http::body_writer& out) -> h::task<> {
    for (const auto& piece : list) {
      h::task<> sent = out.write(piece);
      co_await sent;
    }
  };
  return r;
}

/// Starts the application and talks to it over one connection, until that ends.
h::task<std::string> talk(http::test_client& c, std::string text) {
  h::connection peer = c.connect();
  peer.writer.write(text);
  std::string all = co_await read_to_end(peer);
  co_return all;
}

TEST_P(HTTP_SRV_RSP_SENT, HTTP_SRV_RSP_03_ABodyOfUnknownLengthIsChunkedOrLastsUntilTheEnd) {
  run([]() -> h::task<> {
    http::router r;
    r.get("/s", [](http::request&) { return pieces({"one", "", "three"}); });
    http::test_client c(r);
    h::task<> starting = c.start();
    co_await starting;
    const std::string chunked =
        co_await talk(c, "GET /s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    HOLDS(chunked.find("\r\nTransfer-Encoding: chunked\r\n") != std::string::npos);
    HOLDS(chunked.find("\r\nContent-Length:") == std::string::npos);
    HOLDS(chunked.ends_with("\r\n\r\n3\r\none\r\n5\r\nthree\r\n0\r\n\r\n"));
    const std::string old = co_await talk(c, "GET /s HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    HOLDS(old.find("\r\nTransfer-Encoding:") == std::string::npos);
    HOLDS(old.find("\r\nContent-Length:") == std::string::npos);
    HOLDS(old.find("\r\nConnection: close\r\n") != std::string::npos);
    HOLDS(old.ends_with("\r\n\r\nonethree"));
    // The connection goes on behind the last chunk.
    const std::string two = co_await talk(c,
                                          "GET /s HTTP/1.1\r\nHost: h\r\n\r\nHEAD /s "
                                          "HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    HOLDS(two.find("\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n") != std::string::npos);
    HOLDS(two.ends_with("\r\n\r\n"));
  });
}

TEST_P(HTTP_SRV_RSP_SENT, HTTP_SRV_RSP_05_AWriterWaitsForItsClientAndThenResets) {
  h::testing::simulate(1, with(), []() -> h::task<> {
    std::atomic<std::size_t> written = 0;
    std::atomic<bool> failed = false;
    http::router r;
    r.get("/endless", [&](http::request&) {
      http::response answer;
      answer.stream.write = [&](http::body_writer& out) -> h::task<> {
        const std::string piece(64 * 1024, 'x');
        try {
          for (;;) {
            h::task<> sent = out.write(piece);
            co_await sent;
            written += piece.size();
          }
        } catch (const std::system_error&) {
          failed = true;
          throw;
        }
      };
      return answer;
    });
    http::server_options o;
    o.write_timeout = 8s;
    http::test_client c(r, o);
    h::task<> starting = c.start();
    co_await starting;
    h::connection peer = c.connect();
    const auto began = h::clock::now();
    peer.writer.write("GET /endless HTTP/1.1\r\nHost: h\r\n\r\n");
    (void)co_await read_until(peer, "\r\n\r\n");
    // A client that takes a little now and then is waited for.
    for (int i = 0; i < 5; ++i) {
      co_await h::sleep(5s);
      HOLDS(!failed);
      HOLDS(written < (static_cast<std::size_t>(i) + 1) << 20);
      peer.reader.consume(peer.reader.buffered().size());
      (void)co_await peer.reader.fill();
      peer.reader.consume(peer.reader.buffered().size());
    }
    const auto took_last = h::clock::now();
    while (!failed) co_await h::sleep(100ms);
    HOLDS(h::clock::now() - took_last >= 8s - 100ms);
    HOLDS(h::clock::now() - took_last <= 11s);  // a quarter of the time later at most
    HOLDS(h::clock::now() - began >= 33s);
    h::task<> stopping = c.stop();
    co_await stopping;
  });
}

TEST_P(HTTP_SRV_RSP_SENT, HTTP_SRV_RSP_06_NothingThatEndsALineGetsIntoAField) {
  http::response r;
  for (const std::string_view bad :
       {std::string_view("a\r\nSet-Cookie: b"), std::string_view("a\nb"), std::string_view("a\rb"),
        std::string_view("a\0b", 3), std::string_view("a\x1f"), std::string_view("\x7f")}) {
    THROWS(h::bad_value, r.headers.add("X-Name", bad));
    THROWS(h::bad_value, r.headers.set("Content-Type", bad));
    THROWS(h::bad_value, r.headers.add(bad, "value"));
    THROWS(h::bad_value, r.etag(bad));
    http::cookie c;
    c.name = "name";
    c.value = std::string(bad);
    THROWS(h::bad_value, r.set_cookie(c));
  }
  for (const char* name : {"", "a b", "a:b", "a\tb", "\xe4"})
    THROWS(h::bad_value, r.headers.add(name, "value"));
  HOLDS(r.headers.empty());
  // A reason is not the program's to choose: an unknown status has the same one always.
  EQUAL(http::reason_phrase(299), "Unknown");
  run([]() -> h::task<> {
    http::router app;
    app.get("/echo", [](http::request& q) {
      http::response answer = http::response::text("x");
      answer.headers.add("X-Echo", q.query("v").value_or(""));
      return answer;
    });
    http::test_client c(app);
    const std::string answer = co_await got(c, "/echo?v=a%0d%0aSet-Cookie:%20b");
    HOLDS(answer.starts_with("500 "));
    EQUAL(co_await got(c, "/echo?v=fine"), "200 x");
  });
}

std::size_t count_of(std::string_view text, std::string_view what) {
  std::size_t n = 0;
  for (auto at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

TEST_P(HTTP_SRV_RSP_SENT, HTTP_SRV_RSP_08_DateAndNameOfTheServer) {
  http::router r;
  r.get("/plain", says("plain"));
  r.get("/stream", [](http::request&) { return pieces({"s"}); });
  r.get("/own", [](http::request&) {
    http::response answer = http::response::text("own");
    answer.headers.add("Date", "Sun, 06 Nov 1994 08:49:37 GMT");
    answer.headers.add("Server", "mine/1");
    return answer;
  });
  run([&]() -> h::task<> {
    for (const std::string name : {"heddle", "own/1", ""}) {
      http::server_options o;
      EQUAL(o.server_name, "heddle");
      o.server_name = name;
      http::test_client c(r, o);
      h::task<> starting = c.start();
      co_await starting;
      const std::string end = " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
      const std::vector<std::string> requests = {"GET /plain" + end,  "GET /stream" + end,
                                                 "GET /none" + end,   "HEAD /plain" + end,
                                                 "POST /plain" + end, "nonsense\r\n\r\n"};
      for (const auto& request : requests) {
        const std::string answer = co_await talk(c, request);
        EQUAL(count_of(answer, "\r\nDate: "), 1u);
        EQUAL(count_of(answer, "\r\nServer: "), name.empty() ? 0u : 1u);
        EQUAL(count_of(answer, "\r\nServer: " + name + "\r\n"), name.empty() ? 0u : 1u);
      }
      const std::string own = co_await talk(c, "GET /own" + end);
      EQUAL(count_of(own, "\r\nDate: "), 1u);
      EQUAL(count_of(own, "\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), 1u);
      EQUAL(count_of(own, "\r\nServer: mine/1\r\n"), 1u);
      EQUAL(count_of(own, "\r\nServer: "), 1u);
    }
    http::server_options bad;
    bad.server_name = "a\r\nb";
    http::test_client c(http::router(), bad);
    EQUAL(co_await ending(c.start()), "BadValue");
  });
}

h::task<std::string> unpacked(http::response answer) {
  auto body = http::decoded(http::body_reader(answer.body),
                            answer.headers.get("content-encoding").value_or(""));
  auto reading = body.read_all();
  std::string text = co_await reading;
  co_return text;
}

/// Blocks its thread until the other request has been answered: a loop must not be that thread.
struct slow_filter {
  std::atomic<bool> served = false;
  std::atomic<bool> gave_up = false;
  std::string seen;  // by one thread at a time

  void operator()(std::string_view piece, bool last, std::string& out) {
    for (int i = 0; !served && !gave_up && piece.size() > 1000; ++i) {
      if (i == 60'000) gave_up = true;
      std::this_thread::sleep_for(1ms);  // on a thread without a loop, which has nothing to await
    }
    seen += piece;
    out += last ? "end" : std::string(1, piece.front());
  }
};

TEST_P(HTTP_SRV_CMP_LARGE, HTTP_SRV_CMP_05_LargePiecesAreFilteredBesideTheLoops) {
  run([]() -> h::task<> {
    slow_filter filter;
    http::router r;
    r.get("/large", [&](http::request&) {
      http::response answer =
          pieces({"small", std::string(600'000, 'x'), std::string(20'000, 'y')});
      answer.stream.filter = [&](std::string_view piece, bool last, std::string& out) {
        filter(piece, last, out);
      };
      return answer;
    });
    r.get("/other", [&](http::request&) { return http::response::text("other"); });
    http::test_client c(r);
    h::task<> starting = c.start();
    co_await starting;
    auto large = h::create_task(got(c, "/large"));
    for (int i = 0; i < 3; ++i) EQUAL(co_await got(c, "/other"), "200 other");
    filter.served = true;
    EQUAL(co_await large, "200 sxxxyend");  // 600,000 bytes are three slices
    HOLDS(!filter.gave_up);
    HOLDS(filter.seen == "small" + std::string(600'000, 'x') + std::string(20'000, 'y'));
  });
}

TEST_P(HTTP_SRV_CMP_LARGE, HTTP_SRV_CMP_05_ACancelledWriteIsFilteredToItsEnd) {
  run([]() -> h::task<> {
    slow_filter filter;
    http::router r;
    r.get("/large", [&](http::request&) {
      http::response answer;
      answer.stream.write = [&](http::body_writer& out) -> h::task<> {
        const std::string piece(600'000, 'x');
        auto limited = h::wait_for(out.write(piece), 5ms);
        bool late = false;
        try {
          co_await std::move(limited);
        } catch (const h::timeout_error&) { late = true; }
        auto rest = out.write(late ? "late" : "early");
        co_await rest;
      };
      answer.stream.filter = [&](std::string_view piece, bool last, std::string& out) {
        filter(piece, last, out);
      };
      return answer;
    });
    http::test_client c(r);
    auto asking = h::create_task(got(c, "/large"));
    co_await h::sleep(10ms);
    filter.served = true;
    const std::string answer = co_await asking;
    // The time-out may come at any place, or too late: the filter has seen all in order.
    HOLDS(answer == "200 xxxlend" || answer == "200 xxxeend");
    HOLDS(filter.seen.starts_with(std::string(600'000, 'x')));
    EQUAL(filter.seen.size(), answer == "200 xxxlend" ? 600'004u : 600'005u);
    HOLDS(!filter.gave_up);
  });
}

TEST_P(HTTP_SRV_CMP_LARGE, HTTP_SRV_CMP_05_LargeBodiesComeOutAsTheyWere) {
  run([]() -> h::task<> {
    std::string text;
    for (int i = 0; i < 300'000; ++i) text += std::to_string(i);
    http::router r;
    r.use(http::compress());
    r.get("/whole", says(text));
    r.get("/stream", [&](http::request&) {
      http::response answer = pieces({text, "x", text});
      answer.content_type = "text/plain";
      return answer;
    });
    http::test_client c(r);
    auto asking = fetch(c, "/whole", {{"Accept-Encoding", "gzip"}});
    http::response whole = co_await asking;
    HOLDS(whole.body.size() < text.size());
    const std::string same = co_await unpacked(std::move(whole));
    HOLDS(same == text);
    auto asking_stream = fetch(c, "/stream", {{"Accept-Encoding", "gzip"}});
    http::response streamed = co_await asking_stream;
    EQUAL(field_of(streamed, "content-encoding"), "gzip");
    const std::string twice = co_await unpacked(std::move(streamed));
    HOLDS(twice == text + "x" + text);
  });
}

}  // namespace
