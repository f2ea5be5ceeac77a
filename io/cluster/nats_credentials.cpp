// SPDX-License-Identifier: MIT
#include <heddle/core/errors.h>
#include <heddle/io/cluster/nats_credentials.h>
#include <heddle/io/cluster/token.h>
#include <heddle/io/cluster_options.h>
#include <heddle/io/http/content/base64.h>

#include <openssl/evp.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <memory>

namespace heddle::cluster::detail {
namespace {

constexpr std::string_view base32_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

[[noreturn]] void refuse(const char* what) {
  throw bad_value(std::string("the cluster's credentials (HEDDLE_CLUSTER_CREDS): ") + what +
                  "; give the path or the text of a .creds file, or the seed of an nkey");
}

std::string from_base32(std::string_view text) {
  std::string out;
  std::uint32_t bits = 0;
  unsigned n = 0;
  for (const char c : text) {
    const auto digit = base32_digits.find(c);
    if (digit == std::string_view::npos) refuse("the seed is not written in base32");
    bits = (bits << 5U | static_cast<std::uint32_t>(digit)) & 0xfffffU;
    n += 5;
    if (n >= 8) {
      n -= 8;
      out += static_cast<char>(bits >> n & 0xffU);
    }
  }
  return out;
}

/// CRC-16/XMODEM, little endian, as nkeys end.
std::string crc_of(std::string_view bytes) {
  std::uint32_t crc = 0;
  for (const char c : bytes) {
    crc ^= static_cast<std::uint32_t>(static_cast<unsigned char>(c)) << 8U;
    for (int i = 0; i < 8; ++i) crc = ((crc & 0x8000U) ? crc << 1U ^ 0x1021U : crc << 1U) & 0xffffU;
  }
  return {static_cast<char>(crc & 0xffU), static_cast<char>(crc >> 8U)};
}

/// What stands between the lines that begin with "-----BEGIN `word`" and "------END".
std::string block_of(const std::string& text, const std::string& word) {
  const auto begin = text.find("-----BEGIN " + word);
  if (begin == std::string::npos) return {};
  const auto from = text.find('\n', begin);
  const auto to = text.find("-----", from == std::string::npos ? begin + 5 : from);
  if (from == std::string::npos || to == std::string::npos) return {};
  std::string out;
  for (const char c : text.substr(from, to - from))
    if (c != '\n' && c != '\r' && c != ' ' && c != '-') out += c;
  return out;
}

std::string text_of(const std::string& credentials) {
  if (credentials.find("-----BEGIN") != std::string::npos) return credentials;
  std::ifstream file(credentials, std::ios::binary);
  if (!file) throw_system_error(errno, "open", credentials);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

using key_ptr = std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)>;
using digest_ptr = std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)>;

void sign(const std::string& seed, const std::string& nonce, nats_login& login) {
  const auto raw = from_base32(seed);
  constexpr std::size_t whole = 2 + 32 + 2;  // the kinds, the key, the sum
  const auto bytes = std::string_view(raw);
  if (raw.size() != whole || crc_of(bytes.substr(0, 34)) != bytes.substr(34))
    refuse("the seed is damaged");
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(raw[i]); };
  if ((at(0) & 0xf8U) != 18U << 3U) refuse("the seed does not begin with S");
  const key_ptr key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr,
                                   reinterpret_cast<const unsigned char*>(raw.data()) + 2, 32),
      EVP_PKEY_free);
  const digest_ptr digest(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  std::array<unsigned char, 64> signature{};
  std::array<unsigned char, 32> open{};
  std::size_t signed_size = signature.size();
  std::size_t open_size = open.size();
  if (!key || !digest || EVP_PKEY_get_raw_public_key(key.get(), open.data(), &open_size) != 1 ||
      EVP_DigestSignInit(digest.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
      EVP_DigestSign(digest.get(), signature.data(), &signed_size,
                     reinterpret_cast<const unsigned char*>(nonce.data()), nonce.size()) != 1)
    refuse("OpenSSL cannot sign with the seed");
  std::string kind(1, static_cast<char>((at(0) & 7U) << 5U | at(1) >> 3U));
  kind.append(reinterpret_cast<const char*>(open.data()), open_size);
  login.nkey = to_base32(kind + crc_of(kind), base32_digits);
  login.signature = http::detail::base64(
      std::string_view(reinterpret_cast<const char*>(signature.data()), signed_size));
  for (char& c : login.signature) c = c == '+' ? '-' : c == '/' ? '_' : c;
  while (!login.signature.empty() && login.signature.back() == '=') login.signature.pop_back();
}

bool looks_like_seed(const std::string& text) {
  return text.size() == 58 && text.front() == 'S' &&
         text.find_first_not_of(base32_digits) == std::string::npos;
}

}  // namespace

nats_login login_of(const options& o, const std::string& nonce) {
  nats_login login{o.user, o.password, o.token, {}, {}, {}};
  if (o.credentials.empty()) return login;
  if (looks_like_seed(o.credentials)) {
    sign(o.credentials, nonce, login);
    return login;
  }
  const auto text = text_of(o.credentials);
  const auto seed = block_of(text, "USER NKEY SEED");
  if (seed.empty()) refuse("there is no USER NKEY SEED in them");
  sign(seed, nonce, login);
  login.jwt = block_of(text, "NATS USER JWT");
  if (!login.jwt.empty()) login.nkey.clear();
  return login;
}

}  // namespace heddle::cluster::detail
