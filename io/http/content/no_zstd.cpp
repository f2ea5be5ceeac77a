// SPDX-License-Identifier: MIT
// Stands in for zstd.cpp where the library is missing.
#include <heddle/io/http/content/decoder.h>

namespace heddle::http::detail {

std::unique_ptr<decoder> zstd_decoder() { return nullptr; }
std::unique_ptr<coder> zstd_coder(int) { return nullptr; }

}  // namespace heddle::http::detail
