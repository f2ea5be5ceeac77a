// SPDX-License-Identifier: MIT
// Internal to io.
// Whether a request comes from this machine.
#pragma once

#include <heddle/io/http/message.h>

#include <string_view>

namespace heddle::http::detail {

/// Why the request is not surely of a client on this machine, for people; empty: it is.
//
// The address of the peer is not enough. A proxy on this machine asks for others: it names them in
// a field of its own. And a page of another site may ask in the name of a browser on this machine,
// by a name of its own that leads here: so the Host has to be a name of this machine.
[[nodiscard]] std::string_view why_not_local(const request& r);

/// "localhost", "127.0.0.1", "[::1]", with or without a port.
[[nodiscard]] bool names_this_machine(std::string_view host) noexcept;

}  // namespace heddle::http::detail
