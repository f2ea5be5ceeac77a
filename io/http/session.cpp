// SPDX-License-Identifier: MIT
#include <heddle/io/http/session.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/calling/connections.h>
#include <heddle/io/http/message/writer.h>
#include <heddle/io/http/url.h>
#include <heddle/io/stream.h>
#include <heddle/io/tls.h>
#include <heddle/sched/wait_for.h>

#include <nlohmann/json.hpp>

#include <exception>
#include <memory>
#include <system_error>
#include <utility>

namespace heddle::http {
namespace detail {

namespace {

bool may_be_repeated(const method& m) noexcept {
  switch (m.kind()) {
    case method::get:
    case method::head:
    case method::put:
    case method::delete_:
    case method::options:
    case method::trace: return true;
    default: return false;
  }
}

/// Sends a request and reads its answer. False: the connection ended before a byte of the answer
/// came. The server may not have seen the request.
task<bool> exchange_on(wire& w, std::string_view text, method asked) {
  auto& parser = *w.parser;
  w.busy = true;
  parser.next();
  parser.expect(asked);
  w.to.writer.write(text);
  for (;;) {
    while (!parser.done() && !parser.failed()) {
      const auto bytes = w.to.reader.buffered();
      if (bytes.empty()) break;
      w.to.reader.consume(parser.feed(bytes));
    }
    if (parser.failed()) {
      throw protocol_error("the answer of " + w.to.writer.peer_address().to_string() +
                           " is not understood: " + std::string(parser.error().reason));
    }
    if (parser.done()) co_return true;
    bool more = false;
    try {
      more = co_await w.to.reader.fill();
    } catch (const std::system_error&) {
      if (!parser.idle()) throw;
      co_return false;
    }
    if (more) continue;
    if (parser.idle()) co_return false;
    parser.finish();
  }
}

void add_defaults(headers& to, const headers& defaults, const request_options& o) {
  for (const auto f : defaults) {
    if (!to.contains(f.name)) to.add(f.name, f.value);
  }
  if (!o.content_type.empty() && !to.contains("content-type"))
    to.add("Content-Type", o.content_type.text());
}

const tls_context& usual_tls() {
  // Never freed: a session may outlive the end of main().
  static const tls_context& one = *new tls_context([] {
    tls_options o;
    o.alpn.emplace_back("http/1.1");
    return tls_context::client(o);
  }());
  return one;
}

/// How connections to `u` are opened. Throws as making a context does.
connection_options ways_to(const url& u, const session_options& options) {
  connection_options o;
  if (u.scheme == "https") o.tls = options.tls ? options.tls : usual_tls();
  return o;
}

task<client_response> perform(heddle::detail::counted_ptr<connection_pool> pool, method m, url u,
                              request_options o) {
  const std::string where = u.scheme + "|" + u.host + "|" + std::to_string(u.port);
  add_defaults(o.headers, pool->options.headers, o);
  std::string text;
  write_request(text, m, u.target, u.authority(), o.headers, o.body);

  std::optional<wire> w = pool->take(where);
  for (;;) {
    const bool is_new = !w;
    if (is_new) {
      auto opening = open_connection(u.host, u.port, ways_to(u, pool->options));
      connection c = co_await opening;
      w.emplace(std::move(c), std::make_unique<response_parser>(pool->options.limits));
    }
    task<bool> work = exchange_on(*w, text, m);
    const bool answered = co_await work;
    if (answered) break;
    if (is_new || !may_be_repeated(m)) {
      throw protocol_error(u.authority() + " closed the connection without an answer");
    }
    w.reset();
  }
  auto& got = w->parser->message();
  client_response r{got.status, std::move(got.headers), std::move(got.body)};
  // Protocol KEEP. Bytes behind the answer belong to no request. And a peer that answers before it
  // has got all of the request may never read the rest. In both cases the connection is not used
  // again. If a request has no body, a peer that answers it has got all of it.
  const bool clean = w->to.reader.buffered().empty() && (o.body.empty() || w->all_sent());
  if (clean) w->busy = false;
  if (clean && w->parser->keep_alive() && !o.headers.has_token("connection", "close"))
    pool->keep(where, std::move(*w));
  co_return r;
}

}  // namespace
}  // namespace detail

static_assert(std::is_same_v<json_value, nlohmann::json>);

json_value client_response::json() const {
  try {
    return nlohmann::json::parse(body);
  } catch (const nlohmann::json::parse_error& e) {
    throw protocol_error(std::string("the answer is no JSON: ") + e.what());
  }
}

session::session() : session(session_options()) {}

session::session(session_options options)
    : pool_(new detail::connection_pool(std::move(options))) {}

session::session(session&&) noexcept = default;

session& session::operator=(session&& other) noexcept {
  if (this != &other) {
    if (pool_) pool_->retire();
    pool_ = std::move(other.pool_);
  }
  return *this;
}

session::~session() {
  if (pool_) pool_->retire();
}

task<client_response> session::request(method m, std::string address, request_options options) {
  auto u = url::parse(address);
  const auto limit = options.timeout ? options.timeout : pool_->options.timeout;
  auto work = detail::perform(pool_, std::move(m), std::move(u), std::move(options));
  if (!limit) return work;
  return wait_for(std::move(work), *limit);
}

task<client_response> session::request(method m, std::string address) {
  return request(std::move(m), std::move(address), request_options());
}

task<client_response> session::get(std::string address) {
  return request(method::get, std::move(address), request_options());
}

task<client_response> session::head(std::string address) {
  return request(method::head, std::move(address), request_options());
}

task<client_response> session::post(std::string address, std::string body) {
  return post(std::move(address), std::move(body), request_options());
}

task<client_response> session::get(std::string address, request_options options) {
  return request(method::get, std::move(address), std::move(options));
}

task<client_response> session::head(std::string address, request_options options) {
  return request(method::head, std::move(address), std::move(options));
}

task<client_response> session::post(std::string address, std::string body,
                                    request_options options) {
  options.body = std::move(body);
  return request(method::post, std::move(address), std::move(options));
}

std::size_t session::kept_connections() const { return pool_->size(); }

void session::close_kept() { pool_->clear(); }

}  // namespace heddle::http
