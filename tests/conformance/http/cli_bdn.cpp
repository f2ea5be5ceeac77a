// SPDX-License-Identifier: MIT
// Bodies that a client receives.
#include "client_cases.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/server.h>
#include <heddle/sync/event.h>

namespace conformance {
namespace {

REACTOR_CASES(HTTP_CLI_BDN);

std::string chunk(std::string_view text) {
  std::string size;
  for (std::size_t n = text.size(); n > 0; n /= 16) size.insert(0, 1, "0123456789abcdef"[n % 16]);
  return size + "\r\n" + std::string(text) + "\r\n";
}
constexpr const char* chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

TEST_P(HTTP_CLI_BDN, HTTP_CLI_BDN_05_AStreamedBodyIsBoundedByItsReader) {
  run([]() -> h::task<> {
    const std::size_t size = sized(8 << 20, std::size_t{1} << 30);
    std::atomic<std::size_t> sent{0};
    http::server s;
    s.get("/", [&sent, size](http::request&) {
      http::response r;
      r.stream.write = [&sent, size](http::body_writer& out) -> h::task<> {
        const std::string piece(64 * 1024, 'x');
        for (std::size_t n = 0; n < size; n += piece.size()) {
          h::task<> work = out.write(piece);
          co_await work;
          sent += piece.size();
        }
      };
      return r;
    });
    co_await s.start("127.0.0.1", 0);
    http::session client;
    auto r = co_await client.at("http://127.0.0.1:" + std::to_string(s.port()) + "/").open();
    std::size_t got = 0;
    std::size_t largest = 0;
    for (;;) {
      auto next = r.body.next_chunk();
      const auto piece = co_await next;
      if (!piece) break;
      got += piece->size();
      largest = std::max(largest, piece->size());
    }
    EQUAL(got, size);
    HOLDS(largest <= (std::size_t{1} << 20));
    EQUAL(client.kept_connections(), 1u);
    client.close_kept();
    co_await s.stop();
  });
}

TEST_P(HTTP_CLI_BDN, HTTP_CLI_BDN_07_ALongLineIsReadOrRefusedByItsLimit) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int) { return ok(std::string(3 << 20, 'l') + "\nnext\n"); });
    co_await p.start();
    http::session client;
    auto r = co_await client.at(p.url("/")).open();
    const auto error = co_await error_of(r.body.read_until("\n", 1 << 20));
    HOLDS(is_a<h::limit_overrun_error>(error));
    HOLDS(what_of(error).find("1048576") != std::string::npos);
    const std::string line = co_await r.body.read_until("\n", 4 << 20);
    EQUAL(line.size(), (std::size_t{3} << 20) + 1);
    const std::string next = co_await r.body.read_line();
    EQUAL(next, "next\n");
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_BDN, HTTP_CLI_BDN_08_ShortReadsSayWhatThereWas) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int) { return ok("7 bytes"); });
    co_await p.start();
    http::session client;
    auto r = co_await client.at(p.url("/")).open();
    const std::string none = co_await r.body.read(0);
    EQUAL(none, "");
    const auto error = co_await error_of(r.body.read_exactly(10));
    EQUAL(name_of(error), "Incomplete(7 bytes,10)");
    const std::string end = co_await r.body.read(5);
    EQUAL(end, "");
    HOLDS(r.body.at_eof());
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_BDN, HTTP_CLI_BDN_10_ABodyThatEndsEarlyIsNeverAShortSuccess) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int) {
      return "!HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + std::string(60, 'x');
    });
    co_await p.start();
    http::session client;
    const auto whole = co_await error_of(client.get(p.url("/")));
    HOLDS(is_a<http::payload_error>(whole));
    HOLDS(what_of(whole).find("60 of 100") != std::string::npos);
    auto r = co_await client.at(p.url("/")).open();
    const std::string some = co_await r.body.read_exactly(60);
    EQUAL(some.size(), 60u);
    const auto streamed = co_await error_of(r.body.read(1));
    HOLDS(is_a<http::payload_error>(streamed));
    HOLDS(what_of(streamed).find("60 of 100") != std::string::npos);
    EQUAL(client.open_connections(), 0u);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_BDN, HTTP_CLI_BDN_11_ChunksThatEndEarlyAreAnError) {
  run([]() -> h::task<> {
    for (const std::string& rest : {std::string("5\r\nab"), chunk("abc"), chunk("abc") + "0\r\n"}) {
      peer p([&rest](const http::request&, int) { return "!" + std::string(chunked) + rest; });
      co_await p.start();
      http::session client;
      const auto whole = co_await error_of(client.get(p.url("/")));
      HOLDS(is_a<http::payload_error>(whole));
      auto r = co_await client.at(p.url("/")).open();
      const auto streamed = co_await error_of(r.body.read_all());
      HOLDS(is_a<http::payload_error>(streamed));
      co_await p.stop();
    }
  });
}

TEST_P(HTTP_CLI_BDN, HTTP_CLI_BDN_12_ABodyUntilTheEndIsWholeByAnEndAndLostByAReset) {
  run([]() -> h::task<> {
    for (const bool reset : {false, true}) {
      h::event read;
      auto take = [reset, &read](h::connection c) -> h::task<> {
        (void)co_await c.reader.read_until("\r\n\r\n");
        c.writer.write("HTTP/1.1 200 OK\r\n\r\nsome");
        co_await read.wait();
        if (reset) c.writer.abort();
      };
      auto starting = h::start_server(take, "127.0.0.1", 0);
      h::server s = co_await starting;
      http::session client;
      auto r = co_await client.at("http://127.0.0.1:" + std::to_string(s.port()) + "/").open();
      const std::string some = co_await r.body.read_exactly(4);
      EQUAL(some, "some");
      read.set();
      const auto error = co_await error_of(r.body.read_all());
      EQUAL(is_a<http::connection_lost>(error), reset);
      EQUAL(!error, !reset);
      s.close();
      co_await s.wait_closed();
    }
  });
}

TEST_P(HTTP_CLI_BDN, HTTP_CLI_BDN_13_AWholeBodyHasALimitAndAStreamedOneHasNone) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      if (r.target == "/length") return ok(std::string(2000, 'x'));
      return chunked + chunk(std::string(2000, 'x')) + "0\r\n\r\n";
    });
    co_await p.start();
    http::session_options o;
    o.limits.body_bytes = 1000;
    http::session client(o);
    for (const char* path : {"/length", "/chunks"}) {
      const auto error = co_await error_of(client.get(p.url(path)));
      HOLDS(is_a<http::payload_error>(error));
      HOLDS(what_of(error).find("limits::body_bytes") != std::string::npos);
      auto r = co_await client.at(p.url(path)).open();
      const auto bounded = co_await error_of(r.body.read_all(1000));
      HOLDS(is_a<h::limit_overrun_error>(bounded));
      const std::string all = co_await r.body.read_all();
      EQUAL(all.size(), 2000u);
    }
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_BDN, HTTP_CLI_BDN_14_AnswersThatHaveNoBodyAreNotWaitedFor) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      const std::string status = r.target == "/" ? "200" : r.target.substr(1);
      return "HTTP/1.1 " + status + " x\r\nContent-Length: 10\r\nContent-Encoding: gzip\r\n\r\n";
    });
    co_await p.start();
    http::session client;
    const auto head = co_await client.head(p.url("/"));
    EQUAL(head.body, "");
    for (const char* path : {"/204", "/304"}) {
      const auto r = co_await client.get(p.url(path));
      EQUAL(r.body, "");
      auto streamed = co_await client.at(p.url(path)).open();
      const std::string all = co_await streamed.body.read_all();
      EQUAL(all, "");
    }
    EQUAL(p.connections(), 1);
    co_await p.stop();
  });
}

}  // namespace
}  // namespace conformance
