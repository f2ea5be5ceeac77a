// SPDX-License-Identifier: MIT
#include <heddle/io/http/calling/tunnel.h>

#include <heddle/io/http/message/parser.h>

#include <system_error>
#include <utility>

namespace heddle::http::detail {
namespace {

std::string goal(const url& to) {
  const std::string host = to.host.find(':') == to.host.npos ? to.host : "[" + to.host + "]";
  return host + ":" + std::to_string(to.port);
}

[[noreturn]] void refuse(const call& of, std::error_code code, const std::string& why,
                         int status = 0) {
  const auto& p = *of.proxy();
  throw proxy_error(code,
                    of.name() + ": the proxy " + p.host + ":" + std::to_string(p.port) +
                        " does not connect to " + goal(of.to) + ": " + why,
                    status);
}

/// Reads the head of the proxy's answer, and nothing behind it.
task<> read_head(const call& of, stream_reader& from, response_parser& parser) {
  parser.set_in_pieces(true);
  while (!parser.head_done() && !parser.failed()) {
    const auto bytes = from.buffered();
    if (!bytes.empty()) {
      from.consume(parser.feed(bytes));
      continue;
    }
    bool more = false;
    try {
      more = co_await from.fill();
    } catch (const std::system_error& e) { refuse(of, e.code(), e.what()); }
    if (!more) refuse(of, errc::proxy_refused, "it closed the connection");
  }
}

}  // namespace

task<> ask_for_tunnel(const call& of, connection& c) {
  const std::string to = goal(of.to);
  std::string text = "CONNECT " + to + " HTTP/1.1\r\nHost: " + to + "\r\n";
  const auto own = of.fields.get("proxy-authorization");
  const std::string shown(own ? *own : std::string_view(of.proxy()->authorization));
  if (!shown.empty()) text += "Proxy-Authorization: " + shown + "\r\n";
  c.writer.write(text + "\r\n");
  response_parser parser(of.pool->options.limits);
  parser.set_tolerance(of.pool->options.strict ? tolerance::strict : tolerance::lenient);
  auto reading = read_head(of, c.reader, parser);
  co_await reading;
  if (parser.failed()) {
    refuse(of, errc::proxy_refused,
           "its answer is not understood: " + std::string(parser.error().reason));
  }
  const int status = parser.message().status;
  if (status < 200 || status >= 300) {
    refuse(of, errc::proxy_refused,
           std::to_string(status) + " " + std::string(reason_phrase(status)), status);
  }
}

}  // namespace heddle::http::detail
