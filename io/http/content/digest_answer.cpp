// SPDX-License-Identifier: MIT
#include <heddle/io/http/content/digest_answer.h>

#include <heddle/io/http/content/field_text.h>
#include <heddle/io/http/message.h>

#include <openssl/evp.h>

#include <array>
#include <stdexcept>

namespace heddle::http::detail {
namespace {

constexpr std::string_view digits = "0123456789abcdef";

std::string hex_hash(const char* name, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> made{};
  std::size_t n = 0;
  if (EVP_Q_digest(nullptr, name, nullptr, text.data(), text.size(), made.data(), &n) != 1)
    throw std::runtime_error(std::string("OpenSSL does not provide ") + name + " for Digest");
  std::string out;
  for (std::size_t i = 0; i < n; ++i) {
    out += digits[made[i] >> 4U];
    out += digits[made[i] & 15U];
  }
  return out;
}

std::string joined(std::string_view a, std::string_view b, std::string_view c = {}) {
  std::string out(a);
  out.append(":").append(b);
  if (!c.empty()) out.append(":").append(c);
  return out;
}

std::string hex_count(std::uint32_t n) {
  std::string out(8, '0');
  for (std::size_t i = 8; i-- > 0; n >>= 4U) out[i] = digits[n & 15U];
  return out;
}

/// Sets hash and session by the name. False: it is unknown.
bool read_algorithm(std::string_view name, digest_question& q) {
  constexpr std::string_view session = "-sess";
  q.session = name.size() > session.size() &&
              same_token(name.substr(name.size() - session.size()), session);
  if (q.session) name.remove_suffix(session.size());
  if (same_token(name, "MD5"))
    q.hash = "MD5";
  else if (same_token(name, "SHA-256"))
    q.hash = "SHA2-256";
  else if (same_token(name, "SHA-512-256"))
    q.hash = "SHA2-512/256";
  else
    return false;
  return true;
}

/// "auth,auth-int": auth is chosen, for it needs no body. False: neither is listed.
bool read_qop(std::string_view list, digest_question& q) {
  field_scanner items(list);
  bool whole = false;
  do {
    const auto item = items.until(",");
    if (same_token(item, "auth")) {
      q.qop = digest_question::protection::auth;
      return true;
    }
    whole = whole || same_token(item, "auth-int");
  } while (items.take(','));
  q.qop = digest_question::protection::auth_int;
  return whole;
}

bool is_ascii(std::string_view text) noexcept {
  for (const char c : text)
    if (static_cast<unsigned char>(c) >= 0x80) return false;
  return true;
}

/// RFC 8187: for a name that is not ASCII.
std::string extended(std::string_view text) {
  std::string out = "UTF-8''";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte < 0x80 && is_in(token_chars, c) && c != '*' && c != '\'' && c != '%';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += "0123456789ABCDEF"[byte >> 4U];
      out += "0123456789ABCDEF"[byte & 15U];
    }
  }
  return out;
}

}  // namespace

std::optional<digest_question> read_question(const challenge& c) {
  if (c.scheme != "digest") return std::nullopt;
  const std::string* const realm = c.find("realm");
  const std::string* const nonce = c.find("nonce");
  if (!realm || !nonce) return std::nullopt;
  digest_question q;
  q.realm = *realm;
  q.nonce = *nonce;
  if (const auto* opaque = c.find("opaque")) q.opaque = *opaque;
  if (const auto* domain = c.find("domain")) q.domain = *domain;
  if (const auto* name = c.find("algorithm")) {
    if (!read_algorithm(*name, q)) return std::nullopt;
    q.algorithm = *name;
  }
  if (const auto* qop = c.find("qop"); qop && !read_qop(*qop, q)) return std::nullopt;
  if (const auto* hides = c.find("userhash")) q.hides_user = same_token(*hides, "true");
  return q;
}

std::string answer_digest(const digest_question& q, const digest_credentials& who,
                          const digest_request& r, std::string_view cnonce, std::uint32_t nc) {
  using protection = digest_question::protection;
  std::string secret = hex_hash(q.hash, joined(who.user, q.realm) + ":" + who.password);
  if (q.session) secret = hex_hash(q.hash, secret + ":" + joined(q.nonce, cnonce));
  std::string what = joined(r.method, r.target);
  if (q.qop == protection::auth_int) what += ":" + hex_hash(q.hash, r.body);
  const std::string_view qop = q.qop == protection::auth ? "auth" : "auth-int";
  const std::string count = hex_count(nc);
  std::string between = q.nonce;
  if (q.qop != protection::none)
    between.append(":").append(count).append(":").append(cnonce).append(":").append(qop);
  const std::string response =
      hex_hash(q.hash, secret + ":" + between + ":" + hex_hash(q.hash, what));

  std::string out = "Digest ";
  if (q.hides_user)
    out += "username=" + quoted_text(hex_hash(q.hash, joined(who.user, q.realm)));
  else if (is_ascii(who.user))
    out += "username=" + quoted_text(who.user);
  else
    out += "username*=" + extended(who.user);
  out += ", realm=" + quoted_text(q.realm) + ", nonce=" + quoted_text(q.nonce);
  out += ", uri=" + quoted_text(r.target) + ", response=\"" + response + "\"";
  if (!q.algorithm.empty()) out += ", algorithm=" + q.algorithm;
  if (q.opaque) out += ", opaque=" + quoted_text(*q.opaque);
  if (q.qop != protection::none) out.append(", qop=").append(qop).append(", nc=").append(count);
  if (q.qop != protection::none || q.session) out += ", cnonce=" + quoted_text(cnonce);
  if (q.hides_user) out += ", userhash=true";
  return out;
}

}  // namespace heddle::http::detail
