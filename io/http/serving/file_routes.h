// SPDX-License-Identifier: MIT
// Internal to io.
// Routes that answer with files.
#pragma once

#include <heddle/io/http/files_options.h>
#include <heddle/io/http/handler.h>

#include <cstddef>
#include <string>

namespace heddle::http::detail {

/// Answers with the files below `directory`. The first `below` bytes of a request's path are the
/// route's prefix. Throws as file_root.
[[nodiscard]] handler file_handler(const std::string& directory, files_options options,
                                   std::size_t below);

}  // namespace heddle::http::detail
