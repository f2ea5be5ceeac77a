// SPDX-License-Identifier: MIT
// Internal to io.
// Why a look-up by c-ares has failed.
#pragma once

#include <heddle/core/clock.h>
#include <heddle/io/resolving/resolve_category.h>

#include <optional>
#include <string>
#include <system_error>

namespace heddle::detail {

/// An error that may be thrown more than once. Each throw makes an exception of its own, so no two
/// tasks share one.
struct name_failure {
  int code = 0;  // of name_error
  std::string text = {};
  std::optional<duration> holds = {};  // std::nullopt: it is not kept

  [[noreturn]] void raise() const { throw std::system_error(code, resolve_category(), text); }
};

}  // namespace heddle::detail
