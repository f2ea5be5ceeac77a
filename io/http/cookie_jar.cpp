// SPDX-License-Identifier: MIT
#include <heddle/io/http/cookie_jar.h>

#include <heddle/io/file.h>
#include <heddle/io/http/content/cookie_store.h>
#include <heddle/io/http/content/field_text.h>
#include <heddle/io/http/content/public_suffix.h>
#include <heddle/io/http/message.h>

#include <algorithm>
#include <ctime>
#include <utility>

namespace heddle::http {
namespace detail {

struct jar_state {
  jar_state(cookie_bounds bounds, std::vector<url> origins)
      : store(std::move(bounds)), trusted(std::move(origins)) {}

  cookie_store store;
  const std::vector<url> trusted;

  [[nodiscard]] cookie_origin origin(const url& u) const noexcept {
    const bool listed = std::ranges::any_of(trusted, [&](const url& t) {
      return t.scheme == u.scheme && t.host == u.host && t.port == u.port;
    });
    return {u.host, std::string_view(u.target).substr(0, u.target.find('?')),
            listed || u.scheme == "https" || u.scheme == "wss"};
  }
};

}  // namespace detail

namespace {

std::shared_ptr<detail::jar_state> state_of(cookie_jar_options o) {
  detail::cookie_bounds bounds{o.cookie_bytes, o.per_domain, o.total, detail::is_public_suffix};
  if (o.public_suffixes) bounds.is_public_suffix = std::move(o.public_suffixes);
  std::vector<url> trusted;
  for (const auto& text : o.trusted_origins) trusted.push_back(url::parse(text));
  return std::make_shared<detail::jar_state>(std::move(bounds), std::move(trusted));
}

}  // namespace

cookie_jar::cookie_jar() : cookie_jar(cookie_jar_options{}) {}
cookie_jar::cookie_jar(cookie_jar_options options) : state_(state_of(std::move(options))) {}

bool cookie_jar::set(const url& from, std::string_view set_cookie) {
  return state_->store.set(state_->origin(from), set_cookie, std::time(nullptr));
}

void cookie_jar::set_all(const url& from, const headers& answer) {
  for (const auto f : answer)
    if (same_token(f.name, "set-cookie")) (void)set(from, f.value);
}

std::string cookie_jar::field_for(const url& to) const {
  std::string out;
  for (const auto& c : state_->store.matching(state_->origin(to), std::time(nullptr))) {
    if (!out.empty()) out += "; ";
    out.append(c.name).append("=").append(c.value);
  }
  return out;
}

std::vector<cookie> cookie_jar::for_url(const url& to) const {
  std::vector<cookie> found;
  for (auto& c : state_->store.matching(state_->origin(to), std::time(nullptr))) {
    cookie one;
    one.name = std::move(c.name);
    one.value = std::move(c.value);
    one.path = std::move(c.path);
    if (!c.host_only) one.domain = std::move(c.domain);
    if (c.expires != detail::stored_cookie::never) one.expires = c.expires;
    one.secure = c.secure;
    one.http_only = c.http_only;
    one.same_site = static_cast<same_site>(c.same_site);
    found.push_back(std::move(one));
  }
  return found;
}

std::size_t cookie_jar::size() const { return state_->store.size(); }
void cookie_jar::clear() { state_->store.clear(); }
void cookie_jar::clear_domain(std::string_view domain) {
  state_->store.clear_domain(detail::lower_case(domain));
}

task<> cookie_jar::save(std::string path) const {
  const auto state = state_;  // the jar may go while the file is written
  const std::string text = state->store.text(std::time(nullptr));
  write_file_options how;
  how.atomic = true;
  how.mode = 0600;
  task<> writing = write_file(std::move(path), text, how);
  co_await writing;
}

task<> cookie_jar::load(std::string path) {
  const auto state = state_;
  task<std::string> reading = read_file(std::move(path));
  const std::string text = co_await reading;
  state->store.add_text(text, std::time(nullptr));
}

}  // namespace heddle::http
