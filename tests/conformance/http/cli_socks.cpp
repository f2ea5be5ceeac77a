// SPDX-License-Identifier: MIT
// Requests through SOCKS proxies (RFC 1928, RFC 1929).
#include "client_cases.h"

#include <heddle/core/errors.h>
#include <heddle/io/copy.h>
#include <heddle/io/http/calling/tunnel.h>
#include <heddle/io/http/proxy.h>
#include <heddle/io/http/server.h>
#include <heddle/io/resolver.h>
#include <heddle/io/tls.h>

#include <support/certificates.h>

#include <cstdint>
#include <memory>
#include <string>

namespace conformance {
namespace {

REACTOR_CASES(HTTP_CLI_PRX_SOCKS);

/// How a proxy behaves.
struct socks_rules {
  std::string user;      // not empty: "user:password" is asked for
  std::string greeting;  // not empty: the answer to the greeting
  std::string refuse;    // hosts for which `reply` is the answer; "*": all
  int reply = 0;
  std::string bound = std::string("\x01\0\0\0\0\0\0", 7);  // kind, address and port of the answer
  std::shared_ptr<journal> log = std::make_shared<journal>();
};

std::uint8_t number(char c) { return static_cast<std::uint8_t>(c); }

h::task<std::string> take(h::connection& c, std::size_t n) {
  auto reading = c.reader.read_exactly(static_cast<std::ptrdiff_t>(n));
  co_return co_await reading;
}

/// Greeting and login. False: the client was refused.
h::task<bool> greet(h::connection& c, const socks_rules& rules) {
  const std::string head = co_await take(c, 2);
  const std::string ways = co_await take(c, number(head[1]));
  if (!rules.greeting.empty()) {
    c.writer.write(rules.greeting);
    co_return false;
  }
  if (rules.user.empty()) {
    c.writer.write(std::string("\x05\0", 2));
    co_return true;
  }
  const bool offered = ways.find('\x02') != std::string::npos;
  c.writer.write(offered ? std::string("\x05\x02") : std::string("\x05\xff"));
  if (!offered) co_return false;
  const std::string first = co_await take(c, 2);
  std::string given = co_await take(c, number(first[1]));
  const std::string size = co_await take(c, 1);
  const std::string password = co_await take(c, number(size[0]));
  given += ":" + password;
  const bool right = given == rules.user;
  c.writer.write(right ? std::string("\x01\0", 2) : std::string("\x01\x07"));
  co_return right;
}

/// The host and port that are asked for: "name h:80".
h::task<std::string> asked(h::connection& c, std::uint16_t& port) {
  const std::string head = co_await take(c, 4);
  std::string text;
  if (head[3] == 3) {
    const std::string size = co_await take(c, 1);
    const std::string name = co_await take(c, number(size[0]));
    text = "name " + name;
  } else {
    const std::string bytes = co_await take(c, head[3] == 1 ? 4 : 16);
    text = head[3] == 1 ? "ipv4" : "ipv6";
    char before = ' ';
    for (const char b : bytes) {
      text += before + std::to_string(number(b));
      before = '.';
    }
  }
  const std::string at = co_await take(c, 2);
  port = static_cast<std::uint16_t>(number(at[0]) * 256 + number(at[1]));
  co_return text;
}

h::task<> serve_socks(h::connection c, std::shared_ptr<const socks_rules> rules) {
  try {
    auto greeting = greet(c, *rules);
    const bool in = co_await greeting;
    if (!in) {
      c.writer.close();
      co_return;
    }
    std::uint16_t port = 0;
    auto asking = asked(c, port);
    const std::string what = co_await asking;
    rules->log->add(what);
    const bool refused =
        rules->refuse == "*" || (!rules->refuse.empty() && what.find(rules->refuse) != what.npos);
    std::string answer{5, static_cast<char>(refused ? rules->reply : 0), 0};
    answer += rules->bound;
    if (refused) {
      c.writer.write(answer);
      c.writer.close();
      co_return;
    }
    h::connection to = co_await h::open_connection("127.0.0.1", port);
    c.writer.write(answer);
    (void)co_await h::copy(c, to);
    c.writer.close();
    to.writer.close();
  } catch (const std::system_error&) {
  } catch (const h::incomplete_read_error&) {}
}

h::task<h::server> start_socks(const socks_rules& rules) {
  auto shared = std::make_shared<const socks_rules>(rules);
  auto take_guest = [shared](h::connection c) { return serve_socks(std::move(c), shared); };
  auto starting = h::start_server(take_guest, "127.0.0.1", 0);
  h::server s = co_await starting;
  co_return s;
}

h::task<> stop(h::server& s) {
  s.close();
  s.abort_clients();
  s.cancel_handlers();
  co_await s.wait_closed();
}

http::proxy through(const h::server& s, const std::string& scheme, const std::string& user = "") {
  return http::proxy(scheme + "://" + user + "127.0.0.1:" + std::to_string(s.port()));
}

std::string port_text(std::uint16_t port) { return ":" + std::to_string(port); }

void resolve_to(std::vector<std::string> addresses) {
  h::set_resolver([addresses](const h::name_query& q) {
    h::name_answer a;
    for (const auto& text : addresses) a.addresses.push_back(h::address::ip(text, q.port));
    return a;
  });
}

TEST_P(HTTP_CLI_PRX_SOCKS, HTTP_CLI_PRX_09_NamesAreLookedUpHereOrThere) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      return ok(r.target + " " + std::string(*r.headers.get("host")) + " " +
                std::string(r.headers.get("proxy-authorization").value_or("none")));
    });
    co_await p.start();
    resolve_to({"127.0.0.9"});
    socks_rules rules;
    h::server proxy = co_await start_socks(rules);
    http::session client;
    const std::string host = "h.test" + port_text(p.port());
    for (const char* scheme : {"socks5", "socks5h", "SOCKS5H"}) {
      auto request = client.at("http://" + host + "/a?b");
      request.proxy(through(proxy, scheme)).header("Proxy-Authorization", "secret");
      auto getting = request.get();
      const auto r = co_await getting;
      EQUAL(r.body, "/a?b " + host + " none");
    }
    auto by_number = client.at(p.url("/"));
    by_number.proxy(through(proxy, "socks5h"));
    auto getting = by_number.get();
    (void)co_await getting;
    EQUAL(rules.log->joined(), "ipv4 127.0.0.9 name h.test ipv4 127.0.0.1");
    EQUAL(p.connections(), 3);  // that of SOCKS5H was kept
    h::reset_resolver();
    client.close_kept();
    co_await stop(proxy);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_PRX_SOCKS, HTTP_CLI_PRX_09_AddressesAreTriedInTurn) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int) { return ok("x"); });
    co_await p.start();
    resolve_to({"127.0.0.9", "127.0.0.8"});
    socks_rules rules;
    rules.refuse = "127.0.0.9";
    rules.reply = 4;
    h::server proxy = co_await start_socks(rules);
    http::session_options o;
    o.proxy = through(proxy, "socks5");
    http::session client(o);
    auto getting = client.get("http://h.test" + port_text(p.port()) + "/");
    const auto r = co_await getting;
    EQUAL(r.body, "x");
    EQUAL(rules.log->joined(), "ipv4 127.0.0.9 ipv4 127.0.0.8");
    EQUAL(client.open_connections(), 1u);
    h::reset_resolver();
    client.close_kept();
    co_await stop(proxy);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_PRX_SOCKS, HTTP_CLI_PRX_09_UserAndPasswordAreOfRfc1929) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int) { return ok("x"); });
    co_await p.start();
    socks_rules rules;
    rules.user = "u:p@ss";
    h::server proxy = co_await start_socks(rules);
    http::session client;
    const auto ask = [&](const std::string& user) {
      auto request = client.at(p.url("/"));
      request.proxy(through(proxy, "socks5h", user));
      return request.get();
    };
    auto right = ask("u:p%40ss@");
    const auto r = co_await right;
    EQUAL(r.body, "x");
    const auto wrong = co_await error_of(ask("u:other@"));
    HOLDS(is_a<http::proxy_error>(wrong));
    HOLDS(what_of(wrong).find("refuses the user or the password") != std::string::npos);
    HOLDS(what_of(wrong).find("other") == std::string::npos);
    const auto none = co_await error_of(ask(""));
    HOLDS(what_of(none).find("wants a user") != std::string::npos);
    EQUAL(p.connections(), 1);
    EQUAL(client.open_connections(), 1u);
    client.close_kept();
    co_await stop(proxy);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_PRX_SOCKS, HTTP_CLI_PRX_09_EveryReplyIsAClearError) {
  run([]() -> h::task<> {
    const std::pair<int, int> all[] = {{1, 0},
                                       {2, EACCES},
                                       {3, ENETUNREACH},
                                       {4, EHOSTUNREACH},
                                       {5, ECONNREFUSED},
                                       {6, ETIMEDOUT},
                                       {7, 0},
                                       {8, EAFNOSUPPORT},
                                       {99, 0}};
    for (const auto& [reply, code] : all) {
      socks_rules rules;
      rules.refuse = "*";
      rules.reply = reply;
      h::server proxy = co_await start_socks(rules);
      http::session_options o;
      o.proxy = through(proxy, "socks5h");
      http::session client(o);
      const auto error = co_await error_of(client.get("https://h.test/"));
      const auto status =
          told<http::proxy_error>(error, [](const auto& e) { return std::to_string(e.status()); });
      EQUAL(status, std::to_string(reply));
      HOLDS(what_of(error).find(http::detail::socks_reason(static_cast<std::uint8_t>(reply))) !=
            std::string::npos);
      HOLDS(what_of(error).find("h.test:443") != std::string::npos);
      if (code != 0) EQUAL(code_of(error), code);
      EQUAL(client.open_connections(), 0u);
      co_await stop(proxy);
    }
  });
}

TEST_P(HTTP_CLI_PRX_SOCKS, HTTP_CLI_PRX_09_WhatIsNoSocksIsAnError) {
  run([]() -> h::task<> {
    for (const std::string& greeting :
         {std::string("HTTP/1.1 400 Bad\r\n\r\n"), std::string("\x05\xff"), std::string("\x05\x02"),
          std::string("\x05\x09"), std::string("\x04\0", 2), std::string("\x05")}) {
      socks_rules rules;
      rules.greeting = greeting;
      h::server proxy = co_await start_socks(rules);
      http::session_options o;
      o.proxy = through(proxy, "socks5h");
      http::session client(o);
      const auto error = co_await error_of(client.get("http://h.test/"));
      HOLDS(is_a<http::proxy_error>(error)) << greeting;
      EQUAL(client.open_connections(), 0u);
      co_await stop(proxy);
    }
  });
}

TEST_P(HTTP_CLI_PRX_SOCKS, HTTP_CLI_PRX_09_HttpsGoesThroughWithTheNameOfTheServer) {
  run([]() -> h::task<> {
    const support::authority ca("CN=Own");
    http::server_options with_tls;
    const auto id = ca.issue({.names = {"h.test"}});
    with_tls.tls = h::tls_context::server(id.certificate, id.key);
    http::server secure(with_tls);
    secure.get("/", [](http::request&) { return http::response::text("secret"); });
    co_await secure.start("127.0.0.1", 0);
    socks_rules rules;
    rules.bound = std::string("\x03\x04name\0\x50", 8);
    h::server proxy = co_await start_socks(rules);
    h::tls_options trust;
    trust.ca = ca.certificate();
    http::session_options o;
    o.tls = h::tls_context::client(trust);
    o.proxy = through(proxy, "socks5h");
    http::session client(o);
    for (int i = 0; i < 2; ++i) {
      auto getting = client.get("https://h.test" + port_text(secure.port()) + "/");
      const auto r = co_await getting;
      EQUAL(r.body, "secret");
    }
    EQUAL(rules.log->joined(), "name h.test");
    client.close_kept();
    co_await stop(proxy);
    co_await secure.stop();
  });
}

TEST_P(HTTP_CLI_PRX_SOCKS, HTTP_CLI_PRX_09_MessagesAreThoseOfTheStandards) {
  using namespace http::detail;
  const auto choose = [](std::string_view text) {
    const http::proxy p(text);
    return *p.choose(http::url::parse("http://h"));
  };
  const auto plain = choose("socks5://h");
  EQUAL(plain.port, 1080);
  EQUAL(socks_greeting(plain), std::string("\x05\x01\0", 3));
  const auto named = choose("socks5h://me:word@h:443");
  EQUAL(named.port, 443);
  EQUAL(socks_greeting(named), std::string("\x05\x02\0\x02", 4));
  EQUAL(socks_login(named), "\x01\x02me\x04word");
  EQUAL(socks_request("a.b", 258), std::string("\x05\x01\0\x03\x03", 5) + "a.b\x01\x02");
  EQUAL(socks_request("1.2.3.4", 80), std::string("\x05\x01\0\x01\x01\x02\x03\x04\0\x50", 10));
  EQUAL(socks_request("::1", 80).size(), 22u);
  THROWS(h::bad_value, socks_request(std::string(256, 'a'), 80));
  THROWS(h::bad_value, http::proxy("socks4://h"));
  THROWS(h::bad_value, http::proxy("socks5://:word@h"));
  THROWS(h::bad_value, http::proxy("socks5://" + std::string(256, 'u') + ":p@h"));
}

}  // namespace
}  // namespace conformance
