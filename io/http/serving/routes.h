// SPDX-License-Identifier: MIT
// Internal to io.
// Handlers by path and method.
#pragma once

#include <heddle/io/http/handler.h>
#include <heddle/io/http/message.h>

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace heddle::http::detail {

/// An exact path goes before any prefix, and a longer prefix before a shorter one. A route that has
/// the path but not the method leaves the request to the next route that has both.
/// Thread-safety  add() before the server starts; then find() from all loops at once.
class route_table {
 public:
  void add(method m, std::string path, handler h, bool is_prefix);
  /// The handler for the request. Or nullptr, and the answer stands in `answer`: 404 if no route
  /// has the path; 405 with Allow if routes have the path, but none of them the method; 204 with
  /// the Allow of the whole server for "OPTIONS *"; 501 for a method that neither a standard nor a
  /// route of this server names.
  const handler* find(const request& r, response& answer) const;

 private:
  using methods = std::vector<std::pair<method, handler>>;
  struct path_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>()(text);
    }
  };
  [[nodiscard]] static const handler* pick(const methods& entries, const method& m) noexcept;
  template <class F>
  void each(F f) const;
  [[nodiscard]] bool is_known(const method& m) const;
  void explain(const request& r, response& answer) const;

  std::unordered_map<std::string, methods, path_hash, std::equal_to<>> exact_;
  std::vector<std::pair<std::string, methods>> prefixes_;  // longest first
};

}  // namespace heddle::http::detail
