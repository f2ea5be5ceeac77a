// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/task.h>

namespace costs {

namespace h = heddle;

/// Of the source many_awaits.cpp: so many places where it awaits a child.
inline constexpr int places_of_many = 32;
h::task<> many(int n);

}  // namespace costs
