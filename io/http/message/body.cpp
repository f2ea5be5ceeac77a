// SPDX-License-Identifier: MIT
#include <heddle/io/http/message/body.h>

#include <heddle/io/http/message/grammar.h>
#include <heddle/io/http/message/head.h>
#include <heddle/io/http/message/llhttp_glue.h>

#include <utility>

namespace heddle::http::detail {
namespace {

using extension = parser_state::extension;
using phase = parser_state::phase;

// What a chunk may cost besides its data, before it looks like an attack. Its size line and CRLF
// are at most 20 bytes. The rest is room for the short extensions that some proxies add.
constexpr std::size_t framing_per_chunk = 64;

/// Reads the value of a chunk's extension: a token or a quoted string. llhttp knows no quoted
/// pairs, and stumbles over ";" behind a token. So llhttp is given an empty quoted string instead.
std::size_t feed_extension(parser_state& s, std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    const bool control = (c >= 0 && c < ' ' && c != '\t') || c == 0x7f;
    switch (s.extension_) {
      case extension::value:
        s.extension_ = c == '"' ? extension::quoted : extension::token;
        if (c == '"') break;
        [[fallthrough]];
      case extension::token:
        if (is_in(token_chars, c)) break;
        [[fallthrough]];
      case extension::behind:
        if (c != ';' && c != '\r') {
          s.refuse(400, "a malformed value of a chunk's extension");
          return i;
        }
        s.extension_ = extension::none;
        (void)run_llhttp(s, "\"\"");
        return i;
      case extension::quoted:
        if (c == '"') s.extension_ = extension::behind;
        if (c == '\\') s.extension_ = extension::escaped;
        break;
      case extension::escaped: s.extension_ = extension::quoted; break;
      case extension::none: return i;
    }
    if (control) {
      s.refuse(400, "a control character in a chunk's extension");
      return i;
    }
  }
  return bytes.size();
}

}  // namespace

std::size_t feed_body(parser_state& s, std::string_view bytes) {
  const auto before = s.body_->size();
  std::size_t used = 0;
  if (s.extension_ == extension::none) {
    used = run_llhttp(s, bytes);
    // llhttp pauses when the name of an extension has ended. Did it end at "=", and is the first
    // byte of its value still to come?
    if (std::exchange(s.extension_ends_, false) && (used == 0 || bytes[used - 1] == '='))
      s.extension_ = extension::value;
  } else {
    used = feed_extension(s, bytes);
  }
  s.framing_ += used - (s.body_->size() - before);
  if (s.phase_ != phase::failed &&
      s.framing_ > s.limits_.header_bytes + framing_per_chunk * s.chunks_) {
    s.refuse(400, "the chunk sizes and their extensions outweigh the body");
  }
  return used;
}

std::size_t feed_trailers(parser_state& s, std::string_view bytes) {
  if (s.head_bytes_ == s.limits_.header_bytes) {
    s.refuse(431, "the trailer fields are too large");
    return 0;
  }
  bytes = bytes.substr(0, s.limits_.header_bytes - s.head_bytes_);
  const auto used = run_llhttp(s, bytes);
  check_lines(s, bytes.substr(0, used));
  s.head_bytes_ += used;
  return used;
}

}  // namespace heddle::http::detail
