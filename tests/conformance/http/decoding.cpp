// SPDX-License-Identifier: MIT
// HTTP-SRV-REQ-10: bodies of requests whose content coding the server undoes.
#include "fields.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/body_reader.h>
#include <heddle/io/http/codings.h>
#include <heddle/io/http/middlewares.h>

namespace {

using namespace conformance;

CASES(HTTP_SRV_REQ_CODED);

/// The length and the first bytes of the body, and which fields speak of a coding or a length.
std::string seen(const http::request& r, std::string_view body) {
  std::string all = std::to_string(body.size()) + " " + std::string(body.substr(0, 5));
  for (const char* name : {"content-encoding", "content-length"})
    if (r.headers.contains(name)) all += std::string(" ") + name;
  return all;
}

h::task<http::response> streamed(http::request& r) {
  auto body = r.body_stream();
  std::string all;
  for (;;) {
    auto reading = body.next_chunk();
    const auto piece = co_await reading;
    if (!piece) break;
    all += *piece;
  }
  co_return http::response::text("streamed " + seen(r, all));
}

http::router decoding(http::decode_options how) {
  http::router r;
  r.use(http::decode_bodies(std::move(how)));
  r.post("/whole", [](http::request& q) {
     return http::response::text(seen(q, q.body));
   }).body_limit(100'000);
  r.post("/stream", [](http::request& q) { return streamed(q); })
      .body(http::body_mode::stream)
      .body_limit(100'000);
  return r;
}
http::router decoding() { return decoding(http::decode_options()); }

h::task<std::string> posted(http::test_client& c, std::string target, std::string codings,
                            std::string body) {
  pairs list;
  if (!codings.empty()) list.emplace_back("Content-Encoding", std::move(codings));
  return asked(c, "POST", std::move(target), fields_of(list), std::move(body));
}

TEST_P(HTTP_SRV_REQ_CODED, HTTP_SRV_REQ_10_EveryCodingIsUndoneWholeAndStreamed) {
  run([]() -> h::task<> {
    http::test_client c(decoding());
    const std::string text = "hello" + std::string(90'000, 'x');
    for (const char* name : {"gzip", "deflate", "br", "zstd"}) {
      const auto how = http::coding_of(name);
      if (!how) continue;
      const std::string coded = http::encoded(*how, text);
      EQUAL(co_await posted(c, "/whole", name, coded), "200 90005 hello");
      EQUAL(co_await posted(c, "/stream", name, coded), "200 streamed 90005 hello");
    }
    const std::string twice =
        http::encoded(http::coding::deflate, http::encoded(http::coding::gzip, text));
    EQUAL(co_await posted(c, "/whole", "gzip, deflate", twice), "200 90005 hello");
    EQUAL(co_await posted(c, "/whole", "identity", "plain"),
          "200 5 plain content-encoding "
          "content-length");
    EQUAL(co_await posted(c, "/whole", "", "plain"), "200 5 plain content-length");
    EQUAL(co_await posted(c, "/whole", "gzip", ""), "200 0 ");
  });
}

TEST_P(HTTP_SRV_REQ_CODED, HTTP_SRV_REQ_10_TheLimitCountsDecodedBytesToo) {
  run([]() -> h::task<> {
    http::test_client c(decoding());
    const auto packed = [](std::size_t n) {
      return http::encoded(http::coding::gzip, std::string(n, 'x'));
    };
    EQUAL(co_await posted(c, "/whole", "gzip", packed(100'000)), "200 100000 xxxxx");
    for (const char* target : {"/whole", "/stream"}) {
      for (const std::size_t n : {100'001u, 5'000'000u}) {  // the second one has 5 KB
        const std::string answer = co_await posted(c, target, "gzip", packed(n));
        HOLDS(answer.starts_with("413 "));
      }
      const std::string bomb = http::encoded(http::coding::gzip, packed(5'000'000));
      const std::string twice = co_await posted(c, target, "gzip, gzip", bomb);
      HOLDS(twice.starts_with("413 "));
      // More coded bytes than the limit.
      const std::string large = co_await posted(c, target, "gzip", std::string(200'000, 'x'));
      HOLDS(large.starts_with("413 ") || large.starts_with("400 "));
    }
    // The connection is not spoilt for the next request.
    EQUAL(co_await posted(c, "/whole", "gzip", packed(3)), "200 3 xxx");
  });
  EQUAL(report_count(), 0u);
}

TEST_P(HTTP_SRV_REQ_CODED, HTTP_SRV_REQ_10_WhatCannotBeDecodedIsRefused) {
  run([]() -> h::task<> {
    http::test_client c(decoding());
    const std::string coded = http::encoded(http::coding::gzip, "some text");
    for (const char* target : {"/whole", "/stream"}) {
      const std::string broken = co_await posted(c, target, "gzip", "no gzip at all");
      HOLDS(broken.starts_with("400 "));
      const std::string early = co_await posted(c, target, "gzip", coded.substr(0, 12));
      HOLDS(early.starts_with("400 "));
      const std::string behind = co_await posted(c, target, "gzip", coded + "x");
      HOLDS(behind.starts_with("400 "));
    }
    auto asking = fetch(c, http::method::post, "/whole", {{"Content-Encoding", "lzma"}});
    const http::response unknown = co_await asking;
    EQUAL(unknown.status, 415);
    HOLDS(field_of(unknown, "accept-encoding").starts_with("gzip, deflate"));
    http::decode_options gzip_alone;
    gzip_alone.codings = {http::coding::gzip};
    http::test_client strict(decoding(gzip_alone));
    EQUAL(co_await posted(strict, "/whole", "gzip", coded), "200 9 some ");
    auto other = fetch(strict, http::method::post, "/whole", {{"Content-Encoding", "deflate"}});
    const http::response refused = co_await other;
    EQUAL(refused.status, 415);
    EQUAL(field_of(refused, "accept-encoding"), "gzip");
  });
}

TEST_P(HTTP_SRV_REQ_CODED, HTTP_SRV_REQ_10_WithoutTheMiddlewareBytesStayAsTheyCame) {
  run([]() -> h::task<> {
    http::router r;
    r.post("/raw", [](http::request& q) { return http::response::text(q.body); });
    http::test_client c(r);
    const std::string coded = http::encoded(http::coding::gzip, "text");
    EQUAL(co_await posted(c, "/raw", "gzip", coded), "200 " + coded);
  });
}

TEST_P(HTTP_SRV_REQ_CODED, HTTP_SRV_REQ_10_ABodyThatArrivesSlowlyIsDecodedWhileItComes) {
  run([]() -> h::task<> {
    http::test_client c(decoding());
    h::task<> starting = c.start();
    co_await starting;
    const std::string coded = http::encoded(http::coding::gzip, "hello" + std::string(500, 'y'));
    h::connection peer = c.connect();
    peer.writer.write(
        "POST /stream HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\n"
        "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (const char byte : coded) {
      peer.writer.write(std::string("1\r\n") + byte + "\r\n");
      co_await h::yield_now();
    }
    peer.writer.write("0\r\n\r\n");
    const std::string answer = co_await read_to_end(peer);
    HOLDS(answer.ends_with("\r\n\r\nstreamed 505 hello"));
  });
}

}  // namespace
