// SPDX-License-Identifier: MIT
// The connections of a session: which are used again, how many there are, and who waits for one.
#include "client_cases.h"

#include "../io/descriptor_count.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/server.h>
#include <heddle/io/resolver.h>
#include <heddle/sched/async_generator.h>
#include <heddle/sync/event.h>

#include <random>

namespace conformance {
namespace {

REACTOR_CASES(HTTP_CLI_POO);

std::string target_back(const http::request& r, int) { return ok(r.target); }

TEST_P(HTTP_CLI_POO, HTTP_CLI_POO_01_AConnectionGoesBackAtTheEndOfTheBody) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int) { return ok(std::string(300'000, 'x')); });
    co_await p.start();
    http::session client;
    auto first = co_await client.at(p.url("/")).open();
    const std::string all = co_await read_pieces(first.body);
    EQUAL(all.size(), 300'000u);
    EQUAL(client.kept_connections(), 1u);
    auto second = co_await client.at(p.url("/")).open();
    EQUAL(p.connections(), 1);
    const std::string again = co_await second.body.read_all();
    EQUAL(again.size(), 300'000u);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_POO, HTTP_CLI_POO_02_ADroppedBodyClosesItsConnectionUnlessAllIsHere) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      if (r.target == "/short") return ok("here");
      return std::string("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly a part");
    });
    co_await p.start();
    http::session client;
    {
      const auto part = co_await client.at(p.url("/part")).open();
      EQUAL(part.status, 200);
    }
    EQUAL(client.open_connections(), 0u);
    {
      auto all = co_await client.at(p.url("/short")).open();
      const auto some = co_await all.body.read(2);
      HOLDS(!some.empty());
      co_await until([&] { return p.connections() == 2; });
    }
    const auto next = co_await client.get(p.url("/short"));
    EQUAL(next.body, "here");
    EQUAL(client.open_connections(), 1u);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_POO, HTTP_CLI_POO_03_AnswersThatEndTheConnectionAreNotFollowedByAnother) {
  run([]() -> h::task<> {
    for (const char* answer :
         {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
          "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "!HTTP/1.1 200 OK\r\n\r\nuntil the end",
          "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n"}) {
      peer p([answer](const http::request&, int) { return std::string(answer); });
      co_await p.start();
      http::session client;
      for (int i = 0; i < 2; ++i) {
        auto r = co_await client.at(p.url("/")).open();
        (void)co_await r.body.read_all();
        EQUAL(client.kept_connections(), 0u);
      }
      EQUAL(p.connections(), 2);
      co_await p.stop();
    }
  });
}

TEST_P(HTTP_CLI_POO, HTTP_CLI_POO_04_OriginsAndProxiesNeverShareAConnection) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int connection) { return ok(std::to_string(connection)); });
    co_await p.start();
    const std::string port = ":" + std::to_string(p.port());
    http::session_options o;
    o.fixed_names["a.test"] = "127.0.0.1" + port;
    o.fixed_names["b.test"] = "127.0.0.1" + port;
    http::session client(o);
    const std::string through = "127.0.0.1" + port;
    std::string all;
    for (int i = 0; i < 2; ++i) {
      for (const std::string& url : {std::string("http://a.test/"), std::string("http://b.test/"),
                                     "http://a.test" + port + "/"}) {
        const auto r = co_await client.get(url);
        all += r.body;
      }
      const auto by = co_await client.at("http://a.test/").proxy(http::proxy(through)).get();
      const auto user =
          co_await client.at("http://a.test/").proxy(http::proxy("http://u:p@" + through)).get();
      all += by.body + user.body + " ";
    }
    EQUAL(all, "12345 12345 ");
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_POO, HTTP_CLI_POO_05_RequestsBeyondTheLimitWaitInOrderOfArrival) {
  run([]() -> h::task<> {
    peer p(target_back);
    co_await p.start();
    http::session_options o;
    o.pool.limit = 2;
    http::session client(o);
    std::vector<h::task_handle<http::client_response>> all;
    for (int i = 0; i < 20; ++i)
      all.push_back(h::create_task(client.get(p.url("/" + std::to_string(i)))));
    for (int i = 0; i < 20; ++i) {
      const auto& r = co_await all[static_cast<std::size_t>(i)];
      EQUAL(r.body, "/" + std::to_string(i));
    }
    HOLDS(p.most() <= 2);
    HOLDS(client.open_connections() <= 2);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_POO, HTTP_CLI_POO_05_TheFirstThatWaitsIsTheFirstThatIsServed) {
  run([]() -> h::task<> {
    h::event gate;
    peer p(target_back);
    co_await p.start();
    http::server slow;
    slow.get("/hold", [&gate](http::request&) -> h::task<http::response> {
      co_await gate.wait();
      co_return http::response::text("held");
    });
    co_await slow.start("127.0.0.1", 0);
    http::session_options o;
    o.pool.limit = 1;
    http::session client(o);
    const std::string hold = "http://127.0.0.1:" + std::to_string(slow.port()) + "/hold";
    auto holder = h::create_task(client.get(hold));
    co_await until([&] { return client.open_connections() == 1; });
    std::vector<h::task_handle<http::client_response>> waiting;
    for (int i = 0; i < 4; ++i) {
      waiting.push_back(h::create_task(client.get(p.url("/" + std::to_string(i)))));
      co_await until_waiting(waiting.back());
    }
    waiting[1].cancel();
    co_await until_done(waiting[1]);
    gate.set();
    const auto& held = co_await holder;
    EQUAL(held.body, "held");
    for (const int i : {0, 2, 3}) (void)co_await waiting[static_cast<std::size_t>(i)];
    EQUAL(p.seen(), "GET /0|GET /2|GET /3");
    co_await slow.stop();
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_POO, HTTP_CLI_POO_07_NoPlaceIsLostWhenThoseThatWaitAreCancelled) {
  run([]() -> h::task<> {
    peer p(target_back);
    co_await p.start();
    http::session_options o;
    o.pool.limit = 1;
    http::session client(o);
    std::mt19937 random(7);
    const std::size_t rounds = sized(support::sanitized ? 30 : 150, 10'000);
    for (std::size_t i = 0; i < rounds; ++i) {
      auto a = h::create_task(client.get(p.url("/a")));
      auto b = h::create_task(client.get(p.url("/b")));
      auto c = h::create_task(client.get(p.url("/c")));
      for (unsigned k = random() % 8; k > 0; --k) co_await h::yield_now();
      b.cancel();
      co_await until_done(b);
      const auto& first = co_await a;
      const auto& third = co_await c;
      EQUAL(first.body + third.body, "/a/c");
    }
    HOLDS(client.open_connections() <= 1);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_POO, HTTP_CLI_POO_08_AFailureToConnectGivesItsPlaceBack) {
  run([]() -> h::task<> {
    std::uint16_t port = 0;
    {
      peer p(target_back);
      co_await p.start();
      port = p.port();
      co_await p.stop();
    }
    h::set_resolver([](const h::name_query& q) -> h::name_answer {
      h::throw_name_error(h::name_error::no_such_name, q.host);
    });
    http::session_options o;
    o.pool.limit = 1;
    http::session client(o);
    const std::string nobody = "http://127.0.0.1:" + std::to_string(port) + "/";
    for (int i = 0; i < 3; ++i) {
      auto a = h::create_task(error_of(client.get(nobody)));
      const auto b = co_await error_of(client.get("http://nobody.test/"));
      const auto& refused = co_await a;
      HOLDS(is_a<http::connect_error>(refused));
      HOLDS(is_a<http::connect_error>(b));
    }
    EQUAL(client.open_connections(), 0u);
  });
}

h::async_generator<std::string> one_piece() { co_yield std::string("piece"); }

TEST_P(HTTP_CLI_POO, HTTP_CLI_POO_11_WhatMayBeRepeatedIsRepeatedOnceOnANewConnection) {
  run([]() -> h::task<> {
    for (const int kind : {0, 1, 2, 3}) {
      peer p([](const http::request& r, int connection) {
        // The first connection ends with the second request, without a word.
        return connection == 1 && r.target != "/first" ? std::string("!") : ok(line_of(r));
      });
      co_await p.start();
      http::session client;
      (void)co_await client.get(p.url("/first"));
      auto next = client.at(p.url("/x"));
      if (kind == 1) next.body(http::upload::again(one_piece));
      if (kind == 2) next.text("body");
      if (kind == 3) next.body(http::upload(one_piece()));
      http::method m = http::method::get;
      if (kind == 1) m = http::method::put;
      if (kind == 2) m = http::method::post;
      const bool repeats = kind < 2;
      const auto error = co_await error_of(next.request(m));
      EQUAL(is_a<http::connection_lost>(error), !repeats);
      EQUAL(p.connections(), repeats ? 2 : 1);
      co_await p.stop();
    }
  });
}

TEST_P(HTTP_CLI_POO, HTTP_CLI_POO_13_AnswersWithoutABodyKeepTheirConnectionAtOnce) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      if (r.method == http::method::head)
        return std::string("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
      return "HTTP/1.1 " + r.target.substr(1) + " x\r\n\r\n";
    });
    co_await p.start();
    http::session client;
    const auto none = co_await client.at(p.url("/204")).open();
    EQUAL(client.kept_connections(), 1u);
    const auto same = co_await client.at(p.url("/304")).open();
    EQUAL(client.kept_connections(), 1u);
    const auto head = co_await client.head(p.url("/"));
    EQUAL(none.status + same.status + head.status, 204 + 304 + 200);
    EQUAL(p.connections(), 1);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_POO, HTTP_CLI_POO_14_ForceCloseSaysSoAndKeepsNothing) {
  run([]() -> h::task<> {
    peer p([](const http::request& r, int) {
      return ok(r.headers.get("connection").value_or("nothing"));
    });
    co_await p.start();
    http::session_options o;
    o.pool.force_close = true;
    http::session client(o);
    for (int i = 0; i < 2; ++i) {
      const auto r = co_await client.get(p.url("/"));
      EQUAL(r.body, "close");
      EQUAL(client.open_connections(), 0u);
    }
    EQUAL(p.connections(), 2);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_POO, HTTP_CLI_POO_15_TheLatestUsedGoesOutAgainAndTheOthersExpire) {
  run([]() -> h::task<> {
    peer p([](const http::request&, int connection) { return ok(std::to_string(connection)); });
    co_await p.start();
    http::session client;
    std::vector<http::client_stream> three;
    for (int i = 0; i < 3; ++i) three.push_back(co_await client.at(p.url("/")).open());
    // All of a short answer may have come with its head: then one connection carried all three.
    std::string last;
    for (auto& s : three) {
      const std::string number = co_await s.body.read_all();
      last = number;
    }
    const auto kept = client.kept_connections();
    for (int i = 0; i < 5; ++i) {
      const auto r = co_await client.get(p.url("/"));
      EQUAL(r.body, last);
    }
    EQUAL(client.kept_connections(), kept);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_POO, HTTP_CLI_POO_16_NoReadClockRunsOnAnIdleConnection) {
  run([]() -> h::task<> {
    peer p(target_back);
    co_await p.start();
    http::session client;
    http::timeouts t;
    t.read = 50ms;
    bool in_time = false;
    while (!in_time) {  // on a busy machine the answer itself may be late
      const auto error = co_await error_of(client.at(p.url("/")).timeouts(t).get());
      in_time = !error;
    }
    const int connections = p.connections();
    EQUAL(client.kept_connections(), 1u);
    co_await h::sleep(100ms);
    EQUAL(client.kept_connections(), 1u);
    const auto next = co_await client.get(p.url("/next"));
    EQUAL(next.body, "/next");
    EQUAL(p.connections(), connections);
    co_await p.stop();
  });
}

}  // namespace
}  // namespace conformance
