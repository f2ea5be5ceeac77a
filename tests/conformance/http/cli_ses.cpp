// SPDX-License-Identifier: MIT
// The session itself; its errors; what runs on many loops.
#include "client_cases.h"

#include "../io/descriptor_count.h"

#include <heddle/core/errors.h>
#include <heddle/sync/event.h>

namespace conformance {
namespace {

REACTOR_CASES(HTTP_CLI_SES);
REACTOR_CASES(HTTP_CLI_ERR);
REACTOR_CASES(HTTP_CLI_CNC);
REACTOR_CASES(HTTP_CLI_RTY);

std::string target_back(const http::request& r, int) { return ok(r.target); }

h::task<http::client_response> kept_result(h::task_handle<http::client_response> t) {
  co_return co_await t;
}

TEST_P(HTTP_CLI_SES, HTTP_CLI_SES_02_ABaseUrlIsAbsoluteAndEndsWithASlash) {
  run([]() -> h::task<> {
    for (const char* bad : {"http://h/v1", "/v1/", "h/v1/", "http://h"}) {
      http::session_options o;
      o.base_url = bad;
      THROWS(h::bad_value, http::session(o));
    }
    peer p(target_back);
    co_await p.start();
    http::session_options o;
    o.base_url = p.url("/v1/");
    http::session client(o);
    const auto r = co_await client.at("users").query("id", 7).get();
    EQUAL(r.body, "/v1/users?id=7");
    const auto verb = co_await client.get("users");
    EQUAL(verb.body, "/v1/users");
    const auto root = co_await client.at("/x").get();
    EQUAL(root.body, "/x");
    const auto other = co_await client.at(p.url("/y")).get();
    EQUAL(other.body, "/y");
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_SES, HTTP_CLI_SES_03_AClosedSessionRefusesRequestsAndClosesOnce) {
  run([]() -> h::task<> {
    peer p(target_back);
    co_await p.start();
    http::session client;
    (void)co_await client.get(p.url("/"));
    client.close();
    client.close();
    EQUAL(client.kept_connections(), 0u);
    const auto error = co_await error_of(client.get(p.url("/x")));
    HOLDS(is_a<h::usage_error>(error));
    const auto built = co_await error_of(client.at(p.url("/x")).open());
    HOLDS(is_a<h::usage_error>(built));
    EQUAL(p.seen(), "GET /");
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_SES, HTTP_CLI_SES_05_ASessionThatGoesFailsThoseThatWaitAndLeavesNothing) {
  run([]() -> h::task<> {
    auto mute = [](h::connection) -> h::task<> { co_await h::sleep(1h); };
    auto starting = h::start_server(mute, "127.0.0.1", 0);
    h::server s = co_await starting;
    const std::string url = "http://127.0.0.1:" + std::to_string(s.port()) + "/";
    const auto before = open_ends();
    http::session_options o;
    o.pool.limit = 1;
    auto client = std::make_unique<http::session>(o);
    auto holder = h::create_task(client->get(url));
    co_await until([&] { return client->open_connections() == 1; });
    auto waiting = h::create_task(client->get(url));
    co_await until_waiting(waiting);
    client.reset();
    const auto error = co_await error_of(kept_result(waiting));
    HOLDS(is_a<h::usage_error>(error));
    holder.cancel();
    co_await until_done(holder);
    s.close();
    s.abort_clients();
    s.cancel_handlers();
    co_await s.wait_closed();
    co_await until([&] { return open_ends() <= before; });
    HOLDS(holder.done());
  });
}

TEST_P(HTTP_CLI_SES, HTTP_CLI_SES_06_FieldsOfARequestTakeThePlaceOfTheSessions) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      std::string all;
      for (const auto f : r.headers)
        if (f.name.starts_with('X')) all += std::string(f.name) + std::string(f.value) + " ";
      return ok(all);
    });
    co_await p.start();
    http::session_options o;
    for (const char* value : {"a", "aa"}) o.headers.add("X", value);
    o.headers.add("X2", "d");
    o.headers.add("X2", "dd");
    http::session client(o);
    const auto r = co_await client.at(p.url("/")).header("X", "b").header("X", "c").get();
    EQUAL(r.body, "Xb Xc X2d X2dd ");
    co_await p.stop();
  });
}

h::task<> ask_many(http::session& client, const peer& p, int from, int n, std::atomic<int>& right) {
  for (int i = from; i < from + n; ++i) {
    const std::string target = "/" + std::to_string(i);
    const auto r = co_await client.get(p.url(target));
    if (r.body == target) ++right;
  }
}

TEST_P(HTTP_CLI_SES, HTTP_CLI_SES_07_EachAnswerGoesToItsCallerOnAllLoops) {
  run([]() -> h::task<> {
    peer p(target_back);
    co_await p.start();
    http::session client;
    std::atomic<int> right{0};
    const int tasks = static_cast<int>(sized(support::sanitized ? 20 : 120, 1000));
    std::vector<h::task_handle<>> all;
    for (int i = 0; i < tasks; ++i)
      all.push_back(h::create_task(ask_many(client, p, i * 10, 10, right)));
    for (auto& t : all) co_await t;
    EQUAL(right.load(), tasks * 10);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_RTY, HTTP_CLI_RTY_01_WithoutAPolicyA503IsTheAnswer) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int) {
      return std::string("HTTP/1.1 503 No\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n");
    });
    co_await p.start();
    http::session client;
    const auto r = co_await client.get(p.url("/"));
    EQUAL(r.status, 503);
    EQUAL(p.seen(), "GET /");
    co_await p.stop();
  });
}

std::string status_of_target(const http::request& r, int) {
  return "HTTP/1.1 " + r.target.substr(1) + " x\r\nX-Why: w\r\nContent-Length: 4\r\n\r\ntext";
}

TEST_P(HTTP_CLI_ERR, HTTP_CLI_ERR_01_AStatusIsAnErrorWhereThatIsAskedFor) {
  run([]() -> h::task<> {
    peer p(status_of_target);
    co_await p.start();
    http::session_options o;
    o.check_status = true;
    http::session strict(o);
    for (const char* path : {"/404", "/500"}) {
      const auto error = co_await error_of(strict.get(p.url(path)));
      HOLDS(is_a<http::response_error>(error));
      const auto streamed = co_await error_of(strict.at(p.url(path)).open());
      HOLDS(is_a<http::response_error>(streamed));
      const auto off = co_await strict.at(p.url(path)).check_status(false).get();
      EQUAL(off.body, "text");
    }
    for (const char* path : {"/302", "/200"}) {
      const auto fine = co_await strict.get(p.url(path));
      EQUAL(fine.body, "text");
    }
    http::session client;
    const auto one = co_await error_of(client.at(p.url("/404")).check_status().get());
    HOLDS(is_a<http::response_error>(one));
    auto plain = co_await client.get(p.url("/404"));
    THROWS(http::response_error, plain.check_status());
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_ERR, HTTP_CLI_ERR_02_AResponseErrorHasAllThatIsKnown) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      return r.target == "/a" ? moved(302, "/404") : status_of_target(r, 0);
    });
    co_await p.start();
    http::session client;
    std::string url = p.url("/a");
    url.insert(7, "user:secret@");
    const auto error = co_await error_of(client.at(url).check_status().get());
    const auto all = told<http::response_error>(error, [](const http::response_error& e) {
      const auto& a = e.answer();
      return std::to_string(e.status()) + " " + std::string(a.reason()) + " " +
             std::string(e.headers().get("x-why").value_or("")) + " " +
             std::string(a.method.text()) + " " + a.body + " " + std::to_string(a.history.size());
    });
    EQUAL(all, "404 Not Found w GET text 1");
    const std::string what = what_of(error);
    HOLDS(what.find(p.url("/404")) != std::string::npos);
    EQUAL(what.find("secret"), std::string::npos);
    co_await p.stop();
  });
}

std::string sent_of(const std::exception_ptr& e) {
  return told<http::http_error>(e, [](const http::http_error& x) -> std::string {
    switch (x.sent()) {
      case http::sent_part::nothing: return "nothing";
      case http::sent_part::head: return "head";
      case http::sent_part::part: return "part";
      case http::sent_part::all: return "all";
    }
    return "?";
  });
}

TEST_P(HTTP_CLI_ERR, HTTP_CLI_ERR_04_ErrorsTellHowMuchOfTheRequestHadLeft) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int) { return std::string("!nonsense\r\n\r\n"); });
    co_await p.start();
    http::session client;
    const auto garbled = co_await error_of(client.get(p.url("/")));
    HOLDS(is_a<http::protocol_error>(garbled));
    EQUAL(sent_of(garbled), "all");
    const auto url = told<http::http_error>(garbled, [](const auto& e) { return e.url(); });
    EQUAL(url, p.url("/"));
    const std::string old = p.url("/");
    co_await p.stop();
    const auto refused = co_await error_of(client.get(old));
    HOLDS(is_a<http::connect_error>(refused));
    EQUAL(sent_of(refused), "nothing");
    EQUAL(code_of(refused), ECONNREFUSED);
  });
}

TEST_P(HTTP_CLI_ERR, HTTP_CLI_ERR_06_AHeadOverItsLimitsNamesTheLimit) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      std::string fields;
      for (int i = 0; i < 50; ++i)
        fields += "X: " + std::string(r.target == "/large" ? 100 : 1, 'x') + "\r\n";
      return ok("x", fields);
    });
    co_await p.start();
    http::session_options o;
    o.limits.header_bytes = 2000;
    o.limits.header_count = 40;
    http::session client(o);
    const auto large = co_await error_of(client.get(p.url("/large")));
    HOLDS(is_a<http::protocol_error>(large));
    HOLDS(what_of(large).find("limits::header_bytes") != std::string::npos);
    const auto many = co_await error_of(client.get(p.url("/many")));
    HOLDS(what_of(many).find("limits::header_count") != std::string::npos);
    http::session usual;
    const auto fine = co_await usual.get(p.url("/large"));
    EQUAL(fine.body, "x");
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_CNC, HTTP_CLI_CNC_01_ACancelledRequestEndsAtOnceAndPassesItsPlaceOn) {
  run([]() -> h::task<> {
    const char* const half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
    for (const std::string& text : {std::string(), std::string("HTTP/1.1 2"), std::string(half)}) {
      peer p([text](const http::request& r, int) { return r.target == "/stuck" ? text : ok("x"); });
      co_await p.start();
      http::session_options o;
      o.pool.limit = 1;
      http::session client(o);
      auto stuck = h::create_task(client.get(p.url("/stuck")));
      co_await until([&] { return p.seen() == "GET /stuck"; });
      auto waits = h::create_task(client.get(p.url("/gone")));
      co_await until_waiting(waits);
      auto next = h::create_task(client.get(p.url("/next")));
      co_await until_waiting(next);
      waits.cancel();
      co_await until_done(waits);
      stuck.cancel();
      const auto& r = co_await next;
      EQUAL(r.body, "x");
      co_await until_done(stuck);
      EQUAL(p.seen(), "GET /stuck|GET /next");
      EQUAL(client.open_connections(), 1u);
      co_await p.stop();
    }
  });
}

TEST_P(HTTP_CLI_CNC, HTTP_CLI_CNC_02_CancellingManyLeavesAnExactCount) {
  run([]() -> h::task<> {
    peer p(
        [](const http::request& r, int) { return r.target == "/stuck" ? std::string() : ok("x"); });
    co_await p.start();
    http::session client;
    std::vector<h::task_handle<http::client_response>> all;
    const int n = static_cast<int>(sized(200, 1000));
    for (int i = 0; i < n; ++i)
      all.push_back(h::create_task(client.get(p.url(i % 3 == 0 ? "/stuck" : "/a"))));
    co_await until([&] { return p.open() > 0; });
    for (auto& t : all) t.cancel();
    for (auto& t : all) co_await until_done(t);
    EQUAL(client.open_connections(), client.kept_connections());
    client.close_kept();
    EQUAL(client.open_connections(), 0u);
    co_await until([&] { return p.open() == 0; });
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_CNC, HTTP_CLI_CNC_04_AnAnswerMayOutliveItsSession) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int) { return ok(std::string(500'000, 'x')); });
    co_await p.start();
    auto client = std::make_unique<http::session>();
    auto r = co_await client->at(p.url("/")).open();
    const auto whole = co_await client->get(p.url("/"));
    client.reset();
    EQUAL(whole.body.size(), 500'000u);
    const std::string all = co_await r.body.read_all();
    EQUAL(all.size(), 500'000u);
    co_await until([&] { return p.open() == 0; });
    co_await p.stop();
  });
}

h::task<std::string> read_elsewhere(http::client_stream r) { co_return co_await r.body.read_all(); }

TEST_P(HTTP_CLI_CNC, HTTP_CLI_CNC_05_AnAnswerMayBeReadOnAnotherLoop) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int) { return ok(std::string(300'000, 'x')); });
    co_await p.start();
    http::session client;
    std::vector<h::task_handle<std::string>> readers;
    for (int i = 0; i < 16; ++i) {
      auto r = co_await client.at(p.url("/")).open();
      readers.push_back(h::create_task(read_elsewhere(std::move(r))));
    }
    for (auto& t : readers) {
      const auto& all = co_await t;
      EQUAL(all.size(), 300'000u);
    }
    EQUAL(client.open_connections(), client.kept_connections());
    co_await p.stop();
  });
}

}  // namespace
}  // namespace conformance
