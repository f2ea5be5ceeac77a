// SPDX-License-Identifier: MIT
//
// One session, and as many tasks that get one page after the other as requests are in flight.
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "common/heddle_server.h"
#include "load/plan.h"

namespace {

namespace http = heddle::http;

struct client {
  const bench::load_plan& plan;
  http::session session;
  std::string url;
  bench::figures figures;
  bool over = false;
};

http::session_options options_for(const bench::load_plan& plan) {
  http::session_options o;
  o.keep = plan.connections;
  o.pool.limit = plan.connections;
  return o;
}

heddle::task<> get_again_and_again(client& c) {
  while (!c.over) {
    const std::int64_t began = bench::now_ns();
    const http::client_response got = co_await c.session.get(c.url);
    if (got.status != 200 || got.body.size() != c.plan.bytes) {
      throw std::runtime_error("the server answered " + std::to_string(got.status) + " and " +
                               std::to_string(got.body.size()) + " bytes");
    }
    c.figures.answered(began, bench::now_ns());
    c.over = c.over || (c.plan.answers > 0 && c.figures.answers() >= c.plan.answers);
  }
}

heddle::task<> seconds(double n) { co_await heddle::sleep(std::chrono::duration<double>(n)); }

heddle::task<> work(client& c) {
  std::vector<heddle::task_handle<void>> getters;
  for (std::size_t i = 0; i < c.plan.connections; ++i)
    getters.push_back(heddle::create_task(get_again_and_again(c)));
  if (c.plan.answers == 0) {
    co_await seconds(c.plan.warm_up);
    c.figures.begin();
    co_await seconds(c.plan.seconds);
  } else {
    c.figures.begin();
    for (auto& g : getters) co_await g;
  }
  c.figures.end();
  c.over = true;
  for (auto& g : getters) co_await g;
  c.figures.print();
}

}  // namespace

int main(int argc, char** argv) {
  return bench::load_main(
      argc, argv, "client/heddle", "GETs by one session of heddle on one loop.\n", {"http"},
      [](const bench::load_plan& plan) {
        client c{plan,
                 http::session(options_for(plan)),
                 "http://127.0.0.1:" + std::to_string(plan.port) + plan.path,
                 {}};
        heddle::run(work(c), {.loops = 1, .reactor = bench::reactor_named(plan.reactor)});
      });
}
