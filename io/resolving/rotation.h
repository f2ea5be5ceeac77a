// SPDX-License-Identifier: MIT
// Internal to io.
// The order of an answer that is given more than once.
#pragma once

#include <heddle/io/address.h>

#include <cstddef>
#include <vector>

namespace heddle::detail {

/// Problem   Every client of a kept answer would connect to its first address.
/// Chosen    Equals take turns at the front. Equals are neighbours of one family and one scope
///           (loopback, link, site, or global). So what the resolver ranked apart stays apart.
///
/// Turns each run of equals by `by` places.
void rotate_equals(std::vector<address>& all, std::size_t by);

}  // namespace heddle::detail
