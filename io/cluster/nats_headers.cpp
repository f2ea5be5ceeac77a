// SPDX-License-Identifier: MIT
#include <heddle/core/checked.h>
#include <heddle/io/cluster/nats_headers.h>

namespace heddle::cluster::detail {

namespace {

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

nats_headers nats_headers::parse(std::string_view block) {
  nats_headers h;
  constexpr std::string_view version = "NATS/1.0";
  auto first = take_line(block);
  if (!first.starts_with(version)) return h;
  first = trimmed(first.substr(version.size()));
  if (!first.empty()) {
    (void)heddle::detail::parse_number(first.substr(0, 3), h.status_);
    if (first.size() > 3) h.status_text_ = trimmed(first.substr(3));
  }
  while (!block.empty()) {
    const auto line = take_line(block);
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    h.fields_.emplace_back(line.substr(0, colon), trimmed(line.substr(colon + 1)));
  }
  return h;
}

std::string_view nats_headers::get(std::string_view name) const noexcept {
  for (const auto& [n, v] : fields_)
    if (n == name) return v;
  return {};
}

void nats_headers::add(std::string_view name, std::string_view value) {
  std::string clean(value);
  for (char& c : clean)
    if (c == '\r' || c == '\n') c = ' ';
  fields_.emplace_back(name, std::move(clean));
}

std::string nats_headers::block() const {
  std::string out = "NATS/1.0\r\n";
  for (const auto& [n, v] : fields_) {
    out += n;
    out += ": ";
    out += v;
    out += "\r\n";
  }
  out += "\r\n";
  return out;
}

}  // namespace heddle::cluster::detail
