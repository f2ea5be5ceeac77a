// SPDX-License-Identifier: MIT
// What a client gets: an answer read to its end, or one whose body is read while it arrives.
//
//   auto big = co_await client.at(url).open();
//   while (const auto piece = co_await big.body.next_chunk()) sum += piece->size();
#pragma once

#include <heddle/core/base/shared.h>
#include <heddle/io/http/body_reader.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/message/json_fwd.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http {

template <class T>
T read_json(std::string_view text);  // json.h

/// An answer that was followed to another: a redirection.
struct past_answer {
  int status = 0;
  std::string url;  // that was asked
  http::headers headers;
};

/// An answer, read to its end.
struct client_response {
  int status = 0;
  http::headers headers;
  std::string body;
  /// The URL that was asked last, without user and password. It ends with its fragment.
  std::string url = {};
  /// The redirections that led there, the first first.
  std::vector<past_answer> history = {};
  /// Of the last request.
  http::method method = {};

  /// 200 to 299.
  [[nodiscard]] bool ok() const noexcept { return status >= 200 && status < 300; }
  [[nodiscard]] std::string_view reason() const noexcept { return reason_phrase(status); }
  [[nodiscard]] const std::string& text() const noexcept { return body; }
  /// The body parsed. Include <nlohmann/json.hpp> to use it. Throws protocol_error if the body is
  /// no JSON.
  [[nodiscard]] json_value json() const;
  /// The body as a T, by its from_json. Include <heddle/io/http/json.h>. Throws payload_error,
  /// which names the field that does not fit.
  template <class T>
  [[nodiscard]] T json() const {
    return read_json<T>(std::string_view(body));
  }
  /// The body as UTF-8, by the charset of its Content-Type (to_utf8 in content_type.h). A byte
  /// order mark is taken off. Throws payload_error for bytes that the charset does not have.
  [[nodiscard]] std::string utf8() const;
  /// Throws response_error for a status of 400 and above. Returns this object.
  client_response& check_status() &;
  client_response&& check_status() &&;
};

/// An answer whose head is here. Its body is read by its user, piece by piece, without a limit on
/// the whole.
///
/// The connection goes back to its session when the body has been read to its end, even while this
/// object lives. If the object goes before, the connection is closed, unless the rest has arrived
/// already. The session may end first: the body can still be read.
/// Thread-safety  one task at a time, on any loop; it may be moved to another task
struct client_stream {
  int status = 0;
  http::headers headers;
  body_reader body;
  std::string url = {};                   // as in client_response
  std::vector<past_answer> history = {};  // likewise
  http::method method = {};
  /// The whole body, once text(), json() or whole() have read it.
  std::shared_ptr<const std::string> read_body = {};

  [[nodiscard]] bool ok() const noexcept { return status >= 200 && status < 300; }
  [[nodiscard]] std::string_view reason() const noexcept { return reason_phrase(status); }

  // These read the whole body, at most `limit` bytes, and keep it in `read_body`: later calls, also
  // of the others, yield the same again. The object outlives their tasks.
  // Cancel  loses nothing
  // Throws  usage_error if bytes of the body were taken out of `body` before; as
  //         body_reader::read_all

  /// The body as it came.
  [[nodiscard]] task<std::string> text(std::size_t limit);
  [[nodiscard]] task<std::string> text() { return text(body_reader::default_whole_limit); }
  /// The body parsed. Include <nlohmann/json.hpp> to use it. Throws protocol_error if the body is
  /// no JSON.
  [[nodiscard]] task<json_value> json();
  /// A whole answer.
  [[nodiscard]] task<client_response> whole(std::size_t limit);
  [[nodiscard]] task<client_response> whole() { return whole(body_reader::default_whole_limit); }

 private:
  task<> read_once(std::size_t limit);
};

/// A status that the caller does not take: 400 and above.
class response_error : public http_error {
 public:
  explicit response_error(client_response answer);
  [[nodiscard]] int status() const noexcept { return answer_->status; }
  [[nodiscard]] const http::headers& headers() const noexcept { return answer_->headers; }
  /// The whole answer, with its body, its history, and the method and URL of the request.
  [[nodiscard]] const client_response& answer() const noexcept { return *answer_; }

 private:
  std::shared_ptr<const client_response> answer_;
};

/// There were more redirections than the request follows.
class too_many_redirects : public redirect_error {
 public:
  too_many_redirects(const std::string& what, std::vector<past_answer> history);
  /// The answers so far, the first first.
  [[nodiscard]] const std::vector<past_answer>& history() const noexcept { return *history_; }

 private:
  std::shared_ptr<const std::vector<past_answer>> history_;
};

}  // namespace heddle::http
