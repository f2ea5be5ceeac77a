// SPDX-License-Identifier: MIT
#include <heddle/io/http/calling/redirects.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/calling/call.h>

#include <string>
#include <utility>
#include <vector>

namespace heddle::http::detail {
namespace {

[[noreturn]] void refuse(call& c, const std::string& why) {
  redirect_error e(c.name() + ": " + why);
  e.about(c.address, sent_part::all);
  throw e;
}

/// Where a Location leads.
std::string target_of(call& c, std::string_view location) {
  std::string next;
  try {
    next = resolve_url(c.address, location);
    if (c.upgrades()) next = as_http(next);
    (void)take_user(next);  // a server that names a user would make us send its choice
    (void)url::parse(next);
  } catch (const bad_value& e) {
    refuse(c, "the Location \"" + printable(location) + "\" leads nowhere: " + e.what());
  }
  return next;
}

}  // namespace

std::string as_http(std::string_view address) {
  const auto scheme = address.substr(0, address.find("://"));
  if (scheme.size() == address.size()) return std::string(address);
  const bool secure = same_token(scheme, "wss");
  if (!secure && !same_token(scheme, "ws")) return std::string(address);
  return (secure ? "https" : "http") + std::string(address.substr(scheme.size()));
}

method method_after(const method& asked, int status) {
  const bool to_get = status == 303                    ? asked != method::head
                      : status == 301 || status == 302 ? asked == method::post
                                                       : false;
  if (to_get) return method::get;
  return asked;
}

bool same_origin(const url& a, const url& b) noexcept {
  return a.scheme == b.scheme && a.host == b.host && a.port == b.port;
}

void drop_body_fields(headers& h) {
  std::vector<std::string> names;
  for (const auto f : h) {
    const bool content = f.name.size() > 8 && same_token(f.name.substr(0, 8), "content-");
    if (content || same_token(f.name, "transfer-encoding") || same_token(f.name, "expect"))
      names.emplace_back(f.name);
  }
  for (const auto& name : names) h.remove(name);
}

void drop_credentials(headers& h) {
  for (const char* name :
       {"authorization", "cookie", "cookie2", "proxy-authorization", "www-authenticate", "host"})
    h.remove(name);
}

void redirect(call& c, int status, const headers& answer) {
  auto& more = c.more();
  const std::string location(answer.get("location").value_or(""));
  if (more.history.size() >= c.redirects) {
    more.history.push_back({status, c.address, answer});
    too_many_redirects e(c.name() + ": more than " + std::to_string(c.redirects) +
                             " redirections (session_options::redirects)",
                         std::move(more.history));
    e.about(c.address, sent_part::all);
    throw e;
  }
  std::string next = target_of(c, location);
  url to = url::parse(next);
  if (c.pool->options.https_only && to.scheme != "https")
    refuse(c, "the Location \"" + printable(location) + "\" is not https (https_only)");
  if (c.upgrades() && c.to.scheme == "https" && to.scheme != "https")
    refuse(c, "the Location \"" + printable(location) + "\" leads from wss to ws");
  auto method = method_after(c.method, status);
  if (method != c.method) {
    c.body.clear();
    more.source = {};
    more.expect_continue = false;
    drop_body_fields(c.fields);
  } else if (c.has_source() && !more.source.ready()) {
    refuse(c, "the body cannot be sent again to \"" + printable(location) +
                  "\": its source can be read only once");
  }
  if (!same_origin(c.to, to)) {
    drop_credentials(c.fields);
    more.server_name.clear();
    more.strange_origin = true;
  }
  more.history.push_back({status, std::move(c.address), answer});
  c.method = std::move(method);
  c.address = std::move(next);
  c.to = std::move(to);
}

}  // namespace heddle::http::detail
