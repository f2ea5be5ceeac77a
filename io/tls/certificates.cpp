// SPDX-License-Identifier: MIT
#include <heddle/io/tls/certificates.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>

#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

namespace heddle::detail {
namespace {

bool is_text(std::string_view source) {
  return source.find("-----BEGIN") != std::string_view::npos;
}

bio_ptr memory_of(const std::string& text) {
  bio_ptr b(BIO_new_mem_buf(text.data(), checked<int>(text.size(), "the size of a PEM text")));
  if (!b) throw std::bad_alloc();
  return b;
}

/// OpenSSL asks the terminal for a password unless it is given a function of ours.
int no_password(char*, int, int, void*) { return -1; }

int give_passphrase(char* to, int most, int, void* from) {
  const auto& passphrase = *static_cast<const std::string*>(from);
  if (passphrase.empty() || passphrase.size() > static_cast<std::size_t>(most)) return -1;
  std::ranges::copy(passphrase, to);
  return narrow<int>(passphrase.size());
}

}  // namespace

std::string name_of_source(const std::string& source) {
  return is_text(source) ? "the text given" : "the file " + source;
}

std::string pem_text(const std::string& source) {
  if (is_text(source)) return source;
  errno = 0;
  std::ifstream file(source, std::ios::binary);
  if (!file) throw_system_error(errno != 0 ? errno : EIO, "open", source);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad() || (text.empty() && errno != 0))  // a directory opens, and cannot be read
    throw_system_error(errno != 0 ? errno : EIO, "read", source);
  return text;
}

namespace {

/// The certificates in a PEM text. `where` names it.
std::vector<x509_ptr> certificates_in(const std::string& text, const std::string& where) {
  const auto from = memory_of(text);
  std::vector<x509_ptr> all;
  ERR_clear_error();
  while (X509* one = PEM_read_bio_X509_AUX(from.get(), nullptr, &no_password, nullptr))
    all.emplace_back(one);
  const auto last = ERR_peek_last_error();
  const bool at_end =
      ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
  const std::string reason = take_library_error();
  if (!at_end) throw bad_value(where + " cannot be read: " + reason);
  return all;
}

bool is_directory(const std::string& source) {
  std::error_code none;
  return !is_text(source) && std::filesystem::is_directory(source, none);
}

}  // namespace

std::vector<x509_ptr> read_certificates(const std::string& source, const char* what) {
  auto all = certificates_in(pem_text(source), std::string(what) + " in " + name_of_source(source));
  if (all.empty())
    throw bad_value(std::string(what) + ": there is no certificate in " + name_of_source(source));
  return all;
}

std::vector<x509_ptr> read_authorities(const std::string& source, const char* what) {
  if (!is_directory(source)) return read_certificates(source, what);
  std::vector<x509_ptr> all;
  for (const auto& entry : std::filesystem::directory_iterator(source)) {
    if (!entry.is_regular_file()) continue;
    const std::string path = entry.path().string();
    const std::string text = pem_text(path);
    if (!is_text(text)) continue;
    for (auto& one : certificates_in(text, std::string(what) + " in " + name_of_source(path)))
      all.push_back(std::move(one));
  }
  if (all.empty())
    throw bad_value(std::string(what) + ": there is no certificate in the directory " + source);
  return all;
}

key_ptr read_key(const std::string& source, const std::string& passphrase, const char* what) {
  const std::string text = pem_text(source);
  const auto from = memory_of(text);
  ERR_clear_error();
  key_ptr key(PEM_read_bio_PrivateKey(from.get(), nullptr, &give_passphrase,
                                      const_cast<std::string*>(&passphrase)));
  const std::string reason = take_library_error();
  if (key) return key;
  const std::string where = std::string(what) + " in " + name_of_source(source);
  const bool encrypted = text.find("ENCRYPTED") != std::string::npos;
  if (encrypted && passphrase.empty())
    throw bad_value(where + " is encrypted, and no passphrase was given (passphrase)");
  if (encrypted) throw bad_value("the passphrase does not open " + where + ": " + reason);
  throw bad_value(where + " cannot be read: " + reason);
}

std::string name_text(const X509_NAME* name) {
  if (!name) return {};
  const bio_ptr to(BIO_new(BIO_s_mem()));
  if (!to) throw std::bad_alloc();
  (void)X509_NAME_print_ex(to.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  char* data = nullptr;
  const auto n = BIO_get_mem_data(to.get(), &data);
  ERR_clear_error();
  return n > 0 ? std::string(data, static_cast<std::size_t>(n)) : std::string();
}

namespace {

/// The address in the bytes of an alternative name; "" if it has no valid length.
std::string address_text(const ASN1_OCTET_STRING& bytes) {
  char text[INET6_ADDRSTRLEN] = {};
  const int n = ASN1_STRING_length(&bytes);
  if (n == 4) (void)::inet_ntop(AF_INET, ASN1_STRING_get0_data(&bytes), text, sizeof text);
  if (n == 16) (void)::inet_ntop(AF_INET6, ASN1_STRING_get0_data(&bytes), text, sizeof text);
  return text;
}

}  // namespace

std::vector<std::string> names_of(const X509& certificate) {
  std::vector<std::string> all;
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr));
  const std::unique_ptr<GENERAL_NAMES, freed_by<&GENERAL_NAMES_free>> at_end(names);
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* one = sk_GENERAL_NAME_value(names, i);
    if (one->type == GEN_DNS) {
      const auto* text = reinterpret_cast<const char*>(ASN1_STRING_get0_data(one->d.dNSName));
      all.emplace_back(text, static_cast<std::size_t>(ASN1_STRING_length(one->d.dNSName)));
    } else if (one->type == GEN_IPADD) {
      all.push_back(address_text(*one->d.iPAddress));
    }
  }
  ERR_clear_error();
  return all;
}

key_digest digest_of_key(const X509& certificate) {
  unsigned char* der = nullptr;
  const int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(&certificate), &der);
  if (n <= 0) throw std::bad_alloc();
  key_digest digest{};
  (void)::SHA256(der, static_cast<std::size_t>(n), digest.data());
  OPENSSL_free(der);
  return digest;
}

tls_certificate describe(const X509& certificate) {
  tls_certificate c;
  unsigned char* der = nullptr;
  const int n = i2d_X509(&certificate, &der);
  if (n <= 0) throw std::bad_alloc();
  const std::unique_ptr<unsigned char, decltype([](unsigned char* p) { OPENSSL_free(p); })> at_end(
      der);
  c.der.assign(reinterpret_cast<const char*>(der), static_cast<std::size_t>(n));
  c.subject = name_text(X509_get_subject_name(&certificate));
  c.issuer = name_text(X509_get_issuer_name(&certificate));
  c.names = names_of(certificate);
  for (const unsigned char byte : digest_of_key(certificate)) {
    constexpr char digits[] = "0123456789abcdef";
    c.key_sha256 += digits[byte / 16];
    c.key_sha256 += digits[byte % 16];
  }
  ERR_clear_error();
  return c;
}

namespace {

/// The value of a hexadecimal digit; -1: it is none.
int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool from_hexadecimal(std::string_view text, key_digest& to) {
  if (text.size() != 2 * to.size()) return false;
  for (std::size_t i = 0; i < to.size(); ++i) {
    const int high = digit_value(text[2 * i]);
    const int low = digit_value(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    to[i] = static_cast<unsigned char>(16 * high + low);
  }
  return true;
}

bool from_base64(std::string_view text, key_digest& to) {
  if (text.size() != 44 || text.back() != '=') return false;
  unsigned char out[33];
  const int n = EVP_DecodeBlock(out, reinterpret_cast<const unsigned char*>(text.data()), 44);
  ERR_clear_error();
  if (n != 33 || out[32] != 0) return false;
  std::copy_n(out, to.size(), to.begin());
  return true;
}

}  // namespace

key_digest parse_pin(std::string_view text) {
  constexpr std::string_view prefix = "sha256//";
  const auto digits = text.starts_with(prefix) ? text.substr(prefix.size()) : text;
  key_digest digest{};
  if (!from_hexadecimal(digits, digest) && !from_base64(digits, digest))
    throw bad_value("the pin \"" + std::string(text) +
                    "\" is no SHA-256 of a public key: 64 hexadecimal digits, or base64");
  return digest;
}

}  // namespace heddle::detail
