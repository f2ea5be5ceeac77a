// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/body_decoding.h>

#include <heddle/io/http/codings.h>
#include <heddle/io/http/errors.h>
#include <heddle/sched/sleep.h>

#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

namespace heddle::http::detail {
namespace {

/// Counts what is yielded, and gives others their turn between two pieces.
class bounded_input final : public body_input {
 public:
  bounded_input(std::unique_ptr<body_input> from, std::size_t most) noexcept
      : from_(std::move(from)), most_(most) {}

  [[nodiscard]] task<std::string_view> next() override {
    // A task that yields stays ready, and a loop that has a ready task looks at its sockets only
    // now and then. So this task sleeps instead.
    if (yielded_ != 0) co_await sleep(std::chrono::microseconds(1));
    task<std::string_view> more = from_->next();
    const auto piece = co_await more;
    if (piece.size() > most_ - yielded_) {
      throw payload_error(
          make_error_code(errc::body_too_large),
          "the body of the request: it decodes to more than " + std::to_string(most_) + " bytes");
    }
    yielded_ += piece.size();
    co_return piece;
  }
  [[nodiscard]] const headers* trailers() const noexcept override { return from_->trailers(); }

 private:
  std::unique_ptr<body_input> from_;
  std::size_t most_;
  std::size_t yielded_ = 0;
};

}  // namespace

std::unique_ptr<body_input> undone(std::unique_ptr<body_input> coded, const std::string& codings,
                                   std::size_t most) {
  return std::make_unique<bounded_input>(decoded(std::move(coded), codings), most);
}

task<> read_decoded(body_decoding& d, body_gate& gate) {
  for (;;) {
    task<std::optional<std::string_view>> more = d.from.next_chunk();
    const auto piece = co_await more;
    if (!piece) co_return;
    d.text += *piece;
    gate.keep_body(d.text.size());
  }
}

}  // namespace heddle::http::detail
