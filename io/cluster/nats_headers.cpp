// SPDX-License-Identifier: MIT
#include <heddle/core/checked.h>
#include <heddle/io/cluster/nats_headers.h>

#include <utility>

namespace heddle::cluster::detail {

namespace {

constexpr std::string_view version = "NATS/1.0";
/// What most messages have, in bytes and in headers.
constexpr std::size_t usual_size = 384;
constexpr std::size_t usual_fields = 12;

std::string_view take_line(std::string_view& text) noexcept {
  const auto end = text.find('\n');
  auto line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}
std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

}  // namespace

/// `name` and `value` stand in text_.
void nats_headers::note(std::string_view name, std::string_view value) {
  if (fields_.empty()) fields_.reserve(usual_fields);
  using heddle::detail::narrow;
  const auto from = [this](std::string_view part) {
    return narrow<std::uint32_t>(part.data() - text_.data());
  };
  fields_.push_back({from(name), narrow<std::uint32_t>(name.size()), from(value),
                     narrow<std::uint32_t>(value.size())});
}

nats_headers nats_headers::parse(std::string block) {
  nats_headers h;
  h.text_ = std::move(block);
  std::string_view rest = h.text_;
  auto first = take_line(rest);
  if (!first.starts_with(version)) return h;
  first = trimmed(first.substr(version.size()));
  if (!first.empty()) {
    (void)heddle::detail::parse_number(first.substr(0, 3), h.status_);
    if (first.size() > 3) h.status_text_ = trimmed(first.substr(3));
  }
  while (!rest.empty()) {
    const auto line = take_line(rest);
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    h.note(line.substr(0, colon), trimmed(line.substr(colon + 1)));
  }
  return h;
}

std::string_view nats_headers::get(std::string_view name) const noexcept {
  for (const auto& f : fields_)
    if (f.name_size == name.size() && at(f.name, f.name_size) == name)
      return at(f.value, f.value_size);
  return {};
}

void nats_headers::add(std::string_view name, std::string_view value) {
  if (text_.empty()) {
    text_.reserve(usual_size);
    text_.append(version).append("\r\n");
  }
  text_.append(name).append(": ");
  const auto from = text_.size();
  text_.append(value);
  for (const char end : {'\r', '\n'})
    for (auto at = text_.find(end, from); at != std::string::npos; at = text_.find(end, at))
      text_[at] = ' ';
  text_.append("\r\n");
}

std::string nats_headers::block() && {
  if (text_.empty()) text_.append(version).append("\r\n");
  text_ += "\r\n";
  return std::move(text_);
}

}  // namespace heddle::cluster::detail
