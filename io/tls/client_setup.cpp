// SPDX-License-Identifier: MIT
// The context of a client.
#include <heddle/io/tls/setup.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>

#include <new>

namespace heddle::detail {
namespace {

/// OpenSSL has a session that may be resumed. 1: it is ours now.
int keep_session(SSL* ssl, SSL_SESSION* session) noexcept {
  auto& n = notes_of(ssl);
  if (!n.sessions || n.session_key.empty()) return 0;
  try {
    SSL_SESSION_up_ref(session);
    n.sessions->put(n.session_key, session_ptr(session));
  } catch (const std::bad_alloc&) {
    // There is no memory for it; the next connection has a full handshake.
  }
  return 0;
}

}  // namespace

counted_ptr<tls_setup> tls_setup::for_client(const tls_options& o) {
  counted_ptr<tls_setup> s(new tls_setup);
  s->library =
      make_library_context(false, o.min_version, o.max_version, o.ciphers_1_2, o.ciphers_1_3);
  SSL_CTX* c = s->library.get();
  s->verify = o.verify;
  for (const auto& pin : o.pins) s->pins.push_back(parse_pin(pin));
  if (o.verify == tls_verify::pins_only && s->pins.empty())
    throw bad_value("tls_verify::pins_only without a pin would check nothing");
  if (o.verify == tls_verify::insecure_none && !s->pins.empty())
    throw bad_value("pins are not checked with tls_verify::insecure_none: use pins_only");
  SSL_CTX_set_verify(c, o.verify == tls_verify::insecure_none ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                     nullptr);
  s->has_own_ca = !o.ca.empty();
  if (s->has_own_ca)
    SSL_CTX_set_cert_store(c, store_of(o.ca, "the authorities of a client (ca)").release());
  if (o.verify == tls_verify::full && (o.ca.empty() || o.system_ca_too))
    s->has_authorities_.store(false, relaxed);
  if (!o.certificate.empty() || !o.key.empty())
    use_certificate(c, {o.certificate, o.key, o.passphrase}, "the client's");
  s->protocols = wire_of_protocols(o.alpn);
  if (!s->protocols.empty() &&
      SSL_CTX_set_alpn_protos(c, reinterpret_cast<const unsigned char*>(s->protocols.data()),
                              narrow<unsigned>(s->protocols.size())) != 0)
    throw std::bad_alloc();
  if (o.sessions != 0) {
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c, &keep_session);
  } else {
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  }
  ERR_clear_error();
  return s;
}

}  // namespace heddle::detail
