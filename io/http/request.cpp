// SPDX-License-Identifier: MIT
// What a request knows of its server.
#include <heddle/core/errors.h>
#include <heddle/io/http/body_reader.h>
#include <heddle/io/http/cookies.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/handler.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/part_reader.h>
#include <heddle/io/http/serving/app_scope.h>
#include <heddle/io/http/serving/body_decoding.h>
#include <heddle/io/http/serving/client.h>
#include <heddle/io/http/serving/request_scope.h>
#include <heddle/io/http/url.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace heddle::http {
namespace detail {
namespace {

/// The body of the request at work, for a reader in the hands of its handler.
class linked_body final : public body_input {
 public:
  explicit linked_body(std::shared_ptr<body_link> link) noexcept : link_(std::move(link)) {}
  [[nodiscard]] task<std::string_view> next() override {
    if (link_->gate == nullptr)
      heddle::detail::throw_usage("the body of a request is read until the request is answered");
    return link_->gate->next_piece();
  }

 private:
  std::shared_ptr<body_link> link_;
};

/// The body as it comes, or decoded, if a middleware has said so.
std::unique_ptr<body_input> body_of(request_scope& s, const body_decoding* d) {
  if (!s.link) s.link = std::make_shared<body_link>(body_link{s.gate});
  std::unique_ptr<body_input> body = std::make_unique<linked_body>(s.link);
  return d == nullptr ? std::move(body) : undone(std::move(body), d->codings, s.gate->body_limit());
}

std::string_view trimmed(std::string_view text) noexcept {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace

heddle::detail::counted* state_of(const request& r, const void* key) noexcept {
  const auto* scope = r.scope.get();
  const auto* app = scope ? scope->app() : nullptr;
  return app ? app->state(key) : nullptr;
}

}  // namespace detail

std::optional<std::string_view> request::path_value(std::string_view name) const noexcept {
  const auto* s = scope.get();
  if (s == nullptr || s->target == nullptr) return std::nullopt;
  const auto& names = s->target->names;
  for (std::size_t i = 0; i < names.size() && i < s->values.size(); ++i)
    if (names[i] == name) return s->values[i];
  return std::nullopt;
}

std::string_view request::pattern() const noexcept {
  const auto* s = scope.get();
  return s && s->target ? std::string_view(s->target->text) : std::string_view();
}

body_reader request::body_stream() {
  auto* const s = scope.get();
  if (s == nullptr || s->loaded || s->gate == nullptr)
    return body_reader(std::exchange(body, std::string()));
  s->loaded = true;
  return body_reader(detail::body_of(*s, find<detail::body_decoding>()));
}

task<> request::load_body() {
  auto* const s = scope.get();
  if (s == nullptr || s->loaded || s->gate == nullptr) co_return;
  if (auto* const d = find<detail::body_decoding>()) {
    if (!d->has_begun) d->from = body_reader(detail::body_of(*s, d));
    d->has_begun = true;
    task<> reading = detail::read_decoded(*d, *s->gate);
    co_await reading;
    body = std::exchange(d->text, std::string());
    d->from = body_reader();
  } else {
    task<> reading = s->gate->read_whole();
    co_await reading;
  }
  s->loaded = true;
}

bool request::server_is_stopping() const noexcept {
  const auto* const s = scope.get();
  return s != nullptr && s->gate != nullptr && s->gate->server_stops();
}

struct server_stats request::server_stats() const {
  const auto* const s = scope.get();
  if (s == nullptr || s->gate == nullptr) return {};
  return s->gate->stats();
}

std::vector<std::pair<std::string, std::string>> request::cookies() const {
  std::vector<std::pair<std::string, std::string>> all;
  for (const auto field : headers) {
    if (!same_token(field.name, "cookie")) continue;
    for (auto& pair : parse_cookies(field.value)) all.push_back(std::move(pair));
  }
  return all;
}

std::optional<std::string> request::cookie(std::string_view name) const {
  for (auto& [known, value] : cookies())
    if (known == name) return std::move(value);
  return std::nullopt;
}

std::vector<std::pair<std::string, std::string>> request::form() const {
  const auto type = headers.get("content-type").value_or("");
  const auto name = detail::trimmed(type.substr(0, type.find(';')));
  if (!same_token(name, "application/x-www-form-urlencoded"))
    throw status_error(415, "the body is no application/x-www-form-urlencoded");
  return query_pairs(body);
}

part_reader request::parts() { return parts(part_limits()); }

part_reader request::parts(part_limits limits) {
  constexpr std::string_view wanted = "multipart/";
  const std::string type(detail::trimmed(headers.get("content-type").value_or("")));
  if (!same_token(std::string_view(type).substr(0, wanted.size()), wanted))
    throw part_error(415, "the body has the type \"" + printable(type) + "\", and no parts");
  return {body_stream(), type, limits};
}

std::string request::url_for(std::string_view name, const std::vector<std::string>& values) const {
  const auto* s = scope.get();
  const auto* app = s ? s->app() : nullptr;
  if (app != nullptr) {
    if (const auto found = app->names->find(std::string(name)); found != app->names->end())
      return found->second.fill(values);
  }
  throw bad_value("no route has the name \"" + std::string(name) + "\"");
}

std::string request::remote() const { return detail::client_of(*this).address; }
std::string request::scheme() const { return detail::client_of(*this).scheme; }
std::string request::host() const { return detail::client_of(*this).host; }

void request::keep(const void* key, heddle::detail::counted_ptr<heddle::detail::counted> value) {
  auto* const s = scope.get();
  if (s == nullptr)
    heddle::detail::throw_usage("only a request that a server works on keeps values");
  for (auto& [known, kept] : s->kept) {
    if (known != key) continue;
    kept = std::move(value);
    return;
  }
  s->kept.emplace_back(key, std::move(value));
}

heddle::detail::counted* request::kept_as(const void* key) const noexcept {
  const auto* s = scope.get();
  if (s == nullptr) return nullptr;
  for (const auto& [known, kept] : s->kept)
    if (known == key) return kept.get();
  return nullptr;
}

}  // namespace heddle::http
