// SPDX-License-Identifier: MIT
// The inspector: what it tells of a program, and whom.
#include "../http/app.h"
#include "looking.h"

#include <heddle/io/http/inspector.h>
#include <heddle/io/http/server.h>
#include <heddle/sync/event.h>
#include <heddle/sync/mutex.h>
#include <heddle/sync/semaphore.h>

#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <set>

namespace {

using namespace conformance;
using nlohmann::json;

CASES(IN_METRIC_PAGE);

h::task<json> fetched(http::test_client& c, std::string target) {
  http::headers fields;
  fields.add("Accept", "application/json");
  auto asking = c.send(http::method::get, target, fields, std::string());
  const http::response answer = co_await asking;
  EQUAL(answer.status, 200);
  EQUAL(answer.headers.get("cache-control").value_or(""), "no-store");
  co_return json::parse(answer.body);
}

http::router app(http::inspector_options o = {}) {
  http::router r;
  r.get("/", says("here"));
  r.mount(http::inspector(o));
  return r;
}

h::task<> awaits(std::optional<h::task_handle<>>& target, h::event& begin) {
  co_await begin.wait();
  auto t = *target;
  co_await t;
}

/// Two tasks that wait for each other, and one that waits for nobody.
struct planted {
  std::optional<h::task_handle<>> first, second;
  h::task_handle<> alone;
  h::event begin;

  explicit planted(bool is_ring) {
    h::task_options o;
    o.name = "<b>first</b>";
    first = h::create_task(awaits(second, begin), o);
    o.name = "second";
    second = h::create_task(awaits(first, begin), o);
    o.name = "alone\n\xff";
    alone = h::create_task(sleep_long(), o);
    if (is_ring) begin.set();
  }
  /// A ring is left to the end of the runtime, which cuts it.
  h::task<> end() {
    alone.cancel();
    (void)co_await ending(alone);
    if (begin.is_set()) co_return;
    for (auto* const one : {&*first, &*second}) {
      one->cancel();
      (void)co_await ending(*one);
    }
  }
};

std::set<std::string> keys(const json& object) {
  std::set<std::string> all;
  for (const auto& [key, value] : object.items()) all.insert(key);
  return all;
}

const json* named(const json& tasks, const std::string& name) {
  for (const auto& t : tasks)
    if (t["name"] == name) return &t;
  return nullptr;
}

TEST_P(IN_METRIC_PAGE, IN_METRIC_03_TasksAreToldAsTheToolTellsThem) {
  run([]() -> h::task<> {
    planted some(false);
    http::test_client c(app());
    const json own = co_await fetched(c, "/tasks.json");
    EQUAL(own["schema"], 1);
    EQUAL(own["process"], ::getpid());
    HOLDS(named(own["tasks"], "second"));
    HOLDS(named(own["tasks"], "<b>first</b>"));
    if (!path_of_tool().empty()) {
      const auto seen = tool({"ps", "--json", std::to_string(::getpid())});
      if (seen.status == 0) {  // else a process may not look at its parent here
        const auto told = json::parse(seen.out);
        EQUAL(keys(told), keys(own));
        EQUAL(keys(told["loops"][0]), keys(own["loops"][0]));
        EQUAL(keys(told["tasks"][0]), keys(own["tasks"][0]));
      }
    }
    co_await some.end();
    auto stopping = c.stop();
    co_await stopping;
  });
}

/// Until those that wait for each other have come to their waits.
h::task<json> graph_with_a_circle(http::test_client& c) {
  for (;;) {
    json graph = co_await fetched(c, "/graph");
    if (!graph["circles"].empty()) co_return graph;
    co_await h::sleep(1ms);
  }
}

TEST_P(IN_METRIC_PAGE, IN_METRIC_03_TheGraphTellsTheCircleAndTheTreeClosesIt) {
  run([]() -> h::task<> {
    planted some(true);
    http::test_client c(app());
    const json graph = co_await graph_with_a_circle(c);
    EQUAL(graph["circles"].size(), 1u);
    EQUAL(graph["circles"][0]["deadlock"], true);
    std::set<std::string> names;
    for (const std::size_t i : graph["circles"][0]["tasks"])
      names.insert(graph["tasks"][i]["name"].get<std::string>());
    HOLDS(names == std::set<std::string>({"<b>first</b>", "second"}));
    const json tree = co_await fetched(c, "/tree");
    const auto closes = [](const json& line) { return line["closes"] == true; };
    EQUAL(std::count_if(tree["lines"].begin(), tree["lines"].end(), closes), 1);
    auto asking = c.get("/tree");
    const http::response text = co_await asking;
    HOLDS(text.body.find("<- the circle closes\n") != std::string::npos);
    HOLDS(text.body.find("alone\\x0a") != std::string::npos);  // a name ends no line
    const json stalls = co_await fetched(c, "/stalls");
    HOLDS(stalls["stalls"].is_array());
    const json figures = co_await fetched(c, "/figures.json");
    HOLDS(!figures["runtimes"].empty());
    co_await some.end();
    auto stopping = c.stop();
    co_await stopping;
  });
}

h::task<> locks(h::mutex& own, h::mutex& next, h::semaphore& locked, h::event& go) {
  const auto first = co_await own.scoped_lock();
  locked.release();
  co_await go.wait();
  const auto second = co_await next.scoped_lock();
}

TEST_P(IN_METRIC_PAGE, IN_METRIC_03_LocksThatWaitForEachOtherAreADeadlockAndNoTree) {
  run([]() -> h::task<> {
    h::mutex a, b;
    h::semaphore locked(0);
    h::event go;
    auto first = h::create_task(locks(a, b, locked, go));
    auto second = h::create_task(locks(b, a, locked, go));
    for (int i = 0; i < 2; ++i) co_await locked.acquire();
    go.set();
    http::test_client c(app());
    const json graph = co_await graph_with_a_circle(c);
    EQUAL(graph["circles"].size(), 1u);
    EQUAL(graph["circles"][0]["deadlock"], true);
    const auto is_lock = [](const json& e) { return e["lock"] == true && e["only"] == true; };
    EQUAL(std::count_if(graph["edges"].begin(), graph["edges"].end(), is_lock), 2);
    const json tree = co_await fetched(c, "/tree");
    for (const auto& line : tree["lines"])
      if (line["does"].get<std::string>().starts_with("mutex")) EQUAL(line["depth"], 0);
    first.cancel();
    (void)co_await ending(first);
    (void)co_await ending(second);
    auto stopping = c.stop();
    co_await stopping;
  });
}

/// Until a list with a stall of "cruncher" is there.
h::task<json> stall_of_cruncher(http::test_client& c) {
  for (;;) {
    const json seen = co_await fetched(c, "/stalls");
    for (const auto& s : seen["stalls"])
      if (s["task"] == "cruncher" && s["lasts"] == false) co_return seen;
    co_await h::sleep(5ms);
  }
}

/// A loop that one step has kept.
h::task<> computes(std::atomic<bool>& enough) {
  while (!enough) {
    const auto end = std::chrono::steady_clock::now() + 20ms;
    while (std::chrono::steady_clock::now() < end) {}
    co_await h::sleep(1ms);
  }
}

TEST_P(IN_METRIC_PAGE, IN_METRIC_03_StallsAreAList) {
  auto o = with();
  o.stall_limit = 5ms;
  o.stall_handler = [](const h::error_context&) {};
  h::runtime rt(o);
  rt.run([]() -> h::task<> {
    std::atomic<bool> enough{false};
    h::task_options named;
    named.name = "cruncher";
    auto busy = h::create_task(computes(enough), named);
    http::test_client c(app());
    const json seen = co_await stall_of_cruncher(c);
    enough = true;
    co_await busy;
    EQUAL(seen["watched"], true);
    EQUAL(seen["limit_ms"], 5.0);
    for (const auto& s : seen["stalls"]) {
      HOLDS(s["longest_ms"].get<double>() >= 5);
      HOLDS(s["stack"].is_string());
    }
    auto stopping = c.stop();
    co_await stopping;
  }());
}

TEST_P(IN_METRIC_PAGE, IN_METRIC_03_ListsHaveABound) {
  run([]() -> h::task<> {
    std::vector<h::task_handle<>> many;
    for (int i = 0; i < 50; ++i) many.push_back(h::create_task(sleep_long()));
    http::inspector_options o;
    o.most_tasks = 10;
    http::test_client c(app(o));
    const json own = co_await fetched(c, "/tasks.json");
    EQUAL(own["tasks"].size(), 10u);
    HOLDS(own["left_out"] >= 40);
    const json graph = co_await fetched(c, "/graph");
    EQUAL(graph["tasks"].size(), 10u);
    HOLDS(graph["left_out"] >= 40);
    for (auto& t : many) t.cancel();
    auto stopping = c.stop();
    co_await stopping;
  });
}

h::task<std::string> status_of(std::uint16_t port, std::string fields) {
  auto connecting = h::open_connection("127.0.0.1", port);
  h::connection c = co_await std::move(connecting);
  c.writer.write("GET /tasks.json HTTP/1.1\r\n" + fields + "Connection: close\r\n\r\n");
  std::string all = co_await read_to_end(c);
  const auto body = all.find("\r\n\r\n");
  co_return all.substr(9, 3) + (all.starts_with("HTTP/1.1 403") ? all.substr(body + 4) : "");
}

TEST_P(IN_METRIC_PAGE, IN_METRIC_03_StrangersAreRefusedUnlessTold) {
  run([]() -> h::task<> {
    http::server s(app());
    auto starting = s.start("127.0.0.1", 0);
    co_await starting;
    for (const char* host : {"localhost", "127.0.0.1:80", "[::1]:80", "LocalHost:1"})
      EQUAL(co_await status_of(s.port(), "Host: " + std::string(host) + "\r\n"), "200");
    for (const char* host : {"evil.example", "127.0.0.1.evil.example", "localhost.evil.example",
                             "[::2]", "10.0.0.1"}) {
      const auto said = co_await status_of(s.port(), "Host: " + std::string(host) + "\r\n");
      HOLDS(said.starts_with("403the Host field is no name of this machine")) << said;
      HOLDS(said.find("inspector_options::any_client") != std::string::npos);
    }
    const auto proxied =
        co_await status_of(s.port(), "Host: localhost\r\nX-Forwarded-For: 10.1.2.3\r\n");
    HOLDS(proxied.starts_with("403the request came through a proxy")) << proxied;
    auto stopping = s.stop();
    co_await stopping;

    http::inspector_options o;
    o.any_client = true;
    http::server open(app(o));
    auto starting_open = open.start("127.0.0.1", 0);
    co_await starting_open;
    EQUAL(co_await status_of(open.port(), "Host: evil.example\r\nVia: 1.1 x\r\n"), "200");
    auto stopping_open = open.stop();
    co_await stopping_open;
  });
}

TEST_P(IN_METRIC_PAGE, IN_METRIC_03_ItMountsBesideOtherRoutes) {
  run([]() -> h::task<> {
    http::router r;
    r.get("/", says("here"));
    r.fallback([](http::request&) { return http::response::text("nothing", 404); });
    r.mount(http::inspector());
    r.nest("/debug", http::inspector());
    http::test_client c(r);
    EQUAL(co_await got(c, "/"), "200 here");
    EQUAL(co_await got(c, "/nowhere"), "404 nothing");
    for (const char* path : {"/inspector", "/debug/inspector"}) {
      auto asking = c.get(path);
      const http::response page = co_await asking;
      EQUAL(page.status, 200);
      HOLDS(page.body.find("<!doctype html>") == 0);
      HOLDS(page.headers.get("content-security-policy").has_value());
    }
    const json nested = co_await fetched(c, "/debug/tasks.json");
    EQUAL(nested["schema"], 1);
    auto stopping = c.stop();
    co_await stopping;
  });
}

}  // namespace
