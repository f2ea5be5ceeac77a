// SPDX-License-Identifier: MIT
// HTTP-SRV-APP, HTTP-SRV-SUB, HTTP-SRV-MID and HTTP-SRV-ERR: applications in applications, their
// state, what stands around handlers, and what becomes of errors.
#include "app.h"

#include <heddle/core/errors.h>

namespace {

using namespace conformance;

CASES(HTTP_SRV_APP);
CASES(HTTP_SRV_SUB);
CASES(HTTP_SRV_MID);
CASES(HTTP_SRV_ERR);

/// A middleware that writes its name before and behind into the body.
http::middleware marks(std::string name) {
  return [name = std::move(name)](http::request& r, http::next go_on) -> h::task<http::response> {
    auto work = go_on(r);
    http::response answer = co_await work;
    answer.body = name + "(" + answer.body + ")";
    co_return answer;
  };
}

struct counter {
  int value = 0;
};
struct label {
  std::string text;
};

TEST_P(HTTP_SRV_APP, HTTP_SRV_APP_01_NothingIsAddedOnceTheServerHasStarted) {
  run([]() -> h::task<> {
    http::router sub;
    sub.get("/x", says("x"));
    http::router r;
    r.nest("/sub", sub);
    auto later = sub.get("/later", says("later"));  // a router that stands in another one is open
    r.use(marks("m"));
    http::test_client c(r);
    EQUAL(co_await got(c, "/sub/later"), "200 m(later)");
    THROWS(h::usage_error, r.get("/y", says("y")));
    THROWS(h::usage_error, r.use(marks("n")));
    THROWS(h::usage_error, r.state(std::make_shared<counter>()));
    THROWS(h::usage_error, sub.get("/y", says("y")));
    THROWS(h::usage_error, later.name("n"));
  });
}

TEST_P(HTTP_SRV_APP, HTTP_SRV_APP_02_StateIsTheRoutersOwnThenItsParents) {
  run([]() -> h::task<> {
    const auto show = [](http::state<counter> n, http::state<label> l) {
      return std::to_string(n->value) + l->text;
    };
    http::router sub;
    sub.state(std::make_shared<label>(label{"sub"})).get("/", show);
    http::router r;
    r.state(std::make_shared<counter>(counter{7})).state(std::make_shared<label>(label{"top"}));
    r.get("/", show);
    r.get("/missing", [](http::state<std::string> s) { return *s; });
    r.get("/optional", [](std::optional<http::state<std::string>> s) {
      return s ? std::string("some") : std::string("none");
    });
    r.nest("/sub", sub);
    http::test_client c(r);
    EQUAL(co_await got(c, "/"), "200 7top");
    EQUAL(co_await got(c, "/sub"), "200 7sub");
    EQUAL(co_await got(c, "/optional"), "200 none");
    EQUAL(co_await got(c, "/missing"), "500 500 Internal Server Error");
  });
  EQUAL(report_count(), 1u);
  HOLDS(h::describe(reports().at(0).error).find("no state of type") != std::string::npos);
}

TEST_P(HTTP_SRV_APP, HTTP_SRV_APP_02_WhatARequestKeepsEndsWithIt) {
  run([]() -> h::task<> {
    http::router r;
    r.use([](http::request& q, http::next go_on) -> h::task<http::response> {
      if (q.find<label>() != nullptr) co_return http::response::text("left over", 500);
      q.set(label{"kept"});
      auto work = go_on(q);
      http::response answer = co_await work;
      co_return answer;
    });
    r.get("/", [](http::request& q) { return http::response::text(q.find<label>()->text); });
    http::test_client c(r);
    h::task<> starting = c.start();
    co_await starting;
    h::connection peer = c.connect();
    peer.writer.write(
        "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n"
        "Connection: close\r\n\r\n");
    const std::string all = co_await read_to_end(peer);
    const auto first = all.find("\r\n\r\nkept");
    HOLDS(first != std::string::npos);
    HOLDS(all.find("\r\n\r\nkept", first + 1) != std::string::npos);
  });
}

TEST_P(HTTP_SRV_SUB, HTTP_SRV_SUB_01_ASubApplicationTakesWholeSegments) {
  run([]() -> h::task<> {
    http::router sub;
    sub.get("/", says("root")).get("/x", says("x"));
    http::router bare;
    bare.get("/x", says("bare"));
    http::router r;
    r.nest("/admin", sub).nest("/bare", bare);
    http::test_client c(r);
    EQUAL(co_await got(c, "/admin/x"), "200 x");
    EQUAL(co_await got(c, "/admin"), "200 root");
    EQUAL(co_await got(c, "/admin/"), "200 root");
    EQUAL(co_await got(c, "/adminx"), "404 404 Not Found");
    EQUAL(co_await got(c, "/bare"), "404 404 Not Found");
  });
}

TEST_P(HTTP_SRV_SUB, HTTP_SRV_SUB_02_TheLongestPrefixWins) {
  run([]() -> h::task<> {
    const auto sub = [](const char* name) {
      http::router s;
      s.get("/{x*}", says(name));
      s.fallback(says(std::string("fallback of ") + name));
      return s;
    };
    http::router r;
    r.nest("/s", sub("s")).nest("/ss", sub("ss")).nest("/s/s", sub("s/s"));
    http::test_client c(r);
    EQUAL(co_await got(c, "/ss/b"), "200 ss");
    EQUAL(co_await got(c, "/s/s/c"), "200 s/s");
    EQUAL(co_await got(c, "/s/b"), "200 s");
    EQUAL(co_await got(c, "/ss"), "200 fallback of ss");
    EQUAL(co_await got(c, "/sss"), "404 404 Not Found");
  });
}

TEST_P(HTTP_SRV_SUB, HTTP_SRV_SUB_02_ADomainHasItsOwnRoutes) {
  run([]() -> h::task<> {
    http::router b, any;
    b.get("/", says("b.com"));
    any.get("/", says("*.b.com"));
    http::router r;
    r.get("/", says("other"));
    r.domain("b.com", b).domain("*.b.com", any);
    http::test_client c(r);
    const auto at = [&](std::string host) {
      http::headers fields;
      fields.add("Host", host);
      return asked(c, "GET", "/", fields, "");
    };
    EQUAL(co_await at("b.com"), "200 b.com");
    EQUAL(co_await at("B.com:80"), "200 b.com");
    EQUAL(co_await at("x.y.b.com"), "200 *.b.com");
    EQUAL(co_await at("xb.com"), "200 other");
  });
}

TEST_P(HTTP_SRV_MID, HTTP_SRV_MID_01_TheyStandAroundEachOtherAndTheHandler) {
  run([]() -> h::task<> {
    http::router sub;
    sub.use(marks("c")).get("/x", says("x"));
    sub.get("/one", says("one")).use(marks("d"));
    http::router r;
    r.use(marks("a")).use(marks("b")).nest("/sub", sub);
    r.get("/y", says("y"));
    http::test_client c(r);
    EQUAL(co_await got(c, "/sub/x"), "200 a(b(c(x)))");
    EQUAL(co_await got(c, "/y"), "200 a(b(y))");
    EQUAL(co_await got(c, "/sub/one"), "200 a(b(c(d(one))))");
  });
}

TEST_P(HTTP_SRV_MID, HTTP_SRV_MID_05_OneOfARouteRunsForThatRouteAlone) {
  run([]() -> h::task<> {
    http::router r;
    r.get("/with", says("with")).use(marks("m")).get("/without", says("without"));
    http::test_client c(r);
    EQUAL(co_await got(c, "/with"), "200 m(with)");
    EQUAL(co_await got(c, "/without"), "200 without");
    EQUAL(co_await got(c, "/none"), "404 404 Not Found");
  });
}

TEST_P(HTTP_SRV_MID, HTTP_SRV_MID_02_OneMayAnswerItselfThrowOrChangeTheAnswer) {
  run([]() -> h::task<> {
    http::router r;
    r.use([](http::request& q, http::next go_on) -> h::task<http::response> {
      http::response answer;
      try {
        auto work = go_on(q);
        answer = co_await work;
      } catch (const error_e&) { answer = http::response::text("caught E", 418); }
      answer.headers.set("X-Seen", std::to_string(answer.status));
      co_return answer;
    });
    r.use([](http::request& q, http::next go_on) -> h::task<http::response> {
      if (q.query("stop")) co_return http::response::text("stopped", 401);
      if (q.query("throw")) throw error_e();
      if (q.query("status")) throw http::status_error(409, "no");
      auto work = go_on(q);
      http::response answer = co_await work;
      co_return answer;
    });
    std::atomic<int> called = 0;
    r.get("/", [&](http::request&) {
      ++called;
      return http::response::text("handler");
    });
    http::test_client c(r);
    const auto ask = [&](std::string target) {
      return c.send(http::method::get, std::move(target), http::headers(), "");
    };
    for (const auto& [target, expected] : std::vector<std::pair<std::string, int>>{
             {"/", 200}, {"/?stop", 401}, {"/?throw", 418}, {"/?status", 409}, {"/none", 404}}) {
      auto asking = ask(target);
      const http::response answer = co_await asking;
      EQUAL(answer.status, expected);
      EQUAL(answer.headers.get("x-seen").value_or("none"), std::to_string(expected));
    }
    EQUAL(called.load(), 1);
  });
}

TEST_P(HTTP_SRV_MID, HTTP_SRV_MID_03_RefusalsOfTheServerGoThroughThem) {
  run([]() -> h::task<> {
    http::router r;
    r.use(marks("m"));
    r.post("/p", says("p")).body_limit(4);
    http::test_client c(r);
    EQUAL(co_await got(c, "/none"), "404 m(404 Not Found\n)");
    EQUAL(co_await got(c, "/p"), "405 m(405 Method Not Allowed\n), Allow=POST");
    EQUAL((co_await asked(c, "POST", "/p", http::headers(), "12345")).substr(0, 6), "413 m(");
    EQUAL(co_await asked(c, "POST", "/p", http::headers(), "1234"), "200 m(p)");
    h::connection peer = c.connect();
    peer.writer.write("GET /p HTTP/1.1\r\nBad Field: x\r\n\r\n");
    const std::string all = co_await read_to_end(peer);
    HOLDS(all.starts_with("HTTP/1.1 400 "));
    HOLDS(all.find("\r\n\r\nm(400 Bad Request") != std::string::npos);
    HOLDS(all.find("\r\nConnection: close\r\n") != std::string::npos);
  });
}

struct base_error : std::runtime_error {
  base_error() : std::runtime_error("base") {}
};
struct derived_error : base_error {};

TEST_P(HTTP_SRV_ERR, HTTP_SRV_ERR_03_ATimeoutThatLeavesAHandlerIs504) {
  run([]() -> h::task<> {
    http::router r;
    r.get("/", [](http::request&) -> http::response { throw h::timeout_error(); });
    r.get("/late", [](http::request&) -> h::task<http::response> {
      co_await h::wait_for(h::sleep(1h), 1ms);
      co_return http::response();
    });
    http::test_client c(r);
    EQUAL(co_await got(c, "/"), "504 504 Gateway Timeout");
    EQUAL(co_await got(c, "/late"), "504 504 Gateway Timeout");
  });
  EQUAL(report_count(), 0u);
}

TEST_P(HTTP_SRV_ERR, HTTP_SRV_ERR_04_PagesForErrorsFollowWhatTheClientAccepts) {
  run([]() -> h::task<> {
    http::router r;
    r.error_page(http::negotiated_error);
    r.get("/e", [](http::request&) -> http::response { throw http::status_error(409, "a<b"); });
    http::test_client c(r);
    const auto ask = [&](std::string target, std::string accept) {
      http::headers fields;
      fields.add("Accept", accept);
      return c.send(http::method::get, std::move(target), fields, "");
    };
    auto by_browser = ask("/none", "text/html,application/xhtml+xml,*/*;q=0.8");
    const http::response html = co_await by_browser;
    EQUAL(html.status, 404);
    EQUAL(html.headers.get("content-type").value_or(""), "text/html; charset=utf-8");
    auto by_program = ask("/e", "application/json");
    const http::response json = co_await by_program;
    EQUAL(json.status, 409);
    EQUAL(json.headers.get("content-type").value_or(""), "application/problem+json");
    EQUAL(json.body, R"({"type":"about:blank","title":"Conflict","status":409,"detail":"a<b"})");
    auto escaped = ask("/e", "text/html");
    const http::response page = co_await escaped;
    HOLDS(page.body.find("a&lt;b") != std::string::npos);
    auto plain = ask("/none", "*/*");
    const http::response text = co_await plain;
    EQUAL(text.body, "404 Not Found\n");
  });
}

TEST_P(HTTP_SRV_ERR, HTTP_SRV_ERR_05_TheMappingOfTheMostDerivedTypeAnswers) {
  run([]() -> h::task<> {
    http::router sub;
    sub.on_error<derived_error>([](const derived_error&) { return http::problem(422, "sub"); });
    sub.get("/derived", [](http::request&) -> http::response { throw derived_error(); });
    sub.get("/base", [](http::request&) -> http::response { throw base_error(); });
    http::router r;
    r.on_error<std::exception>(
        [](const std::exception&) { return http::response::text("any", 501); });
    r.on_error<base_error>([](const base_error& e, http::request& q) {
      return http::response::text(std::string(e.what()) + q.path, 502);
    });
    r.on_error<derived_error>([](const derived_error&) { return http::response::text("d", 503); });
    r.get("/derived", [](http::request&) -> http::response { throw derived_error(); });
    r.get("/base", [](http::request&) -> h::task<http::response> {
      throw base_error();
      co_return http::response();
    });
    r.get("/other", [](http::request&) -> http::response { throw error_e(); });
    r.nest("/sub", sub);
    http::test_client c(r);
    EQUAL(co_await got(c, "/derived"), "503 d");
    EQUAL(co_await got(c, "/base"), "502 base/base");
    EQUAL(co_await got(c, "/other"), "501 any");
    EQUAL(co_await got(c, "/sub/base"), "502 base/sub/base");
    EQUAL((co_await got(c, "/sub/derived")).substr(0, 4), "422 ");
  });
  EQUAL(report_count(), 0u);
}

}  // namespace
