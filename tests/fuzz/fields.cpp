// SPDX-License-Identifier: MIT
// Fields with a grammar of their own: nothing in them is read beyond its end, and what is written
// is read again.
#include "fuzzed.h"

#include <heddle/io/http/auth.h>
#include <heddle/io/http/codings.h>
#include <heddle/io/http/content_type.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/forwarded.h>
#include <heddle/io/http/link.h>
#include <heddle/io/http/message.h>

#include <heddle/core/errors.h>

#include <array>

namespace {

using namespace fuzzed;

void answer(std::string_view challenge) {
  const std::array<std::string_view, 1> fields{challenge};
  const http::digest user("u", "p");
  if (!user.challenged("http://h:80", fields)) return;
  const auto value = user.authorize("http://h:80", http::method::get, "/", "");
  if (value) (void)http::parse_challenges(std::array<std::string_view, 1>{*value});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto t = http::content_type::parse(text)) {
    const auto again = http::content_type::parse(t->text());
    must(again && again->type == t->type && again->parameters == t->parameters,
         "a type is read as it was written");
  }
  (void)http::parse_links(text);
  (void)http::parse_forwarded(text);
  constexpr std::array offers = {http::coding::br, http::coding::gzip};
  (void)http::negotiate(text, offers);
  (void)http::codings_in(text);
  answer(text);
  try {
    http::headers h;
    h.add("Forwarded", text);
    h.add("X-Forwarded-For", text);
    (void)http::origin_of("10.0.0.1", h, http::trusted_proxies({"10.0.0.0/8"}));
  } catch (const h::bad_value&) {}
  for (const auto* charset : {"", "latin-1", "windows-1252", "utf-16"}) {
    const auto as_utf8 = http::to_utf8(text, charset, http::invalid_bytes::replace);
    try {  // one that begins with a mark would lose it
      if (!as_utf8.starts_with("\xef\xbb\xbf"))
        must(http::to_utf8(as_utf8, "utf-8") == as_utf8, "what was converted is UTF-8");
    } catch (const http::payload_error&) { must(false, "what was converted is UTF-8"); }
  }
  return 0;
}
