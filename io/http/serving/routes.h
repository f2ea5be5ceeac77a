// SPDX-License-Identifier: MIT
// Internal to io.
// What a server calls for a request: by host, path and method.
#pragma once

#include <heddle/io/http/handler.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/serving/app_scope.h>
#include <heddle/io/http/serving/pattern.h>
#include <heddle/io/http/serving/request_scope.h>
#include <heddle/io/http/serving/route_tree.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace heddle::http::detail {

/// An exact path goes before any pattern, a pattern before any prefix that is no whole number of
/// segments, and a longer prefix before a shorter one. A route that has the path but not the method
/// leaves the request to the next route that has both.
/// Thread-safety  add() before the server starts; then find() from all loops at once.
class route_table {
 public:
  /// Who answers below `prefix` if no route does. A handler may be empty: then the server answers.
  struct miss {
    std::string prefix;                      // whole segments; "" for all
    std::unique_ptr<route_target> fallback;  // for what has no route
    std::unique_ptr<route_target> refuser;   // answers request_scope::refused
    const app_scope* app = nullptr;
  };

  /// An exact path, or all that begins with it.
  void add(method m, std::string path, handler h, bool is_prefix);
  void add(const pattern& p, const std::optional<method>& m, std::unique_ptr<route_target> to);
  void add_prefix(std::string path, const std::optional<method>& m,
                  std::unique_ptr<route_target> to);
  void add_miss(miss m);
  /// The table for requests whose host is this ("b.com") or below it ("*.b.com").
  route_table& domain(const std::string& host);

  /// The target for the request, which is noted in `scope`. Or nullptr, and the answer stands in
  /// `answer`: 404 if no route has the path; 405 with Allow if routes have the path, but none of
  /// them the method; 204 with Allow for OPTIONS; 501 for a method that neither a standard nor a
  /// route of this server names.
  const route_target* find(const request& r, request_scope& scope, response& answer) const {
    if (domains_.empty()) [[likely]] {
      if (const auto at = exact_.find(r.path); at != exact_.end()) {
        if (const auto* to = at->second.pick(r.method)) {
          scope.target = to;
          return to;
        }
      }
    }
    return find_slowly(r, scope, answer);
  }
  /// The target that answers a request which is none: a malformed one. May be nullptr.
  const route_target* refuser_of_all() const noexcept;
  [[nodiscard]] const app_scope* app_of_all() const noexcept;
  /// The router that a request without a route belongs to: the one with the longest prefix.
  [[nodiscard]] const app_scope* app_of(const request& r) const;
  /// Some target wants to be called, or to set its limit, before the body is read.
  [[nodiscard]] bool looks_early() const noexcept { return looks_early_; }
  /// The largest limit of a body that some target has.
  [[nodiscard]] std::size_t largest_body() const noexcept { return largest_body_; }

 private:
  struct path_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>()(text);
    }
  };

  const route_target* keep(std::unique_ptr<route_target> to);
  [[nodiscard]] const route_table& of_host(const request& r) const;
  const route_target* find_slowly(const request& r, request_scope& scope, response& answer) const;
  const route_target* find_here(const request& r, request_scope& scope, response& answer) const;
  const route_target* explain(const request& r, request_scope& scope, response& answer) const;
  void search(const request& r, const visitor& visit) const;
  void each(const std::function<void(const methods&)>& visit) const;
  [[nodiscard]] bool is_known(const method& m) const;
  [[nodiscard]] const miss* miss_of(std::string_view path) const noexcept;

  std::unordered_map<std::string, methods, path_hash, std::equal_to<>> exact_;
  route_tree tree_;
  std::vector<std::pair<std::string, methods>> prefixes_;  // longest first
  std::vector<miss> misses_;                               // longest first
  std::vector<std::pair<std::string, std::unique_ptr<route_table>>> domains_;
  std::vector<std::unique_ptr<route_target>> targets_;
  bool looks_early_ = false;
  std::size_t largest_body_ = 0;
};

}  // namespace heddle::http::detail
