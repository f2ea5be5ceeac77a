// SPDX-License-Identifier: MIT
#include <heddle/io/http/calling/dress.h>

#include <heddle/io/http/cookies.h>

#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace heddle::http::detail {
namespace {

std::string origin_text(const url& to) { return to.scheme + "://" + to.authority(); }

std::optional<std::string> credentials(const call& c) {
  if (const auto* b = std::get_if<basic>(&c.auth())) return b->value();
  if (const auto* b = std::get_if<bearer>(&c.auth())) return b->value();
  if (const auto* d = std::get_if<digest>(&c.auth())) {
    std::optional<std::string_view> body;
    if (!c.has_source()) body = c.body;
    return d->authorize(origin_text(c.to), c.method, c.to.target, body);
  }
  return {};
}

}  // namespace

void dress(call& c) {
  const bool strange = c.extras && c.extras->strange_origin;
  const bool shows = !std::holds_alternative<std::monostate>(c.auth()) && !strange &&
                     !c.fields.contains("authorization");
  auto jar = c.pool->options.cookies;
  const auto* const proxy = c.proxy();
  if (c.extras) c.extras->is_dressed = false;
  if (!shows && !jar && !proxy) return;
  auto& more = c.more();
  more.dressed = c.fields;
  more.is_dressed = true;
  if (jar) {
    const auto own = c.fields.get("cookie").value_or("");
    const std::string text = merge_cookies(own, {}, jar->field_for(c.to));
    if (!text.empty()) more.dressed.set("Cookie", text);
  }
  if (proxy && (c.needs_tunnel() || proxy->is_socks()))
    more.dressed.remove("proxy-authorization");  // it went with the CONNECT, or is for nobody
  else if (proxy && !proxy->authorization.empty() && !c.fields.contains("proxy-authorization"))
    more.dressed.set("Proxy-Authorization", proxy->authorization);
  if (!shows) return;
  if (const auto value = credentials(c)) more.dressed.set("Authorization", *value);
}

bool answers_challenge(call& c, const headers& answer) {
  const auto* d = std::get_if<digest>(&c.auth());
  if (!d || (c.has_source() && !c.extras->source.ready())) return false;
  const auto fields = answer.all("www-authenticate");
  if (!d->challenged(origin_text(c.to), fields)) return false;
  c.more().answered = true;
  return true;
}

}  // namespace heddle::http::detail
