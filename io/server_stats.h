// SPDX-License-Identifier: MIT
// What a server has done so far.
//
//   const h::server_stats s = server.stats();
//   s.accepted_by_loop[0];  // connections that the first loop has taken in
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace heddle {

/// The numbers of one instant.
struct server_stats {
  std::size_t connections = 0;  ///< that live now
  std::uint64_t accepted = 0;   ///< taken in, in all
  std::uint64_t refused = 0;    ///< reset, since all places were taken (when_full::refuse)
  std::uint64_t dropped = 0;    ///< not taken in: it failed, or its PROXY header or TLS did
  std::uint64_t timed_out = 0;  ///< ended by a limit of server_options
  /// Of those accepted: how many each loop has taken in. The kernel spreads clients over the
  /// listeners; an idle loop takes in those of a busy one.
  std::vector<std::uint64_t> accepted_by_loop;
};

}  // namespace heddle
