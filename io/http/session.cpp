// SPDX-License-Identifier: MIT
#include <heddle/io/http/session.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/calling/chain.h>
#include <heddle/io/http/calling/connections.h>
#include <heddle/io/http/calling/draft.h>
#include <heddle/io/http/calling/perform.h>
#include <heddle/io/http/calling/redirects.h>
#include <heddle/io/http/url.h>

#include <memory>
#include <utility>

namespace heddle::http {

session::session() : session(session_options()) {}

session::session(session_options options) {
  detail::check(options);
  pool_ = heddle::detail::counted_ptr<detail::connection_pool>(
      new detail::connection_pool(std::move(options)));
}

session::session(session&&) noexcept = default;

session& session::operator=(session&& other) noexcept {
  if (this != &other) {
    close();
    pool_ = std::move(other.pool_);
  }
  return *this;
}

session::~session() { close(); }

void session::close() noexcept {
  if (pool_) pool_->retire();
}

detail::connection_pool& session::pool() const {
  if (!pool_) throw usage_error("use of a session that was moved from");
  return *pool_;
}

request_builder session::at(std::string address) {
  auto d = std::make_unique<detail::draft>();
  std::string as_http = detail::as_http(address);
  d->is_ws = as_http != address;
  d->request = detail::begin_call(pool_, detail::full_address(pool().options, std::move(as_http)));
  (void)url::parse(d->request.address);  // tells now what is wrong with it
  return request_builder(std::move(d));
}

task<client_response> session::request(method m, std::string address, request_options options) {
  const auto& ours = pool().options;
  if (!ours.base_url.empty()) address = detail::full_address(ours, std::move(address));
  detail::call c = detail::begin_call(pool_, std::move(address));
  c.to = url::parse(c.address);
  if (options.timeout) c.total = options.timeout;
  detail::check_total(c.total);
  if (c.fields.empty())
    c.fields = std::move(options.headers);
  else if (options.headers.contains("authorization"))
    throw bad_value("a request has one Authorization: of its URL or a header");
  else
    for (const auto f : options.headers) c.fields.add(f.name, f.value);
  detail::add_defaults(c.fields, ours.headers);
  if (!options.content_type.empty() && !c.fields.contains("content-type"))
    c.fields.add("Content-Type", options.content_type.text());
  if (ours.pool.force_close) c.fields.set("Connection", "close");
  c.body = std::move(options.body);
  c.redirects = options.redirects.value_or(m == method::head ? 0 : ours.redirects);
  c.method = std::move(m);
  return detail::start_whole(std::move(c));
}

task<client_response> session::request(method m, std::string address) {
  return request(std::move(m), std::move(address), request_options());
}

task<client_response> session::get(std::string address) {
  return request(method::get, std::move(address), request_options());
}

task<client_response> session::head(std::string address) {
  return request(method::head, std::move(address), request_options());
}

task<client_response> session::post(std::string address, std::string body) {
  return post(std::move(address), std::move(body), request_options());
}

task<client_response> session::put(std::string address, std::string body) {
  return put(std::move(address), std::move(body), request_options());
}

task<client_response> session::patch(std::string address, std::string body) {
  return patch(std::move(address), std::move(body), request_options());
}

task<client_response> session::delete_(std::string address) {
  return request(method::delete_, std::move(address), request_options());
}

task<client_response> session::options(std::string address) {
  return request(method::options, std::move(address), request_options());
}

task<client_response> session::get(std::string address, request_options options) {
  return request(method::get, std::move(address), std::move(options));
}

task<client_response> session::head(std::string address, request_options options) {
  return request(method::head, std::move(address), std::move(options));
}

task<client_response> session::delete_(std::string address, request_options options) {
  return request(method::delete_, std::move(address), std::move(options));
}

task<client_response> session::options(std::string address, request_options options) {
  return request(method::options, std::move(address), std::move(options));
}

task<client_response> session::post(std::string address, std::string body,
                                    request_options options) {
  options.body = std::move(body);
  return request(method::post, std::move(address), std::move(options));
}

task<client_response> session::put(std::string address, std::string body, request_options options) {
  options.body = std::move(body);
  return request(method::put, std::move(address), std::move(options));
}

task<client_response> session::patch(std::string address, std::string body,
                                     request_options options) {
  options.body = std::move(body);
  return request(method::patch, std::move(address), std::move(options));
}

std::size_t session::open_connections() const { return pool().open(); }

std::size_t session::kept_connections() const { return pool().size(); }

void session::close_kept() { pool().clear(); }

}  // namespace heddle::http
