// SPDX-License-Identifier: MIT
#include <heddle/io/http/request_builder.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/calling/chain.h>
#include <heddle/io/http/calling/draft.h>
#include <heddle/io/http/calling/perform.h>
#include <heddle/io/http/calling/upgrade.h>
#include <heddle/io/http/url.h>
#include <heddle/io/http/websocket.h>

#include <nlohmann/json.hpp>

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
  return header("Authorization", http::basic(user, password).value());
}

request_builder& request_builder::bearer(std::string_view token) {
  return header("Authorization", http::bearer(std::string(token)).value());
}

request_builder& request_builder::auth(http::auth how) {
  draft().request.more().auth = std::move(how);
  return *this;
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

request_builder& request_builder::form(const http::form& fields) {
  return take_body(fields.text(), http::form::content_type);
}

request_builder& request_builder::multipart(http::multipart parts) {
  take_body(std::string(), {});
  draft().parts = std::move(parts);
  return *this;
}

request_builder& request_builder::compress(coding how) {
  draft().packing = how;
  return *this;
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

request_builder& request_builder::proxy(http::proxy through) {
  draft().request.more().proxy = std::move(through);
  return *this;
}

request_builder& request_builder::retry(http::retry how) {
  draft().request.more().retry = std::move(how);
  return *this;
}

request_builder& request_builder::middlewares(std::vector<client_middleware> all) {
  draft().request.more().middlewares = std::move(all);
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

request_builder& request_builder::protocols(std::initializer_list<std::string_view> names) {
  for (const auto name : names) draft().protocols.emplace_back(name);
  return *this;
}

namespace {

/// Makes the body of the parts. Their files are looked at off the loops.
task<detail::call> with_parts(detail::draft d, method m) {
  auto making = d.parts->ready();
  multipart_body ready = co_await making;
  if (!d.request.fields.contains("content-type"))
    d.request.fields.add("Content-Type", ready.content_type);
  d.request.more().source = upload::again(std::move(ready.pieces), ready.length);
  co_return detail::finish(std::move(d), std::move(m));
}

task<client_response> whole_with_parts(detail::draft d, method m) {
  auto making = with_parts(std::move(d), std::move(m));
  detail::call c = co_await making;
  auto running = detail::start_whole(std::move(c));
  co_return co_await running;
}

task<client_stream> stream_with_parts(detail::draft d, method m) {
  auto making = with_parts(std::move(d), std::move(m));
  detail::call c = co_await making;
  auto running = detail::start_stream(std::move(c));
  co_return co_await running;
}

}  // namespace

detail::draft request_builder::take() {
  detail::draft all = std::move(draft());
  draft_.reset();
  return all;
}

task<client_response> request_builder::request(method m) {
  if (draft().parts) return whole_with_parts(take(), std::move(m));
  return detail::start_whole(detail::finish(take(), std::move(m)));
}
task<client_response> request_builder::get() { return request(method::get); }
task<client_response> request_builder::head() { return request(method::head); }
task<client_response> request_builder::post() { return request(method::post); }
task<client_response> request_builder::put() { return request(method::put); }
task<client_response> request_builder::patch() { return request(method::patch); }
task<client_response> request_builder::delete_() { return request(method::delete_); }
task<client_response> request_builder::options() { return request(method::options); }

task<http::websocket> request_builder::websocket() { return websocket(ws_options()); }
task<http::websocket> request_builder::websocket(ws_options options) {
  auto c = detail::finish_upgrade(take(), options);
  return detail::open_websocket(std::move(c),
                                std::make_shared<const ws_options>(std::move(options)));
}

task<client_stream> request_builder::open() { return open(method::get); }
task<client_stream> request_builder::open(method m) {
  if (draft().parts) return stream_with_parts(take(), std::move(m));
  return detail::start_stream(detail::finish(take(), std::move(m)));
}

}  // namespace heddle::http
