// SPDX-License-Identifier: MIT
#include <heddle/io/http/client_response.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/content_type.h>

#include <nlohmann/json.hpp>

#include <optional>

namespace heddle::http {

static_assert(std::is_same_v<json_value, nlohmann::json>);

namespace {

json_value parsed(std::string_view body) {
  try {
    return nlohmann::json::parse(body);
  } catch (const nlohmann::json::parse_error& e) {
    throw protocol_error(std::string("the answer is no JSON: ") + e.what());
  }
}

}  // namespace

json_value client_response::json() const { return parsed(body); }

std::string client_response::utf8() const {
  const auto field = headers.get("content-type");
  const auto type = field ? content_type::parse(*field) : std::nullopt;
  return to_utf8(body, type ? type->charset() : std::string_view());
}

client_response& client_response::check_status() & {
  if (status >= 400) throw response_error(*this);
  return *this;
}

client_response&& client_response::check_status() && {
  if (status >= 400) throw response_error(std::move(*this));
  return std::move(*this);
}

task<> client_stream::read_once(std::size_t limit) {
  if (read_body) co_return;
  if (body.was_read())
    throw usage_error("the whole body of " + url + " is asked for, and a part of it was read");
  auto reading = body.read_all(limit);
  std::string all = co_await reading;
  read_body = std::make_shared<const std::string>(std::move(all));
}

task<std::string> client_stream::text(std::size_t limit) {
  task<> reading = read_once(limit);
  co_await reading;
  co_return *read_body;
}

task<json_value> client_stream::json() {
  task<> reading = read_once(body_reader::default_whole_limit);
  co_await reading;
  co_return parsed(*read_body);
}

task<client_response> client_stream::whole(std::size_t limit) {
  task<> reading = read_once(limit);
  co_await reading;
  client_response r;
  r.status = status;
  r.headers = headers;
  r.url = url;
  r.history = history;
  r.method = method;
  r.body = *read_body;
  co_return r;
}

response_error::response_error(client_response answer)
    : http_error(errc::status, std::to_string(answer.status) + " " + std::string(answer.reason()) +
                                   ", the answer to " + std::string(answer.method.text()) + " " +
                                   answer.url + ": " + printable(answer.body)),
      answer_(std::make_shared<const client_response>(std::move(answer))) {
  about(answer_->url, sent_part::all);
}

too_many_redirects::too_many_redirects(const std::string& what, std::vector<past_answer> history)
    : redirect_error(what, errc::too_many_redirects),
      history_(std::make_shared<const std::vector<past_answer>>(std::move(history))) {}

}  // namespace heddle::http
