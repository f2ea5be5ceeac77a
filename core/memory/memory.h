// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// Making and destroying objects in place, for less than <memory> costs a user's compiler.
#pragma once

#if __has_include(<bits/stl_construct.h>)
#include <bits/allocator.h>      // libstdc++: std::allocator
#include <bits/stl_construct.h>  // construct_at, destroy_at
#else
#include <memory>
#endif
