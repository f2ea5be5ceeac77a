// SPDX-License-Identifier: MIT
#include <heddle/io/http/request_builder.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/calling/draft.h>
#include <heddle/io/http/calling/perform.h>
#include <heddle/io/http/url.h>

#include <nlohmann/json.hpp>

#include <algorithm>

namespace heddle::http {

request_builder::request_builder(std::unique_ptr<detail::draft> d) noexcept
    : draft_(std::move(d)) {}
request_builder::request_builder(request_builder&&) noexcept = default;
request_builder& request_builder::operator=(request_builder&&) noexcept = default;
request_builder::~request_builder() = default;

detail::draft& request_builder::draft() {
  if (!draft_) throw usage_error("a request_builder is used again after its last word");
  return *draft_;
}

detail::call request_builder::finish(method m) {
  detail::draft all = std::move(draft());
  draft_.reset();
  return detail::finish(std::move(all), std::move(m));
}

request_builder& request_builder::query(std::string_view name, std::string_view value) {
  auto& text = draft().query;
  if (!text.empty()) text += '&';
  text.append(percent_encode(name)).append("=").append(percent_encode(value));
  return *this;
}

request_builder& request_builder::raw_query(std::string_view text) {
  auto& all = draft().query;
  if (!all.empty() && !text.empty()) all += '&';
  all += text;
  return *this;
}

request_builder& request_builder::header(std::string_view name, std::string_view value) {
  draft().request.fields.add(name, value);
  return *this;
}

request_builder& request_builder::headers(const http::headers& all) {
  for (const auto f : all) draft().request.fields.add(f.name, f.value);
  return *this;
}

request_builder& request_builder::cookie(std::string_view name, std::string_view value) {
  http::headers().add(name, value);  // refuses what no field holds
  if (value.find_first_of(";\t") != value.npos)
    throw bad_value("the value of a cookie holds no \";\" and no tab");
  draft().cookies.emplace_back(name, value);
  return *this;
}

request_builder& request_builder::skip_auto_headers(std::initializer_list<std::string_view> names) {
  for (const auto name : names) draft().skipped.emplace_back(name);
  return *this;
}

request_builder& request_builder::basic(std::string_view user, std::string_view password) {
  return header("Authorization", detail::basic_credentials(user, password));
}

request_builder& request_builder::bearer(std::string_view token) {
  return header("Authorization", "Bearer " + std::string(token));
}

request_builder& request_builder::take_body(std::string bytes, std::string_view type) {
  auto& d = draft();
  if (std::exchange(d.has_body, true)) throw usage_error("a request has one body, of one kind");
  d.request.body = std::move(bytes);
  d.type = type;
  return *this;
}

request_builder& request_builder::body(std::string bytes) {
  return take_body(std::move(bytes), "application/octet-stream");
}

request_builder& request_builder::body(upload source) {
  take_body(std::string(), "application/octet-stream");
  draft().request.more().source = std::move(source);
  return *this;
}

request_builder& request_builder::text(std::string utf8) {
  return take_body(std::move(utf8), "text/plain; charset=utf-8");
}

request_builder& request_builder::json(const json_value& value) {
  std::string text;
  try {
    text = value.dump();
  } catch (const nlohmann::json::exception& e) {
    throw bad_value(std::string("the value cannot be written as JSON: ") + e.what());
  }
  return json_text(std::move(text));
}

request_builder& request_builder::json_text(std::string text) {
  return take_body(std::move(text), "application/json");
}

request_builder& request_builder::form(
    const std::vector<std::pair<std::string, std::string>>& fields) {
  std::string text;
  const auto append = [&text](std::string_view part) {
    for (const char c : percent_encode(part)) text += c;
  };
  for (const auto& [name, value] : fields) {
    if (!text.empty()) text += '&';
    append(name);
    text += '=';
    append(value);
  }
  for (auto at = text.find("%20"); at != text.npos; at = text.find("%20", at))
    text.replace(at, 3, "+");
  return take_body(std::move(text), "application/x-www-form-urlencoded");
}

request_builder& request_builder::timeout(std::optional<any_duration> total) {
  detail::check_total(total);
  draft().request.total = total;
  return *this;
}

request_builder& request_builder::timeouts(const http::timeouts& clocks) {
  detail::check(clocks);
  draft().request.more().clocks = clocks;
  return *this;
}

request_builder& request_builder::redirects(unsigned most) {
  draft().redirects = most;
  return *this;
}

request_builder& request_builder::check_status(bool on) {
  draft().request.more().check_status = on;
  return *this;
}

request_builder& request_builder::expect_continue() {
  draft().request.more().expect_continue = true;
  return *this;
}

request_builder& request_builder::tls(tls_context context) {
  draft().request.more().tls = std::move(context);
  return *this;
}

request_builder& request_builder::server_name(std::string name) {
  draft().request.more().server_name = std::move(name);
  return *this;
}

task<client_response> request_builder::request(method m) {
  return detail::run_whole(finish(std::move(m)));
}
task<client_response> request_builder::get() { return request(method::get); }
task<client_response> request_builder::head() { return request(method::head); }
task<client_response> request_builder::post() { return request(method::post); }
task<client_response> request_builder::put() { return request(method::put); }
task<client_response> request_builder::patch() { return request(method::patch); }
task<client_response> request_builder::delete_() { return request(method::delete_); }
task<client_response> request_builder::options() { return request(method::options); }

task<client_stream> request_builder::open() { return open(method::get); }
task<client_stream> request_builder::open(method m) {
  return detail::run_stream(finish(std::move(m)));
}

}  // namespace heddle::http
