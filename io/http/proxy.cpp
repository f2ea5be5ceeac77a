// SPDX-License-Identifier: MIT
#include <heddle/io/http/proxy.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/auth.h>
#include <heddle/io/http/message.h>

#include <algorithm>
#include <cstdlib>

namespace heddle::http {
namespace {

proxy_kind kind_of(std::string_view scheme) {
  if (same_token(scheme, "http")) return proxy_kind::http;
  if (same_token(scheme, "https")) return proxy_kind::https;
  if (same_token(scheme, "socks5")) return proxy_kind::socks5;
  if (same_token(scheme, "socks5h")) return proxy_kind::socks5h;
  throw bad_value("only proxies of http, https, socks5 and socks5h are known, and not of " +
                  printable(scheme));
}

void check_user(const url_user& user) {
  if (user.name.empty()) throw bad_value("a proxy of SOCKS takes no password without a user");
  if (user.name.size() > 255 || user.password.size() > 255)
    throw bad_value("the user or the password of a SOCKS proxy is longer than 255 bytes");
}

proxy::endpoint parse(std::string_view text) {
  const auto mark = text.find("://");
  proxy::endpoint e;
  if (mark != text.npos) e.kind = kind_of(text.substr(0, mark));
  // url::parse knows two schemes, and the port is that of https if none is named.
  std::string address = "https://" + std::string(mark == text.npos ? text : text.substr(mark + 3));
  const auto user = take_user(address);
  const url at = url::parse(address);
  auto names_port = std::string_view(address).substr(8);
  names_port = names_port.substr(0, names_port.find_first_of("/?#"));
  e.host = at.host;
  e.port = at.port;
  if (at.port == 443 && !names_port.ends_with(":443")) {
    if (e.kind == proxy_kind::http) e.port = 80;
    if (e.is_socks()) e.port = 1080;
  }
  if (!user) return e;
  if (!e.is_socks()) {
    e.authorization = basic(user->name, user->password).value();
    return e;
  }
  check_user(*user);
  e.user = user->name;
  e.password = user->password;
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

proxy& proxy::tls(const tls_context& context) {
  if (plain_) plain_->tls = context;
  if (secure_) secure_->tls = context;
  return *this;
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
