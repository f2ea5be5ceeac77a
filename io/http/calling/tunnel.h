// SPDX-License-Identifier: MIT
// Internal to io.
// Tunnels through proxies: CONNECT, and SOCKS of version 5 (RFC 1928, RFC 1929).
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/http/calling/call.h>
#include <heddle/io/stream.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace heddle::http::detail {

// These ask the proxy at the other end of `c` for a tunnel. From then on the connection is one to
// the server. They throw proxy_error if there is no tunnel; `c` is closed then by its owner.

/// By CONNECT, to the call's server.
task<> ask_for_tunnel(const call& of, connection& c);
/// By SOCKS, to that host: a name, or a numeric address.
task<> ask_socks(const call& of, connection& c, std::string host, std::uint16_t port);

// The messages of SOCKS, as bytes.

/// The first message: the ways in which we log in.
[[nodiscard]] std::string socks_greeting(const proxy::endpoint& by);
/// User and password (RFC 1929).
[[nodiscard]] std::string socks_login(const proxy::endpoint& by);
/// "Connect to that host". Throws bad_value for a name of more than 255 bytes.
[[nodiscard]] std::string socks_request(std::string_view host, std::uint16_t port);
/// What a reply code says.
[[nodiscard]] std::string socks_reason(std::uint8_t reply);
/// The address was the reason: another one may be better.
[[nodiscard]] bool socks_blames_address(std::uint8_t reply) noexcept;

}  // namespace heddle::http::detail
