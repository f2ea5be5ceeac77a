// SPDX-License-Identifier: MIT
// Internal to io.
// The body of an answer, as its user reads it from the connection.
#pragma once

#include <heddle/io/http/body_reader.h>
#include <heddle/io/http/calling/exchange.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace heddle::http::detail {

/// What the body needs of a request that may be over.
struct after_call {
  heddle::detail::counted_ptr<connection_pool> pool;
  std::string name;
  std::string url;
  reading_limits limits;
  bool had_body = false;
  bool closes = false;
};

/// It holds the connection until the last byte has come. If it goes before, and the rest is not
/// here already, the connection is closed.
class answer_body final : public body_input {
 public:
  answer_body(answered from, after_call of);
  ~answer_body() override;
  task<std::string_view> next() override;

 private:
  void feed();
  void end() noexcept;

  answered from_;
  after_call of_;
  std::optional<std::uint64_t> declared_;
  std::uint64_t got_ = 0;
  std::string piece_;
};

}  // namespace heddle::http::detail
