// SPDX-License-Identifier: MIT
// Stands in for public_suffix.cpp where libpsl is missing: "com" is refused, "co.uk" is not known.
#include <heddle/io/http/content/public_suffix.h>

namespace heddle::http::detail {

bool is_public_suffix(const std::string& domain) { return domain.find('.') == std::string::npos; }

}  // namespace heddle::http::detail
