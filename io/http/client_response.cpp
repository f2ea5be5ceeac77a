// SPDX-License-Identifier: MIT
#include <heddle/io/http/client_response.h>

#include <heddle/io/http/content_type.h>

#include <nlohmann/json.hpp>

#include <optional>

namespace heddle::http {

static_assert(std::is_same_v<json_value, nlohmann::json>);

json_value client_response::json() const {
  try {
    return nlohmann::json::parse(body);
  } catch (const nlohmann::json::parse_error& e) {
    throw protocol_error(std::string("the answer is no JSON: ") + e.what());
  }
}

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

task<client_response> client_stream::whole(std::size_t limit) {
  auto reading = body.read_all(limit);
  std::string all = co_await reading;
  client_response r;
  r.status = status;
  r.headers = std::move(headers);
  r.url = std::move(url);
  r.history = std::move(history);
  r.method = std::move(method);
  r.body = std::move(all);
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
