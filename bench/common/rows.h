// SPDX-License-Identifier: MIT
//
// Rows: operations of a peer whose time is wanted, one JSON line a sample. heddle's own are in
// micro/.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "common/program.h"

namespace bench {

/// `times(n)` does it n times, n being a multiple of `batch`.
struct row {
  std::string_view name;
  long batch;
  std::function<void(long n)> times;
};

/// Samples of the row that --row names, or of all. Returns main()'s status.
int run_rows(const identity& who, const row_settings& with, const std::vector<row>& rows);

}  // namespace bench
