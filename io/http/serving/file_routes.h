// SPDX-License-Identifier: MIT
// Internal to io.
// Routes that answer with files.
#pragma once

#include <heddle/io/http/handler.h>

#include <cstddef>
#include <string>

namespace heddle::http::detail {

/// Answers with the files below `directory`. The first `below` bytes of a request's path are the
/// route's prefix. Throws std::system_error if there is no such directory.
[[nodiscard]] handler file_handler(const std::string& directory, std::size_t below);

}  // namespace heddle::http::detail
