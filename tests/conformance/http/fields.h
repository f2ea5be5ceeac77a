// SPDX-License-Identifier: MIT
// What the cases about fields of answers share.
#pragma once

#include "app.h"

#include <string>
#include <string_view>
#include <utility>

namespace conformance {

using pairs = std::vector<std::pair<std::string, std::string>>;

inline http::headers fields_of(const pairs& list) {
  http::headers fields;
  for (const auto& [name, value] : list) fields.add(name, value);
  return fields;
}

inline std::string field_of(const http::response& r, std::string_view name) {
  return std::string(r.headers.get(name).value_or("(none)"));
}

inline h::task<http::response> fetch(http::test_client& c, http::method m, std::string target,
                                     pairs list) {
  return c.send(std::move(m), std::move(target), fields_of(list), std::string());
}
inline h::task<http::response> fetch(http::test_client& c, std::string target, pairs list) {
  return fetch(c, http::method::get, std::move(target), std::move(list));
}

/// The status of the answer to a GET with one field.
inline h::task<int> status_with(http::test_client& c, std::string target, std::string name,
                                std::string value) {
  pairs one;
  one.emplace_back(std::move(name), std::move(value));
  auto asking = fetch(c, std::move(target), std::move(one));
  const http::response answer = co_await asking;
  co_return answer.status;
}

}  // namespace conformance
