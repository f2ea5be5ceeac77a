// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// The types of time, apart from the clock: a simulated world (simulated/world.h) has points of
// time, and the clock (clock.h) asks that world.
#pragma once

#include <cstdint>

#if __has_include(<bits/chrono.h>)
#include <bits/chrono.h>  // libstdc++: durations without the formatting, which drags in iostreams
#else
#include <chrono>
#endif

namespace heddle {

struct clock;  // core/clock.h

using duration = std::chrono::duration<std::int64_t, std::nano>;
using time_point = std::chrono::time_point<clock, duration>;

}  // namespace heddle
