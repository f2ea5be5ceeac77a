// SPDX-License-Identifier: MIT
//
// OpenSSL's objects for the reference server over TLS, and for its load. They give plain sockets to
// OpenSSL's own socket BIO; nothing of heddle is in it.
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <memory>
#include <stdexcept>
#include <string>

namespace bench {

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* p) const noexcept {
    Free(p);
  }
};
using ssl_ptr = std::unique_ptr<SSL, freed_by<&SSL_free>>;
using context_ptr = std::unique_ptr<SSL_CTX, freed_by<&SSL_CTX_free>>;
using session_ptr = std::unique_ptr<SSL_SESSION, freed_by<&SSL_SESSION_free>>;

[[noreturn]] inline void fail_tls(const std::string& doing) {
  char text[256] = "no reason given";
  if (const auto code = ERR_get_error()) ERR_error_string_n(code, text, sizeof text);
  throw std::runtime_error(doing + ": " + text);
}

inline context_ptr server_context(const std::string& certificate, const std::string& key) {
  context_ptr made(SSL_CTX_new(TLS_server_method()));
  if (!made || SSL_CTX_use_certificate_chain_file(made.get(), certificate.c_str()) != 1)
    fail_tls("the certificate " + certificate);
  if (SSL_CTX_use_PrivateKey_file(made.get(), key.c_str(), SSL_FILETYPE_PEM) != 1)
    fail_tls("the key " + key);
  SSL_CTX_set_mode(made.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                   SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(made.get(), SSL_SESS_CACHE_OFF);  // tickets stay
  return made;
}

}  // namespace bench
