// SPDX-License-Identifier: MIT
// Internal to io.
// Owners of OpenSSL's objects, and its queue of errors.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace heddle::detail {

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* p) const noexcept {
    Free(p);
  }
};

using bio_ptr = std::unique_ptr<BIO, freed_by<&BIO_free>>;
using key_ptr = std::unique_ptr<EVP_PKEY, freed_by<&EVP_PKEY_free>>;
using session_ptr = std::unique_ptr<SSL_SESSION, freed_by<&SSL_SESSION_free>>;
using ssl_ptr = std::unique_ptr<SSL, freed_by<&SSL_free>>;
using ssl_ctx_ptr = std::unique_ptr<SSL_CTX, freed_by<&SSL_CTX_free>>;
using store_ptr = std::unique_ptr<X509_STORE, freed_by<&X509_STORE_free>>;
using x509_ptr = std::unique_ptr<X509, freed_by<&X509_free>>;

struct free_chain {
  void operator()(STACK_OF(X509) * c) const noexcept { sk_X509_pop_free(c, X509_free); }
};
using chain_ptr = std::unique_ptr<STACK_OF(X509), free_chain>;

/// The first error in the queue of this thread, in words, and empties the queue. The queue belongs
/// to the thread, and a task may change threads at a suspension: so there is none between a call of
/// OpenSSL and this.
inline std::string take_library_error() {
  const auto code = ERR_peek_error();
  const char* text = code == 0 ? nullptr : ERR_reason_error_string(code);
  std::string words = text ? text : code == 0 ? "no reason given" : "error " + std::to_string(code);
  ERR_clear_error();
  return words;
}

}  // namespace heddle::detail
