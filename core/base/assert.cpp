// SPDX-License-Identifier: MIT
#include <heddle/core/base/assert.h>

#include <cstdio>
#include <cstdlib>

namespace heddle::detail {

void assertion_failed(const char* what, const char* file, int line, const char* why) noexcept {
  std::fprintf(stderr, "heddle: %s:%d: broken invariant: %s (%s)\n", file, line, what, why);
  std::fflush(stderr);
  std::abort();
}

}  // namespace heddle::detail
