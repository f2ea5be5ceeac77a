// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// The standard's owners for less than <memory> costs a user's compiler. Its atomic pointers and its
// parallel algorithms are a twentieth of what the first program takes to compile (clang-19).
#pragma once

#if __has_include(<bits/shared_ptr.h>)
#include <bits/shared_ptr.h>  // libstdc++: shared_ptr, weak_ptr and unique_ptr alone
#else
#include <memory>
#endif
