// SPDX-License-Identifier: MIT
// Internal to io.
// Connecting with addresses and protocols of the caller's. A session of HTTP keeps addresses of its
// own.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/connection_options.h>
#include <heddle/io/resolver.h>
#include <heddle/io/stream.h>

#include <memory>
#include <string>

namespace heddle::detail {

/// Where the addresses of a host come from, in place of the look-ups of the runtime.
/// Thread-safety  any task, on any loop
class name_source {
 public:
  name_source() = default;
  name_source(const name_source&) = delete;
  name_source& operator=(const name_source&) = delete;
  virtual ~name_source() = default;

  /// Yields at least one address, the first to be tried first. The answer is `kept` if it may be
  /// out of date; then connecting asks once more, with `fresh`, when all its addresses have
  /// refused.
  [[nodiscard]] virtual task<name_answer> addresses(std::string host, port_number port,
                                                    bool fresh) = 0;
};

/// What open_connection() does for callers inside io. The order of the fields does not matter.
struct connecting_extras {
  /// Null: the look-ups of the runtime. Else connection_options::resolution_delay and `family`
  /// count for nothing.
  std::shared_ptr<name_source> names = {};
  /// Offered in a handshake of TLS whose context offers none (ALPN): one protocol, or "".
  std::string protocol = {};
};

/// open_connection(), with these.
[[nodiscard]] task<connection> open_connection(std::string host, port_number port,
                                               connection_options options, connecting_extras with);
/// open_unix_connection(); `with.names` counts for nothing.
[[nodiscard]] task<connection> open_unix_connection(std::string path, connection_options options,
                                                    connecting_extras with);

}  // namespace heddle::detail
