// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/routes.h>

#include <algorithm>
#include <array>

namespace heddle::http::detail {
namespace {

// The registered methods (RFC 9110, 16.1.1) that class method does not name. CONNECT is named there
// and counts as unknown all the same: a server that is no proxy supports it for no target, which is
// answered with 501.
constexpr std::array<std::string_view, 32> registered = {"ACL",
                                                         "BASELINE-CONTROL",
                                                         "BIND",
                                                         "CHECKIN",
                                                         "CHECKOUT",
                                                         "COPY",
                                                         "LABEL",
                                                         "LINK",
                                                         "LOCK",
                                                         "M-SEARCH",
                                                         "MERGE",
                                                         "MKACTIVITY",
                                                         "MKCALENDAR",
                                                         "MKCOL",
                                                         "MKREDIRECTREF",
                                                         "MKWORKSPACE",
                                                         "MOVE",
                                                         "ORDERPATCH",
                                                         "PROPFIND",
                                                         "PROPPATCH",
                                                         "PURGE",
                                                         "QUERY",
                                                         "REBIND",
                                                         "REPORT",
                                                         "SEARCH",
                                                         "UNBIND",
                                                         "UNCHECKOUT",
                                                         "UNLINK",
                                                         "UNLOCK",
                                                         "UPDATE",
                                                         "UPDATEREDIRECTREF",
                                                         "VERSION-CONTROL"};

/// Gathers the value of Allow, in the order of the routes.
class allowed {
 public:
  void add(std::string_view name) {
    if (std::ranges::find(names_, name) == names_.end()) names_.push_back(name);
  }
  template <class Methods>
  void add_all(const Methods& entries) {
    for (const auto& entry : entries) add(entry.first.text());
  }
  [[nodiscard]] std::string text() {
    if (std::ranges::find(names_, "GET") != names_.end()) add("HEAD");
    std::string all;
    for (const auto name : names_) {
      if (!all.empty()) all += ", ";
      all += name;
    }
    return all;
  }

 private:
  std::vector<std::string_view> names_;
};

}  // namespace

void route_table::add(method m, std::string path, handler h, bool is_prefix) {
  methods* at = nullptr;
  if (!is_prefix) {
    at = &exact_[std::move(path)];
  } else {
    auto found = std::ranges::find(prefixes_, path, &std::pair<std::string, methods>::first);
    if (found == prefixes_.end()) {
      const auto shorter = std::ranges::find_if(
          prefixes_, [&](const auto& p) { return p.first.size() < path.size(); });
      found = prefixes_.emplace(shorter, std::move(path), methods{});
    }
    at = &found->second;
  }
  std::erase_if(*at, [&](const auto& entry) { return entry.first == m; });
  at->emplace_back(std::move(m), std::move(h));
}

const handler* route_table::pick(const methods& entries, const method& m) noexcept {
  const handler* for_get = nullptr;
  for (const auto& [name, h] : entries) {
    if (name == m) return &h;
    if (name == method::get) for_get = &h;
  }
  return m == method::head ? for_get : nullptr;
}

const handler* route_table::find(const request& r, response& answer) const {
  if (const auto found = exact_.find(r.path); found != exact_.end()) {
    if (const auto* h = pick(found->second, r.method)) return h;
  }
  for (const auto& [prefix, entries] : prefixes_) {
    if (!r.path.starts_with(prefix)) continue;
    if (const auto* h = pick(entries, r.method)) return h;
  }
  explain(r, answer);
  return nullptr;
}

template <class F>
void route_table::each(F f) const {
  for (const auto& entry : exact_) f(entry.second);
  for (const auto& entry : prefixes_) f(entry.second);
}

bool route_table::is_known(const method& m) const {
  if (m.kind() != method::other && m != method::connect) return true;
  if (std::ranges::find(registered, m.text()) != registered.end()) return true;
  bool named = false;
  each([&](const methods& entries) {
    for (const auto& entry : entries) named |= entry.first == m;
  });
  return named;
}

void route_table::explain(const request& r, response& answer) const {
  if (!is_known(r.method)) {
    answer = response::error(501, "no method of this server");
    return;
  }
  allowed names;
  bool has_path = false;
  const auto note = [&](const methods& entries) {
    has_path = true;
    names.add_all(entries);
  };
  if (r.path == "*") {
    each(note);
    has_path = true;
  } else {
    if (const auto found = exact_.find(r.path); found != exact_.end()) note(found->second);
    for (const auto& [prefix, entries] : prefixes_) {
      if (r.path.starts_with(prefix)) note(entries);
    }
  }
  if (!has_path) {
    answer = response::error(404);
    return;
  }
  const bool of_server = r.path == "*";
  answer = of_server ? response() : response::error(405);
  if (of_server) {
    answer.status = 204;
    names.add("OPTIONS");
  }
  answer.headers.add("Allow", names.text());
}

}  // namespace heddle::http::detail
