// SPDX-License-Identifier: MIT
// Stands in for brotli.cpp where the library is missing.
#include <heddle/io/http/content/decoder.h>

namespace heddle::http::detail {

std::unique_ptr<decoder> brotli_decoder() { return nullptr; }
std::unique_ptr<coder> brotli_coder(int) { return nullptr; }

}  // namespace heddle::http::detail
