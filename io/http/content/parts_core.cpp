// SPDX-License-Identifier: MIT
#include <heddle/io/http/content/parts_core.h>

#include <heddle/core/errors.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace heddle::http::detail {
namespace {

/// RFC 2046 lets blanks follow a boundary. More than so many are an attack.
constexpr std::size_t most_blanks = 256;

}  // namespace

parts_core::parts_core(body_reader body, std::string_view boundary, const part_limits& limits)
    : body_(std::move(body)),
      delimiter_("\r\n--" + std::string(boundary)),
      limits_(limits),
      kept_("\r\n") {}  // so that a boundary at the very beginning looks like every other one

void parts_core::fail(int status, const std::string& what) {
  failure_ = std::make_exception_ptr(part_error(status, what));
  std::rethrow_exception(failure_);
}

/// Adds the next piece of the body to what is kept. False: it has ended.
task<bool> parts_core::fill() {
  if (whole_) co_return false;
  std::optional<std::string_view> piece;
  try {
    task<std::optional<std::string_view>> next = body_.next_chunk();
    piece = co_await next;
  } catch (const std::exception&) {  // no cancellation: after that the next call goes on
    failure_ = std::current_exception();
    throw;
  }
  whole_ = !piece;
  kept_.erase(0, std::exchange(at_, 0));
  if (piece) kept_ += *piece;
  co_return !whole_;
}

/// Behind the boundary: blanks, then the end of the line; or "--", and blanks up to the line's or
/// the body's end. All else makes it a part of the content. `whole`: nothing follows `text`.
parts_core::delimiter parts_core::judge(std::string_view text, bool whole,
                                        std::size_t& length) const noexcept {
  const auto open = whole ? delimiter::content : delimiter::more;
  if (text.size() < delimiter_.size())
    return delimiter_.starts_with(text) ? open : delimiter::content;
  if (!text.starts_with(delimiter_)) return delimiter::content;
  std::size_t i = delimiter_.size();
  if (i == text.size() || (text[i] == '-' && i + 1 == text.size())) return open;
  const bool last = text.substr(i, 2) == "--";
  if (last) i += 2;
  const std::size_t blanks = i;
  while (i < text.size() && (text[i] == ' ' || text[i] == '\t')) ++i;
  if (i - blanks > most_blanks) return delimiter::content;
  if (i == text.size()) {
    if (!whole) return delimiter::more;
    return last ? delimiter::last : delimiter::content;
  }
  if (text[i] != '\r') return delimiter::content;
  length = i + 2;
  if (last) return delimiter::last;
  if (i + 1 == text.size()) return open;
  return text[i + 1] == '\n' ? delimiter::next : delimiter::content;
}

/// Where in `text` the delimiter stands, or may begin at the end. Else the end.
std::size_t parts_core::delimiter_in(std::string_view text) const noexcept {
  const auto found = text.find(delimiter_);
  if (found != std::string_view::npos) return found;
  const auto tail = text.size() - std::min(text.size(), delimiter_.size() - 1);
  for (auto i = text.find('\r', tail); i != std::string_view::npos; i = text.find('\r', i + 1)) {
    if (std::string_view(delimiter_).starts_with(text.substr(i))) return i;
  }
  return text.size();
}

/// The next piece before a delimiter. "": the delimiter has been taken, and place_ says which.
task<std::string_view> parts_core::content() {
  for (;;) {
    const auto text = kept();
    std::size_t length = 0;
    const std::size_t begin = behind_fields_ ? 0 : delimiter_in(text);
    if (begin != 0) {
      at_ += begin;
      co_return text.substr(0, begin);
    }
    const auto found = judge(text, whole_, length);
    if (found == delimiter::next || found == delimiter::last) {
      at_ += std::min(length, text.size());
      place_ = found == delimiter::next ? place::fields : place::ended;
      behind_fields_ = false;
      co_return std::string_view();
    }
    if (found == delimiter::content && behind_fields_) {
      behind_fields_ = false;
      at_ += 2;  // the empty line behind the fields
      continue;
    }
    if (found == delimiter::content && !text.empty()) {
      // Up to the next byte that can begin a delimiter.
      const auto next = std::min(text.find('\r', 1), text.size());
      at_ += next;
      co_return text.substr(0, next);
    }
    task<bool> filling = fill();
    const bool more = co_await filling;
    if (!more && kept().empty()) {
      fail(400, place_ == place::preamble ? "the body holds no boundary"
                                          : "the body ends inside a part");
    }
  }
}

task<bool> parts_core::to_next_part() {
  if (failure_) std::rethrow_exception(failure_);
  open_ = false;
  while (place_ == place::preamble || place_ == place::content) {
    task<std::string_view> skipping = content();
    (void)co_await skipping;
  }
  while (place_ == place::ended && !whole_) {  // what follows the last boundary
    at_ = kept_.size();
    task<bool> more = fill();
    (void)co_await more;
  }
  if (place_ == place::ended) co_return false;
  if (part_ == limits_.parts)
    fail(413, "the body has more than " + std::to_string(limits_.parts) + " parts");
  co_return true;
}

task<std::string> parts_core::take_fields() {
  std::size_t seen = 0;
  for (;;) {
    const auto text = kept();
    std::size_t end = text.starts_with("\r\n") ? 2 : std::string_view::npos;
    if (end == std::string_view::npos) {
      const auto found = text.find("\r\n\r\n", seen);
      if (found != std::string_view::npos) end = found + 4;
    }
    if (std::min(end, text.size()) > limits_.header_bytes) {
      fail(431, "the fields of a part have more than " + std::to_string(limits_.header_bytes) +
                    " bytes");
    }
    if (end != std::string_view::npos) {
      std::string fields(text.substr(0, end));
      // The end of the empty line stays: where the part is empty, a delimiter may begin with it.
      at_ += end - 2;
      behind_fields_ = true;
      place_ = place::content;
      ++part_;
      open_ = true;
      co_return fields;
    }
    seen = text.size() - std::min<std::size_t>(text.size(), 3);
    task<bool> filling = fill();
    const bool more = co_await filling;
    if (!more) fail(400, "the body ends inside the fields of a part");
  }
}

task<std::string_view> parts_core::next_piece(std::uint64_t of_part) {
  if (!open_ || of_part != part_)
    throw usage_error("a part's body is read after next_part() has gone on to another part");
  if (failure_) std::rethrow_exception(failure_);
  if (place_ != place::content) co_return std::string_view();
  task<std::string_view> next = content();
  const auto piece = co_await next;
  co_return piece;
}

}  // namespace heddle::http::detail
