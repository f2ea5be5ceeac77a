// SPDX-License-Identifier: MIT
#include <heddle/io/http/calling/draft.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/http/calling/perform.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace heddle::http::detail {
namespace {

std::string base64(std::string_view bytes) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto three = bytes.substr(i, 3);
    std::uint32_t word = 0;
    for (std::size_t k = 0; k < 3; ++k)
      word = word << 8 | (k < three.size() ? static_cast<unsigned char>(three[k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k)
      out += k <= three.size() ? digits[word >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

/// One Cookie field of what the caller has written and what he has told. A cookie that was told
/// takes the place of one with its name.
void join_cookies(draft& d) {
  if (d.cookies.empty()) return;
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto field : d.request.fields.all("cookie")) {
    for (auto rest = field; !rest.empty();) {
      auto pair = rest.substr(0, rest.find(';'));
      rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
      while (pair.starts_with(' ')) pair.remove_prefix(1);
      const auto eq = std::min(pair.find('='), pair.size());
      if (!pair.empty())
        pairs.emplace_back(pair.substr(0, eq), pair.substr(std::min(eq + 1, pair.size())));
    }
  }
  for (auto& [name, value] : d.cookies) {
    std::erase_if(pairs, [&](const auto& p) { return p.first == name; });
    pairs.emplace_back(std::move(name), std::move(value));
  }
  std::string text;
  for (const auto& [name, value] : pairs) {
    if (!text.empty()) text += "; ";
    text.append(name).append("=").append(value);
  }
  d.request.fields.set("Cookie", text);
}

/// The library frames what is sent. A caller's word for it must agree.
void check_framing(const call& c) {
  const auto said = c.fields.get("content-length");
  if (said) {
    std::uint64_t n = 0;
    const bool number = heddle::detail::parse_number(*said, n);
    if (!number || (!c.has_source() && n != c.body.size()) ||
        c.fields.all("content-length").size() > 1)
      throw bad_value("Content-Length: " + printable(*said) + " is not that of the body");
  }
  const auto coding = c.fields.get("transfer-encoding");
  if (coding && !(c.has_source() && same_token(*coding, "chunked")))
    throw bad_value("Transfer-Encoding: " + printable(*coding) +
                    " is not how this body is sent; the library frames it");
}

void append_query(call& c, std::string_view query) {
  if (query.empty()) return;
  const auto mark = std::min(c.address.find('#'), c.address.size());
  const auto question = c.address.find('?');
  std::string more = question < mark ? "&" : "?";
  if (question + 1 == mark) more.clear();  // "h/a?"
  more += query;
  c.address.insert(mark, more);
}

}  // namespace

std::string basic_credentials(std::string_view user, std::string_view password) {
  if (user.find(':') != user.npos)
    throw bad_value("a user name with \":\" cannot be sent by Basic authentication");
  const auto control = [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; };
  if (std::ranges::any_of(user, control) || std::ranges::any_of(password, control))
    throw bad_value("a user name or a password holds a control character");
  return "Basic " + base64(std::string(user) + ":" + std::string(password));
}

call begin_call(heddle::detail::counted_ptr<connection_pool> pool, std::string address) {
  call c;
  const auto user = take_user(address);
  if (user) c.fields.add("Authorization", basic_credentials(user->name, user->password));
  c.address = std::move(address);
  c.total = pool->options.timeout;
  c.pool = std::move(pool);
  return c;
}

call finish(draft d, method m) {
  call& c = d.request;
  append_query(c, d.query);
  c.to = url::parse(c.address);
  join_cookies(d);
  if (c.fields.all("authorization").size() > 1)
    throw bad_value("a request has one Authorization: of its URL, a header, or basic()");
  const auto skips = [&](std::string_view name) {
    return std::ranges::any_of(d.skipped, [&](const auto& s) { return same_token(s, name); });
  };
  check_framing(c);
  http::headers defaults = c.pool->options.headers;
  for (const auto& name : d.skipped) defaults.remove(name);
  add_defaults(c.fields, defaults);
  if (!d.type.empty() && !c.fields.contains("content-type") && !skips("content-type"))
    c.fields.add("Content-Type", d.type);
  if (c.extras && c.extras->expect_continue && c.has_body()) {
    if (!c.has_source()) c.more().source = upload::text(std::move(c.body));
    c.body.clear();
    c.fields.set("Expect", "100-continue");
  } else if (c.extras) {
    c.extras->expect_continue = false;
  }
  // A long body with a write clock goes out by a task that can be timed.
  if (!c.body.empty() && c.clocks().write) {
    c.more().source = upload::text(std::move(c.body));
    c.body.clear();
  }
  if (c.pool->options.pool.force_close) c.fields.set("Connection", "close");
  c.redirects = d.redirects.value_or(m == method::head ? 0 : c.pool->options.redirects);
  c.method = std::move(m);
  return std::move(c);
}

}  // namespace heddle::http::detail
