// SPDX-License-Identifier: MIT
// Answers that break the rules, and bodies that are read twice.
#include "client_cases.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/message/parser.h>

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace conformance {
namespace {

REACTOR_CASES(HTTP_CLI_ERR_SESSION);
REACTOR_CASES(HTTP_CLI_BDN_AGAIN);

/// What servers send, and what is harmless of it.
const std::vector<std::string>& odd_answers() {
  static const std::vector<std::string> all{
      "HTTP/1.1 200 OK\nContent-Length: 4\nX: y\n\nbody",
      "HTTP/1.1 200 OK\r\nContent-Length: 4\nX: y\r\n\nbody",
      "HTTP/1.1 200\nX: y\nTransfer-Encoding: chunked\n\n4\r\nbody\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX: y\r\nContent-Type: text/plain\r\nContent-Type: text/html\r\n"
      "Content-Length: 4\r\n\r\nbody",
      "HTTP/1.1 200 OK\r\nX:\r\n y\r\nContent-Length: 4\r\n\r\nbody",
      "HTTP/1.1 200 OK\nX:\n\ty\nContent-Length: 4\n\nbody",
      "HTTP/1.1 200    OK\r\nX: y\r\nContent-Length: 4\r\n\r\nbody",
      "HTTP/1.1 102 Wait\n\nHTTP/1.1 200 OK\nX: y\nContent-Length: 4\n\nbody"};
  return all;
}

/// What is not, whoever sends it.
const std::vector<std::string>& broken_answers() {
  static const std::vector<std::string> all{
      "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody!",
      "HTTP/1.1 200 OK\nContent-Length: 4\nContent-Length: 4\n\nbody",
      "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n 2\r\n\r\nbody",
      "HTTP/1.1 200 OK\nContent-Length: 1\n 2\n\nbody",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\nbody\n0\n\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-4\r\nbody\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbodyX\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x4\r\nbody\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\nbody",
      "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 4\r\n\r\nbody"};
  return all;
}

/// The answer, fed in pieces of `size`: its body, or "refused".
std::string read(std::string_view text, std::size_t size, http::tolerance t) {
  http::response_parser p;
  p.set_tolerance(t);
  while (!text.empty() && !p.done() && !p.failed()) {
    const auto used = p.feed(text.substr(0, size));
    text.remove_prefix(used);
    if (used == 0) break;
  }
  if (!p.done() && !p.failed()) p.finish();
  if (!p.done()) return "refused";
  return p.message().body + (p.message().headers.get("x") ? " x" : "") +
         (p.keep_alive() ? " kept" : "");
}

TEST_P(HTTP_CLI_ERR_SESSION, HTTP_CLI_ERR_05_TheVerdictDoesNotDependOnTheCuts) {
  for (const std::size_t size : {1U, 2U, 3U, 7U, 1000U}) {
    for (const auto& text : odd_answers()) {
      const std::string got = read(text, size, http::tolerance::lenient);
      HOLDS(got.starts_with("body x")) << text << size;
      HOLDS(read(text, size, http::tolerance::strict) == "refused") << text << size;
      const bool odd = text.find("200   ") == text.npos && text.find("Type") == text.npos;
      HOLDS(got.ends_with("kept") == !odd) << text << size;
    }
    for (const auto& text : broken_answers())
      for (const auto t :
           {http::tolerance::lenient, http::tolerance::usual, http::tolerance::strict})
        HOLDS(read(text, size, t) == "refused") << text << size;
    const std::string plain = "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 9\r\n\r\na\nb\r\n\n\nc\n";
    for (const auto t : {http::tolerance::lenient, http::tolerance::usual, http::tolerance::strict})
      EQUAL(read(plain, size, t), "a\nb\r\n\n\nc\n x kept");
  }
}

TEST_P(HTTP_CLI_ERR_SESSION, HTTP_CLI_ERR_05_TheLimitsHoldForBareLfToo) {
  http::limits l;
  l.header_bytes = 200;
  const std::string text = "HTTP/1.1 200 OK\nX: " + std::string(180, 'y') + "\n\n";
  for (const std::size_t size : {1U, 5U, 1000U}) {
    http::response_parser p(l);
    p.set_tolerance(http::tolerance::lenient);
    std::string_view rest = text;
    while (!rest.empty() && !p.failed()) {
      const auto used = p.feed(rest.substr(0, size));
      if (used == 0) break;
      rest.remove_prefix(used);
    }
    HOLDS(p.failed());
    EQUAL(p.error().status, 431);
  }
}

TEST_P(HTTP_CLI_ERR_SESSION, HTTP_CLI_ERR_05_ASessionTakesWhatIsHarmlessUnlessItIsStrict) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      const auto number = static_cast<std::size_t>(std::stoi(r.target.substr(2)));
      return "!" + (r.target[1] == 'o' ? odd_answers() : broken_answers())[number];
    });
    co_await p.start();
    http::session lenient;
    http::session_options o;
    o.strict = true;
    http::session strict(o);
    for (std::size_t i = 0; i < odd_answers().size(); ++i) {
      const std::string url = p.url("/o" + std::to_string(i));
      auto getting = lenient.get(url);
      const auto r = co_await getting;
      EQUAL(r.body, "body");
      const auto refused = co_await error_of(strict.get(url));
      HOLDS(is_a<http::protocol_error>(refused)) << i << what_of(refused);
    }
    for (std::size_t i = 0; i < broken_answers().size(); ++i) {
      const std::string url = p.url("/b" + std::to_string(i));
      const auto refused = co_await error_of(lenient.get(url));
      HOLDS(is_a<http::protocol_error>(refused)) << i << what_of(refused);
      const auto strictly = co_await error_of(strict.get(url));
      HOLDS(is_a<http::protocol_error>(strictly)) << i << what_of(strictly);
    }
    EQUAL(lenient.open_connections(), 0u);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_BDN_AGAIN, HTTP_CLI_BDN_09_AWholeBodyYieldsTheSameAgain) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int) { return ok("{\"a\": [1, 2]}"); });
    co_await p.start();
    http::session client;
    auto getting = client.get(p.url("/"));
    const auto r = co_await getting;
    for (int i = 0; i < 2; ++i) {
      EQUAL(r.text(), "{\"a\": [1, 2]}");
      EQUAL(r.json()["a"].size(), 2u);
      EQUAL(r.utf8(), r.body);
    }
    EQUAL(p.seen(), "GET /");
    client.close_kept();
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_BDN_AGAIN, HTTP_CLI_BDN_09_AStreamIsReadOnceAndYieldsTheSameAgain) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int) { return ok("{\"a\": [1, 2]}"); });
    co_await p.start();
    http::session client;
    auto opening = client.at(p.url("/")).open();
    auto stream = co_await opening;
    for (int i = 0; i < 2; ++i) {
      auto reading = stream.text();
      const std::string text = co_await reading;
      EQUAL(text, "{\"a\": [1, 2]}");
      auto parsing = stream.json();
      const auto json = co_await parsing;
      EQUAL(json["a"].size(), 2u);
      auto making = stream.whole();
      const auto whole = co_await making;
      EQUAL(whole.body, text);
      EQUAL(whole.status, 200);
      HOLDS(whole.headers.contains("content-length"));
    }
    EQUAL(client.kept_connections(), 1u);
    EQUAL(p.seen(), "GET /");
    client.close_kept();
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_BDN_AGAIN, HTTP_CLI_BDN_09_BehindAPartThatWasStreamedThereIsNoWhole) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int) { return ok("one two"); });
    co_await p.start();
    http::session client;
    for (const bool by_piece : {true, false}) {
      auto opening = client.at(p.url("/")).open();
      auto stream = co_await opening;
      if (by_piece) {
        auto next = stream.body.next_chunk();
        (void)co_await next;
      } else {
        auto reading = stream.body.read_exactly(3);
        (void)co_await reading;
      }
      const auto text = co_await error_of(stream.text());
      HOLDS(is_a<h::usage_error>(text));
      const auto json = co_await error_of(stream.json());
      HOLDS(is_a<h::usage_error>(json));
      const auto whole = co_await error_of(stream.whole());
      HOLDS(is_a<h::usage_error>(whole));
      auto reading = stream.body.read_all();
      const std::string rest = co_await reading;
      EQUAL(rest, by_piece ? "" : " two");
    }
    client.close_kept();
    co_await p.stop();
  });
}

}  // namespace
}  // namespace conformance
