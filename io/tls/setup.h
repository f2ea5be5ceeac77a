// SPDX-License-Identifier: MIT
// Internal to io.
// What OpenSSL is told once for many connections, and what it asks during each handshake.
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/io/tls.h>
#include <heddle/io/tls/certificates.h>
#include <heddle/io/tls/handles.h>
#include <heddle/io/tls/sessions.h>
#include <heddle/io/tls/ticket_keys.h>

#include <exception>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::detail {

/// One SSL_CTX, and what its callbacks need. Constant once it has its authorities. A server that is
/// reloaded makes another; connections keep the one they began with.
class tls_setup final : public counted {
 public:
  /// Throws bad_value, std::system_error; see tls_context.
  static counted_ptr<tls_setup> for_client(const tls_options& options);
  static counted_ptr<tls_setup> for_server(const tls_server_options& options,
                                           counted_ptr<ticket_keys> keys);

  ssl_ctx_ptr library;
  std::string protocols;  // ALPN, as it is sent: each with its length in front

  tls_verify verify = tls_verify::full;  // clients
  std::vector<key_digest> pins;
  bool has_own_ca = false;

  tls_server_options server;
  counted_ptr<ticket_keys> keys;  // servers: shared by all setups of one context

  /// False: load_system_ca() must come before the first handshake.
  [[nodiscard]] bool has_authorities() const noexcept {
    return has_authorities_.load(acquire);  // pairs with the store in load_system_ca()
  }
  /// Reads the system's authorities: once a process, or once for a context that trusts others, too.
  /// Blocks. Thread-safe.
  void load_system_ca();

 private:
  std::mutex loading_;
  atomic<bool> has_authorities_{true};
};

/// What the callbacks of one handshake leave for the engine that runs it. They are called inside
/// OpenSSL, where no exception may pass.
struct handshake_notes {
  counted_ptr<tls_setup> setup;  // of a server: the one that was chosen by name
  session_store* sessions = nullptr;
  std::string session_key;

  std::exception_ptr thrown;  // by the user's functions, or for want of memory
  std::string asked_name;     // a server: the name that the client asked for
  bool unknown_name = false;
  bool wrong_pin = false;
  int verify_code = 0;  // X509_V_...
  x509_ptr refused;     // the certificate that verify_code is about
};

/// The notes of a connection.
handshake_notes& notes_of(const SSL* ssl) noexcept;
void set_notes(SSL* ssl, handshake_notes& notes);

/// The setup that a context stands for now; null for an empty context, or for one of a client.
counted_ptr<tls_setup> setup_of_server(const tls_context& context);

/// Host names compare in this form: lower case, without a final dot.
std::string canonical_name(std::string_view name);

/// Throws bad_value for a protocol's name that is empty or too long.
std::string wire_of_protocols(const std::vector<std::string>& names);
/// What client and server have in common. Throws bad_value.
ssl_ctx_ptr make_library_context(bool server, tls_version least, tls_version most,
                                 const std::string& ciphers_1_2, const std::string& ciphers_1_3);
/// Where an own certificate comes from, as the options have it.
struct identity_source {
  const std::string& certificate;
  const std::string& key;
  const std::string& passphrase;
};
/// Throws bad_value if the key is another certificate's, or the passphrase opens nothing.
void use_certificate(SSL_CTX* c, const identity_source& from, const char* whose);
/// A store of the authorities in `source`. Throws bad_value.
store_ptr store_of(const std::string& source, const char* what);

/// Verifies the peer's chain, then what the setup asks for beside it. A callback of OpenSSL.
int verify_peer(X509_STORE_CTX* chain, void*) noexcept;

}  // namespace heddle::detail
