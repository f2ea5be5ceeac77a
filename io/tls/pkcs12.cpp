// SPDX-License-Identifier: MIT
// A certificate with its key in one file that is no PEM: PKCS 12 (".p12", ".pfx").
#include <heddle/io/tls/certificates.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>

#include <openssl/pkcs12.h>

#include <new>
#include <utility>

namespace heddle::detail {
namespace {

using pkcs12_ptr = std::unique_ptr<PKCS12, freed_by<&PKCS12_free>>;

/// The files of PKCS 12 begin as every sequence of DER does.
constexpr char der_sequence = 0x30;

}  // namespace

bool is_pkcs12(std::string_view bytes) noexcept {
  return bytes.size() > 4 && bytes[0] == der_sequence &&
         bytes.find("-----BEGIN") == std::string_view::npos;
}

tls_identity read_pkcs12(const std::string& bytes, const std::string& passphrase,
                         const std::string& where) {
  ERR_clear_error();
  const bio_ptr from(BIO_new_mem_buf(bytes.data(), checked<int>(bytes.size(), "a PKCS 12")));
  if (!from) throw std::bad_alloc();
  const pkcs12_ptr p12(d2i_PKCS12_bio(from.get(), nullptr));
  if (!p12) throw bad_value(where + " is neither PEM nor PKCS 12: " + take_library_error());
  EVP_PKEY* key = nullptr;
  X509* own = nullptr;
  STACK_OF(X509)* others = nullptr;
  const int parsed = PKCS12_parse(p12.get(), passphrase.c_str(), &key, &own, &others);
  tls_identity found;
  found.key.reset(key);
  if (own) found.chain.emplace_back(own);
  const chain_ptr rest(others);
  if (parsed != 1) {
    const bool wrong = ERR_GET_REASON(ERR_peek_error()) == PKCS12_R_MAC_VERIFY_FAILURE ||
                       ERR_GET_REASON(ERR_peek_last_error()) == PKCS12_R_MAC_VERIFY_FAILURE;
    const std::string reason = take_library_error();
    if (wrong && passphrase.empty())
      throw bad_value(where + " is protected, and no passphrase was given (passphrase)");
    if (wrong) throw bad_value("the passphrase does not open " + where + ": " + reason);
    throw bad_value(where + " cannot be read: " + reason);
  }
  if (!found.key || found.chain.empty())
    throw bad_value(where + " must hold a certificate and its key");
  while (sk_X509_num(rest.get()) > 0) {
    found.chain.reserve(found.chain.size() + 1);
    found.chain.emplace_back(sk_X509_shift(rest.get()));
  }
  ERR_clear_error();
  return found;
}

}  // namespace heddle::detail
