// SPDX-License-Identifier: MIT
// Bodies for the cases of HTTP: a text that comes in pieces, and what reading it ends with.
#pragma once

#include "../conformance.h"

#include <heddle/io/http/body_reader.h>
#include <heddle/io/http/errors.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace conformance {

namespace http = heddle::http;

/// Yields a text in pieces of `n` bytes. Every other time it suspends before, as a connection does.
class pieces_input final : public http::detail::body_input {
 public:
  pieces_input(std::string text, std::size_t n) : text_(std::move(text)), n_(n) {}
  h::task<std::string_view> next() override {
    if (++asked_ % 2 == 0) co_await h::yield_now();
    const auto piece = std::string_view(text_).substr(at_, n_);
    at_ += piece.size();
    co_return piece;
  }

 private:
  std::string text_;
  std::size_t n_;
  std::size_t at_ = 0;
  std::size_t asked_ = 0;
};

inline http::body_reader in_pieces(std::string text, std::size_t n) {
  return http::body_reader(std::make_unique<pieces_input>(std::move(text), n));
}

/// What a body holds, or "payload_error: " and its text.
inline h::task<std::string> all_of(http::body_reader body) {
  std::string found;
  try {
    h::task<std::string> reading = body.read_all();
    found = co_await reading;
  } catch (const http::payload_error& e) { found = std::string("payload_error: ") + e.what(); }
  co_return found;
}

/// The text of the E that `f` throws; "" if it throws nothing.
template <class E, class F>
std::string refused_with(F f) {
  try {
    (void)f();
  } catch (const E& e) { return std::string("refused: ") + e.what(); }
  return "";
}

inline bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace conformance
