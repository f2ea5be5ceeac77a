// SPDX-License-Identifier: MIT
// Internal to io.
// Makes the sockets of datagrams, and their multicast groups.
#pragma once

#include <heddle/io/datagram/message_core.h>

#include <string_view>

namespace heddle::detail {

[[nodiscard]] message_core_pointer bind_datagrams(const address& at, const datagram_options& o);
[[nodiscard]] message_core_pointer connect_datagrams(const address& peer,
                                                     const datagram_options& o);
[[nodiscard]] message_core_pointer open_datagrams(int family, const datagram_options& o);
/// Takes `socket` over. Throws bad_value if it is no datagram socket; then it is closed.
[[nodiscard]] message_core_pointer adopt_datagrams(fd socket, const datagram_options& o);

/// The index of an interface, given by name or as digits; 0 for "". Throws bad_value.
[[nodiscard]] unsigned interface_index_of(std::string_view interface);
void change_membership(message_core& core, const address& group, unsigned interface, bool join);
void set_multicast_loop(message_core& core, bool on);
void set_multicast_hops(message_core& core, int hops);
void set_multicast_interface(message_core& core, unsigned interface);

}  // namespace heddle::detail
