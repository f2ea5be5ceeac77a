// SPDX-License-Identifier: MIT
#include <heddle/io/tls/failure.h>

#include <openssl/sslerr.h>

#include <cctype>
#include <new>
#include <utility>

namespace heddle {
namespace {

class tls_errors final : public std::error_category {
 public:
  const char* name() const noexcept override { return "tls"; }
  std::string message(int code) const override {
    switch (static_cast<tls_errc>(code)) {
      case tls_errc::handshake_failed: return "the TLS handshake failed";
      case tls_errc::not_tls: return "the peer does not speak TLS";
      case tls_errc::no_common_version: return "no common version of TLS";
      case tls_errc::no_common_cipher: return "no common cipher";
      case tls_errc::no_common_protocol: return "no common application protocol";
      case tls_errc::unknown_name: return "the server has no such name";
      case tls_errc::alert: return "the peer refused";
      case tls_errc::untrusted: return "the certificate is not trusted";
      case tls_errc::wrong_name: return "the certificate belongs to another name";
      case tls_errc::wrong_pin: return "the public key is not a pinned one";
      case tls_errc::no_certificate: return "the client has shown no certificate";
      case tls_errc::truncated: return "the stream was cut off";
      case tls_errc::broken_record: return "what came is no valid TLS";
    }
    return "unknown error of TLS";
  }
};

std::string text_of(const tls_error::about& a, const std::string& more) {
  std::string text = a.doing;
  if (!a.host.empty()) text += " with " + a.host;
  if (!a.peer.empty()) text += (a.host.empty() ? " with " : " at ") + a.peer;
  if (!a.reason.empty()) text += ": " + a.reason;
  return text + more;
}

std::string text_of(const tls_error::about& a, const certificate_error::certificate& c) {
  std::string more = ", of the certificate \"" + c.subject + "\" issued by \"" + c.issuer + "\"";
  if (c.names.empty()) return more;
  more += " for ";
  for (const auto& name : c.names) more += (&name == &c.names.front() ? "" : ", ") + name;
  if (a.code == tls_errc::wrong_name) more += ", which is not " + a.host;
  return more;
}

}  // namespace

const std::error_category& tls_category() noexcept {
  static const tls_errors one;
  return one;
}

tls_error::tls_error(about what) : tls_error(std::move(what), std::string()) {}
tls_error::tls_error(about what, const std::string& more)
    : std::system_error(make_error_code(what.code), text_of(what, more)), about_(std::move(what)) {}

certificate_error::certificate_error(about what, certificate which)
    : tls_error(what, text_of(what, which)), which_(std::move(which)) {}

namespace detail {
namespace {

/// A piece of what the peer sent, for people.
std::string excerpt(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    if (!std::isprint(static_cast<unsigned char>(c))) break;
    text += c;
  }
  return text;
}

/// True: the first bytes of the peer begin no TLS. A record of TLS has its kind (20 to 24) and a
/// version 3.x in front. To a client the first message must not be a client's own (1): that is an
/// echo.
bool is_no_tls(std::string_view began, bool is_server) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(began[i]); };
  if (began.size() < 3) return !began.empty() && (byte(0) < 20 || byte(0) > 24);
  if (byte(0) < 20 || byte(0) > 24 || byte(1) != 3) return true;
  return !is_server && byte(0) == 22 && began.size() >= 6 && byte(5) == 1;
}

tls_errc code_of_reason(int reason) {
  switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION: return tls_errc::no_common_version;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_CIPHERS_AVAILABLE:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY: return tls_errc::no_common_cipher;
    case SSL_R_NO_APPLICATION_PROTOCOL:
    case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: return tls_errc::no_common_protocol;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return tls_errc::no_certificate;
    case SSL_R_TLSV1_UNRECOGNIZED_NAME: return tls_errc::unknown_name;
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
    case SSL_R_BAD_RECORD_TYPE:
    case SSL_R_PACKET_LENGTH_TOO_LONG: return tls_errc::broken_record;
    default: return reason >= SSL_AD_REASON_OFFSET ? tls_errc::alert : tls_errc::handshake_failed;
  }
}

std::exception_ptr certificate_failure(tls_error::about about, const handshake_notes& n) {
  certificate_error::certificate c;
  c.code = n.verify_code;
  if (n.refused) {
    c.subject = name_text(X509_get_subject_name(n.refused.get()));
    c.issuer = name_text(X509_get_issuer_name(n.refused.get()));
    c.names = names_of(*n.refused);
  }
  about.reason = n.wrong_pin ? std::string("no pin names a key of the chain")
                             : X509_verify_cert_error_string(n.verify_code);
  const bool name = n.verify_code == X509_V_ERR_HOSTNAME_MISMATCH ||
                    n.verify_code == X509_V_ERR_IP_ADDRESS_MISMATCH;
  about.code = n.wrong_pin ? tls_errc::wrong_pin
               : name      ? tls_errc::wrong_name
                           : tls_errc::untrusted;
  if (name && !n.wrong_pin)
    return std::make_exception_ptr(certificate_name_error(std::move(about), std::move(c)));
  return std::make_exception_ptr(certificate_error(std::move(about), std::move(c)));
}

tls_error::about about(const tls_ends& ends, const std::string& asked, bool shaking_hands) {
  tls_error::about a;
  a.doing = shaking_hands ? "TLS handshake" : "TLS";
  a.host = ends.is_server ? asked : ends.host;
  a.peer = ends.peer;
  return a;
}

}  // namespace

std::exception_ptr tls_failure(const tls_attempt& t) {
  const auto code = ERR_peek_error();
  const int reason = ERR_GET_REASON(code);
  const bool of_ssl = ERR_GET_LIB(code) == ERR_LIB_SSL;
  std::string words = take_library_error();
  auto& n = t.notes;
  if (n.thrown) return std::exchange(n.thrown, nullptr);

  auto a = about(t.ends, n.asked_name, t.shaking_hands);
  if (t.shaking_hands && is_no_tls(t.began, t.ends.is_server)) {
    a.code = tls_errc::not_tls;
    a.reason = "its first bytes are no TLS";
    const auto seen = excerpt(t.began);
    if (!seen.empty()) a.reason += ", but \"" + seen + "\"";
    return std::make_exception_ptr(tls_error(std::move(a)));
  }
  if (n.unknown_name) {
    a.code = tls_errc::unknown_name;
    return std::make_exception_ptr(tls_error(std::move(a)));
  }
  if (n.refused) return certificate_failure(std::move(a), n);
  a.code = of_ssl ? code_of_reason(reason) : tls_errc::handshake_failed;
  if (!t.shaking_hands && a.code == tls_errc::handshake_failed) a.code = tls_errc::broken_record;
  if (of_ssl && reason >= SSL_AD_REASON_OFFSET) a.alert = reason - SSL_AD_REASON_OFFSET;
  a.reason = std::move(words);
  return std::make_exception_ptr(tls_error(std::move(a)));
}

std::exception_ptr tls_truncation(const tls_ends& ends, const std::string& asked_name,
                                  bool shaking_hands) {
  auto a = about(ends, asked_name, shaking_hands);
  a.code = tls_errc::truncated;
  a.reason = shaking_hands ? "the peer closed the connection during the handshake"
                           : "the peer closed the connection without close_notify";
  return std::make_exception_ptr(tls_truncated_error(std::move(a)));
}

}  // namespace detail
}  // namespace heddle
