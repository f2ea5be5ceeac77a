// SPDX-License-Identifier: MIT
#include <heddle/core/checked.h>
#include <heddle/io/cluster/nats_parser.h>

#include <array>

namespace heddle::cluster::detail {
namespace {

bool blank(char c) noexcept { return c == ' ' || c == '\t'; }

std::string_view without_blanks(std::string_view text) noexcept {
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

/// Cuts the first word off.
std::string_view first_word(std::string_view& text) noexcept {
  text = without_blanks(text);
  std::size_t n = 0;
  while (n < text.size() && !blank(text[n])) ++n;
  const auto word = text.substr(0, n);
  text.remove_prefix(n);
  text = without_blanks(text);
  return word;
}

bool same_word(std::string_view word, std::string_view upper) noexcept {
  if (word.size() != upper.size()) return false;
  for (std::size_t i = 0; i < word.size(); ++i) {
    const char c = word[i] >= 'a' && word[i] <= 'z' ? static_cast<char>(word[i] - 32) : word[i];
    if (c != upper[i]) return false;
  }
  return true;
}

std::string shown(std::string_view line) {
  std::string out;
  for (const char c : line.substr(0, 40)) out += c >= 32 && c < 127 ? c : '?';
  return out;
}

}  // namespace

void nats_parser::feed(std::string_view bytes) {
  if (at_ == in_.size()) {
    in_.clear();
    searched_ = at_ = 0;
  } else if (at_ > in_.size() / 2) {
    in_.erase(0, at_);
    searched_ -= at_;
    at_ = 0;
  }
  in_.append(bytes);
}

bool nats_parser::take_line(std::string_view& line) {
  const auto end = in_.find('\n', searched_);
  const auto length = (end == std::string::npos ? in_.size() : end) - at_;
  if (length > most_nats_line)
    throw protocol_error("a line of the server is longer than " + std::to_string(most_nats_line) +
                         " bytes: " + shown(std::string_view(in_).substr(at_)));
  if (end == std::string::npos) {
    searched_ = in_.size();
    return false;
  }
  line = std::string_view(in_).substr(at_, length);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  at_ = searched_ = end + 1;
  return true;
}

bool nats_parser::begin_message(std::string_view rest, bool with_headers) {
  std::array<std::string_view, 6> words;
  std::size_t n = 0;
  const auto whole = rest;
  for (std::size_t at = 0; n < words.size(); ++n) {
    while (at < rest.size() && blank(rest[at])) ++at;
    const auto begin = at;
    while (at < rest.size() && !blank(rest[at])) ++at;
    if (at == begin) break;
    words[n] = rest.substr(begin, at - begin);
  }
  const std::size_t sizes = with_headers ? 2 : 1;
  if (n != 2 + sizes && n != 3 + sizes)
    throw protocol_error("the line of a message has " + std::to_string(n) +
                         " words: " + shown(whole));
  head_ = nats_event();
  head_.op = nats_op::message;
  head_.subject = words[0];
  if (n == 3 + sizes) head_.reply = words[2];
  header_size_ = 0;
  bool fine = heddle::detail::parse_number(words[1], head_.sid) &&
              heddle::detail::parse_number(words[n - 1], total_size_);
  if (with_headers) fine = fine && heddle::detail::parse_number(words[n - 2], header_size_);
  if (!fine || header_size_ > total_size_)
    throw protocol_error("the line of a message has no proper numbers: " + shown(whole));
  if (total_size_ > most_message_)
    throw protocol_error("a message of " + std::to_string(total_size_) +
                         " bytes, more than the limit of " + std::to_string(most_message_));
  in_message_ = true;
  return true;
}

bool nats_parser::take_body(nats_event& e) {
  if (buffered() < total_size_ + 2) return false;
  const auto all = std::string_view(in_).substr(at_, total_size_ + 2);
  if (all.substr(total_size_) != "\r\n")
    throw protocol_error("a message to " + shown(head_.subject) + " does not end where it should");
  e = std::move(head_);
  e.headers = all.substr(0, header_size_);
  e.payload = all.substr(header_size_, total_size_ - header_size_);
  at_ += total_size_ + 2;
  searched_ = at_;
  in_message_ = false;
  return true;
}

/// False: the line only begins a message.
bool nats_parser::event_of(std::string_view line, nats_event& e) {
  auto rest = line;
  const auto word = first_word(rest);
  if (same_word(word, "MSG")) return !begin_message(rest, false);
  if (same_word(word, "HMSG")) return !begin_message(rest, true);
  e = nats_event();
  e.payload = rest;
  if (same_word(word, "PING"))
    e.op = nats_op::ping;
  else if (same_word(word, "PONG"))
    e.op = nats_op::pong;
  else if (same_word(word, "+OK"))
    e.op = nats_op::ok;
  else if (same_word(word, "INFO"))
    e.op = nats_op::info;
  else if (same_word(word, "-ERR"))
    e.op = nats_op::error;
  else
    throw protocol_error("not a word of the NATS protocol: " + shown(line));
  if (e.op == nats_op::error && e.payload.size() >= 2 && e.payload.front() == '\'' &&
      e.payload.back() == '\'')
    e.payload = e.payload.substr(1, e.payload.size() - 2);
  return true;
}

bool nats_parser::next(nats_event& e) {
  for (;;) {
    if (in_message_) return take_body(e);
    std::string_view line;
    if (!take_line(line)) return false;
    if (event_of(line, e)) return true;
  }
}

}  // namespace heddle::cluster::detail
