// SPDX-License-Identifier: MIT
// Internal to io.
// What the routes of one router share when the server runs: state, and what becomes of errors.
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/serving/pattern.h>
#include <heddle/io/http/serving/plan.h>

#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace heddle::http::detail {

/// Puts `m` before every mapping of a type that its own derives from: the first one that fits an
/// exception is the most derived one.
void add_mapping(std::vector<error_mapping>& to, error_mapping m);

using named_patterns = std::unordered_map<std::string, pattern>;

/// Constant once the server has started.
struct app_scope {
  const app_scope* parent = nullptr;
  std::vector<std::pair<const void*, heddle::detail::counted_ptr<heddle::detail::counted>>> states;
  std::vector<error_mapping> mappings;
  error_page page;
  std::vector<prepare_hook> hooks;
  const named_patterns* names = nullptr;

  /// A state of this scope, or of the nearest one around it that has it.
  [[nodiscard]] heddle::detail::counted* state(const void* key) const noexcept;
  /// The answer of the server itself for a status: the nearest page's, or a short text.
  [[nodiscard]] response refusal(const request& r, int status, std::string_view detail) const;
  /// Calls the hooks of the scopes around this one, from the outermost on, then its own.
  void prepare(request& r, response& answer) const;
  /// The answer that a failure stands for. Nothing: it is none, and is to be reported or thrown on.
  [[nodiscard]] std::optional<response> answer_to(const std::exception_ptr& failure,
                                                  request& r) const;
};

/// The same where no router is known.
[[nodiscard]] std::optional<response> answer_to(const app_scope* app,
                                                const std::exception_ptr& failure, request& r);
[[nodiscard]] response refusal(const app_scope* app, const request& r, int status,
                               std::string_view detail);

}  // namespace heddle::http::detail
