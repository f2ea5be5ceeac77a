// SPDX-License-Identifier: MIT
#include <heddle/io/http/calling/draft.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/http/auth.h>
#include <heddle/io/http/calling/perform.h>
#include <heddle/io/http/codings.h>
#include <heddle/io/http/cookies.h>

#include <algorithm>
#include <cstdint>

namespace heddle::http::detail {
namespace {

/// One Cookie field of what the caller has written and what he has told.
void join_cookies(draft& d) {
  if (d.cookies.empty()) return;
  auto& fields = d.request.fields;
  std::string own;
  for (const auto field : fields.all("cookie")) (own += own.empty() ? "" : "; ") += field;
  fields.set("Cookie", merge_cookies(own, d.cookies, {}));
}

/// Asks for the content codings that can be undone.
void ask_for_codings(call& c, bool skipped) {
  if (!c.pool->options.decompress || skipped) return;
  c.more().decodes = true;
  if (!c.fields.contains("accept-encoding") && !c.fields.contains("range"))
    c.fields.add("Accept-Encoding", known_codings());
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

/// Turns the body into one that is coded while it is sent.
void pack(draft& d) {
  call& c = d.request;
  if (d.packing == coding::identity || !c.has_body()) return;
  if (c.fields.contains("content-encoding"))
    throw bad_value("a body that compress() codes has no other Content-Encoding");
  const upload plain = c.has_source() ? c.extras->source : upload::text(std::move(c.body));
  c.body.clear();
  c.more().source = plain.coded(d.packing);
  c.fields.add("Content-Encoding", name_of(d.packing));
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

call begin_call(heddle::detail::counted_ptr<connection_pool> pool, std::string address) {
  call c;
  const auto user = take_user(address);
  if (user) c.fields.add("Authorization", basic(user->name, user->password).value());
  c.address = std::move(address);
  c.total = pool->options.timeout;
  c.pool = std::move(pool);
  return c;
}

call finish(draft d, method m) {
  call& c = d.request;
  if ((d.is_ws || !d.protocols.empty()) && !c.upgrades())
    throw bad_value("a URL of ws, and protocols, are for websocket(): " + c.address);
  append_query(c, d.query);
  c.to = url::parse(c.address);
  join_cookies(d);
  if (c.fields.all("authorization").size() > 1)
    throw bad_value("a request has one Authorization: of its URL, a header, or basic()");
  const auto skips = [&](std::string_view name) {
    return std::ranges::any_of(d.skipped, [&](const auto& s) { return same_token(s, name); });
  };
  pack(d);
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
  ask_for_codings(c, c.upgrades() || skips("accept-encoding"));
  if (c.pool->options.pool.force_close && !c.upgrades()) c.fields.set("Connection", "close");
  c.redirects = d.redirects.value_or(m == method::head ? 0 : c.pool->options.redirects);
  c.method = std::move(m);
  return std::move(c);
}

}  // namespace heddle::http::detail
