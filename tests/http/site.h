// SPDX-License-Identifier: MIT
// A server to be tried, and a client's ways to talk to it.
#pragma once

#include "io/runtime.h"

#include <heddle/io/http/message/parser.h>
#include <heddle/io/http/server.h>
#include <heddle/sync/event.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace http_test {

using namespace io_test;
namespace http = h::http;

/// A server with a few routes, and a client's ways to talk to it.
struct site {
  explicit site(http::server_options o = {}) : server(std::move(o)) {
    server.get("/hello", [](http::request&) { return http::response::text("hello"); });
    server.get("/late", [](http::request&) -> h::task<http::response> {
      co_await h::sleep(2ms);
      co_return http::response::text("late");
    });
    server.get("/gated", [this](http::request&) -> h::task<http::response> {
      entered.set();
      co_await gate.wait();
      co_return http::response::text("through");
    });
    server.post("/echo", [](http::request& r) { return http::response::text(r.body); });
    server.get("/throws",
               [](http::request&) -> http::response { throw std::runtime_error("oops"); });
    server.get("/throws/late", [](http::request&) -> h::task<http::response> {
      co_await h::sleep(1ms);
      throw std::runtime_error("oops");
    });
    server.get("/teapot", [](http::request&) -> h::task<http::response> {
      throw http::status_error(409, "no tea");
      co_return http::response();
    });
    server.get("/nonsense", [](http::request&) { return http::response::text("x", 99999); });
    server.get("/large",
               [](http::request&) { return http::response::text(std::string(8 << 20, 'x')); });
    server.get("/pieces", [](http::request&) { return pieces(std::nullopt); });
    server.get("/counted", [](http::request&) { return pieces(9); });
    server.get("/short", [](http::request&) { return pieces(10); });
    server.get("/long", [](http::request&) { return pieces(8); });
    server.get("/endless", [](http::request&) {
      http::response r;
      r.stream.write = [](http::body_writer& out) -> h::task<> {
        const std::string piece(64 * 1024, 'x');
        for (;;) {
          h::task<> sent = out.write(piece);
          co_await sent;
        }
      };
      return r;
    });
    server.prefix(http::method::get, "/any/",
                  [](http::request& r) { return http::response::text(r.path); });
    server.prefix(http::method::get, "/any/more/",
                  [](http::request&) { return http::response::text("more"); });
  }

  static http::response pieces(std::optional<std::uint64_t> length) {
    http::response r;
    r.stream.length = length;
    r.stream.write = [](http::body_writer& out) -> h::task<> {
      for (const char* piece : {"one", "two", "", "six"}) {
        h::task<> sent = out.write(piece);
        co_await sent;
        co_await h::sleep(100us);
      }
    };
    return r;
  }

  h::task<> start() { return server.start("127.0.0.1", 0); }
  std::string url(std::string_view path) const {
    return "http://127.0.0.1:" + std::to_string(server.port()) + std::string(path);
  }

  http::server server;
  h::event gate;
  h::event entered;
};

/// All that comes until the connection ends.
inline h::task<std::string> read_to_end(h::connection& c) {
  std::string all;
  try {
    while (co_await c.reader.fill()) {
      all += c.reader.buffered();
      c.reader.consume(c.reader.buffered().size());
    }
  } catch (const std::system_error& e) { all += "(" + std::string(e.code().message()) + ")"; }
  co_return all;
}

/// Sends `text` on a connection of its own and returns what comes until it ends.
inline h::task<std::string> talk(const site& s, std::string text) {
  h::connection c = co_await h::open_connection("127.0.0.1", s.server.port());
  c.writer.write(text);
  std::string all = co_await read_to_end(c);
  co_return all;
}

/// The bodies of the answers in a text, with their status where it is not 200.
inline std::string bodies(std::string_view text, http::method asked = http::method::get) {
  std::string all;
  http::limits l;
  l.body_bytes = 16 << 20;
  http::response_parser parser(l);
  for (bool first = true; !text.empty(); first = false) {
    parser.expect(asked);
    text.remove_prefix(parser.feed(text));
    if (text.empty()) parser.finish();
    if (!first) all += " ";
    if (!parser.done()) return all + "(broken)";
    if (parser.message().status != 200) all += std::to_string(parser.message().status) + ":";
    all += parser.message().body;
    parser.next();
  }
  return all;
}

inline std::string get(std::string_view path, std::string_view fields = {}) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + "\r\n";
}
inline constexpr std::string_view and_close = "Connection: close\r\n";

}  // namespace http_test
