// SPDX-License-Identifier: MIT
// TLS for streams: options, errors, and what a handshake has agreed on.
//
//   h::connection_options o;
//   o.tls = h::tls_context::client();  // trusts the system's authorities
//   auto c = co_await h::open_connection("example.org", 443, o);
//
//   h::server_options s;
//   s.tls = h::tls_context::server("chain.pem", "key.pem");
//   auto server = co_await h::start_server(handle, "", 443, s);
//
// Readers and writers are those of a plain connection. What differs:
//   - A stream that ends without the peer's word for it (close_notify) was cut off: reads throw
//     tls_truncated_error, and not an end.
//   - write_eof() is allowed with TLS 1.3 only; TLS 1.2 has no half-closed connections.
//     stream_writer::can_write_eof() tells which it is.
//   - close() sends a close_notify behind all bytes, and does not wait for the peer's. Bytes that
//     the peer sends later reset it, as on a plain connection. close_within() waits for its end.
//   - The errors of TLS are tls_error and what derives from it. A reset stays a std::system_error.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/clock.h>
#include <heddle/io/tls_context.h>

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace heddle {

enum class tls_version : std::uint8_t { v1_2, v1_3 };

/// What a client checks of the server's certificate.
enum class tls_verify : std::uint8_t {
  full,           // the chain, the dates, the purpose, and the name or address
  pins_only,      // only that tls_options::pins names its public key
  insecure_none,  // nothing: anybody in between can read and change everything
};

/// For texts of certificates and keys: a value that contains "-----BEGIN" is PEM text, any other is
/// the path of a file of PEM text.
struct tls_options {
  /// Authorities to trust: PEM text, the path of a file of it, or that of a directory, all of whose
  /// PEM files count. Empty: the system's, or those that SSL_CERT_FILE and SSL_CERT_DIR name when
  /// the context has its first handshake.
  std::string ca = {};
  /// With `ca`: trust the system's authorities, too.
  bool system_ca_too = false;
  tls_verify verify = tls_verify::full;
  /// SHA-256 of public keys (of the DER of SubjectPublicKeyInfo), as 64 hexadecimal digits, or in
  /// base64 with or without "sha256//" in front. If there are any, one of them must be that of a
  /// certificate in the chain. That is checked beside all else.
  std::vector<std::string> pins = {};
  /// The client's own certificate (its chain) and key, for servers that ask for one. Without a key
  /// the certificate is the path of a PKCS 12, which holds both.
  std::string certificate = {};
  std::string key = {};
  tls_version min_version = tls_version::v1_2;
  tls_version max_version = tls_version::v1_3;
  /// Cipher suites of TLS 1.2 and of 1.3, as OpenSSL writes them; empty: its default.
  std::string ciphers_1_2 = {};
  std::string ciphers_1_3 = {};
  /// Protocols to offer, the dearest first (ALPN): "h2", "http/1.1".
  std::vector<std::string> alpn = {};
  /// So many sessions are kept for resumption, in all; the oldest goes first. 0: none. A session of
  /// TLS 1.3 is used once.
  std::size_t sessions = 1000;
  /// A handshake that takes longer fails with timeout_error, and its connection is aborted.
  duration handshake_limit = default_handshake_limit;
  /// Opens `key`, if that is encrypted, or the PKCS 12 in `certificate`. A wrong one is bad_value
  /// when the context is made. OpenSSL never asks the terminal.
  std::string passphrase = {};
};

/// Whether a server asks its clients for certificates.
enum class tls_client_certificate : std::uint8_t { none, optional, required };

/// What a server does with a client that asks for a name it does not have.
enum class tls_unknown_name : std::uint8_t {
  use_default,  // answers with its own certificate
  refuse,       // ends the handshake, with the alert unrecognized_name
};

struct tls_info;

struct tls_server_options {
  std::string certificate = {};  // the chain, the server's own first; or the path of a PKCS 12
  std::string key = {};
  /// Protocols that the server speaks, the dearest first (ALPN). A client that offers others alone
  /// is refused (no_application_protocol). Empty: none is agreed on.
  std::vector<std::string> alpn = {};
  /// Contexts of servers by name. "*.example.org" stands for any one label in front. Letter case
  /// and a final dot do not count.
  std::map<std::string, tls_context> names = {};
  /// Is asked for names that `names` does not have. An empty context: unknown. Called inside
  /// handshakes, from any loop, by several at one time. What it throws fails the handshake.
  std::function<tls_context(std::string_view name)> choose = {};
  tls_unknown_name unknown_name = tls_unknown_name::use_default;

  tls_client_certificate client_certificate = tls_client_certificate::none;
  /// Authorities that the clients' certificates are checked against: PEM text or a path. Must be
  /// given unless client_certificate is none.
  std::string client_ca = {};
  /// Is called with a client's certificate that has passed all other checks. What it throws refuses
  /// the client, and is the error of the handshake. Called inside handshakes, from any loop. With
  /// it there is no resumption, so that each handshake is checked.
  std::function<void(const tls_info& client)> check_client = {};

  tls_version min_version = tls_version::v1_2;
  tls_version max_version = tls_version::v1_3;
  std::string ciphers_1_2 = {};
  std::string ciphers_1_3 = {};
  /// Give clients tickets, by which they resume.
  bool tickets = true;
  /// 80 secret bytes that seal the tickets. Servers with equal ones resume each other's sessions.
  /// They stay as long as the context. Empty: keys are drawn at random, and shared by all loops.
  std::string ticket_keys = {};
  /// A key that was drawn seals tickets for so long. It opens them for as long again, and then a
  /// ticket is worth nothing. A reload keeps the keys.
  duration ticket_key_life = default_ticket_key_life;
  /// As tls_options::passphrase.
  std::string passphrase = {};
};

/// A certificate of the peer.
struct tls_certificate {
  std::string der;
  std::string subject;  // "CN=example.org,O=Example", as RFC 2253 writes it
  std::string issuer;
  std::vector<std::string> names;  // its alternative names: host names and addresses
  std::string key_sha256;          // of its public key, as tls_options::pins has it, in hexadecimal
};

/// What a handshake has agreed on. Of a plain connection all is empty.
struct tls_info {
  std::string version;  // "TLSv1.3"
  std::string cipher;
  std::string alpn;         // the protocol; empty: none
  std::string server_name;  // the name that the client asked for; empty: none
  bool resumed = false;
  /// The peer's certificates, its own first; none if it showed none. A resumed session has the
  /// peer's own alone.
  std::vector<tls_certificate> chain;

  [[nodiscard]] explicit operator bool() const noexcept { return !version.empty(); }
};

/// Why TLS failed: the values of tls_error::code().
enum class tls_errc {
  handshake_failed = 1,  // no other value fits: see tls_error::reason()
  not_tls,               // the peer speaks something else
  no_common_version,
  no_common_cipher,
  no_common_protocol,  // ALPN
  unknown_name,        // the client asked for a name that the server does not have
  alert,               // the peer has ended the connection, and said why: reason()
  untrusted,           // certificate_error
  wrong_name,          // certificate_name_error
  wrong_pin,           // certificate_error
  no_certificate,      // a certificate is required, and the client has shown none
  truncated,           // tls_truncated_error
  broken_record,       // bytes of the peer were changed, or make no sense
};
[[nodiscard]] const std::error_category& tls_category() noexcept;
[[nodiscard]] inline std::error_code make_error_code(tls_errc e) noexcept {
  return {static_cast<int>(e), tls_category()};
}

/// TLS failed. The text names the host, the peer's address, and the reason.
class tls_error : public std::system_error {
 public:
  struct about {
    tls_errc code = tls_errc::handshake_failed;
    std::string doing;   // "TLS handshake", "TLS read", ...
    std::string host;    // the name that the client wanted; on a server: that the client asked for
    std::string peer;    // the address
    std::string reason;  // OpenSSL's words
    int alert = 0;       // the number of the alert that the peer sent; 0: none
  };
  explicit tls_error(about what);
  [[nodiscard]] const std::string& host() const noexcept { return about_.host; }
  [[nodiscard]] const std::string& peer() const noexcept { return about_.peer; }
  [[nodiscard]] const std::string& reason() const noexcept { return about_.reason; }
  [[nodiscard]] int alert() const noexcept { return about_.alert; }

 protected:
  tls_error(about what, const std::string& more);

 private:
  about about_;
};

/// The stream ended without the peer's word for it: by a fault, or a third party cut it off.
class tls_truncated_error : public tls_error {
 public:
  using tls_error::tls_error;
};

/// The peer's certificate was refused. reason() says why.
class certificate_error : public tls_error {
 public:
  struct certificate {
    int code = 0;  // X509_V_ERR_... of OpenSSL
    std::string subject;
    std::string issuer;
    std::vector<std::string> names;
  };
  certificate_error(about what, certificate which);
  /// OpenSSL's number of the reason.
  [[nodiscard]] int verify_code() const noexcept { return which_.code; }
  /// The certificate that was refused; it may stand anywhere in the chain.
  [[nodiscard]] const std::string& subject() const noexcept { return which_.subject; }
  [[nodiscard]] const std::string& issuer() const noexcept { return which_.issuer; }
  [[nodiscard]] const std::vector<std::string>& names() const noexcept { return which_.names; }

 private:
  certificate which_;
};

/// The certificate is trusted, but belongs to another name: host() is none of names().
class certificate_name_error : public certificate_error {
 public:
  using certificate_error::certificate_error;
};

}  // namespace heddle

template <>
struct std::is_error_code_enum<heddle::tls_errc> : std::true_type {};
