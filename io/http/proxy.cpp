// SPDX-License-Identifier: MIT
#include <heddle/io/http/proxy.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/auth.h>

#include <algorithm>
#include <cstdlib>

namespace heddle::http {
namespace {

proxy::endpoint parse(std::string_view text) {
  std::string address(text);
  if (address.find("://") == address.npos) address = "http://" + address;
  const auto user = take_user(address);
  const url at = url::parse(address);
  if (at.scheme != "http")
    throw bad_value("only proxies of http are known, and not " + at.scheme + "://" +
                    at.authority());
  proxy::endpoint e{at.host, at.port, {}};
  if (user) e.authorization = basic(user->name, user->password).value();
  return e;
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

/// `item` is one of a list of names for which there is no proxy.
bool means(std::string_view item, const url& to) {
  if (item == "*") return true;
  const auto colon = item.rfind(':');
  if (colon != item.npos && item.find(':') == colon) {  // and no IPv6 address
    if (item.substr(colon + 1) != std::to_string(to.port)) return false;
    item = item.substr(0, colon);
  }
  if (item.starts_with("*.")) item.remove_prefix(1);
  if (item.starts_with('.')) item.remove_prefix(1);
  if (item.empty()) return false;
  const std::string_view host = to.host;
  if (host.size() < item.size()) return false;
  const auto tail = host.substr(host.size() - item.size());
  if (!std::ranges::equal(tail, item, [](char a, char b) {
        return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b + 32) : b);
      }))
    return false;
  return host.size() == item.size() || host[host.size() - item.size() - 1] == '.';
}

std::string_view variable(const char* small, const char* large) {
  const char* found = std::getenv(small);
  if ((!found || !*found) && large) found = std::getenv(large);
  return found ? trimmed(found) : std::string_view();
}

}  // namespace

proxy::proxy(std::string_view url) : plain_(parse(url)), secure_(plain_) {}

proxy::proxy(std::string_view url, std::string_view except) : proxy(url) { except_ = except; }

proxy proxy::from_environment() {
  proxy p;
  const auto all = variable("all_proxy", "ALL_PROXY");
  auto plain = variable("http_proxy", nullptr);
  auto secure = variable("https_proxy", "HTTPS_PROXY");
  if (plain.empty()) plain = all;
  if (secure.empty()) secure = all;
  if (!plain.empty()) p.plain_ = parse(plain);
  if (!secure.empty()) p.secure_ = parse(secure);
  p.except_ = variable("no_proxy", "NO_PROXY");
  return p;
}

const proxy::endpoint* proxy::choose(const url& to) const {
  const auto& found = to.scheme == "https" ? secure_ : plain_;
  if (!found) return nullptr;
  for (std::string_view rest = except_; !rest.empty();) {
    const auto item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    if (means(trimmed(item), to)) return nullptr;
  }
  return &*found;
}

}  // namespace heddle::http
