// SPDX-License-Identifier: MIT
// The types of files, by their names.
#include <heddle/io/http/files.h>

#include <algorithm>
#include <array>

namespace heddle::http {
namespace {

struct known_type {
  std::string_view extension;
  media_type type;
};

constexpr std::array known_types = {
    known_type{"avif", "image/avif"},
    known_type{"bmp", "image/bmp"},
    known_type{"css", "text/css; charset=utf-8"},
    known_type{"csv", "text/csv; charset=utf-8"},
    known_type{"gif", "image/gif"},
    known_type{"gz", "application/gzip"},
    known_type{"htm", "text/html; charset=utf-8"},
    known_type{"html", "text/html; charset=utf-8"},
    known_type{"ico", "image/vnd.microsoft.icon"},
    known_type{"jpeg", "image/jpeg"},
    known_type{"jpg", "image/jpeg"},
    known_type{"js", "text/javascript; charset=utf-8"},
    known_type{"json", "application/json"},
    known_type{"md", "text/markdown; charset=utf-8"},
    known_type{"mjs", "text/javascript; charset=utf-8"},
    known_type{"mp3", "audio/mpeg"},
    known_type{"mp4", "video/mp4"},
    known_type{"ogg", "audio/ogg"},
    known_type{"pdf", "application/pdf"},
    known_type{"png", "image/png"},
    known_type{"svg", "image/svg+xml"},
    known_type{"tar", "application/x-tar"},
    known_type{"ttf", "font/ttf"},
    known_type{"txt", "text/plain; charset=utf-8"},
    known_type{"wasm", "application/wasm"},
    known_type{"wav", "audio/wav"},
    known_type{"webm", "video/webm"},
    known_type{"webp", "image/webp"},
    known_type{"woff", "font/woff"},
    known_type{"woff2", "font/woff2"},
    known_type{"xml", "application/xml"},
    known_type{"zip", "application/zip"},
};

}  // namespace

media_type media_type_of(std::string_view file_name) noexcept {
  const auto dot = file_name.rfind('.');
  if (dot != std::string_view::npos) {
    const auto found = std::ranges::find_if(known_types, [&](const known_type& k) {
      return same_token(k.extension, file_name.substr(dot + 1));
    });
    if (found != known_types.end()) return found->type;
  }
  return "application/octet-stream";
}

}  // namespace heddle::http
