// SPDX-License-Identifier: MIT
// The context of a server: which certificate it shows to whom, and what it asks of clients.
#include <heddle/io/tls/setup.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <cstring>
#include <new>
#include <optional>
#include <utility>

namespace heddle::detail {
namespace {

/// The name in the extension server_name of a ClientHello; nothing: there is none that is valid.
std::optional<std::string> asked_name(SSL* ssl) {
  const unsigned char* p = nullptr;
  std::size_t n = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &n) != 1) return std::nullopt;
  // list length (2), type of the name (1), its length (2), the name
  const std::string_view ext(reinterpret_cast<const char*>(p), n);
  const auto number = [&](std::size_t at) {
    return static_cast<std::size_t>(p[at]) * 256 + static_cast<std::size_t>(p[at + 1]);
  };
  if (n < 5 || number(0) != n - 2 || p[2] != TLSEXT_NAMETYPE_host_name) return std::nullopt;
  if (number(3) != n - 5 || n == 5) return std::nullopt;
  const auto name = ext.substr(5);
  if (name.find('\0') != std::string_view::npos) return std::nullopt;
  return std::string(name);
}

/// The context for `name`: the name itself, then "*" for its first label, then the user's function.
tls_context look_up(const tls_server_options& o, const std::string& name) {
  const auto exact = o.names.find(name);
  if (exact != o.names.end()) return exact->second;
  const auto dot = name.find('.');
  if (dot != std::string::npos && dot != 0) {
    const auto any = o.names.find("*" + name.substr(dot));
    if (any != o.names.end()) return any->second;
  }
  return o.choose ? o.choose(name) : tls_context();
}

/// From here on the connection uses `chosen`. That happens before OpenSSL looks at the client's
/// ticket: so a session of one name is not resumed at another, whose checks it has not passed.
void use_setup(SSL* ssl, counted_ptr<tls_setup> chosen) {
  SSL_CTX* c = chosen->library.get();
  if (!SSL_set_SSL_CTX(ssl, c)) throw std::bad_alloc();
  SSL_set_verify(ssl, SSL_CTX_get_verify_mode(c), nullptr);
  SSL_set_options(ssl, SSL_CTX_get_options(c) & SSL_OP_NO_TICKET);
  SSL_set_min_proto_version(ssl, static_cast<int>(SSL_CTX_get_min_proto_version(c)));
  SSL_set_max_proto_version(ssl, static_cast<int>(SSL_CTX_get_max_proto_version(c)));
  notes_of(ssl).setup = std::move(chosen);
}

int choose_certificate(SSL* ssl, int* alert, void*) noexcept {
  auto& n = notes_of(ssl);
  try {
    const auto asked = asked_name(ssl);
    if (!asked) return SSL_CLIENT_HELLO_SUCCESS;
    n.asked_name = canonical_name(*asked);
    const counted_ptr<tls_setup> mine = n.setup;
    const auto& o = mine->server;
    if (o.names.empty() && !o.choose && o.unknown_name == tls_unknown_name::use_default)
      return SSL_CLIENT_HELLO_SUCCESS;
    if (auto chosen = setup_of_server(look_up(o, n.asked_name))) {
      use_setup(ssl, std::move(chosen));
      return SSL_CLIENT_HELLO_SUCCESS;
    }
    if (o.unknown_name == tls_unknown_name::use_default) return SSL_CLIENT_HELLO_SUCCESS;
    n.unknown_name = true;
    *alert = SSL_AD_UNRECOGNIZED_NAME;
  } catch (...) {
    n.thrown = std::current_exception();
    *alert = SSL_AD_INTERNAL_ERROR;
  }
  return SSL_CLIENT_HELLO_ERROR;
}

int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* size,
                    const unsigned char* offered, unsigned offered_size, void* arg) noexcept {
  const auto& ours = static_cast<const tls_setup*>(arg)->protocols;
  unsigned char* found = nullptr;
  const int how =
      SSL_select_next_proto(&found, size, reinterpret_cast<const unsigned char*>(ours.data()),
                            narrow<unsigned>(ours.size()), offered, offered_size);
  if (how != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

void ask_for_certificates(SSL_CTX* c, const tls_server_options& o) {
  if (o.client_certificate == tls_client_certificate::none) {
    if (!o.client_ca.empty() || o.check_client)
      throw bad_value(
          "a server that asks for no certificates has no use for client_ca and "
          "check_client: set client_certificate");
    SSL_CTX_set_verify(c, SSL_VERIFY_NONE, nullptr);
    return;
  }
  if (o.client_ca.empty())
    throw bad_value("a server that asks its clients for certificates needs client_ca");
  const bool required = o.client_certificate == tls_client_certificate::required;
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                     nullptr);
  SSL_CTX_set_cert_store(c, store_of(o.client_ca, "the authorities for clients").release());
  for (const auto& one : read_authorities(o.client_ca, "the authorities for clients"))
    if (SSL_CTX_add_client_CA(c, one.get()) != 1) throw std::bad_alloc();
}

/// A ticket is refused where this differs: at another certificate, or where clients are asked for
/// something else. The client then has a full handshake.
void set_session_context(SSL_CTX* c, const tls_server_options& o) {
  std::string all;
  unsigned char* der = nullptr;
  const int n = i2d_X509(SSL_CTX_get0_certificate(c), &der);
  if (n <= 0) throw std::bad_alloc();
  all.assign(reinterpret_cast<const char*>(der), static_cast<std::size_t>(n));
  OPENSSL_free(der);
  all += static_cast<char>('0' + static_cast<int>(o.client_certificate));
  if (!o.client_ca.empty()) all += pem_text(o.client_ca);
  unsigned char digest[SHA256_DIGEST_LENGTH];
  ::SHA256(reinterpret_cast<const unsigned char*>(all.data()), all.size(), digest);
  SSL_CTX_set_session_id_context(c, digest, sizeof digest);
}

/// Fetched once a process, and never freed: to fetch takes locks that all threads share.
const EVP_CIPHER* ticket_cipher() noexcept {
  static const EVP_CIPHER* const one = EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr);
  return one;
}

bool set_key(EVP_MAC_CTX* mac, ticket_keys::key& k) noexcept {
  char digest[] = "SHA256";
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k.authentication,
                                        sizeof k.authentication),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end(),
  };
  return EVP_MAC_CTX_set_params(mac, params) == 1;
}

// What the answers mean to OpenSSL: below 0 the handshake fails; 0 no ticket is sealed or opened,
// and the handshake is a full one; 1 it is; 2 it is, and the client gets a fresh one.
int key_of_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                  EVP_MAC_CTX* mac, int seals) noexcept {
  auto& keys = *notes_of(ssl).setup->keys;
  const EVP_CIPHER* kind = ticket_cipher();
  if (!kind) return 0;
  const auto now = clock::now();
  if (seals) {
    auto k = keys.sealing(now);
    if (!k || RAND_bytes(iv, EVP_CIPHER_get_iv_length(kind)) != 1) return 0;
    std::memcpy(name, k->name, sizeof k->name);
    const bool good =
        EVP_EncryptInit_ex2(cipher, kind, k->encryption, iv, nullptr) == 1 && set_key(mac, *k);
    return good ? 1 : 0;
  }
  auto k = keys.opening(name, now);
  if (!k) return 0;
  const bool good = EVP_DecryptInit_ex2(cipher, kind, k->which.encryption, iv, nullptr) == 1 &&
                    set_key(mac, k->which);
  if (!good) return 0;
  return k->is_old ? 2 : 1;
}

void set_tickets(SSL_CTX* c, const tls_server_options& o) {
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  // OpenSSL would send tickets right after the handshake. A client that writes and closes without
  // reading would then be reset, and lose what it wrote. The engine sends one before its first
  // bytes.
  SSL_CTX_set_num_tickets(c, 0);
  if (!o.tickets || o.check_client) SSL_CTX_set_options(c, SSL_OP_NO_TICKET);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(c, &key_of_ticket);
}

}  // namespace

counted_ptr<tls_setup> tls_setup::for_server(const tls_server_options& options,
                                             counted_ptr<ticket_keys> keys) {
  counted_ptr<tls_setup> s(new tls_setup);
  s->keys = std::move(keys);
  s->server = options;
  auto& o = s->server;
  s->library =
      make_library_context(true, o.min_version, o.max_version, o.ciphers_1_2, o.ciphers_1_3);
  SSL_CTX* c = s->library.get();
  use_certificate(c, {o.certificate, o.key, o.passphrase}, "the server's");
  std::map<std::string, tls_context> names;
  for (auto& [name, context] : o.names) {
    if (!setup_of_server(context))
      throw bad_value("the context for the name \"" + name + "\" is not one of a server");
    names[canonical_name(name)] = context;
  }
  o.names = std::move(names);
  SSL_CTX_set_client_hello_cb(c, &choose_certificate, nullptr);
  s->protocols = wire_of_protocols(o.alpn);
  if (!s->protocols.empty()) SSL_CTX_set_alpn_select_cb(c, &choose_protocol, s.get());
  ask_for_certificates(c, o);
  set_tickets(c, o);
  set_session_context(c, o);
  ERR_clear_error();
  return s;
}

}  // namespace heddle::detail
