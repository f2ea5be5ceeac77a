// SPDX-License-Identifier: MIT
// Internal to io.
// Routes by the segments of their patterns.
//
// Problem   Of hundreds of patterns, the one that takes a path is wanted, and a client chooses the
//           path.
// Rejected  Trying one pattern after the other: the cost grows with their number. One large regular
//           expression: its cost depends on the path.
// Chosen    A tree with a segment a step. Fixed text goes before parameters, these go before what
//           takes the rest, and each in order of adding. A step that leads nowhere is taken back.
// Promised  At most one visit of each node a path, whatever the path.
#pragma once

#include <heddle/io/http/handler.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/serving/pattern.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http::detail {

struct app_scope;

/// What a request meets. Constant once the server has started.
struct route_target {
  handler answer;                       // with the middlewares around it
  std::string text;                     // the pattern
  std::vector<std::string> names = {};  // of its parameters
  const app_scope* app = nullptr;
  std::optional<std::size_t> body_limit = {};  // in place of the server's
  std::optional<bool> ends_with_client = {};   // in place of what the method says
  bool streams = false;                        // the handler reads the body itself
  bool early = false;                          // it is called before the body is read
  bool head = true;                            // a GET route answers HEAD
  bool always = false;                         // not counted by max_requests
};

/// The targets of one path, by method.
class methods {
 public:
  /// Of two targets of a method, the later one counts.
  void add(const std::optional<method>& m, const route_target* to);
  /// HEAD goes to GET's target, unless it has its own or that one does without. nullptr: none.
  [[nodiscard]] const route_target* pick(const method& m) const noexcept {
    const route_target* for_get = nullptr;
    for (const auto& [name, to] : list_) {
      if (name == m) return to;
      if (name == method::get) for_get = to;
    }
    if (m == method::head && for_get != nullptr && for_get->head) return for_get;
    return any_;
  }
  [[nodiscard]] bool empty() const noexcept { return list_.empty() && any_ == nullptr; }
  [[nodiscard]] const std::vector<std::pair<method, const route_target*>>& list() const noexcept {
    return list_;
  }

 private:
  std::vector<std::pair<method, const route_target*>> list_;
  const route_target* any_ = nullptr;
};

/// Is told of the targets that take a path, the best first. True: it has seen enough, and may have
/// taken the values. Pass a callable by std::ref: then no memory is taken for it.
using visitor = std::function<bool(const methods&, std::vector<std::string>& values)>;

class route_tree {
 public:
  void add(const pattern& p, const std::optional<method>& m, const route_target* to);
  /// Everything below `prefix`, which begins and ends with "/". No text of it is a parameter.
  void add_prefix(std::string_view prefix, const std::optional<method>& m, const route_target* to);
  /// `path` is decoded but for its slashes ("%2F"), `raw` is as it came. True if the visitor has
  /// seen enough.
  bool search(std::string_view path, std::string_view raw, const visitor& visit) const;
  void each(const std::function<void(const methods&)>& visit) const { each_below(root_, visit); }
  [[nodiscard]] bool empty() const noexcept { return empty_; }

 private:
  struct node {
    std::map<std::string, std::unique_ptr<node>, std::less<>> fixed;
    std::vector<std::pair<segment, std::unique_ptr<node>>> dynamic;
    methods here;
    methods rest;   // {name*}
    methods below;  // prefixes, which have no name
  };
  struct walk;

  node& step(node& from, const segment& s);
  static void each_below(const node& n, const std::function<void(const methods&)>& visit);

  node root_;
  bool empty_ = true;
};

}  // namespace heddle::http::detail
