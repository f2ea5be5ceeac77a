// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

/// 1, 2, ... n.
inline std::vector<int> numbers_to(int n) {
  std::vector<int> all;
  for (int i = 1; i <= n; ++i) all.push_back(i);
  return all;
}
