// SPDX-License-Identifier: MIT
// Internal to io.
// Connecting to a host with several addresses (RFC 8305, "happy eyeballs").
//
// Problem   An address that swallows packets costs the kernel's two minutes before the next one is
//           tried. Names often have addresses of a family that leads nowhere from here.
// Rejected  All addresses at once: each connection would cost the peers one for each address.
// Chosen    The attempts are tasks of a group. The next one begins when the one before has failed,
//           or has not answered within options.attempt_delay. The families alternate. The first
//           attempt that connects takes the one place of the winner, under a lock. All others are
//           cancelled. An attempt that connects in the same instant finds the place taken, and
//           closes its connection.
// Promised  When the race ends, all attempts have ended. Each socket but the winner's is closed.
// Costs     A task for each attempt, and a timer. A host with one address takes no part in this.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/address.h>
#include <heddle/io/connecting/tried.h>
#include <heddle/io/connection_options.h>
#include <heddle/io/stream.h>

#include <cstddef>
#include <vector>

namespace heddle::detail {

/// The order in which the addresses are tried: `first` of the family of the first one, and then one
/// of each family in turn. Within a family the order stays.
[[nodiscard]] std::vector<address> alternate_families(const std::vector<address>& addresses,
                                                      std::size_t first);

/// Yields the first connection. `addresses` are not empty. The arguments outlive the task.
/// Throws    as tried::throw_all(); at once what is no std::system_error, such as std::bad_alloc
/// Cancel    ends all attempts
[[nodiscard]] task<connection> race(const std::vector<address>& addresses,
                                    const connection_options& options, tried& notes);

}  // namespace heddle::detail
