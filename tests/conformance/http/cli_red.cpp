// SPDX-License-Identifier: MIT
// Redirections of the client.
#include "client_cases.h"

#include <heddle/core/errors.h>
#include <heddle/sched/async_generator.h>

namespace conformance {
namespace {

REACTOR_CASES(HTTP_CLI_RED);

/// Answers "/N" with a redirection of that status to "/end", and all else with what it got.
std::string by_status(const http::request& r, int) {
  if (r.target == "/end") {
    std::string fields;
    for (const auto f : r.headers)
      if (http::same_token(f.name.substr(0, 8), "content-") || f.name == "Transfer-Encoding")
        fields += "," + std::string(f.name);
    return ok(line_of(r) + fields);
  }
  return moved(std::stoi(r.target.substr(1)), "/end");
}

TEST_P(HTTP_CLI_RED, HTTP_CLI_RED_01_APostBecomesAGetBy301And302) {
  run([]() -> h::task<> {
    peer p(by_status);
    co_await p.start();
    http::session client;
    for (const char* path : {"/301", "/302"}) {
      const auto post = co_await client.at(p.url(path)).text("body").post();
      EQUAL(post.body, "GET /end");
      const auto put = co_await client.put(p.url(path), "body");
      EQUAL(put.body, "PUT /end body,Content-Length");
    }
    for (const char* path : {"/307", "/308"}) {
      const auto post = co_await client.post(p.url(path), "body");
      EQUAL(post.body, "POST /end body,Content-Length");
    }
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_RED, HTTP_CLI_RED_03_A303MakesAGetOfAllButHead) {
  run([]() -> h::task<> {
    peer p(by_status);
    co_await p.start();
    http::session client;
    const auto put = co_await client.put(p.url("/303"), "body");
    EQUAL(put.body, "GET /end");
    const auto gone = co_await client.delete_(p.url("/303"));
    EQUAL(gone.body, "GET /end");
    const auto head = co_await client.at(p.url("/303")).redirects(3).head();
    EQUAL(head.status, 200);
    HOLDS(p.seen().ends_with("HEAD /303|HEAD /end"));
    co_await p.stop();
  });
}

h::async_generator<std::string> two_pieces() {
  co_yield std::string("one");
  co_yield std::string("two");
}

TEST_P(HTTP_CLI_RED, HTTP_CLI_RED_05_ABodyThatCannotBeSentAgainIsAnError) {
  run([]() -> h::task<> {
    peer p(by_status);
    co_await p.start();
    http::session client;
    auto once = client.at(p.url("/307"));
    once.body(http::upload(two_pieces()));
    const auto error = co_await error_of(once.post());
    HOLDS(is_a<http::redirect_error>(error));
    HOLDS(what_of(error).find("cannot be sent again") != std::string::npos);
    EQUAL(p.seen(), "POST /307 onetwo");
    auto again = client.at(p.url("/307"));
    again.body(http::upload::again(two_pieces));
    const auto answer = co_await again.post();
    EQUAL(answer.body, "POST /end onetwo,Content-Type,Transfer-Encoding");
    co_await p.stop();
  });
}

std::string chain(const http::request& r, int) {
  const int left = std::stoi(r.target.substr(1));
  return left == 0 ? ok("end") : moved(302, "/" + std::to_string(left - 1));
}

TEST_P(HTTP_CLI_RED, HTTP_CLI_RED_06_TenHopsAreFollowedAndTheEleventhThrowsWithTheHistory) {
  run([]() -> h::task<> {
    peer p(chain);
    co_await p.start();
    http::session client;
    const auto ten = co_await client.get(p.url("/10"));
    EQUAL(ten.body, "end");
    EQUAL(ten.history.size(), 10u);
    const auto error = co_await error_of(client.get(p.url("/11")));
    const auto n = told<http::too_many_redirects>(
        error, [](const auto& e) { return std::to_string(e.history().size()); });
    EQUAL(n, "11");
    EQUAL(p.connections(), 1);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_RED, HTTP_CLI_RED_07_WithoutFollowingTheAnswerIsTheRedirectionItself) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      return r.method == http::method::head ? moved(302, "/end") : moved(302, "/end", "here");
    });
    co_await p.start();
    http::session client;
    const auto off = co_await client.at(p.url("/a")).redirects(0).get();
    EQUAL(off.status, 302);
    EQUAL(off.body, "here");
    const auto head = co_await client.head(p.url("/a"));
    EQUAL(head.status, 302);
    HOLDS(head.history.empty());
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_RED, HTTP_CLI_RED_08_ARedirectionThatLeadsNowhereIsTheAnswer) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int) {
      return std::string("HTTP/1.1 302 Found\r\nContent-Length: 4\r\n\r\nbody");
    });
    co_await p.start();
    http::session client;
    const auto r = co_await client.get(p.url("/a"));
    EQUAL(r.status, 302);
    EQUAL(r.body, "body");
    EQUAL(client.kept_connections(), 1u);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_RED, HTTP_CLI_RED_09_ALocationIsResolvedAgainstTheCurrentUrlAndEncoded) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      if (r.target == "/dir/a?n=1") return moved(302, "b?x=%2f y");
      if (r.target == "/dir/b?x=%2f%20y") return moved(302, "../\xC3\xA9/./c");
      if (r.target == "/%C3%A9/c") return moved(302, "//" + std::string(*r.headers.get("host")));
      return ok(r.target);
    });
    co_await p.start();
    http::session client;
    const auto r = co_await client.at(p.url("/dir/a")).query("n", 1).get();
    EQUAL(r.body, "/");
    EQUAL(r.url, p.url("/"));
    EQUAL(r.history.size(), 3u);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_RED, HTTP_CLI_RED_10_AFragmentGoesOnUnlessTheLocationHasOne) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      if (r.target == "/plain") return moved(302, "/end");
      if (r.target == "/own") return moved(302, "/end#b");
      return ok(r.target);
    });
    co_await p.start();
    http::session client;
    const auto plain = co_await client.get(p.url("/plain#a"));
    EQUAL(plain.url, p.url("/end#a"));
    EQUAL(plain.body, "/end");
    const auto own = co_await client.get(p.url("/own#a"));
    EQUAL(own.url, p.url("/end#b"));
    co_await p.stop();
  });
}

/// Tells which credentials came, and sends the client from one port to the other and back.
std::string secrets(const http::request& r) {
  std::string all;
  for (const char* name : {"authorization", "cookie", "proxy-authorization", "x-mine"})
    for (const auto value : r.headers.all(name)) all += " " + std::string(value);
  return all;
}

TEST_P(HTTP_CLI_RED, HTTP_CLI_RED_11_CredentialsAreForTheFirstOriginAloneAndStayAway) {
  run([]() -> h::task<> {
    auto log = std::make_shared<journal>();
    auto back = std::make_shared<std::string>();
    auto there = std::make_shared<std::string>();
    peer other([log, back](const http::request& r, int) {
      log->add("other:" + secrets(r));
      return moved(302, *back);
    });
    co_await other.start();
    peer first([log, there](const http::request& r, int) {
      log->add(r.target + ":" + secrets(r));
      if (r.target == "/a") return moved(302, "/b");
      return r.target == "/b" ? moved(302, *there) : ok("end");
    });
    co_await first.start();
    *back = first.url("/end");
    *there = other.url("/x");
    http::session_options o;
    o.headers.add("Authorization", "session");
    http::session client(o);
    auto asked = client.at(first.url("/a"));
    asked.header("Cookie", "a=1").cookie("b", "2").header("X-Mine", "kept");
    asked.header("Proxy-Authorization", "p");
    const auto r = co_await asked.get();
    EQUAL(r.body, "end");
    EQUAL(log->joined(),
          "/a: session a=1; b=2 p kept /b: session a=1; b=2 p kept other: kept /end: kept");
    co_await first.stop();
    co_await other.stop();
  });
}

TEST_P(HTTP_CLI_RED, HTTP_CLI_RED_13_ALocationThatIsNoUrlIsAnErrorWithItsText) {
  run([]() -> h::task<> {
    for (const char* location : {"mailto:a", "file:///etc/x", "http://:80", "http:///x"}) {
      peer p([location](const http::request&, int) { return moved(302, location, "short"); });
      co_await p.start();
      http::session client;
      const auto error = co_await error_of(client.get(p.url("/a")));
      HOLDS(is_a<http::redirect_error>(error));
      HOLDS(what_of(error).find(location) != std::string::npos);
      EQUAL(client.kept_connections(), 1u);
      co_await p.stop();
    }
    http::session_options o;
    o.https_only = true;
    http::session strict(o);
    const auto plain = co_await error_of(strict.get("http://localhost:1/"));
    HOLDS(is_a<h::bad_value>(plain));
  });
}

TEST_P(HTTP_CLI_RED, HTTP_CLI_RED_15_TheHistoryHasEachAnswerInOrder) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      if (r.target == "/a") return moved(301, "/b");
      if (r.target == "/b") return moved(307, "/c");
      return r.target == "/c" ? moved(303, "/d") : ok("end");
    });
    co_await p.start();
    http::session client;
    const auto r = co_await client.get(p.url("/a"));
    std::string text;
    for (const auto& past : r.history)
      text += std::to_string(past.status) + past.url.substr(p.url("").size()) +
              std::string(past.headers.get("location").value_or("none")) + " ";
    EQUAL(text, "301/a/b 307/b/c 303/c/d ");
    EQUAL(r.url, p.url("/d"));
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_RED, HTTP_CLI_RED_16_AShortBodyIsReadAndALongOneIsNotDownloaded) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      if (r.target == "/short") return moved(302, "/end", "0123456789");
      if (r.target == "/long")
        return std::string("HTTP/1.1 302 x\r\nLocation: /end\r\nContent-Length: 10000000\r\n\r\nx");
      return ok("end");
    });
    co_await p.start();
    http::session client;
    const auto small = co_await client.get(p.url("/short"));
    EQUAL(small.body, "end");
    EQUAL(p.connections(), 1);
    const auto large = co_await client.get(p.url("/long"));  // its body never comes
    EQUAL(large.body, "end");
    EQUAL(p.connections(), 2);
    co_await p.stop();
  });
}

}  // namespace
}  // namespace conformance
