// SPDX-License-Identifier: MIT
//
// What the three programs over the problems share: their options.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/problems.h"

namespace bench::model {

struct wishes {
  std::vector<const problem*> chosen;
  std::vector<unsigned> loops;
  int effort = 0;           // which of a problem's sizes
  double operation_ns = 0;  // model: measured on one loop; 0: the table's
  int settle_ms = 0;        // model: the others fall asleep before the run
  int repeat = 3;           // real: the least of so many runs
};

/// Reads the options; `--help` and bad ones end the process.
wishes read_wishes(int argc, char** argv, std::vector<unsigned> loops);

/// The head of a JSON line, without its end.
std::string line_head(const problem& p, unsigned loops, long operations);

}  // namespace bench::model
