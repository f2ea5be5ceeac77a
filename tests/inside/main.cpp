// SPDX-License-Identifier: MIT
#include "programs.h"

#include <heddle/core/errors.h>

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr struct {
  const char* name;
  inside::h::task<> (*run)(int);
} programs[] = {
    {"every_kind", inside::every_kind},
    {"chat", inside::chat},
    {"hogged", inside::hogged},
    {"cancelled", inside::cancelled},
    {"churn", inside::churn},
    {"deep", inside::deep},
    {"ring", inside::ring},
    {"strands", inside::strands},
    {"many", inside::many},
    {"generators", inside::generators},
    {"tree", inside::tree},
    {"odd_names", inside::odd_names},
    {"queued", inside::queued},
    {"lives_again", inside::lives_again},
    {"dumps", inside::dumps},
    {"runtimes", inside::runtimes},
    {"two_runtimes", inside::two_runtimes},
    {"makers", inside::makers},
    {"busy", inside::busy},
    {"execs", inside::execs},
    {"forks", inside::forks},
    {"shapes_O0", inside::shapes_O0::run},
    {"shapes_O2", inside::shapes_O2::run},
    {"shapes_O3", inside::shapes_O3::run},
    {"traced", inside::traced},
    {"turns_taken", inside::turns_taken},
    {"requests", inside::requests},
    {"spins", inside::spins},
    {"storm", inside::storm},
    {"variables", inside::variables},
    {"computing", inside::computing},
    {"two_heddles", inside::two_heddles},
    {"leaks", inside::leaks},
    {"islands", inside::islands},
    {"no_leaks", inside::no_leaks},
    {"grows", inside::grows},
    {"kept_tasks", inside::kept_tasks},
    {"large_frames", inside::large_frames},
    {"computes", inside::computes},
    {"blocks", inside::step_blocks},
    {"blamed", inside::blamed},
    {"late_timers", inside::late_timers},
    {"needs_rescue", inside::needs_rescue},
    {"throws_much", inside::throws_much},
    {"owners", inside::owners},
    {"circles", inside::circles},
    {"ownerless", inside::ownerless},
    {"full_pool", inside::full_pool},
    {"ailing", inside::ailing},
    {"healthy", inside::healthy},
    {"floods", inside::floods},
    {"sockets", inside::sockets},
};

/// What runs in `main` itself.
constexpr struct {
  const char* name;
  int (*run)(unsigned loops, int n);
} mains[] = {
    {"rests", inside::rests},
    {"endings", inside::endings},
    {"falls_back", inside::falls_back},
    {"counted", inside::counted},
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 64;
  for (const auto& m : mains)
    if (std::strcmp(m.name, argv[1]) == 0)
      return m.run(static_cast<unsigned>(std::atoi(argv[2])), argc > 3 ? std::atoi(argv[3]) : 0);
  for (const auto& p : programs) {
    if (std::strcmp(p.name, argv[1]) != 0) continue;
    inside::h::runtime runtime({.loops = static_cast<unsigned>(std::atoi(argv[2]))});
    auto running = runtime.submit(p.run(argc > 3 ? std::atoi(argv[3]) : 0));
    std::puts("begun");
    std::fflush(stdout);
    char byte;
    while (::read(STDIN_FILENO, &byte, 1) > 0) {}
    ::_exit(0);  // some of them never end by themselves
  }
  return 64;
}
