// SPDX-License-Identifier: MIT
// Cookies of strangers: nothing of a Cookie field breaks out of it, and a jar that was saved is the
// same when it is loaded.
#include "fuzzed.h"

#include <heddle/io/http/content/cookie_date.h>
#include <heddle/io/http/content/cookie_store.h>
#include <heddle/io/http/cookies.h>

#include <heddle/core/errors.h>

namespace {

using namespace fuzzed;

http::detail::cookie_store empty_store() {
  return http::detail::cookie_store(
      {4096, 50, 200, [](const std::string& d) { return d.find('.') == std::string::npos; }});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)http::detail::parse_cookie_date(text);
  for (const auto& [name, value] : http::parse_cookies(text))
    must(!name.empty() && name.find(';') == std::string::npos, "a name ends at a semicolon");
  (void)http::merge_cookies(text, {}, text);
  auto jar = empty_store();
  for (std::string_view rest = text; !rest.empty();) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    (void)jar.set({"a.b.example", "/x/y", line.size() % 2 == 0}, line, 1000);
  }
  for (const auto& c : jar.matching({"a.b.example", "/x/y/z", true}, 1000)) {
    must((c.name + c.value).find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos,
         "a cookie ends no line");
  }
  auto again = empty_store();
  const auto saved = jar.text(1000);
  again.add_text(saved, 1000);
  must(again.text(1000) == saved, "a jar that was loaded is the one that was saved");
  auto strange = empty_store();
  strange.add_text(text, 1000);
  http::cookie c;
  c.name = "n";
  c.value = c.path = text;
  try {
    must(c.text().find_first_of("\r\n") == std::string::npos, "a cookie's text is one line");
  } catch (const h::bad_value&) {}
  return 0;
}
