// SPDX-License-Identifier: MIT
#include <heddle/io/http/content/decoder.h>

#include <heddle/io/http/errors.h>
#include <heddle/io/http/message.h>

#include <optional>

namespace heddle::http::detail {

task<std::string_view> decoding_input::next() {
  if (!made_) made_ = std::make_unique_for_overwrite<char[]>(step);
  for (;;) {
    if (!in_.empty() || full_) {
      const std::size_t n = how_->decode(in_, made_.get(), step);
      full_ = n == step;
      if (n != 0) co_return std::string_view(made_.get(), n);
    }
    task<std::string_view> more = from_->next();
    in_ = co_await more;
    if (!in_.empty()) continue;
    if (!how_->complete())
      throw payload_error("the body ends inside its " + std::string(how_->name()) + " data");
    co_return std::string_view();
  }
}

task<std::string_view> reader_input::next() {
  task<std::optional<std::string_view>> more = from_.next_chunk();
  const auto piece = co_await more;
  co_return piece.value_or(std::string_view());
}

const headers* reader_input::trailers() const noexcept {
  const headers& found = from_.trailers();
  return found.empty() ? nullptr : &found;
}

}  // namespace heddle::http::detail
