// SPDX-License-Identifier: MIT
// The seconds of the table in bench/COSTS.md. usage: heddle_costs [LOOPS] [LARGEST_N] [ROW]
#include <heddle/sched/runtime.h>
#include <support/costs.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

using namespace support::costs;

std::uint64_t ns(h::time_point t) {
  return static_cast<std::uint64_t>(t.time_since_epoch().count());
}
constexpr meter seconds{[] { return ns(h::clock::now()); },
                        [](h::time_point due) { return std::max(ns(h::clock::now()), ns(due)); }};

struct row {
  const char* name;
  h::task<std::uint64_t> (*program)(meter, std::size_t);
};
constexpr row rows[] = {
    {"time-outs that expire together", time_outs_that_expire_together},
    {"children of a group that is cancelled", a_group_is_cancelled},
    {"joiners of one handle", joiners_of_one_handle},
    {"waiters of a mutex, cancelled in random order", waiters_of_a_mutex_are_cancelled},
    {"timers, cancelled in random order", timers_are_cancelled},
    {"nested generators, closed", nested_generators_are_closed},
    {"forks after a failed join", forks_after_a_failed_join},
};

}  // namespace

int main(int argc, char** argv) {
  h::options o;
  o.loops = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 1;
  const std::size_t largest = argc > 2 ? static_cast<std::size_t>(std::atoll(argv[2])) : 1'000'000;
  const char* wanted = argc > 3 ? argv[3] : "";  // part of a row's name
  for (const auto& r : rows) {
    if (!std::strstr(r.name, wanted)) continue;
    std::printf("| %s |", r.name);
    for (std::size_t n = 10'000; n <= largest; n *= 10) {
      h::runtime rt(o);
      std::printf(" %.3f |", static_cast<double>(rt.run(r.program(seconds, n))) / 1e9);
      std::fflush(stdout);
    }
    std::printf("\n");
  }
}
