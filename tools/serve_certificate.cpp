// SPDX-License-Identifier: MIT
#include "serve_certificate.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>

#include <memory>
#include <stdexcept>

namespace serve {
namespace {

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* p) const noexcept {
    Free(p);
  }
};
using key_ptr = std::unique_ptr<EVP_PKEY, freed_by<&EVP_PKEY_free>>;
using certificate_ptr = std::unique_ptr<X509, freed_by<&X509_free>>;
using bio_ptr = std::unique_ptr<BIO, freed_by<&BIO_free>>;
using extension_ptr = std::unique_ptr<X509_EXTENSION, freed_by<&X509_EXTENSION_free>>;

constexpr long a_day = 24L * 60 * 60;

void must(bool held, const char* what) {
  if (!held) throw std::runtime_error(std::string("cannot make a certificate: ") + what);
}

/// What `write` puts into a BIO.
template <class Write>
std::string text_of(Write write) {
  const bio_ptr to(BIO_new(BIO_s_mem()));
  must(to && write(to.get()) == 1, "PEM text");
  char* data = nullptr;
  const long n = BIO_get_mem_data(to.get(), &data);
  return {data, static_cast<std::size_t>(n)};
}

void extend(X509* c, int which, const std::string& value) {
  X509V3_CTX about;
  X509V3_set_ctx_nodb(&about);
  X509V3_set_ctx(&about, c, c, nullptr, nullptr, 0);
  const extension_ptr e(X509V3_EXT_conf_nid(nullptr, &about, which, value.c_str()));
  must(e && X509_add_ext(c, e.get(), -1) == 1, value.c_str());
}

bool is_address(const std::string& host) {
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, host.c_str(), bytes) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

void set_serial(X509* c) {
  std::uint64_t number = 0;
  must(RAND_bytes(reinterpret_cast<unsigned char*>(&number), sizeof number) == 1, "random bytes");
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(c), number >> 1);
}

}  // namespace

identity self_made_certificate(const std::string& host) {
  const key_ptr key(EVP_EC_gen("P-256"));
  must(key != nullptr, "a key");
  const certificate_ptr c(X509_new());
  must(c && X509_set_version(c.get(), X509_VERSION_3) == 1, "no memory");
  set_serial(c.get());
  X509_gmtime_adj(X509_getm_notBefore(c.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(c.get()), a_day);
  must(X509_set_pubkey(c.get(), key.get()) == 1, "its key");
  X509_NAME* name = X509_get_subject_name(c.get());
  const unsigned char common[] = "heddle-serve";
  must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, common, -1, -1, 0) == 1 &&
           X509_set_issuer_name(c.get(), name) == 1,
       "its name");
  std::string names = "DNS:localhost,IP:127.0.0.1,IP:::1";
  if (host.find_first_of(",: ") == std::string::npos || is_address(host))
    names += (is_address(host) ? ",IP:" : ",DNS:") + host;
  extend(c.get(), NID_subject_alt_name, names);
  extend(c.get(), NID_basic_constraints, "critical,CA:FALSE");
  extend(c.get(), NID_ext_key_usage, "serverAuth");
  must(X509_sign(c.get(), key.get(), EVP_sha256()) != 0, "its signature");
  return {text_of([&](BIO* to) { return PEM_write_bio_X509(to, c.get()); }), text_of([&](BIO* to) {
            return PEM_write_bio_PrivateKey(to, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

}  // namespace serve
