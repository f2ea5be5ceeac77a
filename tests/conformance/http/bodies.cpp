// SPDX-License-Identifier: MIT
// HTTP-SRV-REQ, HTTP-SRV-EXP: what a handler learns of its request, bodies that are read while they
// arrive, and "Expect: 100-continue".
#include "app.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/body_reader.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/message/parser.h>

namespace {

using namespace conformance;

CASES(HTTP_SRV_REQ);
CASES(HTTP_SRV_EXP);

/// Counts the bytes of the body, piece by piece.
h::task<http::response> count_body(http::request& r) {
  auto body = r.body_stream();
  std::size_t sum = 0;
  for (;;) {
    auto reading = body.next_chunk();
    const auto piece = co_await reading;
    if (!piece) break;
    sum += piece->size();
  }
  co_return http::response::text(std::to_string(sum));
}

http::router uploads() {
  http::router r;
  r.post("/count", count_body).body(http::body_mode::stream).body_limit(std::size_t{1} << 40);
  r.post("/small", count_body).body(http::body_mode::stream).body_limit(10);
  r.post("/ignore", says("ignored")).body(http::body_mode::stream).body_limit(std::size_t{1} << 40);
  r.post("/whole", [](http::request& q) { return http::response::text(q.body); });
  r.post("/large", [](http::request& q) {
     return http::response::text(std::to_string(q.body.size()));
   }).body_limit(10 << 20);
  r.get("/get", says("got"));
  return r;
}

h::task<h::connection> opened(http::test_client& c) {
  h::task<> starting = c.start();
  co_await starting;
  co_return c.connect();
}

/// The statuses and bodies in a text of answers.
std::string answers(std::string_view text) {
  std::string all;
  http::response_parser parser;
  while (!text.empty()) {
    text.remove_prefix(parser.feed(text));
    if (text.empty() && !parser.done()) parser.finish();
    if (!parser.done()) return all + "(broken)";
    all += std::to_string(parser.message().status) + ":" + parser.message().body + " ";
    parser.next();
  }
  return all;
}

std::string post(std::string target, std::string body, std::string fields = {}) {
  return "POST " + target + " HTTP/1.1\r\nHost: h\r\n" + fields +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}
const std::string last_get = "GET /get HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

TEST_P(HTTP_SRV_REQ, HTTP_SRV_REQ_11_ABodyThatNobodyReadsIsDroppedOrEndsTheConnection) {
  run([]() -> h::task<> {
    http::test_client c(uploads());
    h::connection peer = co_await opened(c);
    peer.writer.write(post("/ignore", std::string(10'000, 'x')) + last_get);
    const std::string kept = co_await read_to_end(peer);
    EQUAL(answers(kept), "200:ignored 200:got ");
    // A body that is too long to be read away: the answer says close, and can be read although the
    // client goes on to send.
    h::connection other = c.connect();
    other.writer.write("POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n" +
                       std::string(100'000, 'x'));
    const std::string closed = co_await read_until(other, "ignored");
    HOLDS(closed.find("\r\nConnection: close\r\n") != std::string::npos);
    EQUAL(answers(closed), "200:ignored ");
    // One without a length, cut off behind the bound.
    h::connection third = c.connect();
    std::string chunks = "POST /ignore HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    chunks += "5\r\nhello\r\n0\r\n\r\n" + last_get;
    third.writer.write(chunks);
    const std::string all = co_await read_to_end(third);
    EQUAL(answers(all), "200:ignored 200:got ");
  });
}

TEST_P(HTTP_SRV_REQ, HTTP_SRV_REQ_05_EachRouteMayHaveItsOwnLimit) {
  run([]() -> h::task<> {
    http::test_client c(uploads());
    const std::string two(2 << 20, 'x');
    EQUAL(co_await asked(c, "POST", "/large", http::headers(), two), "200 2097152");
    EQUAL((co_await asked(c, "POST", "/whole", http::headers(), two)).substr(0, 4), "413 ");
    EQUAL(co_await asked(c, "POST", "/count", http::headers(), two), "200 2097152");
    EQUAL((co_await asked(c, "POST", "/small", http::headers(), "12345678901")).substr(0, 4),
          "413 ");
    EQUAL(co_await asked(c, "POST", "/small", http::headers(), "1234567890"), "200 10");
    // Without a length, the limit counts what comes.
    h::connection peer = c.connect();
    peer.writer.write(
        "POST /small HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        "6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n");
    const std::string all = co_await read_to_end(peer);
    HOLDS(all.starts_with("HTTP/1.1 413 "));
    // The limit of one request is not that of the next one.
    h::connection kept = c.connect();
    kept.writer.write(post("/small", "1") + post("/count", std::string(100, 'x')) +
                      post("/large", std::string(2 << 20, 'x')) + last_get);
    const std::string sums = co_await read_to_end(kept);
    EQUAL(answers(sums), "200:1 200:100 200:2097152 200:got ");
  });
}

TEST_P(HTTP_SRV_REQ, HTTP_SRV_REQ_11_ABodyIsReadWhileItArrives) {
  run([]() -> h::task<> {
    http::router r;
    r.post("/echo", [](http::request& q) {
       http::response answer;
       auto body = std::make_shared<http::body_reader>(q.body_stream());
       answer.stream.write = [body](http::body_writer& out) -> h::task<> {
         for (;;) {
           auto reading = body->next_chunk();
           const auto piece = co_await reading;
           if (!piece) break;
           auto writing = out.write(*piece);
           co_await writing;
         }
       };
       return answer;
     }).body(http::body_mode::stream);
    http::test_client c(r);
    h::connection peer = co_await opened(c);
    peer.writer.write("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    // Each piece comes back before the next one is sent.
    for (const char* piece : {"one", "two", "six"}) {
      peer.writer.write("3\r\n" + std::string(piece) + "\r\n");
      const std::string echoed = co_await read_until(peer, piece);
      HOLDS(echoed.find(piece) != std::string::npos);
    }
    peer.writer.write("0\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    const std::string rest = co_await read_to_end(peer);
    HOLDS(rest.starts_with("0\r\n\r\nHTTP/1.1 404 "));
  });
}

TEST_P(HTTP_SRV_REQ, HTTP_SRV_REQ_11_WhoReadsSlowlyMakesTheClientWait) {
  run([]() -> h::task<> {
    h::promise<void> go;
    auto gate = go.get_future();
    http::router r;
    r.post("/slow",
           [&gate](http::request& q) -> h::task<http::response> {
             co_await gate;
             auto counting = count_body(q);
             http::response answer = co_await counting;
             co_return answer;
           })
        .body(http::body_mode::stream)
        .body_limit(64 << 20);
    http::test_client c(r);
    h::connection peer = co_await opened(c);
    const std::string piece(64 * 1024, 'x');
    peer.writer.write("POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: " +
                      std::to_string(64 * piece.size()) + "\r\n\r\n");
    for (int i = 0; i < 64; ++i) peer.writer.write(piece);
    for (int i = 0; i < 100; ++i) co_await h::yield_now();
    // Memory of the pair, and one buffer of the stream: the rest is with the client.
    HOLDS(peer.writer.buffered() > 60 * piece.size());
    go.set_value();
    const std::string answer = co_await read_until(peer, "4194304");
    HOLDS(answer.starts_with("HTTP/1.1 200 "));
  });
}

TEST_P(HTTP_SRV_REQ, HTTP_SRV_REQ_11_AClientThatLeavesInTheBodyIsAnErrorOfItsReader) {
  run([]() -> h::task<> {
    std::atomic<int> begun = 0;
    std::atomic<int> failed = 0;
    http::router r;
    r.post("/u", [&](http::request& q) -> h::task<http::response> {
       ++begun;
       auto body = q.body_stream();
       auto reading = body.read_all();
       try {
         (void)co_await reading;
       } catch (const http::payload_error&) {
         ++failed;
         throw;
       }
       co_return http::response();
     }).body(http::body_mode::stream);
    http::test_client c(r);
    h::connection peer = co_await opened(c);
    peer.writer.write("POST /u HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345");
    peer.writer.write_eof();
    const std::string all = co_await read_to_end(peer);
    HOLDS(all.starts_with("HTTP/1.1 400 "));
    EQUAL(failed.load(), 1);
    h::connection gone = c.connect();
    gone.writer.write("POST /u HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345");
    co_await until([&] { return begun.load() == 2; });
    gone.writer.abort();
    co_await until([&] { return failed.load() == 2; });
    h::task<> stopping = c.stop();
    co_await stopping;
  });
  EQUAL(report_count(), 0u);
}

constexpr const char* expecting =
    "POST %s HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
std::string expects(std::string_view target) {
  std::string text = expecting;
  return text.replace(text.find("%s"), 2, target);
}

TEST_P(HTTP_SRV_EXP, HTTP_SRV_EXP_01_TheClientIsToldToGoOnWhenTheBodyIsRead) {
  run([]() -> h::task<> {
    http::test_client c(uploads());
    h::connection peer = co_await opened(c);
    peer.writer.write(expects("/count"));
    const std::string go_on = co_await read_until(peer, "\r\n\r\n");
    EQUAL(go_on, "HTTP/1.1 100 Continue\r\n\r\n");
    peer.writer.write("12345" + last_get);
    const std::string all = co_await read_to_end(peer);
    EQUAL(answers(all), "200:5 200:got ");
    // The same for a body that is read before the handler is called.
    h::connection whole = c.connect();
    whole.writer.write(expects("/whole"));
    EQUAL(co_await read_until(whole, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    whole.writer.write("12345" + last_get);
    EQUAL(answers(co_await read_to_end(whole)), "200:12345 200:got ");
    // A handler that answers without reading: no 100, and the connection ends.
    h::connection unread = c.connect();
    unread.writer.write(expects("/ignore"));
    const std::string answer = co_await read_until(unread, "ignored");
    HOLDS(answer.starts_with("HTTP/1.1 200 "));
    HOLDS(answer.find("\r\nConnection: close\r\n") != std::string::npos);
  });
}

TEST_P(HTTP_SRV_EXP, HTTP_SRV_EXP_03_ARefusalComesWithoutTheCallToGoOn) {
  run([]() -> h::task<> {
    auto app = uploads();
    app.post("/guarded", says("in")).use([](http::request&, http::next) -> h::task<http::response> {
      throw http::status_error(401);
      co_return http::response();
    });
    http::test_client c(app);
    h::task<> starting = c.start();
    co_await starting;
    const std::vector<std::pair<std::string, std::string>> refused = {
        {"/none", "404"}, {"/get", "405"}, {"/guarded", "401"}};
    for (const auto& [target, status] : refused) {
      h::connection peer = c.connect();
      peer.writer.write(expects(target));
      const std::string answer = co_await read_until(peer, "\r\n\r\n");
      HOLDS(answer.starts_with("HTTP/1.1 " + status));
      HOLDS(answer.find("\r\nConnection: close\r\n") != std::string::npos);
    }
    h::connection large = c.connect();
    large.writer.write(
        "POST /small HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
        "Content-Length: 11\r\n\r\n");
    const std::string answer = co_await read_until(large, "\r\n\r\n");
    HOLDS(answer.starts_with("HTTP/1.1 413 "));
  });
}

}  // namespace
