// SPDX-License-Identifier: MIT
#include <heddle/io/http/content/cookie_store.h>

#include <heddle/core/checked.h>
#include <heddle/io/http/content/cookie_date.h>
#include <heddle/io/http/content/field_text.h>
#include <heddle/io/http/message.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <utility>

namespace heddle::http::detail {
namespace {

/// The draft that follows RFC 6265, 5.6: longer values of attributes are ignored.
constexpr std::size_t most_attribute_bytes = 1024;

std::string key_of(const stored_cookie& c) {
  return c.path + '\n' + c.name + (c.host_only ? "\nhost" : "");
}

/// RFC 6265, 5.1.4.
std::string default_path(std::string_view path) {
  const auto last = path.rfind('/');
  if (!path.starts_with('/') || last == 0) return "/";
  return std::string(path.substr(0, last));
}

/// RFC 6265, 5.2.2. Nothing: the value is no number, and the attribute is ignored.
std::optional<std::time_t> expiry_of(std::string_view max_age, std::time_t now) noexcept {
  const bool negative = max_age.starts_with('-');
  if (negative) max_age.remove_prefix(1);
  if (max_age.empty() || max_age.find_first_not_of("0123456789") != std::string_view::npos)
    return std::nullopt;
  std::int64_t seconds = 0;
  if (!heddle::detail::parse_number(max_age, seconds)) return stored_cookie::never;
  if (negative || seconds == 0) return std::time_t{0};
  return heddle::detail::saturating_sum<std::time_t>(now, seconds);
}

struct attributes {
  std::optional<std::time_t> max_age;
  std::optional<std::time_t> expires;
  std::string domain;
  std::string path;
  bool domain_given = false;
  bool secure = false;
  bool http_only = false;
  std::uint8_t same_site = 0;

  void take(std::string_view part, std::time_t now) {
    const auto eq = part.find('=');
    const auto name = without_blanks(part.substr(0, eq));
    auto value =
        eq == std::string_view::npos ? std::string_view() : without_blanks(part.substr(eq + 1));
    if (value.size() > most_attribute_bytes) return;
    if (same_token(name, "expires")) {
      if (const auto when = parse_cookie_date(value)) expires = when;
    } else if (same_token(name, "max-age")) {
      if (const auto when = expiry_of(value, now)) max_age = when;
    } else if (same_token(name, "domain")) {
      if (value.starts_with('.')) value.remove_prefix(1);
      if (value.ends_with('.')) value = {};
      domain = lower_case(value);
    } else if (same_token(name, "path")) {
      path = value.starts_with('/') ? value : std::string_view();
    } else if (same_token(name, "secure")) {
      secure = true;
    } else if (same_token(name, "httponly")) {
      http_only = true;
    } else if (same_token(name, "samesite")) {
      same_site = same_token(value, "lax")      ? 1
                  : same_token(value, "strict") ? 2
                  : same_token(value, "none")   ? 3
                                                : 0;
    }
  }
};

bool is_kept_promise(const stored_cookie& c, bool path_is_root) noexcept {
  const auto begins = [&](std::string_view prefix) {
    return same_token(std::string_view(c.name).substr(0, prefix.size()), prefix);
  };
  if (begins("__Secure-")) return c.secure;
  if (begins("__Host-")) return c.secure && c.host_only && path_is_root;
  return true;
}

}  // namespace

bool is_ip_address(std::string_view host) noexcept {
  std::array<char, INET6_ADDRSTRLEN> copy{};
  if (host.size() >= copy.size()) return false;
  std::memcpy(copy.data(), host.data(), host.size());
  in6_addr unused;
  return ::inet_pton(AF_INET, copy.data(), &unused) == 1 ||
         ::inet_pton(AF_INET6, copy.data(), &unused) == 1;
}

bool domain_matches(std::string_view host, std::string_view domain) noexcept {
  if (host == domain) return true;
  return host.size() > domain.size() && host.ends_with(domain) &&
         host[host.size() - domain.size() - 1] == '.' && !is_ip_address(host);
}

bool path_matches(std::string_view path, std::string_view of_cookie) noexcept {
  if (!path.starts_with(of_cookie)) return false;
  return path.size() == of_cookie.size() || of_cookie.ends_with('/') ||
         path[of_cookie.size()] == '/';
}

std::optional<stored_cookie> cookie_store::read(const cookie_origin& from,
                                                std::string_view set_cookie,
                                                std::time_t now) const {
  const auto pair = set_cookie.substr(0, set_cookie.find(';'));
  set_cookie.remove_prefix(pair.size());
  const auto eq = pair.find('=');
  if (eq == std::string_view::npos) return std::nullopt;
  stored_cookie c;
  c.name = without_blanks(pair.substr(0, eq));
  c.value = without_blanks(pair.substr(eq + 1));
  const auto bad = [](char ch) { return is_control(ch); };
  const auto bad_in_value = [](char ch) { return is_control(ch) && ch != '\t'; };
  if (c.name.empty() || std::ranges::any_of(c.name, bad) ||
      std::ranges::any_of(c.value, bad_in_value) || std::ranges::any_of(set_cookie, bad) ||
      c.name.size() + c.value.size() > bounds_.cookie_bytes)
    return std::nullopt;
  attributes a;
  while (!set_cookie.empty()) {
    set_cookie.remove_prefix(1);  // the semicolon
    const auto part = set_cookie.substr(0, set_cookie.find(';'));
    a.take(part, now);
    set_cookie.remove_prefix(part.size());
  }
  c.secure = a.secure;
  c.http_only = a.http_only;
  c.same_site = a.same_site;
  c.expires = a.max_age ? *a.max_age : a.expires.value_or(stored_cookie::never);
  c.domain = from.host;
  if (!a.domain.empty() && a.domain != from.host) {
    if (bounds_.is_public_suffix(a.domain) || !domain_matches(from.host, a.domain))
      return std::nullopt;
    c.domain = a.domain;
    c.host_only = false;
  } else if (!a.domain.empty()) {  // its own host: with those below it, if it may
    c.host_only = is_ip_address(from.host) || bounds_.is_public_suffix(a.domain);
  }
  c.path = a.path.empty() ? default_path(from.path) : a.path;
  if (!is_kept_promise(c, a.path == "/")) return std::nullopt;
  return c;
}

/// The draft that follows RFC 6265, 5.7: a cookie over plain http must not stand in the way of one
/// that only https may set.
bool cookie_store::would_hide_secure(const stored_cookie& c) const {
  const auto hides = [&](const bucket& of) {
    return std::ranges::any_of(of, [&](const auto& entry) {
      const stored_cookie& old = entry.second;
      return old.secure && old.name == c.name && path_matches(c.path, old.path);
    });
  };
  for (std::string_view d = c.domain;;) {  // the domain itself and those above it
    if (const auto found = domains_.find(d); found != domains_.end() && hides(found->second))
      return true;
    const auto dot = d.find('.');
    if (dot == std::string_view::npos || is_ip_address(c.domain)) break;
    d.remove_prefix(dot + 1);
  }
  if (c.host_only) return false;
  return std::ranges::any_of(domains_, [&](const auto& entry) {  // and those below it
    return domain_matches(entry.first, c.domain) && hides(entry.second);
  });
}

bool cookie_store::set(const cookie_origin& from, std::string_view set_cookie, std::time_t now) {
  auto c = read(from, set_cookie, now);
  if (!c) return false;
  const std::lock_guard hold(lock_);
  if (!from.secure && (c->secure || would_hide_secure(*c))) return false;
  put(std::move(*c), now);
  return true;
}

void cookie_store::put(stored_cookie c, std::time_t now) {
  const auto key = key_of(c);
  auto at = domains_.find(c.domain);
  const bool known = at != domains_.end() && at->second.contains(key);
  if (c.expires <= now) {
    if (!known) return;
    at->second.erase(key);
    --count_;
    if (at->second.empty()) domains_.erase(at);
    return;
  }
  if (known) {
    stored_cookie& old = at->second.find(key)->second;
    c.order = old.order;
    old = std::move(c);
    return;
  }
  if (count_ >= std::min(sweep_at_, bounds_.total)) {
    make_room(now);
    at = domains_.find(c.domain);
  }
  if (at == domains_.end()) at = domains_.emplace(c.domain, bucket()).first;
  if (at->second.size() >= std::max<std::size_t>(bounds_.per_domain, 1)) drop_oldest(at->second);
  c.order = ++created_;
  at->second.emplace(key, std::move(c));
  ++count_;
}

/// Drops what has expired. If that is not enough, the domain with the most cookies gives its
/// oldest: one site cannot push out the cookies of the others.
void cookie_store::make_room(std::time_t now) {
  for (auto d = domains_.begin(); d != domains_.end();) {
    count_ -= std::erase_if(d->second, [&](const auto& e) { return e.second.expires <= now; });
    d = d->second.empty() ? domains_.erase(d) : std::next(d);
  }
  while (count_ >= std::max<std::size_t>(bounds_.total, 1)) {
    const auto largest = std::ranges::max_element(
        domains_, {}, [](const auto& entry) { return entry.second.size(); });
    drop_oldest(largest->second);
    if (largest->second.empty()) domains_.erase(largest);
  }
  sweep_at_ = std::max<std::size_t>(1024, 2 * count_);
}

/// A sixteenth of them at once: a full domain that is set again and again is not searched each
/// time.
void cookie_store::drop_oldest(bucket& of) {
  std::vector<std::uint64_t> orders;
  for (const auto& [key, c] : of) orders.push_back(c.order);
  const auto last = orders.begin() + static_cast<std::ptrdiff_t>(orders.size() / 16);
  std::ranges::nth_element(orders, last);
  count_ -= std::erase_if(of, [&](const auto& e) { return e.second.order <= *last; });
}

std::vector<stored_cookie> cookie_store::matching(const cookie_origin& to, std::time_t now) {
  std::vector<stored_cookie> found;
  {
    const std::lock_guard hold(lock_);
    for (std::string_view d = to.host;;) {
      if (const auto at = domains_.find(d); at != domains_.end()) {
        for (const auto& [key, c] : at->second) {
          if (c.host_only && c.domain != to.host) continue;
          if (c.expires > now && (to.secure || !c.secure) && path_matches(to.path, c.path))
            found.push_back(c);
        }
      }
      const auto dot = d.find('.');
      if (dot == std::string_view::npos || is_ip_address(to.host)) break;
      d.remove_prefix(dot + 1);
    }
  }
  std::ranges::sort(found, [](const stored_cookie& a, const stored_cookie& b) {
    if (a.path.size() != b.path.size()) return a.path.size() > b.path.size();
    return a.order < b.order;
  });
  return found;
}

std::size_t cookie_store::size() const {
  const std::lock_guard hold(lock_);
  return count_;
}

void cookie_store::clear() {
  const std::lock_guard hold(lock_);
  domains_.clear();
  count_ = 0;
}

void cookie_store::clear_domain(const std::string& domain) {
  const std::lock_guard hold(lock_);
  for (auto d = domains_.begin(); d != domains_.end();) {
    if (!domain_matches(d->first, domain)) {
      ++d;
      continue;
    }
    count_ -= d->second.size();
    d = domains_.erase(d);
  }
}

std::string cookie_store::text(std::time_t now) const {
  std::vector<stored_cookie> all;
  {
    const std::lock_guard hold(lock_);
    for (const auto& [domain, of] : domains_)
      for (const auto& [key, c] : of)
        if (c.expires > now) all.push_back(c);
  }
  std::ranges::sort(all, {}, &stored_cookie::order);
  std::string out = "# Netscape HTTP Cookie File\n";
  const auto word = [](bool b) { return b ? "TRUE\t" : "FALSE\t"; };
  for (const stored_cookie& c : all) {
    out.append(c.http_only ? "#HttpOnly_" : "").append(c.host_only ? "" : ".");
    out.append(c.domain).append("\t").append(word(!c.host_only)).append(c.path).append("\t");
    out.append(word(c.secure));
    out += std::to_string(c.expires == stored_cookie::never ? 0 : c.expires);
    out.append("\t").append(c.name).append("\t").append(c.value).append("\n");
  }
  return out;
}

void cookie_store::add_text(std::string_view text, std::time_t now) {
  const std::lock_guard hold(lock_);
  while (!text.empty()) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    stored_cookie c;
    constexpr std::string_view http_only = "#HttpOnly_";
    c.http_only = line.starts_with(http_only);
    if (c.http_only) line.remove_prefix(http_only.size());
    if (line.starts_with('#')) continue;
    std::array<std::string_view, 7> columns;
    for (std::size_t i = 0; i < columns.size(); ++i) {  // the value may hold tabs
      columns[i] = i + 1 == columns.size() ? line : line.substr(0, line.find('\t'));
      line.remove_prefix(std::min(line.size(), columns[i].size() + 1));
    }
    if (columns[0].starts_with('.')) columns[0].remove_prefix(1);
    std::int64_t expires = 0;
    if (columns[0].empty() || !columns[2].starts_with('/') || columns[5].empty() ||
        !heddle::detail::parse_number(columns[4], expires))
      continue;
    c.domain = lower_case(columns[0]);
    c.host_only = columns[1] != "TRUE";
    c.path = columns[2];
    c.secure = columns[3] == "TRUE";
    c.expires = expires == 0 ? stored_cookie::never : expires;
    c.name = columns[5];
    c.value = columns[6];
    if (c.expires > now) put(std::move(c), now);
  }
}

}  // namespace heddle::http::detail
