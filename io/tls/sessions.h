// SPDX-License-Identifier: MIT
// Internal to io.
// The sessions that a client may resume.
#pragma once

#include <heddle/io/tls/handles.h>

#include <cstddef>
#include <list>
#include <map>
#include <mutex>
#include <string>

namespace heddle::detail {

/// Problem   OpenSSL keeps the sessions of a client only if the program does: its own store is for
///           servers, and knows no hosts. A ticket of TLS 1.3 must be used once, or those who watch
///           can tell connections of one client.
/// Chosen    A map from what the session is good for (host, port, protocols) to sessions, the
///           latest first. A session of 1.3 leaves the map when it is used.
/// Promised  At most `most` sessions, and most_for_one for one key: the oldest goes.
/// Thread-safety  everything
class session_store {
 public:
  /// Servers of TLS 1.3 give two tickets or so a connection.
  static constexpr std::size_t most_for_one = 4;

  explicit session_store(std::size_t most) noexcept : most_(most) {}

  [[nodiscard]] bool keeps_any() const noexcept { return most_ != 0; }
  /// Throws std::bad_alloc.
  void put(const std::string& key, session_ptr session);
  /// The latest session for `key` that still holds; null: there is none.
  [[nodiscard]] session_ptr take(const std::string& key);

 private:
  struct kept {
    std::string key;
    session_ptr session;
  };
  using order = std::list<kept>;

  void forget_locked(order::iterator which, order& dropped);

  const std::size_t most_;
  std::mutex lock_;
  order all_;  // the latest first
  std::multimap<std::string, order::iterator> by_key_;
};

}  // namespace heddle::detail
