// SPDX-License-Identifier: MIT
#include "common/rows.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>

namespace bench {
namespace {

struct sample {
  long times;
  double ns;
};

// Does it ever more often, until that takes `least_ns`; the last sample counts.
sample measure(const row& what, double least_ns) {
  for (long n = what.batch;;) {
    const std::int64_t began = now_ns();
    what.times(n);
    const auto took = static_cast<double>(now_ns() - began);
    if (took >= least_ns || n >= 1L << 30) return {n, took / static_cast<double>(n)};
    const double grow = std::min(10.0, 1.4 * least_ns / (took + 1));
    n = (static_cast<long>(static_cast<double>(n) * grow) / what.batch + 1) * what.batch;
  }
}

}  // namespace

int run_rows(const identity& who, const row_settings& with, const std::vector<row>& rows) {
  bool found = false;
  for (const auto& r : rows) {
    if (!with.row.empty() && with.row != r.name) continue;
    found = true;
    for (int i = 0; i < with.repeat; ++i) {
      const sample s = measure(r, with.seconds * 1e9);
      std::printf(R"({"row":"%.*s","peer":"%.*s","threads":%u,"ns":%.6g,"times":%ld})"
                  "\n",
                  int(r.name.size()), r.name.data(), int(who.peer.size()), who.peer.data(),
                  with.threads, s.ns, s.times);
      std::fflush(stdout);
    }
  }
  if (!found) give_up(who, "no row " + with.row);
  return 0;
}

}  // namespace bench
