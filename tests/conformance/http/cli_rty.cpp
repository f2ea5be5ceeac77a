// SPDX-License-Identifier: MIT
// Requests that are sent again, middlewares, and hooks.
#include "client_cases.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/client_hooks.h>
#include <heddle/sched/async_generator.h>

#include <algorithm>

namespace conformance {
namespace {

REACTOR_CASES(HTTP_CLI_RTY_POLICY);
REACTOR_CASES(HTTP_CLI_TRC);

http::retry quick() {
  http::retry r;
  r.delay = 1ms;
  r.max_delay = 5ms;
  return r;
}

/// Fails as often as the target says: "/2" twice.
struct fails_first {
  std::shared_ptr<std::atomic<int>> asked = std::make_shared<std::atomic<int>>(0);
  std::string operator()(const http::request& r, int) const {
    if (++*asked > std::stoi(r.target.substr(1))) return ok(line_of(r));
    return "HTTP/1.1 503 x\r\nRetry-After: 1\r\nContent-Length: 3\r\n\r\nno!";
  }
};

h::async_generator<std::string> one_piece() { co_yield std::string("piece"); }

TEST_P(HTTP_CLI_RTY_POLICY, HTTP_CLI_RTY_02_APolicyRepeatsWhatMayBeRepeated) {
  run([]() -> h::task<> {
    for (const int kind : {0, 1, 2, 3, 4}) {
      peer p(fails_first{});
      co_await p.start();
      http::session_options o;
      o.retry = quick();
      if (kind == 4) o.retry->any_method = true;
      http::session client(o);
      const bool often = kind == 1;
      auto asked = client.at(p.url(often ? "/3" : "/2"));
      if (kind == 3) asked.body(http::upload(one_piece()));
      http::method m = http::method::get;
      if (kind == 2 || kind == 4) m = http::method::post;
      if (kind == 3) m = http::method::put;
      const auto r = co_await asked.request(m);
      const bool repeats = kind != 2 && kind != 3;
      EQUAL(r.status, repeats && !often ? 200 : 503);
      if (r.status == 503) EQUAL(r.body, "no!");
      const std::string seen = p.seen();
      EQUAL(std::count(seen.begin(), seen.end(), '|'), repeats ? 2 : 0);
      EQUAL(p.connections(), 1);  // the answers that do not count give their connection back
      co_await p.stop();
    }
  });
}

TEST_P(HTTP_CLI_RTY_POLICY, HTTP_CLI_RTY_02_APolicyRepeatsWhenNoConnectionCameAbout) {
  run([]() -> h::task<> {
    peer gone(fails_first{});
    co_await gone.start();
    const std::string url = gone.url("/0");
    co_await gone.stop();
    http::session_options o;
    o.retry = quick();
    http::session client(o);
    const auto begun = h::clock::now();
    const auto error = co_await error_of(client.get(url));
    HOLDS(is_a<http::connect_error>(error));
    HOLDS(h::clock::now() - begun >= 1ms);  // half of 1 ms, and half of 2 ms, at least
    EQUAL(client.open_connections(), 0u);
  });
}

TEST_P(HTTP_CLI_RTY_POLICY, HTTP_CLI_RTY_03_RetryAfterCountsMoreThanTheDelayAndLessThanTheLimit) {
  run([]() -> h::task<> {
    for (const bool at_once : {true, false}) {
      peer p([at_once, asked = std::make_shared<std::atomic<int>>(0)](const http::request&, int) {
        if (++*asked > 2) return ok("x");
        const std::string after = at_once ? "0" : "86400";
        return "HTTP/1.1 429 x\r\nRetry-After: " + after + "\r\nContent-Length: 0\r\n\r\n";
      });
      co_await p.start();
      http::retry how;
      how.delay = 1h;  // would be waited for without Retry-After
      how.max_delay = at_once ? h::any_duration(1h) : h::any_duration(2ms);
      http::session client;
      const auto r = co_await client.at(p.url("/")).retry(how).get();
      EQUAL(r.body, "x");
      co_await p.stop();
    }
  });
}

TEST_P(HTTP_CLI_RTY_POLICY, HTTP_CLI_RTY_05_TheTotalTimeSpansAllTries) {
  run([]() -> h::task<> {
    peer p(fails_first{});
    co_await p.start();
    http::retry patient;
    patient.most = 1000;
    patient.max_delay = 1h;  // Retry-After says a second
    http::session client;
    const auto error =
        co_await error_of(client.at(p.url("/1000")).retry(patient).timeout(80ms).get());
    EQUAL(phase_of(error), "total");
    HOLDS(client.open_connections() <= 1);
    EQUAL(client.open_connections(), client.kept_connections());
    co_await p.stop();
  });
}

http::client_middleware noting(std::shared_ptr<journal> log, std::string name) {
  return [log, name](http::request_head& r, http::next_step next) -> h::task<http::client_stream> {
    log->add(name + ">");
    r.headers.add("X", name);
    auto going_on = next(r);
    http::client_stream answer = co_await going_on;
    log->add("<" + name);
    co_return answer;
  };
}

std::string fields_back(const http::request& r, int) {
  std::string all = line_of(r);
  for (const auto value : r.headers.all("x")) all += " " + std::string(value);
  return ok(all);
}

TEST_P(HTTP_CLI_TRC, HTTP_CLI_TRC_01_MiddlewaresStandAroundTheWireInOrder) {
  run([]() -> h::task<> {
    peer p(fields_back);
    co_await p.start();
    auto log = std::make_shared<journal>();
    http::session_options o;
    o.middlewares = {noting(log, "a"), noting(log, "b")};
    http::session client(o);
    const auto r = co_await client.post(p.url("/x"), "body");
    EQUAL(r.body, "POST /x body a b");
    EQUAL(log->joined(), "a> b> <b <a");
    EQUAL(client.kept_connections(), 1u);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_TRC, HTTP_CLI_TRC_01_AMiddlewareMayAnswerByItselfOrCallTwice) {
  run([]() -> h::task<> {
    peer p(fields_back);
    co_await p.start();
    http::session_options alone;
    alone.middlewares.push_back(
        [](http::request_head& r, http::next_step) -> h::task<http::client_stream> {
          http::client_stream made;
          made.status = 299;
          made.body = http::body_reader("made for " + r.url);
          co_return made;
        });
    http::session cached(alone);
    const auto r = co_await cached.get("http://nobody.test/x");
    EQUAL(r.status, 299);
    EQUAL(r.body, "made for http://nobody.test/x");
    http::session_options twice;
    twice.middlewares.push_back(
        [](http::request_head& q, http::next_step next) -> h::task<http::client_stream> {
          {
            auto first = next(q);
            http::client_stream dropped = co_await first;
            (void)co_await dropped.body.read_all();
          }
          q.headers.add("X", "again");
          auto second = next(q);
          co_return co_await second;
        });
    http::session client(twice);
    const auto again = co_await client.get(p.url("/y"));
    EQUAL(again.body, "GET /y again");
    EQUAL(p.seen(), "GET /y|GET /y");
    EQUAL(p.connections(), 1);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_TRC, HTTP_CLI_TRC_02_MiddlewaresOfARequestReplaceTheSessions) {
  run([]() -> h::task<> {
    peer p(fields_back);
    co_await p.start();
    auto log = std::make_shared<journal>();
    http::session_options o;
    o.middlewares = {noting(log, "a")};
    http::session client(o);
    const std::vector<http::client_middleware> nothing;
    const auto none = co_await client.at(p.url("/")).middlewares(nothing).get();
    EQUAL(none.body, "GET /");
    std::vector<http::client_middleware> own;
    own.push_back(noting(log, "c"));
    const auto c = co_await client.at(p.url("/")).middlewares(std::move(own)).get();
    EQUAL(c.body, "GET / c");
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_TRC, HTTP_CLI_TRC_03_AMiddlewareThatThrowsReleasesTheConnection) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int) { return ok(std::string(500'000, 'x')); });
    co_await p.start();
    http::session_options o;
    o.middlewares.push_back(
        [](http::request_head& r, http::next_step next) -> h::task<http::client_stream> {
          auto going_on = next(r);
          const http::client_stream answer = co_await going_on;
          throw error_e();
        });
    http::session client(o);
    const auto error = co_await error_of(client.get(p.url("/")));
    EQUAL(name_of(error), "E");
    EQUAL(client.open_connections(), client.kept_connections());
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_TRC, HTTP_CLI_TRC_05_HooksAreToldAndTheirErrorIsTheRequests) {
  run([]() -> h::task<> {
    peer p(
        [](const http::request& r, int) { return r.target == "/a" ? moved(302, "/b") : ok("x"); });
    co_await p.start();
    auto log = std::make_shared<journal>();
    auto trace = std::make_shared<http::client_trace>();
    trace->request = [log](const http::method& m, std::string_view url) {
      log->add(std::string(m.text()) + std::string(url.substr(url.rfind('/'))));
      if (url.ends_with("/bad")) throw error_f();
    };
    trace->connected = [log](std::string_view, bool kept) { log->add(kept ? "kept" : "new"); };
    trace->answer = [log](std::string_view, int status) { log->add(std::to_string(status)); };
    http::session_options o;
    o.trace = trace;
    http::session client(o);
    (void)co_await client.get(p.url("/a"));
    EQUAL(log->joined(), "GET/a new 302 GET/b kept 200");
    const auto error = co_await error_of(client.get(p.url("/bad")));
    EQUAL(name_of(error), "F");
    EQUAL(client.open_connections(), client.kept_connections());
    co_await p.stop();
  });
}

}  // namespace
}  // namespace conformance
