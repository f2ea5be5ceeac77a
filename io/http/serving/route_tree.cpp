// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/route_tree.h>

#include <heddle/io/http/url.h>

#include <algorithm>

namespace heddle::http::detail {

void methods::add(const std::optional<method>& m, const route_target* to) {
  if (!m) {
    any_ = to;
    return;
  }
  std::erase_if(list_, [&](const auto& entry) { return entry.first == *m; });
  list_.emplace_back(*m, to);
}

/// One search. `path` and `raw` are what is left behind a slash.
struct route_tree::walk {
  const visitor& visit;
  std::vector<std::string> values;

  bool node_at(const node& n, std::string_view path, std::string_view raw);
  bool below(const node& n, std::string_view path, std::string_view raw);
};

/// A segment has been taken, and `path` is "" or begins with the next slash.
bool route_tree::walk::node_at(const node& n, std::string_view path, std::string_view raw) {
  if (path.empty()) return !n.here.empty() && visit(n.here, values);
  return below(n, path.substr(1), raw.substr(std::min<std::size_t>(raw.size(), 1)));
}

bool route_tree::walk::below(const node& n, std::string_view path, std::string_view raw) {
  const auto text = path.substr(0, path.find('/'));
  const auto raw_text = raw.substr(0, raw.find('/'));
  const auto path_left = path.substr(text.size());
  const auto raw_left = raw.substr(raw_text.size());
  if (const auto found = n.fixed.find(text); found != n.fixed.end()) {
    if (node_at(*found->second, path_left, raw_left)) return true;
  }
  if (!n.dynamic.empty()) {
    constexpr std::size_t usual_values = 4;
    if (values.capacity() == 0) values.reserve(usual_values);
    std::string memory;
    std::string_view decoded = raw_text;  // text without "%" needs no copy
    if (raw_text.find('%') != std::string_view::npos)
      decoded = percent_decode(raw_text, memory) ? std::string_view(memory) : text;
    for (const auto& [s, to] : n.dynamic) {
      const auto before = values.size();
      if (s.match(decoded, values) && node_at(*to, path_left, raw_left)) return true;
      values.resize(before);
    }
  }
  if (!n.rest.empty()) {
    values.emplace_back(path);
    if (visit(n.rest, values)) return true;
    values.pop_back();
  }
  return !n.below.empty() && visit(n.below, values);
}

route_tree::node& route_tree::step(node& from, const segment& s) {
  if (s.is_fixed()) {
    auto& to = from.fixed[s.text()];
    if (!to) to = std::make_unique<node>();
    return *to;
  }
  const auto shape = s.shape();
  for (auto& [known, to] : from.dynamic)
    if (known.shape() == shape) return *to;
  return *from.dynamic.emplace_back(s, std::make_unique<node>()).second;
}

void route_tree::add(const pattern& p, const std::optional<method>& m, const route_target* to) {
  empty_ = false;
  node* at = &root_;
  for (const auto& s : p.segments()) {
    if (s.is_rest()) {
      at->rest.add(m, to);
      return;
    }
    at = &step(*at, s);
  }
  at->here.add(m, to);
}

void route_tree::add_prefix(std::string_view prefix, const std::optional<method>& m,
                            const route_target* to) {
  empty_ = false;
  node* at = &root_;
  prefix.remove_prefix(1);
  while (!prefix.empty()) {
    const auto text = prefix.substr(0, prefix.find('/'));
    auto& child = at->fixed[std::string(text)];
    if (!child) child = std::make_unique<node>();
    at = child.get();
    prefix.remove_prefix(std::min(prefix.size(), text.size() + 1));
  }
  at->below.add(m, to);
}

bool route_tree::search(std::string_view path, std::string_view raw, const visitor& visit) const {
  if (empty_ || !path.starts_with('/')) return false;
  walk w{visit, {}};
  return w.node_at(root_, path, raw);
}

void route_tree::each_below(const node& n, const std::function<void(const methods&)>& visit) {
  if (!n.here.empty()) visit(n.here);
  if (!n.rest.empty()) visit(n.rest);
  if (!n.below.empty()) visit(n.below);
  for (const auto& entry : n.fixed) each_below(*entry.second, visit);
  for (const auto& entry : n.dynamic) each_below(*entry.second, visit);
}

}  // namespace heddle::http::detail
