// SPDX-License-Identifier: MIT
// HTTP-SRV-MID-06, HTTP-SRV-RTE-10 and HTTP-SRV-CMP: the middlewares that are ready.
#include "app.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/codings.h>
#include <heddle/io/http/middlewares.h>
#include <heddle/sched/simulate.h>

namespace {

using namespace conformance;

CASES(HTTP_SRV_MID_READY);
CASES(HTTP_SRV_RTE_READY);
CASES(HTTP_SRV_CMP);

http::headers one_field(std::string_view name, std::string_view value) {
  http::headers fields;
  fields.add(name, value);
  return fields;
}

std::string field(const http::response& r, std::string_view name) {
  return std::string(r.headers.get(name).value_or("(none)"));
}

h::task<http::response> sent(http::test_client& c, http::method m, std::string target,
                             http::headers fields) {
  return c.send(std::move(m), std::move(target), std::move(fields), std::string());
}
h::task<http::response> fetched(http::test_client& c, std::string target, http::headers fields) {
  return sent(c, http::method::get, std::move(target), std::move(fields));
}

TEST_P(HTTP_SRV_MID_READY, HTTP_SRV_MID_06_RequestsHaveIdsThatNoClientCanForge) {
  run([]() -> h::task<> {
    http::router r;
    r.use(http::request_id()).use(http::security_headers());
    r.get("/", [](http::request& q) { return q.find<http::request_id_text>()->text; });
    http::test_client c(r);
    auto asking = fetched(c, "/", http::headers());
    const http::response made = co_await asking;
    EQUAL(field(made, "x-request-id"), made.body);
    EQUAL(made.body.size(), 32u);
    EQUAL(field(made, "x-content-type-options"), "nosniff");
    EQUAL(field(made, "strict-transport-security"), "(none)");
    auto asking_with = fetched(c, "/", one_field("X-Request-Id", "mine-7"));
    const http::response kept = co_await asking_with;
    EQUAL(kept.body, "mine-7");
    auto asking_bad = fetched(c, "/", one_field("X-Request-Id", "a b\"<script>"));
    const http::response refused = co_await asking_bad;
    EQUAL(refused.body.size(), 32u);
    auto asking_none = fetched(c, "/none", http::headers());
    const http::response none = co_await asking_none;
    EQUAL(none.status, 404);
    HOLDS(none.headers.contains("x-request-id"));
  });
}

TEST_P(HTTP_SRV_MID_READY, HTTP_SRV_MID_06_CorsAnswersPreflightsAndMarksErrorsToo) {
  run([]() -> h::task<> {
    http::cors_options o;
    o.origins = {"https://a.example"};
    o.methods = {"GET", "PUT"};
    o.request_fields = {"X-A"};
    o.credentials = true;
    http::router r;
    r.use(http::cors(o));
    r.put("/x", says("x"));
    http::test_client c(r);
    http::headers preflight = one_field("Origin", "https://a.example");
    preflight.add("Access-Control-Request-Method", "PUT");
    auto asking = sent(c, http::method::options, "/x", preflight);
    const http::response allowed = co_await asking;
    EQUAL(allowed.status, 204);
    EQUAL(field(allowed, "access-control-allow-origin"), "https://a.example");
    EQUAL(field(allowed, "access-control-allow-methods"), "GET, PUT");
    EQUAL(field(allowed, "access-control-allow-headers"), "X-A");
    EQUAL(field(allowed, "access-control-allow-credentials"), "true");
    EQUAL(field(allowed, "access-control-max-age"), "600");
    auto asking_none = fetched(c, "/none", one_field("Origin", "https://a.example"));
    const http::response none = co_await asking_none;
    EQUAL(none.status, 404);
    EQUAL(field(none, "access-control-allow-origin"), "https://a.example");
    auto asking_evil = fetched(c, "/none", one_field("Origin", "https://evil.example"));
    const http::response evil = co_await asking_evil;
    EQUAL(field(evil, "access-control-allow-origin"), "(none)");
    EQUAL(field(evil, "vary"), "Origin");
  });
  http::cors_options all;
  all.credentials = true;
  THROWS(h::bad_value, http::cors(all));
}

TEST_P(HTTP_SRV_MID_READY, HTTP_SRV_MID_06_ATimeLimitCancelsTheHandlerAndAnswers503) {
  h::testing::simulate(1, with(), []() -> h::task<> {
    bool cancelled = false;
    http::router r;
    r.use(http::time_limit(1s));
    r.get("/late", [&](http::request&) -> h::task<http::response> {
      try {
        co_await h::sleep(1h);
      } catch (const h::cancelled_error&) {
        cancelled = true;
        throw;
      }
      co_return http::response();
    });
    r.get("/own", [](http::request&) -> h::task<http::response> {
      co_await h::wait_for(h::sleep(1h), 10ms);
      co_return http::response();
    });
    http::test_client c(r);
    EQUAL(co_await got(c, "/late"), "503 503 Service Unavailable: the request took too long");
    HOLDS(cancelled);
    EQUAL(co_await got(c, "/own"), "504 504 Gateway Timeout");
  });
  THROWS(h::bad_value, http::time_limit(0s));
}

TEST_P(HTTP_SRV_MID_READY, HTTP_SRV_MID_06_RatesAndBodiesAreLimited) {
  h::testing::simulate(1, with(), []() -> h::task<> {
    http::rate how;
    how.requests = 1;
    how.per = 2s;
    how.burst = 2;
    http::router r;
    r.get("/", says("in")).use(http::rate_limit(how));
    r.post("/b", says("in")).use(http::body_limit(3));
    http::test_client c(r);
    EQUAL(co_await got(c, "/"), "200 in");
    EQUAL(co_await got(c, "/"), "200 in");
    auto asking = fetched(c, "/", http::headers());
    const http::response refused = co_await asking;
    EQUAL(refused.status, 429);
    EQUAL(field(refused, "retry-after"), "2");
    co_await h::sleep(2s);
    EQUAL(co_await got(c, "/"), "200 in");
    EQUAL(co_await asked(c, "POST", "/b", http::headers(), "123"), "200 in");
    EQUAL((co_await asked(c, "POST", "/b", http::headers(), "1234")).substr(0, 4), "413 ");
  });
  http::rate none;
  none.requests = 0;
  THROWS(h::bad_value, http::rate_limit(none));
}

TEST_P(HTTP_SRV_RTE_READY, HTTP_SRV_RTE_10_AnotherSpellingOfAPathLeadsToTheRightOne) {
  run([]() -> h::task<> {
    http::router r;
    r.use(http::normalize_path());
    r.get("/a", says("a"))
        .get("/b/", says("b"))
        .get("/evil.com/", says("c"))
        .get("/u/{x}", says("u"));
    http::test_client c(r);
    const auto leads = [&](std::string target, std::string to) -> h::task<> {
      auto asking = fetched(c, target, http::headers());
      const http::response answer = co_await asking;
      EQUAL(answer.status, 308);
      EQUAL(field(answer, "location"), to);
    };
    EQUAL(co_await got(c, "/a?x=1"), "200 a");
    co_await leads("/a/", "/a");
    co_await leads("//a", "/a");
    co_await leads("/b", "/b/");
    co_await leads("/a/?x=1&y", "/a?x=1&y");
    co_await leads("//evil.com/", "/evil.com/");
    co_await leads("/u//a%2Fb", "/u/a%2Fb");
    EQUAL(co_await got(c, "/none/"), "404 404 Not Found");
    EQUAL(co_await got(c, "//none"), "404 404 Not Found");
  });
}

http::router packing(const std::string& text) {
  http::router r;
  r.use(http::compress());
  r.get("/text", says(text));
  r.get("/short", says("short"));
  r.get("/image", [text](http::request&) {
    http::response answer = http::response::text(text);
    answer.content_type = "image/png";
    return answer;
  });
  r.get("/tagged", [text](http::request&) {
    http::response answer = http::response::text(text);
    answer.etag("x");
    return answer;
  });
  r.get("/stream", [text](http::request&) {
    http::response answer = http::response::text("");
    answer.stream.length = 2 * text.size();
    answer.stream.write = [text](http::body_writer& out) -> h::task<> {
      for (int i = 0; i < 2; ++i) {
        auto writing = out.write(text);
        co_await writing;
      }
    };
    return answer;
  });
  return r;
}

h::task<std::string> plain(http::response answer) {
  auto body = http::decoded(http::body_reader(answer.body),
                            answer.headers.get("content-encoding").value_or(""));
  auto reading = body.read_all();
  std::string text = co_await reading;
  co_return text;
}

TEST_P(HTTP_SRV_CMP, HTTP_SRV_CMP_01_TheCodingIsChosenByItsQValue) {
  run([]() -> h::task<> {
    const std::string text(10'000, 'x');
    http::test_client c(packing(text));
    const bool br = http::coding_of("br").has_value();
    const std::vector<std::pair<std::string, std::string>> wanted = {
        {"gzip;q=0, deflate;q=0.5", "deflate"},
        {"*", br ? "br" : "gzip"},
        {"gzip;q=0.5, identity", "(none)"},
        {"gzip;q=0.2, deflate;q=0.9", "deflate"}};
    for (const auto& [accept, coding] : wanted) {
      auto asking = fetched(c, "/text", one_field("Accept-Encoding", accept));
      http::response answer = co_await asking;
      EQUAL(field(answer, "content-encoding"), coding);
      EQUAL(field(answer, "vary"), "Accept-Encoding");
      const std::string body = co_await plain(std::move(answer));
      EQUAL(body, text);
    }
    auto asking = fetched(c, "/text", http::headers());
    const http::response none = co_await asking;
    EQUAL(field(none, "content-encoding"), "(none)");
    EQUAL(field(none, "vary"), "Accept-Encoding");
    auto asking_never = fetched(c, "/text", one_field("Accept-Encoding", "identity;q=0, x"));
    const http::response never = co_await asking_never;
    EQUAL(never.status, 406);
  });
}

TEST_P(HTTP_SRV_CMP, HTTP_SRV_CMP_03_WhatIsNotWorthItIsLeftAlone) {
  run([]() -> h::task<> {
    const std::string text(100'000, 'x');  // HTTP-SRV-CMP-05: this much leaves the loop
    http::test_client c(packing(text));
    const auto gzip = one_field("Accept-Encoding", "gzip");
    for (const char* target : {"/short", "/image", "/none"}) {
      auto asking = fetched(c, target, gzip);
      const http::response answer = co_await asking;
      EQUAL(field(answer, "content-encoding"), "(none)");
    }
    auto asking_tagged = fetched(c, "/tagged", gzip);
    http::response tagged = co_await asking_tagged;
    EQUAL(field(tagged, "etag"), "W/\"x\"");
    HOLDS(tagged.body.size() < text.size() / 10);
    EQUAL(co_await plain(std::move(tagged)), text);
    auto asking_stream = fetched(c, "/stream", gzip);
    http::response streamed = co_await asking_stream;
    EQUAL(field(streamed, "content-encoding"), "gzip");
    HOLDS(streamed.body.size() < text.size() / 10);
    EQUAL(co_await plain(std::move(streamed)), text + text);
  });
}

TEST_P(HTTP_SRV_CMP, HTTP_SRV_CMP_04_HeadHasTheFieldsThatGetHas) {
  run([]() -> h::task<> {
    http::test_client c(packing(std::string(10'000, 'x')));
    const auto gzip = one_field("Accept-Encoding", "gzip");
    auto getting = fetched(c, "/text", gzip);
    const http::response get = co_await getting;
    auto heading = sent(c, http::method::head, "/text", gzip);
    const http::response head = co_await heading;
    for (const char* name : {"content-encoding", "content-length", "vary", "content-type"})
      EQUAL(field(head, name), field(get, name));
    EQUAL(head.body, "");
  });
}

}  // namespace
