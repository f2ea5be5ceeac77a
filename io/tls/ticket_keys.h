// SPDX-License-Identifier: MIT
// Internal to io.
// The keys that seal a server's tickets.
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/clock.h>
#include <heddle/io/tls/handles.h>

#include <cstddef>
#include <mutex>
#include <optional>
#include <string>

namespace heddle::detail {

/// Problem   Whoever gets the key of a ticket can open the session in it, also one that was
///           recorded long ago. A key that lives as long as its server opens them all.
/// Rejected  A timer: a server without guests would wake for it. A key a loop: a client that meets
///           another loop would not resume.
/// Chosen    A key seals tickets for one life. The first handshake after that draws another. The
///           key before opens tickets for one life more, and their clients get fresh ones.
/// Costs     a lock for each ticket that is sealed or opened
/// Thread-safety  everything
class ticket_keys final : public counted {
 public:
  static constexpr std::size_t name_size = 16;
  static constexpr std::size_t secret_size = 32;
  static constexpr std::size_t size = name_size + 2 * secret_size;

  /// In the order that OpenSSL has them in: so `given` means the same to other servers.
  struct key {
    unsigned char name[name_size];
    unsigned char authentication[secret_size];
    unsigned char encryption[secret_size];
  };

  /// `given`: `size` secret bytes, which stay. Empty: keys are drawn, and live for `life`. Throws
  /// bad_value.
  ticket_keys(const std::string& given, duration life, clock::time_point now);

  /// The key that seals tickets now. Nothing: there are no random bytes for a fresh one.
  [[nodiscard]] std::optional<key> sealing(clock::time_point now) noexcept;
  struct found {
    key which;
    bool is_old;  // the client should get a ticket of another key
  };
  /// The key of this name, if it still opens tickets.
  [[nodiscard]] std::optional<found> opening(const unsigned char* name,
                                             clock::time_point now) noexcept;

 private:
  [[nodiscard]] bool turn_locked(clock::time_point now) noexcept;

  const bool are_given_;
  const duration life_;
  std::mutex lock_;
  key now_{};
  std::optional<key> before_;
  clock::time_point since_;  // now_ was drawn
};

}  // namespace heddle::detail
