// SPDX-License-Identifier: MIT
// HTTP-SRV-CNX: what one connection may cost, and how connections that cost too much end. Time is
// virtual where a case waits for a time-out.
#include "app.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/message/parser.h>
#include <heddle/sched/simulate.h>
#include <heddle/sync/event.h>

#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace conformance;

CASES(HTTP_SRV_CNX);

std::string get(std::string_view path, std::string_view fields = {}) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + "\r\n";
}
std::string post(std::string_view fields, std::string_view body = {}) {
  return "POST /p HTTP/1.1\r\n" + std::string(fields) + "\r\n" + std::string(body);
}

int answers_in(std::string_view text) {
  int n = 0;
  for (auto at = text.find("HTTP/1.1 "); at != text.npos; at = text.find("HTTP/1.1 ", at + 1)) ++n;
  return n;
}

/// What comes for `text`, sent in pieces of at most `cut` bytes.
h::task<std::string> told(http::test_client& c, std::string text, std::size_t cut) {
  h::connection peer = c.connect();
  for (std::size_t at = 0; at < text.size(); at += cut) {
    peer.writer.write(std::string_view(text).substr(at, cut));
    if (cut < text.size()) co_await h::yield_now();
  }
  std::string all = co_await read_to_end(peer);
  peer.writer.close();
  co_return all;
}

http::router simple() {
  http::router r;
  r.get("/", says("hello")).post("/p", says("posted"));
  return r;
}

struct refusal {
  std::string text;
  int status;
};

TEST_P(HTTP_SRV_CNX, HTTP_SRV_CNX_01_WhatExceedsALimitGetsItsStatusAndTheConnectionEnds) {
  run([]() -> h::task<> {
    http::server_options o;
    o.limits.body_bytes = 1000;
    http::test_client c(simple(), o);
    auto starting = c.start();
    co_await starting;
    std::string many;
    for (int i = 0; i < 100; ++i) many += "A: b\r\n";
    std::string wide;
    for (int i = 0; i < 80; ++i) wide += "A: " + std::string(1000, 'b') + "\r\n";
    const std::vector<refusal> cases = {
        {get("/" + std::string(8 * 1024, 'a')), 414},
        {get("/", "A: " + std::string(65 * 1024, 'b') + "\r\n"), 431},
        {get("/", many), 431},
        {get("/", wide), 431},
        {post("Host: h\r\nContent-Length: 1001\r\n"), 413},
        {post("Host: h\r\nTransfer-Encoding: chunked\r\n", "3e9\r\n"), 413},
    };
    for (const auto& one : cases) {
      const std::string all = co_await told(c, one.text + get("/"), 1'000'000);
      HOLDS(all.starts_with("HTTP/1.1 " + std::to_string(one.status) + " ")) << all;
      HOLDS(all.find("\r\nConnection: close\r\n") != std::string::npos);
      EQUAL(answers_in(all), 1);  // what stands behind it is not looked at
    }
    EQUAL(c.stats().refused, cases.size());
    // What is just within the limits is served.
    many.resize(many.size() - 6);
    for (const auto& good :
         {get("/", many), post("Host: h\r\nContent-Length: 1000\r\n", std::string(1000, 'x'))}) {
      h::connection peer = c.connect();
      peer.writer.write(good);
      const std::string head = co_await read_until(peer, "\r\n\r\n");
      HOLDS(head.starts_with("HTTP/1.1 200 "));
      peer.writer.close();
    }
  });
}

TEST_P(HTTP_SRV_CNX, HTTP_SRV_CNX_03_WhatTwoReadersMightReadInTwoWaysIsRefusedHoweverItIsCut) {
  run([]() -> h::task<> {
    http::test_client c(simple());
    auto starting = c.start();
    co_await starting;
    const std::string chunked = "Host: h\r\nTransfer-Encoding: chunked\r\n";
    const std::vector<std::string> cases = {
        post("Host: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n", "abcd"),
        post("Host: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n", "abc"),
        post("Host: h\r\nContent-Length: 3, 3\r\n", "abc"),
        post("Host: h\r\nContent-Length: +5\r\n", "abcde"),
        post(chunked + "Content-Length: 3\r\n", "0\r\n\r\n"),
        post("Content-Length: 3\r\n" + chunked, "0\r\n\r\n"),
        post("Host: h\r\nTransfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"),
        post("Host: h\r\nTransfer-Encoding : chunked\r\n", "0\r\n\r\n"),
        "GET / HTTP/1.1\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\n\r\n",
        get("/", "A: b\r\n c\r\n"),
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
        post(chunked, "g\r\n"),
        post(chunked, "0x1\r\na\r\n0\r\n\r\n"),
        post(chunked, "-1\r\n"),
        post(chunked, "1\r\nab\r\n0\r\n\r\n"),
        post(chunked, "fffffffffffffffff\r\n"),
        post(chunked, "1\na\r\n0\r\n\r\n"),
    };
    for (const auto& text : cases) {
      for (const std::size_t cut : {std::size_t{1}, std::size_t{7}, std::size_t{1'000'000}}) {
        const std::string all = co_await told(c, text + get("/smuggled"), cut);
        HOLDS(all.starts_with("HTTP/1.1 400 ")) << text << all;
        HOLDS(all.find("\r\nConnection: close\r\n") != std::string::npos);
        EQUAL(answers_in(all), 1);
      }
    }
  });
  EQUAL(report_count(), 0u);
}

http::response endless() {
  http::response r;
  r.stream.write = [](http::body_writer& out) -> h::task<> {
    const std::string piece(64 * 1024, 'x');
    for (;;) {
      h::task<> sent = out.write(piece);
      co_await sent;
    }
  };
  return r;
}

/// How long the server keeps a connection on which `text` was sent, and all that it says.
h::task<std::string> outlived(http::test_client& c, std::string text, h::duration& lived) {
  h::connection peer = c.connect();
  const auto began = h::clock::now();
  peer.writer.write(text);
  std::string all = co_await read_to_end(peer);
  lived = h::clock::now() - began;
  peer.writer.close();
  co_return all;
}

bool is_about(h::duration measured, h::duration wanted) {
  return measured >= wanted && measured < wanted + 2s;
}

TEST_P(HTTP_SRV_CNX, HTTP_SRV_CNX_04_EachKindOfSilenceHasItsTimeAndItsEnd) {
  h::testing::simulate(1, with(), []() -> h::task<> {
    http::router r = simple();
    r.get("/endless", [](http::request&) { return endless(); });
    const http::server_options o;
    http::test_client c(r, o);
    auto starting = c.start();
    co_await starting;
    h::duration lived{};
    const std::string nothing = co_await outlived(c, "", lived);
    EQUAL(nothing, "");
    HOLDS(is_about(lived, o.idle_timeout.get()));
    const std::string half_head = co_await outlived(c, "GET / HTTP/1.1\r\nHos", lived);
    HOLDS(half_head.starts_with("HTTP/1.1 408 "));
    HOLDS(is_about(lived, o.header_timeout.get()));
    const std::string half_body =
        co_await outlived(c, post("Host: h\r\nContent-Length: 9\r\n", "half"), lived);
    HOLDS(half_body.starts_with("HTTP/1.1 408 "));
    HOLDS(is_about(lived, o.body_timeout.get()));
    const std::string idle = co_await outlived(c, get("/"), lived);
    HOLDS(idle.ends_with("hello"));
    EQUAL(answers_in(idle), 1);
    HOLDS(is_about(lived, o.idle_timeout.get()));
    // A client that takes nothing is reset: it does not get all that was sent before.
    h::connection taker = c.connect();
    taker.writer.write(get("/endless"));
    co_await h::sleep(o.write_timeout.get() - 2s);
    EQUAL(c.stats().connections, 1u);
    co_await h::sleep(o.write_timeout.get() / 4 + 4s);
    EQUAL(c.stats().connections, 0u);
    EQUAL(c.stats().aborted, 1u);
    const std::string rest = co_await read_to_end(taker);
    HOLDS(rest.ends_with(")")) << rest.size();
  });
  EQUAL(report_count(), 0u);
}

TEST_P(HTTP_SRV_CNX, HTTP_SRV_CNX_05_PipelinedRequestsAreAnsweredInOrderAndNotReadAhead) {
  run([]() -> h::task<> {
    h::event gate;
    std::atomic<int> begun = 0;
    http::router r;
    r.get("/{n:int}", [&](http::request& q) -> h::task<http::response> {
      ++begun;
      const std::string n(*q.path_value("n"));
      co_await gate.wait();
      co_return http::response::text("<" + n + ">");
    });
    http::test_client c(r);
    auto starting = c.start();
    co_await starting;
    h::connection peer = c.connect();
    const std::string padding = "X: " + std::string(20'000, 'x') + "\r\n";
    std::string expected;
    for (int i = 0; i < 100; ++i) {
      peer.writer.write(
          get("/" + std::to_string(i), padding + (i == 99 ? "Connection: close\r\n" : "")));
      expected += "<" + std::to_string(i) + ">";
    }
    co_await until([&] { return begun > 0; });
    for (int i = 0; i < 200; ++i) co_await h::yield_now();
    EQUAL(begun.load(), 1);
    HOLDS(peer.writer.buffered() > 1'000'000);  // of 2 MB: the server does not take them
    gate.set();
    const std::string all = co_await read_to_end(peer);
    std::string got;
    for (auto at = all.find('<'); at != all.npos; at = all.find('<', at + 1))
      got += all.substr(at, all.find('>', at) - at + 1);
    EQUAL(got, expected);
    EQUAL(begun.load(), 100);
  });
}

TEST_P(HTTP_SRV_CNX, HTTP_SRV_CNX_07_TheLastAnswerOfAConnectionSaysSo) {
  run([]() -> h::task<> {
    http::server_options o;
    o.requests_per_connection = 3;
    http::test_client c(simple(), o);
    auto starting = c.start();
    co_await starting;
    // Answers of any kind count, and what stands behind the last one is left.
    const std::string all = co_await told(c, get("/") + get("/none") + get("/") + get("/"), 1'000);
    EQUAL(answers_in(all), 3);
    const auto close = all.find("\r\nConnection: close\r\n");
    HOLDS(close != std::string::npos);
    EQUAL(answers_in(std::string_view(all).substr(0, close)), 3);
    HOLDS(all.ends_with("hello"));
    EQUAL(c.stats().requests, 3u);
  });
}

TEST_P(HTTP_SRV_CNX, HTTP_SRV_CNX_07_OneConnectionTooManyIsToldWhenToComeBack) {
  run([]() -> h::task<> {
    http::server_options o;
    o.max_connections = 2;
    o.retry_after = 6500ms;
    http::test_client c(simple(), o);
    auto starting = c.start();
    co_await starting;
    std::vector<h::connection> two;
    for (int i = 0; i < 2; ++i) {
      h::connection peer = c.connect();
      peer.writer.write(get("/"));
      const std::string all = co_await read_until(peer, "hello");
      HOLDS(all.ends_with("hello"));
      two.push_back(std::move(peer));
    }
    const std::string refused = co_await told(c, get("/"), 1'000);
    HOLDS(refused.starts_with("HTTP/1.1 503 "));
    HOLDS(refused.find("\r\nRetry-After: 7\r\n") != std::string::npos);
    HOLDS(refused.find("max_connections") != std::string::npos);
    EQUAL(c.stats().shed, 1u);
    for (auto& peer : two) peer.writer.close();
    co_await until([&] { return c.stats().connections == 0; });
    const std::string served = co_await got(c, "/");
    EQUAL(served, "200 hello");
  });
}

}  // namespace
