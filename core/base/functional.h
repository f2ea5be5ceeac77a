// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// Calling and keeping callables, for less than <functional> costs a user's compiler. Its searchers
// and hash maps are a tenth of what the first program takes to compile (clang-19 -O2).
#pragma once

#include <tuple>
#include <utility>

#if __has_include(<bits/std_function.h>)
#include <bits/std_function.h>  // libstdc++: std::function alone
#else
#include <functional>
#endif

namespace heddle::detail {

/// std::invoke.
template <class F, class... Args>
constexpr decltype(auto) invoke(F&& f, Args&&... args) {
  if constexpr (requires { std::forward<F>(f)(std::forward<Args>(args)...); })
    return std::forward<F>(f)(std::forward<Args>(args)...);
  else  // pointers to members
    return std::apply(std::forward<F>(f), std::forward_as_tuple(std::forward<Args>(args)...));
}

}  // namespace heddle::detail
