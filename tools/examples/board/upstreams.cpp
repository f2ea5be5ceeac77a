// SPDX-License-Identifier: MIT
#include "upstreams.h"

#include "limits.h"

#include <heddle/io/http/json.h>

#include <chrono>
#include <exception>
#include <utility>

namespace board {
namespace {

http::session_options how_to_ask() {
  http::session_options o;
  o.timeout = limits::upstream_time;
  o.limits.body_bytes = limits::upstream_bytes;
  o.check_status = true;
  o.redirects = 3;
  return o;
}

/// For guests, who need not know where other services are: the errors' own texts name URLs.
std::string reason_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const http::response_error& e) {
    return "it answers with status " + std::to_string(e.status());
  } catch (const http::payload_error& e) {
    return e.code() == http::errc::body_too_large ? "its answer is too large" : "it sends no JSON";
  } catch (const std::exception&) { return "it cannot be reached"; }
}

}  // namespace

upstreams::upstreams(std::vector<upstream> all) : all_(std::move(all)), client_(how_to_ask()) {
  if (all_.size() > limits::upstreams)
    throw h::bad_value("more than " + std::to_string(limits::upstreams) + " upstreams");
  for (const auto& one : all_) (void)http::url::parse(http::encode_url(one.url));
}

h::task<report> upstreams::ask_one(const upstream& one) {
  report r;
  r.name = one.name;
  const auto began = h::clock::now();
  try {
    const auto answer = co_await client_.at(one.url).get();
    r.value = http::parse_json(answer.body);
    r.state = "fine";
  } catch (const http::timed_out&) {
    r.state = "late";
    r.error = "no answer within " + std::to_string(limits::upstream_time.count()) + " s";
  } catch (const std::exception&) {
    r.state = "failed";
    r.error = reason_of(std::current_exception());
  }
  r.ms = std::chrono::floor<std::chrono::milliseconds>(h::clock::now() - began).count();
  co_return r;
}

h::task<std::vector<report>> upstreams::ask() {
  std::vector<h::task<report>> asking;
  for (const auto& one : all_) asking.push_back(ask_one(one));
  co_return co_await h::gather(std::move(asking));
}

}  // namespace board
