// SPDX-License-Identifier: MIT
// What the fuzzed programs share.
#pragma once

#include <heddle/io/http/body_reader.h>
#include <heddle/sched/runtime.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace fuzzed {

namespace h = heddle;
namespace http = heddle::http;

/// Ends the process, so that libFuzzer keeps the input.
inline void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

/// The input, whose first byte says how its rest is cut.
struct cut_text {
  std::string_view text;
  std::size_t step = 1;

  cut_text(const std::uint8_t* data, std::size_t size)
      : text(reinterpret_cast<const char*>(data), size) {
    if (text.empty()) return;
    step = 1 + static_cast<unsigned char>(text.front()) % 31U;
    text.remove_prefix(1);
  }
};

/// A body in pieces of that size.
class cut_input final : public http::detail::body_input {
 public:
  cut_input(std::string text, std::size_t step) : text_(std::move(text)), step_(step) {}
  h::task<std::string_view> next() override {
    const auto piece = std::string_view(text_).substr(at_, step_);
    at_ += piece.size();
    co_return piece;
  }

 private:
  std::string text_;
  std::size_t step_;
  std::size_t at_ = 0;
};

inline http::body_reader cut_body(std::string_view text, std::size_t step) {
  return http::body_reader(std::make_unique<cut_input>(std::string(text), step));
}

/// Runs a task to its end, on one runtime for all inputs.
template <class T>
T finished(h::task<T> work) {
  static h::runtime* const rt = [] {
    h::options o;
    o.loops = 1;
    return new h::runtime(o);
  }();
  return rt->run(std::move(work));
}

}  // namespace fuzzed
