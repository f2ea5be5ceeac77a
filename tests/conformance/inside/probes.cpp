// SPDX-License-Identifier: MIT
// Probes for tracers of the system: they are in the program, and count what the statistics count.
#include "looking.h"

#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace {

using namespace conformance;

LOOKING_CASES(IN_PROBES);

/// As the library was compiled: sched/loop/probes.h asks the same.
#if __has_include(<sys/sdt.h>)
constexpr bool has_probes = true;
#else
constexpr bool has_probes = false;
#endif

bool is_there(const char* program) {
  return run_program({"sh", "-c", std::string("command -v ") + program}).status == 0;
}

std::string file_of(const watched& w) {
  char path[4096];
  const auto n = ::readlink(("/proc/" + w.number() + "/exe").c_str(), path, sizeof path);
  return n > 0 ? std::string(path, static_cast<std::size_t>(n)) : std::string();
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

// Their names are those that tools/heddle/README.md tells.
TEST_P(IN_PROBES, IN_METRIC_04_TheProgramHasTheProbesByTheirNames) {
  const watched w("healthy", loops(), 2);
  EQUAL(tool({"ps", w.number()}).status, 0);  // nothing is missing without them
  if (!is_there("readelf")) GTEST_SKIP() << "readelf is not there";
  const auto notes = run_program({"readelf", "-n", "-W", file_of(w)}).out;
  HOLDS((notes.find("Provider: heddle") != std::string::npos) == has_probes);
  for (const char* name :
       {"step", "created", "parked", "polled", "stole", "rescued", "job__begins", "job__ends"})
    HOLDS((notes.find(std::string("Name: ") + name + "\n") != std::string::npos) == has_probes)
        << name;
}

/// "breakpoint already hit 51 times": their sum over all places of the probe.
std::uint64_t hits(const std::string& text) {
  const std::string before = "breakpoint already hit ";
  const auto at = text.find(before);
  return at == std::string::npos ? 0
                                 : std::strtoull(text.c_str() + at + before.size(), nullptr, 10);
}

TEST_P(IN_PROBES, IN_METRIC_04_AProbeCountsWhatTheStatisticsCount) {
  const watched w("healthy", loops(), 2);
  const auto file = file_of(w);
  if (!has_probes || sanitized) {
    const auto plain = run_program({file, "counted", std::to_string(loops()), "50"});
    HOLDS(has_line(plain.out, {"created "}));
    return;
  }
  if (!is_there("gdb")) GTEST_SKIP() << "gdb is not there";
  const auto said = run_program({"gdb", "-nx", "-q", "-batch", "-ex", "set breakpoint pending on",
                                 "-ex", "break -probe-stap heddle:created", "-ex",
                                 "ignore 1 1000000", "-ex", "run", "-ex", "info breakpoints",
                                 "--args", file, "counted", std::to_string(loops()), "50"});
  SCOPED_TRACE(said.out + said.err);
  const auto line = lines_with(said.out, {"created "});
  HOLDS(!line.empty());
  std::uint64_t told = 0;
  for (const auto& l : line)
    if (const auto at = l.find("created "); at == 0)
      told = std::strtoull(l.c_str() + 8, nullptr, 10);
  HOLDS(told >= 50);
  EQUAL(hits(said.out), told);
  EQUAL(count_of(said.out, "breakpoint already hit "), 1u);
}

}  // namespace
