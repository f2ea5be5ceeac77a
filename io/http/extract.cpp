// SPDX-License-Identifier: MIT
#include <heddle/io/http/extract.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/serving/request_scope.h>

namespace heddle::http::detail {

const std::vector<std::string>& values_of(const request& r) noexcept {
  static const std::vector<std::string> none;
  const auto* s = r.scope.get();
  return s ? s->values : none;
}

void throw_no_state(const std::type_info& type) {
  heddle::detail::throw_usage("the application has no state of type " + type_name(type));
}

void throw_no_value(const request& r, std::size_t wanted) {
  heddle::detail::throw_usage("the handler of " + std::string(r.pattern()) + " takes " +
                              std::to_string(wanted) + " parameters of the path");
}

void throw_unreadable(std::string_view what, std::string_view text, std::string_view wanted) {
  throw problem(400,
                std::string(what) + ": \"" + printable(text) + "\" is no " + std::string(wanted));
}

}  // namespace heddle::http::detail
