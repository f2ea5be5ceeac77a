// SPDX-License-Identifier: MIT
#include <heddle/io/http/link.h>

#include <heddle/io/http/content/field_text.h>
#include <heddle/io/http/message.h>

namespace heddle::http {

const std::string* link::find(std::string_view name) const noexcept {
  return detail::find_parameter(parameters, name);
}

bool link::is(std::string_view relation) const noexcept {
  const std::string* const rel = find("rel");
  if (!rel) return false;
  detail::field_scanner names(*rel);
  while (!names.at_end()) {
    if (same_token(names.until(" \t"), relation)) return true;
    names.skip_blanks();
  }
  return false;
}

std::vector<link> parse_links(std::string_view field) {
  std::vector<link> found;
  detail::field_scanner from(field);
  do {
    if (!from.take('<')) {
      from.skip_blanks();
      if (!from.at_end() && from.rest().front() == ',') continue;  // an empty item
      return found;
    }
    link one;
    one.target = from.until(">");
    if (!from.take('>')) return found;
    // A parameter without a value ("; crossorigin") is no error.
    while (!detail::read_parameters(from, one.parameters)) {
      (void)from.take(';');
      auto name = detail::lower_case(from.token());
      if (name.empty() || from.take('=')) return found;
      one.parameters.emplace_back(std::move(name), "");
    }
    found.push_back(std::move(one));
  } while (from.take(','));
  return found;
}

const link* find_link(const std::vector<link>& in, std::string_view relation) noexcept {
  for (const link& one : in)
    if (one.is(relation)) return &one;
  return nullptr;
}

}  // namespace heddle::http
