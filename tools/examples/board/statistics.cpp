// SPDX-License-Identifier: MIT
#include "statistics.h"

#include <heddle/io/http/json.h>

#include <chrono>
#include <memory>

namespace board {
namespace {

using namespace std::chrono_literals;

nlohmann::json now(const rooms& all, const counters& count) {
  const auto list = all.list();
  std::size_t guests = 0;
  for (const auto& one : list) guests += one.guests;
  const auto runtime = h::current_runtime().stats();
  std::uint64_t run = 0;
  std::uint64_t stolen = 0;
  for (const auto& loop : runtime.loops) {
    run += loop.run;
    stolen += loop.stolen;
  }
  return {{"rooms", list},
          {"guests", guests},
          {"said", count.said.load()},
          {"uploaded", count.uploaded.load()},
          {"loops", runtime.loops.size()},
          {"tasks", run},
          {"stolen", stolen}};
}

h::async_generator<http::sse_event> ticks(std::shared_ptr<rooms> all,
                                          std::shared_ptr<counters> count) {
  for (;;) {
    http::sse_event tick;
    tick.data = http::json_text(now(*all, *count));
    co_yield tick;
    co_await h::sleep(1s);
  }
}

}  // namespace

http::response statistics(http::state<rooms> all, http::state<counters> count) {
  return http::response::events(ticks(all.get(), count.get()));
}

}  // namespace board
