// SPDX-License-Identifier: MIT
// The client's handshake, over connections of its own.
#include <heddle/core/errors.h>
#include <heddle/io/http/message/parser.h>
#include <heddle/io/http/message/writer.h>
#include <heddle/io/http/url.h>
#include <heddle/io/http/websocket.h>
#include <heddle/io/http/websocket/websocket_access.h>
#include <heddle/io/tls.h>
#include <heddle/sched/wait_for.h>

#include <algorithm>
#include <memory>
#include <system_error>
#include <utility>

namespace heddle::http {
namespace detail {
namespace {

// So much of the body of an answer that opens no WebSocket is read, for the error.
constexpr std::size_t most_body = std::size_t{16} * 1024;

const tls_context& usual_tls() {
  // Never freed: a connection may outlive the end of main().
  static const tls_context& one = *new tls_context([] {
    tls_options o;
    o.alpn.emplace_back("http/1.1");  // a WebSocket of HTTP/2 opens in another way
    return tls_context::client(o);
  }());
  return one;
}

/// "ws" and "wss" stand for "http" and "https" (RFC 6455, 3).
std::string as_http(std::string_view address) {
  const auto colon = std::min(address.find(':'), address.size());
  const auto scheme = address.substr(0, colon);
  if (same_token(scheme, "ws")) return "http" + std::string(address.substr(colon));
  if (same_token(scheme, "wss")) return "https" + std::string(address.substr(colon));
  return std::string(address);
}

/// Where a redirection leads. A place without a scheme is on the same server.
url follow(const url& from, std::string_view location) {
  url to = from;
  if (location.starts_with("//")) {
    to = url::parse(from.scheme + ":" + std::string(location));
  } else if (location.starts_with('/')) {
    to.target = std::string(location.substr(0, location.find('#')));
  } else if (location.find("://") != std::string_view::npos) {
    to = url::parse(as_http(location));
  } else {
    const auto path = std::string_view(from.target).substr(0, from.target.find('?'));
    to.target = std::string(path.substr(0, path.rfind('/') + 1)) +
                std::string(location.substr(0, location.find('#')));
  }
  if (from.scheme == "https" && to.scheme != "https")
    throw redirect_error("a redirection leads from wss to ws: " + printable(location));
  return to;
}

bool is_redirection(int status) noexcept {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/// Reads the head of the answer, and of its body what comes with it, if it opens nothing.
task<response> read_answer(connection& c, response_parser& parser) {
  for (;;) {
    const auto bytes = c.reader.buffered();
    c.reader.consume(parser.feed(bytes));
    if (parser.done() || parser.failed()) break;
    const bool more = co_await c.reader.fill();
    if (more) continue;
    if (parser.idle()) throw connection_lost("the server closed the connection without an answer");
    parser.finish();
    break;
  }
  if (parser.failed()) {
    if (parser.head_done() || parser.message().status != 0) co_return parser.message();
    throw protocol_error("the answer to the handshake of a WebSocket is not understood: " +
                         std::string(parser.error().reason));
  }
  co_return std::move(parser.message());
}

struct opened {
  response answer;
  connection over;
};

/// One request and its answer.
task<opened> ask(url u, std::shared_ptr<const ws_options> o, std::string key) {
  connection_options ways;
  if (u.scheme == "https") ways.tls = o->tls ? o->tls : usual_tls();
  std::string text;
  write_request(text, method::get, u.target, u.authority(), opening_fields(*o, key), {});
  task<connection> opening = open_connection(u.host, u.port, std::move(ways));
  opened made;
  made.over = co_await opening;
  made.over.writer.write(text);
  limits most;
  most.body_bytes = most_body;
  response_parser parser(most);
  parser.expect(method::get);
  task<response> reading = read_answer(made.over, parser);
  made.answer = co_await reading;
  co_return made;
}

task<websocket> open(url u, std::shared_ptr<const ws_options> o) {
  for (unsigned left = o->redirects;; --left) {
    const std::string key = fresh_key();
    task<opened> asking = ask(u, o, key);
    opened got = co_await asking;
    const auto location = got.answer.headers.get("Location");
    if (!is_redirection(got.answer.status) || !location || o->redirects == 0) {
      ws_agreed with = judge_answer(got.answer, *o, key);
      ws_ref core(new ws_core(ws_side::client, o));
      core->begin(std::move(got.over), std::move(with));
      co_return websocket_access::make(std::move(core));
    }
    got.over.writer.abort();
    if (left == 0)
      throw redirect_error("more redirections than `redirects`", errc::too_many_redirects);
    const url to = follow(u, *location);
    if (to.host != u.host || to.port != u.port || to.scheme != u.scheme) {
      // Secrets are for the server that they were given for.
      ws_options without = *o;
      without.headers.remove("Authorization");
      without.headers.remove("Cookie");
      o = std::make_shared<const ws_options>(std::move(without));
    }
    u = to;
  }
}

}  // namespace
}  // namespace detail

task<websocket> connect_websocket(std::string address, ws_options options) {
  detail::check_options(options);
  auto u = url::parse(detail::as_http(address));
  (void)detail::opening_fields(options, "");  // what is wrong with the options is told at the call
  const auto limit = options.open_timeout;
  auto work = detail::open(std::move(u), std::make_shared<const ws_options>(std::move(options)));
  if (!limit) return work;
  return wait_for(std::move(work), *limit);
}

}  // namespace heddle::http
