// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// A broken invariant is a bug, not weather: the process ends at once, and says where and why.
#pragma once

#include <heddle/core/base/config.h>

namespace heddle::detail {

[[noreturn]] HEDDLE_COLD void assertion_failed(const char* what, const char* file, int line,
                                               const char* why) noexcept;

}  // namespace heddle::detail

/// Always on: for cheap checks of what a protocol promises. `why` says what the caller did wrong.
#define HEDDLE_ASSERT(condition, why)                                          \
  do {                                                                         \
    if (!(condition)) [[unlikely]]                                             \
      ::heddle::detail::assertion_failed(#condition, __FILE__, __LINE__, why); \
  } while (false)

/// On in debug builds only: for checks on hot paths.
#ifdef NDEBUG
#define HEDDLE_DEBUG_ASSERT(condition, why) ((void)0)
#else
#define HEDDLE_DEBUG_ASSERT(condition, why) HEDDLE_ASSERT(condition, why)
#endif
