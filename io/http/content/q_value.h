// SPDX-License-Identifier: MIT
// Internal to io.
// Lists whose items have a weight: Accept, Accept-Encoding, Accept-Language (RFC 9110, 12.4.2).
#pragma once

#include <heddle/io/http/content/field_text.h>

#include <string>
#include <string_view>

namespace heddle::http::detail {

/// "0.5" is 500, in thousandths. -1: it is no weight.
[[nodiscard]] int thousandths(std::string_view text) noexcept;

/// Calls f(item, thousandths) for each item of the list that can be read, in order. The item stands
/// without its parameters.
template <class F>
void each_weighted(std::string_view field, F f) {
  field_scanner list(field);
  do {
    const auto item = list.until(",;");
    text_pairs parameters;
    const bool fine = read_parameters(list, parameters);
    if (!fine) (void)list.until(",");
    const std::string* const weight = find_parameter(parameters, "q");
    const int q = weight ? thousandths(*weight) : 1000;
    if (fine && !item.empty() && q >= 0) f(item, q);
    if (!list.at_end() && list.rest().front() != ',') (void)list.until(",");
  } while (list.take(','));
}

}  // namespace heddle::http::detail
