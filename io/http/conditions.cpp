// SPDX-License-Identifier: MIT
#include <heddle/io/http/conditions.h>

#include <heddle/core/checked.h>
#include <heddle/io/http/content/field_text.h>
#include <heddle/io/http/message/writer.h>

#include <algorithm>

namespace heddle::http {
namespace {

/// Nothing unless the text is all digits, at least one, and the number fits.
std::optional<std::uint64_t> number_in(std::string_view text) noexcept {
  std::uint64_t value = 0;
  if (!heddle::detail::parse_number(text, value)) return std::nullopt;
  return value;
}

bool is_too_long(std::string_view text) noexcept {
  return text.find_first_not_of("0123456789") == std::string_view::npos && text.size() > 19;
}

/// Takes a tag off the front of a list, with its "W/" and its quotes. "": none stands there.
std::string_view take_tag(std::string_view& list) noexcept {
  const std::size_t quote = list.starts_with("W/") ? 2 : 0;
  if (list.size() <= quote || list[quote] != '"') return {};
  const auto end = list.find('"', quote + 1);
  if (end == std::string_view::npos) return {};
  const auto tag = list.substr(0, end + 1);
  list.remove_prefix(end + 1);
  return tag;
}

/// RFC 9110, 8.8.3.2. In the strong comparison no weak tag matches.
bool same_tag(std::string_view a, std::string_view b, bool strong) noexcept {
  const bool is_weak = a.starts_with("W/") || b.starts_with("W/");
  if (strong && is_weak) return false;
  if (a.starts_with("W/")) a.remove_prefix(2);
  if (b.starts_with("W/")) b.remove_prefix(2);
  return !a.empty() && a == b;
}

/// One line of a field. An item that is no tag is passed over: it matches nothing.
bool lists_tag(std::string_view list, const resource_state& now, bool strong) noexcept {
  while (!list.empty()) {
    const auto first = list.find_first_not_of(" \t,");
    if (first == std::string_view::npos) return false;
    list.remove_prefix(first);
    const auto tag = take_tag(list);
    if (!tag.empty()) {
      if (now.exists && same_tag(tag, now.etag, strong)) return true;
      continue;
    }
    const auto item = list.substr(0, list.find(','));
    if (now.exists && detail::without_blanks(item) == "*") return true;
    list.remove_prefix(item.size());
  }
  return false;
}

/// Any line of the field. A list may be spread over several lines.
bool matches(const headers& h, std::string_view name, const resource_state& now, bool strong) {
  return std::ranges::any_of(h.all(name),
                             [&](std::string_view line) { return lists_tag(line, now, strong); });
}

/// True if nothing has changed since the date in that field. Nothing if the field is to be ignored:
/// it is no date, there are several, or the time of the resource is not known.
std::optional<bool> unchanged_since(const headers& h, std::string_view name,
                                    const resource_state& now) {
  const auto lines = h.all(name);
  if (lines.size() != 1 || !now.exists || !now.modified) return std::nullopt;
  const auto then = parse_http_date(lines.front());
  if (!then) return std::nullopt;
  return *now.modified <= std::int64_t{*then};
}

}  // namespace

condition check_conditions(const request& r, const resource_state& now) {
  const auto& h = r.headers;
  const bool reads = r.method == method::get || r.method == method::head;
  if (h.contains("if-match")) {
    if (!matches(h, "if-match", now, true)) return condition::failed;
  } else if (unchanged_since(h, "if-unmodified-since", now) == false) {
    return condition::failed;
  }
  if (h.contains("if-none-match")) {
    if (matches(h, "if-none-match", now, false))
      return reads ? condition::not_modified : condition::failed;
  } else if (reads && unchanged_since(h, "if-modified-since", now) == true) {
    return condition::not_modified;
  }
  return condition::holds;
}

std::optional<response> refused_by_condition(const request& r, const resource_state& now) {
  const auto found = check_conditions(r, now);
  if (found == condition::holds) return std::nullopt;
  if (found == condition::failed) return response::error(412);
  response answer;
  answer.status = 304;
  if (!now.etag.empty()) answer.headers.add("ETag", now.etag);
  if (now.modified) answer.last_modified(*now.modified);
  return answer;
}

bool range_applies(const request& r, const resource_state& now) {
  const auto lines = r.headers.all("if-range");
  if (lines.empty()) return true;
  const auto said = lines.front();
  if (lines.size() != 1) return false;
  if (said.starts_with('"') || said.starts_with("W/")) return same_tag(said, now.etag, true);
  const auto then = parse_http_date(said);
  return then && now.modified && *now.modified == std::int64_t{*then};
}

byte_range parse_range(std::string_view field, std::uint64_t size) noexcept {
  using enum byte_range::verdict;
  const byte_range all{whole, 0, size};
  const auto eq = field.find('=');
  if (eq == std::string_view::npos ||
      !same_token(detail::without_blanks(field.substr(0, eq)), "bytes"))
    return all;
  // Several ranges at once would need a multipart body. A server may send the whole instead.
  const auto spec = detail::without_blanks(field.substr(eq + 1));
  const auto dash = spec.find('-');
  if (dash == std::string_view::npos) return all;
  const auto first = spec.substr(0, dash);
  const auto last = spec.substr(dash + 1);
  if (first.empty()) {  // the last n bytes
    const auto n = is_too_long(last) && !last.empty() ? size : number_in(last);
    if (!n) return all;
    if (*n == 0 || size == 0) return {unsatisfiable, 0, 0};
    const auto length = std::min(*n, size);
    return {part, size - length, length};
  }
  const auto from = is_too_long(first) ? UINT64_MAX : number_in(first);
  const auto to = last.empty() || is_too_long(last) ? UINT64_MAX : number_in(last);
  if (!from || !to || *to < *from) return all;
  if (*from >= size) return {unsatisfiable, 0, 0};
  return {part, *from, std::min(*to, size - 1) - *from + 1};
}

}  // namespace heddle::http
