// SPDX-License-Identifier: MIT
#include <heddle/io/http/body_reader.h>

#include <heddle/core/errors.h>
#include <heddle/io/file.h>
#include <heddle/io/http/message.h>

#include <algorithm>
#include <utility>

namespace heddle::http {

body_reader::body_reader(body_reader&& other) noexcept
    : from_(std::move(other.from_)),
      kept_(std::exchange(other.kept_, {})),
      at_(std::exchange(other.at_, 0)),
      ended_(std::exchange(other.ended_, false)),
      given_(std::exchange(other.given_, false)),
      failure_(std::exchange(other.failure_, nullptr)) {}

body_reader& body_reader::operator=(body_reader&& other) noexcept {
  body_reader old(std::move(*this));  // its input ends when this one stands
  from_ = std::move(other.from_);
  kept_ = std::exchange(other.kept_, {});
  at_ = std::exchange(other.at_, 0);
  ended_ = std::exchange(other.ended_, false);
  given_ = std::exchange(other.given_, false);
  failure_ = std::exchange(other.failure_, nullptr);
  return *this;
}

body_reader::~body_reader() = default;

/// The next piece of the input. "": the body has ended.
task<std::string_view> body_reader::pull() {
  if (failure_) std::rethrow_exception(failure_);
  if (ended()) co_return {};
  std::string_view piece;
  try {
    task<std::string_view> next = from_->next();
    piece = co_await next;
  } catch (const std::exception&) {  // a cancellation is no std::exception: the next read goes on
    failure_ = std::current_exception();
    throw;
  }
  ended_ = piece.empty();
  co_return piece;
}

/// Adds the next piece to what is kept. False: the body has ended.
task<bool> body_reader::fill() {
  task<std::string_view> next = pull();
  const std::string_view piece = co_await next;
  // Bytes that were read are moved out only when they are the larger part: else a body in small
  // pieces would be moved once for each of them.
  if (at_ > kept_.size() / 2) kept_.erase(0, std::exchange(at_, 0));
  kept_ += piece;
  co_return !piece.empty();
}

std::string body_reader::take(std::size_t n) {
  given_ = given_ || n != 0;
  if (at_ == 0 && n == kept_.size()) return std::exchange(kept_, {});
  std::string taken = kept_.substr(at_, n);
  at_ += n;
  return taken;
}

task<std::optional<std::string_view>> body_reader::next_chunk() {
  auto piece = buffered();
  at_ = kept_.size();
  if (piece.empty()) {
    task<std::string_view> next = pull();
    piece = co_await next;
    if (piece.empty()) co_return std::nullopt;
  }
  given_ = true;
  co_return piece;
}

task<std::string> body_reader::read(std::ptrdiff_t n) {
  if (n < 0) throw bad_value("a body is read by a positive number of bytes; read_all() reads all");
  const auto most = static_cast<std::size_t>(n);
  if (most != 0 && buffered().empty()) {
    task<bool> more = fill();
    (void)co_await more;
  }
  co_return take(std::min(most, buffered().size()));
}

task<std::string> body_reader::read_exactly(std::ptrdiff_t n) {
  if (n < 0) throw bad_value("read_exactly of a negative number of bytes");
  const auto wanted = static_cast<std::size_t>(n);
  while (buffered().size() < wanted) {
    task<bool> next = fill();
    const bool more = co_await next;
    if (!more) throw incomplete_read_error(take(buffered().size()), wanted);
  }
  co_return take(wanted);
}

task<std::string> body_reader::take_line(std::string separator, std::size_t limit,
                                         bool rest_is_fine) {
  std::size_t seen = 0;  // no separator begins before
  for (;;) {
    const auto bytes = buffered();
    const auto found = bytes.find(separator, seen);
    const bool is_here = found != std::string_view::npos;
    const std::size_t end = is_here ? found + separator.size() : bytes.size();
    if (end > limit) {
      throw limit_overrun_error(
          "no separator within the limit of " + std::to_string(limit) + " bytes",
          std::min(end, limit));
    }
    if (is_here) co_return take(end);
    seen = bytes.size() - std::min(bytes.size(), separator.size() - 1);
    task<bool> next = fill();
    const bool more = co_await next;
    if (more) continue;
    std::string rest = take(buffered().size());
    if (rest_is_fine) co_return rest;
    throw incomplete_read_error(std::move(rest), 0);
  }
}

task<std::string> body_reader::read_until(std::string separator, std::size_t limit) {
  if (separator.empty()) throw bad_value("read_until needs a separator");
  return take_line(std::move(separator), limit, false);
}

task<std::string> body_reader::read_line(std::size_t limit) { return take_line("\n", limit, true); }

task<std::string> body_reader::read_all(std::size_t limit) {
  for (;;) {
    if (buffered().size() > limit) {
      throw limit_overrun_error(
          "the body is longer than the limit of read_all, " + std::to_string(limit) + " bytes",
          limit);
    }
    task<bool> next = fill();
    const bool more = co_await next;
    if (!more) co_return take(buffered().size());
  }
}

task<std::uint64_t> body_reader::save_to(std::string path) {
  file_options how;
  how.read = false;
  how.write = how.create = how.truncate = true;
  auto opening = file::open(std::move(path), how);
  file to = co_await opening;
  std::uint64_t sum = 0;
  for (;;) {
    task<std::optional<std::string_view>> next = next_chunk();
    const auto piece = co_await next;
    if (!piece) break;
    auto writing = to.write(*piece);
    co_await writing;
    sum += piece->size();
  }
  auto closing = to.close();
  co_await closing;
  co_return sum;
}

const headers& body_reader::trailers() const noexcept {
  static const headers none;
  const headers* const found = from_ && ended_ ? from_->trailers() : nullptr;
  return found ? *found : none;
}

}  // namespace heddle::http
