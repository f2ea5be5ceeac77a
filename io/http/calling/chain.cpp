// SPDX-License-Identifier: MIT
#include <heddle/io/http/calling/chain.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/calling/perform.h>

#include <memory>
#include <string>
#include <utility>

namespace heddle::http {
namespace detail {
namespace {

/// The call with what the middlewares have made of it.
call changed(const call& original, const request_head& r) {
  call c = copy_of(original);
  c.method = r.method;
  c.fields = r.headers;
  c.body = r.body;
  if (r.url != c.address) {
    c.address = r.url;
    c.to = url::parse(c.address);
  }
  return c;
}

/// A middleware with the request that it changes, which lives as long as it works.
task<client_stream> pass(std::shared_ptr<chain> all, std::size_t at, request_head r) {
  auto work = middlewares_of(all->last)[at](r, next_step(all, at + 1));
  co_return co_await work;
}

task<client_response> read_whole(task<client_stream> asking, std::size_t limit) {
  client_stream r = co_await asking;
  try {
    auto reading = r.whole(limit);
    co_return co_await reading;
  } catch (const limit_overrun_error&) {
    throw payload_error(errc::body_too_large, "the body of " + r.url + " is larger than " +
                                                  std::to_string(limit) +
                                                  " bytes (limits::body_bytes)");
  }
}

}  // namespace

const std::vector<client_middleware>& middlewares_of(const call& c) noexcept {
  return c.extras && c.extras->middlewares ? *c.extras->middlewares : c.pool->options.middlewares;
}

task<client_response> start_whole(call c) {
  if (middlewares_of(c).empty()) return run_whole(std::move(c));
  const auto limit = c.pool->options.limits.body_bytes;
  return read_whole(start_stream(std::move(c)), limit);
}

task<client_stream> start_stream(call c) {
  if (middlewares_of(c).empty()) return run_stream(std::move(c));
  request_head head{c.method, c.address, c.fields, c.body};
  return pass(std::make_shared<chain>(std::move(c)), 0, std::move(head));
}

}  // namespace detail

task<client_stream> next_step::operator()(const request_head& request) const {
  if (at_ < detail::middlewares_of(chain_->last).size()) return detail::pass(chain_, at_, request);
  return detail::run_stream(detail::changed(chain_->last, request));
}

}  // namespace heddle::http
