// SPDX-License-Identifier: MIT
// JSON in handlers: arguments that are read from a body, a query or a form, and results that are
// written as JSON. Any type that nlohmann::json can convert will do (NLOHMANN_DEFINE_TYPE_...).
//
//   r.post("/u", [](http::json_body<user> u) { return stored(u.get()); });  // 400, 415 or the user
//
// What a handler returns and is no answer by itself becomes 200 with application/json.
#pragma once

#include <heddle/io/http/errors.h>
#include <heddle/io/http/extract.h>
#include <heddle/io/http/handler.h>
#include <heddle/io/http/json.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/problem.h>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http {

/// The body of the request, which is JSON of type application/json or one that ends in "+json", in
/// UTF-8. Another type is 415; a body that is no JSON, or does not fit T, is 400.
template <class T>
class json_body : public detail::extracted<T> {
  using detail::extracted<T>::extracted;
};
/// The parameters of the query as the members of an object. A value that looks like a number or a
/// bool is tried as that and as a text, whatever fits T.
template <class T>
class query_as : public detail::extracted<T> {
  using detail::extracted<T>::extracted;
};
/// The same of the body of a form (application/x-www-form-urlencoded; another type is 415).
template <class T>
class form_body : public detail::extracted<T> {
  using detail::extracted<T>::extracted;
};

namespace detail {

/// Throws problem 415 unless the body is said to be JSON in UTF-8.
void check_json_type(const request& r);

template <class T>
struct json_codec {
  static T read(std::string_view text) {
    try {
      return read_json<T>(text);
    } catch (const payload_error& e) { throw problem(400, e.what()); }
  }
};

template <class T>
struct json_answer {
  static response from(const T& value) { return response::json(write_json(value)); }
};

using pairs = std::vector<std::pair<std::string, std::string>>;

/// The pairs as an object. Bit i of `texts` says that the i-th value that looks like a number or a
/// bool stays a text. `looks` becomes the number of those.
[[nodiscard]] nlohmann::json object_of(const pairs& all, std::size_t texts, std::size_t& looks);

template <class T>
T read_pairs(const pairs& all) {
  constexpr std::size_t most = 6;  // so many values are tried both ways: 64 tries
  std::size_t looks = 0;
  std::string why;
  for (std::size_t texts = 0; texts == 0 || texts < (std::size_t{1} << std::min(looks, most));
       ++texts) {
    try {
      return object_of(all, texts, looks).get<T>();
    } catch (const nlohmann::json::exception& e) {
      if (why.empty()) why = e.what();
    }
  }
  throw problem(400, "the parameters do not fit: " + why);
}

}  // namespace detail

template <class T>
struct from_request<json_body<T>> {
  static json_body<T> from(request& r) {
    detail::check_json_type(r);
    return json_body<T>(detail::json_codec<T>::read(r.body));
  }
  static bool absent(const request& r) { return r.body.empty(); }
};
template <class T>
struct from_request<query_as<T>> {
  static query_as<T> from(request& r) {
    return query_as<T>(detail::read_pairs<T>(r.query_params()));
  }
  static bool absent(const request& r) { return r.raw_query().empty(); }
};
template <class T>
struct from_request<form_body<T>> {
  static form_body<T> from(request& r) { return form_body<T>(detail::read_pairs<T>(r.form())); }
  static bool absent(const request& r) { return r.body.empty(); }
};

}  // namespace heddle::http
