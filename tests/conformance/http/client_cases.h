// SPDX-License-Identifier: MIT
// What the cases of the HTTP client share: a peer that answers with prepared bytes, and errors.
#pragma once

#include "../io/reactor_cases.h"

#include <heddle/io/http/message/parser.h>
#include <heddle/io/http/session.h>
#include <heddle/io/http/url.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace conformance {

namespace http = h::http;

inline std::string ok(std::string_view body, std::string_view fields = "") {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(fields) + "\r\n" + std::string(body);
}
inline std::string moved(int status, std::string_view location, std::string_view body = "") {
  return "HTTP/1.1 " + std::to_string(status) + " x\r\nLocation: " + std::string(location) +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

/// The request in one line: "POST /a body". Fields are asked for by the answer function.
inline std::string line_of(const http::request& r) {
  return std::string(r.method.text()) + " " + r.target + (r.body.empty() ? "" : " ") + r.body;
}

/// A server that answers each request with the bytes that `answer` makes of it. If they begin with
/// "!", the connection ends behind them. Its connections may outlive it.
class peer {
 public:
  /// `connection` counts from 1.
  using answer = std::function<std::string(const http::request&, int connection)>;

  explicit peer(answer a) : shared_(std::make_shared<shared>()) { shared_->make = std::move(a); }
  h::task<> start() {
    auto take = [s = shared_](h::connection c) { return serve(s, std::move(c)); };
    auto starting = h::start_server(take, "127.0.0.1", 0);
    server_ = co_await starting;
  }
  h::task<> stop() {
    server_.close();
    server_.abort_clients();
    co_await server_.wait_closed();
  }
  [[nodiscard]] std::string url(std::string_view path) const {
    return "http://127.0.0.1:" + std::to_string(port()) + std::string(path);
  }
  [[nodiscard]] std::uint16_t port() const { return server_.port(); }
  [[nodiscard]] int connections() const { return shared_->connections; }
  [[nodiscard]] int most() const { return shared_->most; }
  [[nodiscard]] int open() const { return shared_->open; }
  /// The requests, one a word group: "GET /a|POST /b x".
  [[nodiscard]] std::string seen() const {
    std::string all;
    for (const auto& l : shared_->log.lines()) all += (all.empty() ? "" : "|") + l;
    return all;
  }

 private:
  struct shared {
    answer make;
    std::atomic<int> connections{0};
    std::atomic<int> open{0};
    std::atomic<int> most{0};
    journal log;
  };

  /// A client that resets its connection is no news.
  static h::task<> serve(std::shared_ptr<shared> s, h::connection c) {
    try {
      auto work = converse(s, std::move(c));
      co_await work;
    } catch (const std::system_error&) {}
  }
  static h::task<> converse(std::shared_ptr<shared> s, h::connection c) {
    const int number = ++s->connections;
    const int now = ++s->open;
    for (int was = s->most; was < now && !s->most.compare_exchange_weak(was, now);) {}
    const std::shared_ptr<void> leaving(nullptr, [s](void*) { --s->open; });
    for (;;) {
      http::limits l;
      l.body_bytes = std::size_t{1} << 30;
      http::request_parser parser(l);
      while (!parser.done()) {
        if (c.reader.buffered().empty()) {
          const bool more = co_await c.reader.fill();
          if (!more) co_return;
        }
        c.reader.consume(parser.feed(c.reader.buffered()));
        if (parser.failed()) co_return;
      }
      s->log.add(line_of(parser.message()));
      const std::string text = s->make(parser.message(), number);
      const bool last = text.starts_with('!');
      c.writer.write(std::string_view(text).substr(last ? 1 : 0));
      co_await c.writer.drain();
      if (last) {
        c.writer.close();
        co_return;
      }
    }
  }

  std::shared_ptr<shared> shared_;
  h::server server_;
};

template <class E>
bool is_a(const std::exception_ptr& e) {
  if (!e) return false;
  try {
    std::rethrow_exception(e);
  } catch (const E&) { return true; } catch (...) {
    return false;
  }
}

/// What `ask` says of an error of type E; "" for another.
template <class E, class F>
std::string told(const std::exception_ptr& e, F ask) {
  try {
    if (e) std::rethrow_exception(e);
  } catch (const E& caught) { return ask(caught); } catch (...) {
  }
  return "";
}

inline std::string what_of(const std::exception_ptr& e) {
  return told<std::exception>(e, [](const std::exception& x) { return std::string(x.what()); });
}

/// "read all" for a clock of that name after the whole request.
inline std::string phase_of(const std::exception_ptr& e) {
  return told<http::timed_out>(e, [](const http::timed_out& t) -> std::string {
    switch (t.phase()) {
      case http::request_phase::pool: return "pool";
      case http::request_phase::connect: return "connect";
      case http::request_phase::read: return "read";
      case http::request_phase::write: return "write";
      case http::request_phase::total: return "total";
    }
    return "?";
  });
}

/// All of a body, read piece by piece.
inline h::task<std::string> read_pieces(http::body_reader& from) {
  std::string all;
  for (;;) {
    auto next = from.next_chunk();
    const auto piece = co_await next;
    if (!piece) break;
    all += *piece;
  }
  co_return all;
}

}  // namespace conformance
