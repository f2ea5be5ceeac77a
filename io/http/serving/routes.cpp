// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/routes.h>

#include <algorithm>
#include <array>
#include <functional>

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

/// Gathers the value of Allow.
class allowed {
 public:
  void add(std::string_view name) {
    if (std::ranges::find(names_, name) == names_.end()) names_.push_back(name);
  }
  void add_all(const methods& entries) {
    for (const auto& [m, to] : entries.list()) {
      add(m.text());
      if (m == method::get && to->head) add("HEAD");
    }
  }
  [[nodiscard]] std::string text() {
    std::ranges::sort(names_);
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

/// The path as it stands in the target, still encoded.
std::string_view raw_path(const request& r) noexcept {
  std::string_view all = r.target;
  if (!all.starts_with('/')) {
    const auto authority = all.find("://");
    if (authority == std::string_view::npos) return r.path;
    const auto slash = all.find('/', authority + 3);
    if (slash == std::string_view::npos) return r.path;
    all.remove_prefix(slash);
  }
  return all.substr(0, all.find_first_of("?#"));
}

bool is_below(std::string_view path, std::string_view prefix) noexcept {
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

}  // namespace

const route_target* route_table::keep(std::unique_ptr<route_target> to) {
  looks_early_ |= to->early || to->body_limit.has_value();
  largest_body_ = std::max(largest_body_, to->body_limit.value_or(0));
  return targets_.emplace_back(std::move(to)).get();
}

void route_table::add(method m, std::string path, handler h, bool is_prefix) {
  auto to = std::make_unique<route_target>(route_target{std::move(h), path});
  if (is_prefix)
    add_prefix(std::move(path), m, std::move(to));
  else
    exact_[std::move(path)].add(m, keep(std::move(to)));
}

void route_table::add(const pattern& p, const std::optional<method>& m,
                      std::unique_ptr<route_target> to) {
  const auto* kept = keep(std::move(to));
  if (p.is_fixed())
    exact_[p.text()].add(m, kept);
  else
    tree_.add(p, m, kept);
}

void route_table::add_prefix(std::string path, const std::optional<method>& m,
                             std::unique_ptr<route_target> to) {
  const auto* kept = keep(std::move(to));
  if (path.ends_with('/')) {
    tree_.add_prefix(path, m, kept);
    return;
  }
  auto found = std::ranges::find(prefixes_, path, &std::pair<std::string, methods>::first);
  if (found == prefixes_.end()) {
    const auto shorter = std::ranges::find_if(
        prefixes_, [&](const auto& p) { return p.first.size() < path.size(); });
    found = prefixes_.emplace(shorter, std::move(path), methods{});
  }
  found->second.add(m, kept);
}

void route_table::add_miss(miss m) {
  const auto shorter = std::ranges::find_if(
      misses_, [&](const miss& other) { return other.prefix.size() < m.prefix.size(); });
  for (const auto* to : {m.fallback.get(), m.refuser.get()})
    if (to != nullptr) looks_early_ |= to->early;
  misses_.insert(shorter, std::move(m));
}

route_table& route_table::domain(const std::string& host) {
  for (auto& [name, table] : domains_)
    if (name == host) return *table;
  return *domains_.emplace_back(host, std::make_unique<route_table>()).second;
}

const route_table& route_table::of_host(const request& r) const {
  if (domains_.empty()) return *this;
  auto host = r.headers.get("host").value_or("");
  if (const auto port = host.rfind(':'); port != std::string_view::npos && !host.ends_with(']'))
    host = host.substr(0, port);
  for (const auto& [name, table] : domains_) {
    const std::string_view wanted = name;
    if (!wanted.starts_with("*.")) {
      if (same_token(wanted, host)) return *table;
    } else if (host.size() >= wanted.size() &&
               same_token(wanted.substr(1), host.substr(host.size() - wanted.size() + 1))) {
      return *table;
    }
  }
  return *this;
}

const route_target* route_table::find_slowly(const request& r, request_scope& scope,
                                             response& answer) const {
  return of_host(r).find_here(r, scope, answer);
}

/// Tells of all that take the path, the best first.
void route_table::search(const request& r, const visitor& visit) const {
  std::vector<std::string> no_values;
  if (const auto at = exact_.find(r.path); at != exact_.end()) {
    if (visit(at->second, no_values)) return;
  }
  if (tree_.search(r.path, raw_path(r), visit)) return;
  for (const auto& [prefix, entries] : prefixes_) {
    if (r.path.starts_with(prefix) && visit(entries, no_values)) return;
  }
}

const route_target* route_table::find_here(const request& r, request_scope& scope,
                                           response& answer) const {
  const route_target* found = nullptr;
  auto take = [&](const methods& entries, std::vector<std::string>& values) {
    found = entries.pick(r.method);
    if (found != nullptr) scope.values.swap(values);
    return found != nullptr;
  };
  search(r, std::ref(take));
  if (found == nullptr) found = explain(r, scope, answer);
  scope.target = found;
  return found;
}

void route_table::each(const std::function<void(const methods&)>& visit) const {
  for (const auto& entry : exact_) visit(entry.second);
  for (const auto& entry : prefixes_) visit(entry.second);
  tree_.each(visit);
}

bool route_table::is_known(const method& m) const {
  if (m.kind() != method::other && m != method::connect) return true;
  if (std::ranges::find(registered, m.text()) != registered.end()) return true;
  bool named = false;
  each([&](const methods& entries) {
    for (const auto& entry : entries.list()) named |= entry.first == m;
  });
  return named;
}

const route_table::miss* route_table::miss_of(std::string_view path) const noexcept {
  const auto found =
      std::ranges::find_if(misses_, [&](const miss& m) { return is_below(path, m.prefix); });
  return found == misses_.end() ? nullptr : &*found;
}

const route_target* route_table::refuser_of_all() const noexcept {
  return misses_.empty() || !misses_.back().prefix.empty() ? nullptr : misses_.back().refuser.get();
}

const app_scope* route_table::app_of_all() const noexcept {
  return misses_.empty() || !misses_.back().prefix.empty() ? nullptr : misses_.back().app;
}

const app_scope* route_table::app_of(const request& r) const {
  const miss* const below = of_host(r).miss_of(r.path);
  return below ? below->app : nullptr;
}

const route_target* route_table::explain(const request& r, request_scope& scope,
                                         response& answer) const {
  const miss* const below = miss_of(r.path);
  const app_scope* const app = below ? below->app : nullptr;
  allowed names;
  bool has_path = false;
  if (!is_known(r.method)) {
    answer = refusal(app, r, 501, "no method of this server");
  } else {
    const auto note = [&](const methods& entries) {
      has_path = true;
      names.add_all(entries);
    };
    if (r.path == "*") {
      each(note);
      has_path = true;
    } else {
      search(r, [&](const methods& entries, const std::vector<std::string>&) {
        note(entries);
        return false;
      });
    }
    if (!has_path) {
      if (below && below->fallback) return below->fallback.get();
      answer = refusal(app, r, 404, {});
    } else if (r.method == method::options) {
      names.add("OPTIONS");
      answer = response();
      answer.status = 204;
    } else {
      answer = refusal(app, r, 405, {});
    }
    if (has_path) answer.headers.set("Allow", names.text());
  }
  if (!below || !below->refuser) return nullptr;
  scope.refused = std::move(answer);
  answer.clear();
  return below->refuser.get();
}

}  // namespace heddle::http::detail
