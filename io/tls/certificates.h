// SPDX-License-Identifier: MIT
// Internal to io.
// Certificates and keys: read from PEM, and told to people.
#pragma once

#include <heddle/io/tls.h>
#include <heddle/io/tls/handles.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::detail {

using key_digest = std::array<unsigned char, 32>;

/// A certificate's chain, its own first, and its key.
struct tls_identity {
  std::vector<x509_ptr> chain;
  key_ptr key;
};

/// The PEM text that `source` is, or what the file at that path holds. Throws std::system_error
/// with the path.
std::string pem_text(const std::string& source);
/// "the file PATH", or "the text given", for messages about `source`.
std::string name_of_source(const std::string& source);

/// The certificates in `source`, in their order. Throws bad_value if there is none, or one that
/// cannot be read. `what` names them: "the server's certificate".
std::vector<x509_ptr> read_certificates(const std::string& source, const char* what);
/// The same of authorities; `source` may be a directory, all of whose PEM files count.
std::vector<x509_ptr> read_authorities(const std::string& source, const char* what);
/// Throws bad_value. An encrypted key needs the passphrase; the terminal is not asked.
key_ptr read_key(const std::string& source, const std::string& passphrase, const char* what);

/// These bytes of a file are no PEM, and may be a PKCS 12.
[[nodiscard]] bool is_pkcs12(std::string_view bytes) noexcept;
/// Throws bad_value, with `where`: "the client's certificate in the file F".
tls_identity read_pkcs12(const std::string& bytes, const std::string& passphrase,
                         const std::string& where);

std::string name_text(const X509_NAME* name);
/// The alternative names of a certificate: host names and addresses, in their order.
std::vector<std::string> names_of(const X509& certificate);
/// SHA-256 of the public key.
key_digest digest_of_key(const X509& certificate);
tls_certificate describe(const X509& certificate);

/// A pin as tls_options::pins has it. Throws bad_value.
key_digest parse_pin(std::string_view text);

}  // namespace heddle::detail
