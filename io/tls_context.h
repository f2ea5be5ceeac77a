// SPDX-License-Identifier: MIT
// tls_context: how connections are encrypted, made once and shared by all of them. tls.h has its
// options, and an example.
#pragma once

#include <heddle/core/base/time_types.h>
#include <heddle/core/clock.h>

#include <cstdint>
#include <string>
#include <utility>

namespace heddle {

struct tls_options;
struct tls_server_options;
struct tls_counts;

/// How long a handshake may take.
inline constexpr duration default_handshake_limit = std::chrono::seconds(10);
/// How long a server seals tickets with one key.
inline constexpr duration default_ticket_key_life = std::chrono::hours(12);

namespace detail {
class tls_state;
struct tls_access;
}  // namespace detail

/// What the connections of one kind share: trust and sessions of clients, or certificates and
/// ticket keys of servers. A handle: copies share one context. An empty one means no TLS.
///
/// Cost      Making a client's context reads no file, unless `ca` or `certificate` name some. The
///           system's authorities are read once a process, on a file thread, by the first handshake
///           that needs them: some 50 ms.
/// Thread-safety  everything, from any thread
class tls_context {
 public:
  /// Empty.
  tls_context() noexcept = default;
  tls_context(const tls_context& other) noexcept : state_(other.state_) {
    if (state_) hold();
  }
  tls_context(tls_context&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  tls_context& operator=(tls_context other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~tls_context() {
    if (state_) drop();
  }

  /// A client that trusts the system's authorities.
  [[nodiscard]] static tls_context client();
  /// Throws    bad_value for what cannot be used, and says what and why; std::system_error for a
  ///           file that cannot be read, with its path
  [[nodiscard]] static tls_context client(const tls_options& options);
  /// A server. Both are PEM text, or the path of a file of it. `certificate` holds the chain, the
  /// server's own first. Throws as above; bad_value when the key is not the certificate's.
  [[nodiscard]] static tls_context server(std::string certificate, std::string key);
  [[nodiscard]] static tls_context server(const tls_server_options& options);

  /// Reads the files of a server's context again. Handshakes that begin from now on use what they
  /// hold; live connections go on. A client that resumes with a ticket from before gets a full
  /// handshake if the certificate has changed. Reads files in the calling thread. Throws as
  /// server() does, and then nothing has changed; usage_error for a client's context.
  void reload();
  /// The same, with another certificate and key.
  void reload(std::string certificate, std::string key);

  /// Handshakes so far; none for an empty context.
  [[nodiscard]] tls_counts counts() const noexcept;
  [[nodiscard]] explicit operator bool() const noexcept { return state_ != nullptr; }
  [[nodiscard]] bool operator==(const tls_context&) const noexcept = default;

 private:
  friend struct detail::tls_access;
  explicit tls_context(detail::tls_state* adopted) noexcept : state_(adopted) {}
  void hold() const noexcept;
  void drop() noexcept;

  detail::tls_state* state_ = nullptr;
};

/// What tls_context::counts() tells.
struct tls_counts {
  std::uint64_t handshakes = 0;  // that succeeded
  std::uint64_t resumed = 0;     // of these, those that went on with an earlier session
  std::uint64_t failed = 0;      // that did not succeed
};

}  // namespace heddle
