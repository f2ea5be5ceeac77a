// SPDX-License-Identifier: MIT
// By libpsl. Where that is missing at build time, single_labels.cpp stands in.
#include <heddle/io/http/content/public_suffix.h>

#include <libpsl.h>

namespace heddle::http::detail {

bool is_public_suffix(const std::string& domain) {
  // Never freed: the list that the library was built with. Reading it is thread-safe.
  static const psl_ctx_t* const list = psl_builtin() ? psl_builtin() : psl_latest(nullptr);
  if (!list) return domain.find('.') == std::string::npos;
  return psl_is_public_suffix(list, domain.c_str()) != 0;
}

}  // namespace heddle::http::detail
