// SPDX-License-Identifier: MIT
#include <support/certificates.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <utility>

namespace support {
namespace {

using key_ptr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using x509_ptr = std::unique_ptr<X509, decltype(&X509_free)>;

void must(bool held, const char* what) {
  if (!held) throw std::runtime_error(std::string("certificates: ") + what);
}

key_ptr make_key() {
  key_ptr k(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), &EVP_PKEY_free);
  must(k != nullptr, "a key");
  return k;
}

std::string text_of(BIO* b) {
  char* data = nullptr;
  const auto n = BIO_get_mem_data(b, &data);
  std::string text(data, static_cast<std::size_t>(n));
  BIO_free(b);
  return text;
}

std::string pem(X509* c) {
  BIO* b = BIO_new(BIO_s_mem());
  must(PEM_write_bio_X509(b, c) == 1, "PEM of a certificate");
  return text_of(b);
}

std::string pem(EVP_PKEY* k) {
  BIO* b = BIO_new(BIO_s_mem());
  must(PEM_write_bio_PrivateKey(b, k, nullptr, nullptr, 0, nullptr, nullptr) == 1, "PEM of a key");
  return text_of(b);
}

void extend(X509* c, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX ctx;
  X509V3_set_ctx_nodb(&ctx);
  X509V3_set_ctx(&ctx, issuer, c, nullptr, nullptr, 0);
  X509_EXTENSION* e = X509V3_EXT_conf_nid(nullptr, &ctx, nid, value.c_str());
  must(e && X509_add_ext(c, e, -1) == 1, value.c_str());
  X509_EXTENSION_free(e);
}

void name(X509_NAME* n, const std::string& common_name) {
  must(X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8,
                                  reinterpret_cast<const unsigned char*>(common_name.c_str()), -1,
                                  -1, 0) == 1,
       "a name");
}

/// `issuer` null: signed by its own key.
x509_ptr make(const wish& w, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key) {
  x509_ptr c(X509_new(), &X509_free);
  X509_set_version(c.get(), 2);
  unsigned char serial[8];
  RAND_bytes(serial, sizeof serial);
  serial[0] &= 0x7f;
  BIGNUM* number = BN_bin2bn(serial, sizeof serial, nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(c.get()));
  BN_free(number);
  X509_gmtime_adj(X509_getm_notBefore(c.get()), w.begins_in);
  X509_gmtime_adj(X509_getm_notAfter(c.get()), w.ends_in);
  X509_set_pubkey(c.get(), key);
  name(X509_get_subject_name(c.get()), w.common_name);
  X509* from = issuer ? issuer : c.get();
  X509_set_issuer_name(c.get(), X509_get_subject_name(from));
  extend(c.get(), from, NID_subject_key_identifier, "hash");
  if (issuer) extend(c.get(), from, NID_authority_key_identifier, "keyid");
  if (w.is_authority) {
    extend(c.get(), from, NID_basic_constraints, "critical,CA:TRUE");
    extend(c.get(), from, NID_key_usage, "critical,keyCertSign,cRLSign");
  }
  std::string names;
  for (const auto& n : w.names) names += (names.empty() ? "DNS:" : ",DNS:") + n;
  for (const auto& a : w.addresses) names += (names.empty() ? "IP:" : ",IP:") + a;
  if (!names.empty()) extend(c.get(), from, NID_subject_alt_name, names);
  if (w.purpose) extend(c.get(), from, NID_ext_key_usage, w.purpose);
  must(X509_sign(c.get(), issuer_key ? issuer_key : key, nullptr) > 0, "a signature");
  return c;
}

}  // namespace

struct authority::inside {
  key_ptr key{nullptr, &EVP_PKEY_free};
  x509_ptr certificate{nullptr, &X509_free};
  std::string text;
  std::string chain;  // behind what it issues; empty for an authority that peers trust
};

authority::authority(std::unique_ptr<inside> in) : in_(std::move(in)) {}
authority::authority(authority&&) noexcept = default;
authority::~authority() = default;

authority::authority(const std::string& common_name) : in_(std::make_unique<inside>()) {
  wish w;
  w.common_name = common_name;
  w.is_authority = true;
  in_->key = make_key();
  in_->certificate = make(w, in_->key.get(), nullptr, nullptr);
  in_->text = pem(in_->certificate.get());
}

const std::string& authority::certificate() const { return in_->text; }

identity authority::issue(const wish& w) const {
  const auto key = make_key();
  const auto c = make(w, key.get(), in_->certificate.get(), in_->key.get());
  return {pem(c.get()) + in_->chain, pem(key.get())};
}

authority authority::below(const std::string& common_name) const {
  wish w;
  w.common_name = common_name;
  w.is_authority = true;
  auto in = std::make_unique<inside>();
  in->key = make_key();
  in->certificate = make(w, in->key.get(), in_->certificate.get(), in_->key.get());
  in->text = pem(in->certificate.get());
  in->chain = in->text + in_->chain;
  return authority(std::move(in));
}

identity self_signed(const wish& w) {
  const auto key = make_key();
  const auto c = make(w, key.get(), nullptr, nullptr);
  return {pem(c.get()), pem(key.get())};
}

namespace {

const authority& shared() {
  static const authority one("Test CA of localhost");
  return one;
}

}  // namespace

const identity& localhost() {
  static const identity one = [] {
    wish w;
    w.common_name = "localhost";
    w.names = {"localhost"};
    w.addresses = {"127.0.0.1", "::1"};
    return shared().issue(w);
  }();
  return one;
}

const std::string& localhost_ca() { return shared().certificate(); }

namespace {

BIO* memory_of(const std::string& text) {
  return BIO_new_mem_buf(text.data(), static_cast<int>(text.size()));
}

key_ptr key_of(const std::string& text) {
  BIO* from = memory_of(text);
  key_ptr k(PEM_read_bio_PrivateKey(from, nullptr, nullptr, nullptr), &EVP_PKEY_free);
  BIO_free(from);
  must(k != nullptr, "a key in PEM");
  return k;
}

}  // namespace

std::string encrypted(const std::string& key, const std::string& passphrase) {
  const auto k = key_of(key);
  BIO* b = BIO_new(BIO_s_mem());
  must(PEM_write_bio_PKCS8PrivateKey(b, k.get(), EVP_aes_256_cbc(), passphrase.data(),
                                     static_cast<int>(passphrase.size()), nullptr, nullptr) == 1,
       "an encrypted key");
  return text_of(b);
}

std::string pkcs12(const identity& of, const std::string& passphrase) {
  const auto k = key_of(of.key);
  BIO* from = memory_of(of.certificate);
  const x509_ptr own(PEM_read_bio_X509(from, nullptr, nullptr, nullptr), &X509_free);
  STACK_OF(X509)* rest = sk_X509_new_null();
  while (X509* one = PEM_read_bio_X509(from, nullptr, nullptr, nullptr)) sk_X509_push(rest, one);
  ERR_clear_error();
  BIO_free(from);
  PKCS12* p12 = PKCS12_create(passphrase.c_str(), "test", k.get(), own.get(), rest, 0, 0, 0, 0, 0);
  sk_X509_pop_free(rest, X509_free);
  must(p12 != nullptr, "a PKCS 12");
  BIO* b = BIO_new(BIO_s_mem());
  must(i2d_PKCS12_bio(b, p12) == 1, "the bytes of a PKCS 12");
  PKCS12_free(p12);
  return text_of(b);
}

std::string temporary_file(const std::string& text) {
  std::string path = std::filesystem::temp_directory_path() / "heddle-test-XXXXXX";
  const int d = ::mkstemp(path.data());
  must(d >= 0, "a temporary file");
  ::close(d);
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

}  // namespace support
