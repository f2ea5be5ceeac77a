// SPDX-License-Identifier: MIT
#include <heddle/io/http/events.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/http/errors.h>

#include <algorithm>
#include <cstdint>

namespace heddle::http {
namespace {

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

void check_line(const char* what, std::string_view text) {
  if (text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos)
    throw bad_value("the " + std::string(what) + " of an event holds CR, LF or NUL");
}

/// A line for each line of the text, whatever ends it there.
void append_lines(std::string& out, std::string_view name, std::string_view text) {
  for (;;) {
    const auto line = text.substr(0, text.find_first_of("\r\n"));
    out.append(name).append(line).append("\n");
    if (line.size() == text.size()) return;
    const bool both = text.substr(line.size()).starts_with("\r\n");
    text.remove_prefix(line.size() + (both ? 2 : 1));
  }
}

}  // namespace

std::string sse_event::text() const {
  check_line("type", type);
  check_line("id", id);
  std::string out;
  if (!type.empty() && type != "message") out += "event: " + type + "\n";
  if (!id.empty()) out += "id: " + id + "\n";
  if (retry) {
    if (retry->count() < 0) throw bad_value("the retry of an event is negative");
    out += "retry: " + std::to_string(retry->count()) + "\n";
  }
  append_lines(out, "data: ", data);
  return out += "\n";
}

std::string sse_comment(std::string_view text) {
  std::string out;
  append_lines(out, text.empty() ? ":" : ": ", text);
  return out += "\n";
}

std::size_t event_parser::feed(std::string_view bytes) {
  const std::size_t all = bytes.size();
  if (broken_) fail();
  while (!bytes.empty() && !ready_) {
    if (std::exchange(after_cr_, false) && bytes.front() == '\n') {
      bytes.remove_prefix(1);
      continue;
    }
    const auto part = bytes.substr(0, bytes.find_first_of("\r\n"));
    if (part.size() > max_event_ || line_.size() + data_.size() > max_event_ - part.size()) fail();
    line_ += part;
    bytes.remove_prefix(part.size());
    if (bytes.empty()) break;
    after_cr_ = bytes.front() == '\r';
    bytes.remove_prefix(1);
    end_line();
  }
  return all - bytes.size();
}

void event_parser::fail() {
  broken_ = true;
  throw payload_error(errc::body_too_large,
                      "an event has more than max_event, " + std::to_string(max_event_) + " bytes");
}

void event_parser::end_line() {
  std::string_view line = line_;
  if (!std::exchange(begun_, true) && line.starts_with(byte_order_mark))
    line.remove_prefix(byte_order_mark.size());
  if (line.empty()) {
    dispatch();
  } else if (line.front() != ':') {
    const auto colon = line.find(':');
    auto value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    take_field(line.substr(0, colon), value);
  }
  line_.clear();
}

void event_parser::take_field(std::string_view name, std::string_view value) {
  if (name == "data") {
    if (std::exchange(has_data_, true)) data_ += '\n';
    data_ += value;
  } else if (name == "event") {
    type_ = value;
  } else if (name == "id") {
    if (value.find('\0') == std::string_view::npos) id_ = value;
  } else if (name == "retry") {
    std::int64_t ms = 0;
    if (heddle::detail::parse_number(value, ms))
      retry_ = retry_of_event_ = std::chrono::milliseconds(ms);
  }
}

void event_parser::dispatch() {
  last_id_ = id_;
  if (std::exchange(has_data_, false)) {
    sse_event& e = ready_.emplace();
    e.data = std::exchange(data_, {});
    if (!type_.empty()) e.type = type_;
    e.id = last_id_;
    e.retry = retry_of_event_;
  }
  data_.clear();
  type_.clear();
  retry_of_event_.reset();
}

std::optional<sse_event> event_parser::take() noexcept { return std::exchange(ready_, {}); }

task<std::optional<sse_event>> event_reader::next() {
  for (;;) {
    at_ += parser_.feed(std::string_view(rest_).substr(at_));
    auto event = parser_.take();
    if (event) co_return event;
    task<std::optional<std::string_view>> reading = body_.next_chunk();
    const auto piece = co_await reading;
    if (!piece) co_return std::nullopt;
    rest_ = *piece;
    at_ = 0;
  }
}

}  // namespace heddle::http
