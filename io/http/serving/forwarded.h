// SPDX-License-Identifier: MIT
// Internal to io.
// Who asks, if proxies stand between (RFC 7239, and the X-Forwarded fields).
//
// Problem     A proxy tells the address of its client in a field, and any client can send that
//             field too.
// Chosen      Fields count only if the connection comes from a proxy that the server was told to
//             trust. Each proxy appends the address that it sees. So addresses are read from the
//             right, up to the first one that is no trusted proxy.
// Promised    What stands left of that address, or in a field that is malformed, is never believed.
#pragma once

#include <heddle/io/http/message.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http::detail {

struct asking_client {
  std::string address;
  std::string scheme;
  std::string host;
};
[[nodiscard]] asking_client client_of(const request& r);

/// One element of a Forwarded field: names in lower case, values without quotes.
using forwarded_element = std::vector<std::pair<std::string, std::string>>;
/// False if the field is malformed.
[[nodiscard]] bool parse_forwarded(std::string_view field, std::vector<forwarded_element>& into);

/// True if the list of addresses and networks ("10.0.0.0/8") has this address.
[[nodiscard]] bool is_listed(const std::vector<std::string>& list, std::string_view address);
/// Throws bad_value for an entry that is neither.
void check_listed(const std::vector<std::string>& list);

}  // namespace heddle::http::detail
