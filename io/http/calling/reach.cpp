// SPDX-License-Identifier: MIT
#include <heddle/io/http/calling/reach.h>

#include <heddle/core/errors.h>
#include <heddle/io/connecting/name_source.h>
#include <heddle/io/http/calling/tunnel.h>
#include <heddle/io/stream.h>
#include <heddle/io/streams/stream_access.h>
#include <heddle/io/tls.h>
#include <heddle/io/tls/handshake.h>
#include <heddle/io/tls/state.h>
#include <heddle/sched/wait_for.h>

#include <cstdint>
#include <optional>
#include <system_error>
#include <utility>

namespace heddle::http::detail {
namespace {

/// A server that speaks HTTP/2, too, must know which it is.
constexpr const char* spoken = "http/1.1";

const tls_context& usual_tls() {
  // Never freed: a session may outlive the end of main().
  static const tls_context& one = *new tls_context(tls_context::client());
  return one;
}

const tls_context& session_tls(const call& c) {
  const auto& own = c.pool->options.tls;
  return own ? own : usual_tls();
}

const tls_context& tls_of(const call& c) {
  if (c.extras && c.extras->tls) return c.extras->tls;
  return session_tls(c);
}

/// Tells contexts apart. A connection holds its context, so no number is used again meanwhile.
std::uintptr_t number_of(const tls_context& t) noexcept {
  return reinterpret_cast<std::uintptr_t>(heddle::detail::tls_access::of(t));
}

/// How connections for `c` are opened. Throws as making a context does.
connection_options ways_to(const call& c, const std::string& host) {
  connection_options o;
  o.connect_limit = c.clocks().sock_connect;
  if (c.to.scheme != "https") return o;
  o.tls = tls_of(c);
  if (c.extras) o.server_name = c.extras->server_name;
  if (o.server_name.empty() && host != c.to.host) o.server_name = c.to.host;
  return o;
}

/// What a system_error says, without the message of its code, which its heir will add again.
std::string text_of(const std::system_error& e) {
  std::string text = e.what();
  const std::string tail = ": " + e.code().message();
  if (text.ends_with(tail)) text.erase(text.size() - tail.size());
  return text;
}

/// Where connections for `c` lead: the URL's host and port, or what fixed_names says.
std::pair<std::string, std::uint16_t> goal_of(const call& c) {
  const auto& names = c.pool->options.fixed_names;
  const auto found = names.find(c.to.host);
  if (found == names.end()) return {c.to.host, c.to.port};
  const bool brackets = found->second.starts_with('[');
  const bool plain = found->second.find(':') == found->second.rfind(':');
  if (!brackets && !plain) return {found->second, c.to.port};  // an IPv6 address
  const url to = url::parse(c.to.scheme + "://" + found->second);
  const bool has_port = found->second.ends_with(":" + std::to_string(to.port));
  return {to.host, has_port ? to.port : c.to.port};
}

heddle::detail::connecting_extras extras_of(const call& c) { return {c.pool->names, spoken}; }

/// A connection to the proxy itself.
task<connection> connect_to_proxy(const call& c, const proxy::endpoint& through) {
  connection_options ways;
  ways.connect_limit = c.clocks().sock_connect;
  if (through.kind == proxy_kind::https) {
    ways.tls = through.tls ? through.tls : session_tls(c);
    ways.server_name = through.host;
  }
  try {
    auto opening =
        heddle::detail::open_connection(through.host, through.port, std::move(ways), extras_of(c));
    co_return co_await opening;
  } catch (const tls_error&) { throw; } catch (const std::system_error& e) {
    throw proxy_error(e.code(), c.name() + ": the proxy cannot be reached: " + text_of(e));
  }
}

/// Begins TLS with the server, in a tunnel, which may itself go over TLS.
task<> secure_tunnel(const call& c, connection& tunnel) {
  const tls_context& context = tls_of(c);
  const std::string own = c.extras ? c.extras->server_name : std::string();
  std::string name = heddle::detail::checked_server_name(context, own, c.to.host);
  heddle::detail::tls_extras with{spoken, true};
  auto securing = heddle::detail::connect_tls(heddle::detail::stream_access::of(tunnel), context,
                                              std::move(name), std::move(with));
  co_await securing;
}

/// A tunnel that the proxy of SOCKS makes to that host.
task<connection> connect_by_socks(const call& c, const proxy::endpoint& through, std::string host,
                                  std::uint16_t port) {
  auto connecting = connect_to_proxy(c, through);
  connection made = co_await connecting;
  auto asking = ask_socks(c, made, std::move(host), port);
  co_await asking;
  co_return made;
}

/// Looks the name up, and asks the proxy for each address in turn, until one leads somewhere.
task<connection> connect_by_socks_here(const call& c, const proxy::endpoint& through,
                                       std::string host, std::uint16_t port) {
  auto looking = c.pool->names->addresses(std::move(host), port, false);
  const name_answer found = co_await looking;
  for (std::size_t i = 0; i + 1 < found.addresses.size(); ++i) {
    const address& a = found.addresses[i];
    try {
      auto connecting = connect_by_socks(c, through, a.host(), a.port());
      co_return co_await connecting;
    } catch (const proxy_error& e) {
      const int reply = e.status();
      if (reply < 0 || reply > 255 || !socks_blames_address(static_cast<std::uint8_t>(reply)))
        throw;
    }
  }
  const address& last = found.addresses.back();
  auto connecting = connect_by_socks(c, through, last.host(), last.port());
  co_return co_await connecting;
}

/// A connection to the proxy, or through it.
task<connection> connect_by(const call& c, const proxy::endpoint& through) {
  connection made;
  if (through.is_socks()) {
    const auto goal = goal_of(c);
    auto connecting = through.kind == proxy_kind::socks5h
                          ? connect_by_socks(c, through, goal.first, goal.second)
                          : connect_by_socks_here(c, through, goal.first, goal.second);
    made = co_await connecting;
  } else {
    auto connecting = connect_to_proxy(c, through);
    made = co_await connecting;
    if (c.needs_tunnel()) {
      auto asking = ask_for_tunnel(c, made);
      co_await asking;
    }
  }
  if (c.to.scheme != "https") co_return made;
  auto securing = secure_tunnel(c, made);
  co_await securing;
  co_return made;
}

task<connection> connect(const call& c) {
  const auto& options = c.pool->options;
  if (const auto* through = c.proxy()) return connect_by(c, *through);
  if (!options.unix_path.empty()) {
    return heddle::detail::open_unix_connection(options.unix_path, ways_to(c, std::string()),
                                                extras_of(c));
  }
  auto [host, port] = goal_of(c);
  auto ways = ways_to(c, host);
  return heddle::detail::open_connection(std::move(host), port, std::move(ways), extras_of(c));
}

[[noreturn]] void late(const call& c, request_phase phase, const char* what) {
  throw timed_out(phase, c.name() + ": " + what + "; nothing of the request was sent");
}

/// The connection with its place.
task<wire_ptr> open_wire(const call& c, place room) {
  try {
    auto opening = connect(c);
    connection made = co_await opening;
    const auto& options = c.pool->options;
    auto w = std::make_shared<wire>(std::move(made), std::move(room), options.limits);
    w->parser.set_tolerance(options.strict ? tolerance::strict : tolerance::lenient);
    co_return w;
  } catch (const tls_error&) { throw; } catch (const http_error&) {
    throw;
  } catch (const std::system_error& e) {
    throw connect_error(e.code(), c.name() + ": " + text_of(e));
  }
}

/// The rest of a limit that began at `begun`.
std::optional<duration> rest_of(const std::optional<any_duration>& limit, time_point begun) {
  if (!limit) return {};
  return saturating_add(begun, limit->get()) - clock::now();
}

}  // namespace

namespace {

/// What of a proxy makes a connection another one.
std::string way_of(const call& c, const proxy::endpoint& through) {
  std::string way = "|by " + std::to_string(static_cast<int>(through.kind)) + " " + through.host +
                    ":" + std::to_string(through.port) + " ";
  if (through.tls) way += "tls " + std::to_string(number_of(through.tls)) + " ";
  way += through.authorization;
  if (through.is_socks()) {
    way += std::to_string(through.user.size()) + " " + through.user + through.password;
  } else {
    if (const auto own = c.fields.get("proxy-authorization")) way.append(*own);
    if (c.needs_tunnel() && c.to.scheme == "http") way += "|tunnel";
  }
  return way;
}

}  // namespace

std::string where_to(const call& c) {
  std::string where;
  where.reserve(c.to.scheme.size() + c.to.host.size() + 8);
  where.append(c.to.scheme).append("|").append(c.to.host).append("|");
  where += std::to_string(c.to.port);
  if (c.extras && c.to.scheme == "https") {
    const auto& more = *c.extras;
    if (!more.server_name.empty()) where += "|name " + more.server_name;
    if (more.tls) where += "|tls " + std::to_string(number_of(more.tls));
  }
  if (const auto* through = c.proxy()) { where += way_of(c, *through); }
  return where;
}

task<wire_ptr> reach(call& c, std::string where, taken got) {
  const auto begun = clock::now();
  const auto& clocks = c.clocks();
  if (!got.room) {
    c.phase = request_phase::pool;
    if (const auto* trace = c.trace(); trace && trace->waits) trace->waits(c.address);
    auto limit = rest_of(clocks.connect, begun);
    if (clocks.pool && (!limit || clocks.pool->get() < *limit)) limit = clocks.pool->get();
    bool is_late = false;
    try {
      auto waiting = wait_for(c.pool->wait_for_place(where), limit);
      got = co_await waiting;
    } catch (const timeout_error&) { is_late = true; }
    if (is_late) late(c, request_phase::pool, "no connection became free in time");
  }
  if (got.line) co_return std::move(got.line);
  c.phase = request_phase::connect;
  std::string text;
  try {
    auto opening = wait_for(open_wire(c, std::move(got.room)), rest_of(clocks.connect, begun));
    co_return co_await opening;
  } catch (const timeout_error& e) { text = e.what(); }
  if (text.empty()) text = "no connection came about in time";
  late(c, request_phase::connect, text.c_str());
}

}  // namespace heddle::http::detail
