// SPDX-License-Identifier: MIT
#include "http_peer.h"

#include <heddle/heddle.h>

#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

namespace peer {
namespace {

namespace h = heddle;
namespace http = heddle::http;
using namespace std::chrono_literals;

h::task<> session() { co_await h::sleep(1h); }

h::task<> copies(std::optional<h::task_handle<>>& to, h::event& begin) {
  co_await begin.wait();
  auto other = *to;
  co_await other;
}

h::task<> gathers() {
  std::vector<h::task<>> both;
  both.push_back(session());
  both.push_back(session());
  auto all = h::gather(std::move(both));
  co_await std::move(all);
}

h::task_handle<> named(std::string name, h::task<> t) {
  h::task_options o;
  o.name = std::move(name);
  return h::create_task(std::move(t), o);
}

}  // namespace

h::task<> be_inspected() {
  std::optional<h::task_handle<>> first, second;
  h::event begin;
  first = named("lobby>games", copies(second, begin));
  second = named("games>lobby", copies(first, begin));
  begin.set();
  std::vector<h::task_handle<>> all;
  for (int i = 0; i < 40; ++i) all.push_back(named("session-" + std::to_string(i), session()));
  all.push_back(named("gatherer", gathers()));
  all.push_back(named("<img src=x onerror=alert(1)>", session()));
  http::server server;
  server.mount(http::inspector());
  h::task<> starting = server.start("127.0.0.1", 0);
  co_await starting;
  std::printf("%u\n", static_cast<unsigned>(server.port()));
  std::fflush(stdout);
  co_await h::to_thread([] {
    while (std::getchar() != EOF) {}
  });
  h::task<> stopping = server.stop();
  co_await stopping;
}

}  // namespace peer
