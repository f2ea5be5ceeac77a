// SPDX-License-Identifier: MIT
// Internal to io.
// What stands behind a tls_context.
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/task.h>
#include <heddle/io/tls.h>
#include <heddle/io/tls/sessions.h>
#include <heddle/io/tls/setup.h>

#include <cstdint>
#include <mutex>
#include <string>
#include <utility>

namespace heddle::detail {

//   is_server, limit, sessions   constant
//   keys_                        constant: they stay over a reload, and are those of all loops
//   now_, server_                under lock_
//   the counts                   atomic
class tls_state final : public counted {
 public:
  explicit tls_state(const tls_options& options);
  explicit tls_state(tls_server_options options);

  const bool is_server;
  const duration limit;    // of a client's handshake
  session_store sessions;  // of a client

  [[nodiscard]] counted_ptr<tls_setup> setup() const;
  /// Throws as tls_context::reload. `certificate` and `key` empty: those from before.
  void reload(std::string certificate, std::string key);

  void count(bool resumed) noexcept;
  void count_failure() noexcept { failed_.fetch_add(1, relaxed); }
  [[nodiscard]] tls_counts counts() const noexcept;

 private:
  const counted_ptr<ticket_keys> keys_;  // of a server
  mutable std::mutex lock_;
  counted_ptr<tls_setup> now_;
  tls_server_options server_;
  atomic<std::uint64_t> handshakes_{0};
  atomic<std::uint64_t> resumed_{0};
  atomic<std::uint64_t> failed_{0};
};

/// From a context to what stands behind it.
struct tls_access {
  [[nodiscard]] static tls_state* of(const tls_context& c) noexcept { return c.state_; }
};

/// Sees to it that the setup can verify: the system's authorities are read once a process, on a
/// file thread.
[[nodiscard]] task<> have_authorities(counted_ptr<tls_setup> setup);

}  // namespace heddle::detail
