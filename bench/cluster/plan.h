// SPDX-License-Identifier: MIT
//
// What a program of bench/cluster is told, and what it prints.
//
//   cluster_PEER --serve --port P --slots N                   a worker, until SIGTERM
//   cluster_PEER --port P --in-flight N --seconds T           calls, and one line of figures
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "load/histogram.h"

namespace bench {

struct cluster_plan {
  bool serve = false;
  unsigned port = 0;
  unsigned slots = 1;
  unsigned in_flight = 1;
  double warm_up = 0.3;  // seconds
  double seconds = 1;
};

inline cluster_plan read_cluster_plan(int argc, char** argv) {
  cluster_plan p;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "0";
    i += name != "--serve";
    if (name == "--serve")
      p.serve = true;
    else if (name == "--port")
      p.port = static_cast<unsigned>(std::strtoul(value, nullptr, 10));
    else if (name == "--slots")
      p.slots = static_cast<unsigned>(std::strtoul(value, nullptr, 10));
    else if (name == "--in-flight")
      p.in_flight = static_cast<unsigned>(std::strtoul(value, nullptr, 10));
    else if (name == "--warm-up")
      p.warm_up = std::strtod(value, nullptr);
    else if (name == "--seconds")
      p.seconds = std::strtod(value, nullptr);
  }
  if (p.port == 0 || p.port > 65535 || p.slots == 0 || p.in_flight == 0) {
    std::fputs("usage: --port P [--serve --slots N | --in-flight N --seconds T --warm-up T]\n",
               stderr);
    std::exit(2);
  }
  return p;
}

/// Counts calls between the end of the warm-up and the end of all.
class call_figures {
 public:
  using clock = std::chrono::steady_clock;
  explicit call_figures(const cluster_plan& p)
      : from_(clock::now() + std::chrono::duration_cast<clock::duration>(
                                 std::chrono::duration<double>(p.warm_up))),
        end_(from_ + std::chrono::duration_cast<clock::duration>(
                         std::chrono::duration<double>(p.seconds))) {}
  /// False: the time is over.
  bool ended(clock::time_point began, clock::time_point now) {
    if (now >= end_) return false;
    if (began >= from_) {
      times_.record(static_cast<std::uint64_t>((now - began).count()));
      ++calls_;
    }
    return true;
  }
  void print() const {
    const double seconds = std::chrono::duration<double>(end_ - from_).count();
    std::printf("{\"rate\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"calls\":%llu}\n",
                static_cast<double>(calls_) / seconds, static_cast<double>(times_.at(0.5)) / 1e3,
                static_cast<double>(times_.at(0.99)) / 1e3,
                static_cast<unsigned long long>(calls_));
  }

 private:
  clock::time_point from_, end_;
  histogram times_;
  std::uint64_t calls_ = 0;
};

}  // namespace bench
