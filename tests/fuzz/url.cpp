// SPDX-License-Identifier: MIT
// URLs and forms: what is taken apart can be sent, and what is encoded is decoded again.
#include "fuzzed.h"

#include <heddle/io/http/form.h>
#include <heddle/io/http/url.h>

#include <heddle/core/errors.h>

namespace {

using namespace fuzzed;

bool fits_a_line(std::string_view text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) <= ' ' || static_cast<unsigned char>(c) >= 0x7f) return false;
  return !text.empty();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const auto u = http::url::parse(text);
    must(fits_a_line(u.target) && u.target.front() == '/', "a target fits the request line");
    must(fits_a_line(u.authority()), "an authority fits the Host field");
    const auto again = http::url::parse(u.scheme + "://" + u.authority() + u.target);
    must(again.host == u.host && again.port == u.port && again.target == u.target,
         "a URL that is put together again is the same");
  } catch (const h::bad_value&) {}
  for (const auto what : {http::encode_for::component, http::encode_for::path}) {
    std::string decoded;
    must(http::percent_decode(http::percent_encode(text, what), decoded) && decoded == text,
         "what is encoded is decoded again");
  }
  http::form f;
  f.add(std::string(text), std::string(text)).add("", "x");
  must(http::form::parse(f.text()).fields() == f.fields(), "a form is read as it was written");
  try {
    (void)http::form::parse(text);
  } catch (const std::system_error&) {}
  return 0;
}
