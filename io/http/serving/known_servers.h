// SPDX-License-Identifier: MIT
// Internal to io.
// The HTTP servers of this process, for those who want the figures of all of them.
#pragma once

#include <heddle/io/http/server_stats.h>

namespace heddle::http::detail {

/// A part of a server, by which the process knows of it. When the server goes, what it has counted
/// is kept: the sums of all servers never fall.
class known_server {
 public:
  using figures = server_stats (*)(const void* server);
  /// `f(server)` may be called from any thread until this has gone.
  known_server(figures f, const void* server) noexcept;
  known_server(const known_server&) = delete;
  ~known_server();

 private:
  friend server_stats stats_of_all_servers();

  const figures figures_;
  const void* const server_;
  known_server* next_ = nullptr;  // under the lock of the list; so is:
  known_server* previous_ = nullptr;
};

/// The sums over all servers of this process: counters over those that are gone too, the other
/// figures over those that live. From any thread.
[[nodiscard]] server_stats stats_of_all_servers();

}  // namespace heddle::http::detail
