// SPDX-License-Identifier: MIT
// What contexts of clients and of servers have in common.
#include <heddle/io/tls/setup.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>

#include <cctype>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <string>
#include <utility>

namespace heddle::detail {
namespace {

int notes_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

int number_of(tls_version v) { return v == tls_version::v1_2 ? TLS1_2_VERSION : TLS1_3_VERSION; }

[[noreturn]] void refuse(const std::string& what) {
  throw bad_value(what + ": " + take_library_error());
}

}  // namespace

handshake_notes& notes_of(const SSL* ssl) noexcept {
  return *static_cast<handshake_notes*>(SSL_get_ex_data(ssl, notes_index()));
}

void set_notes(SSL* ssl, handshake_notes& notes) {
  if (SSL_set_ex_data(ssl, notes_index(), &notes) != 1) throw std::bad_alloc();
}

std::string canonical_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string low;
  low.reserve(name.size());
  for (const char c : name) low += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return low;
}

std::string wire_of_protocols(const std::vector<std::string>& names) {
  std::string wire;
  for (const auto& name : names) {
    wire += static_cast<char>(
        checked<std::uint8_t>(name.size(), "the length of a protocol's name (ALPN)", 1, 255));
    wire += name;
  }
  (void)checked<std::uint16_t>(wire.size(), "the length of all protocols' names (ALPN)");
  return wire;
}

ssl_ctx_ptr make_library_context(bool server, tls_version least, tls_version most,
                                 const std::string& ciphers_1_2, const std::string& ciphers_1_3) {
  if (least > most) throw bad_value("the least version of TLS is above the greatest");
  ERR_clear_error();
  ssl_ctx_ptr c(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()));
  if (!c) throw std::bad_alloc();
  SSL_CTX_set_min_proto_version(c.get(), number_of(least));
  SSL_CTX_set_max_proto_version(c.get(), number_of(most));
  // Renegotiation would make writing wait for reading, and costs a server more than its client.
  SSL_CTX_set_options(c.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // An idle connection holds no buffers. Bytes that are offered again may stand elsewhere by then.
  SSL_CTX_set_mode(c.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (!ciphers_1_2.empty() && SSL_CTX_set_cipher_list(c.get(), ciphers_1_2.c_str()) != 1)
    refuse("the cipher suites of TLS 1.2 \"" + ciphers_1_2 + "\"");
  if (!ciphers_1_3.empty() && SSL_CTX_set_ciphersuites(c.get(), ciphers_1_3.c_str()) != 1)
    refuse("the cipher suites of TLS 1.3 \"" + ciphers_1_3 + "\"");
  SSL_CTX_set_cert_verify_callback(c.get(), &verify_peer, nullptr);
  ERR_clear_error();  // SSL_CTX_new() may succeed and leave errors
  return c;
}

namespace {

tls_identity read_identity(const identity_source& from, const std::string& name) {
  const auto& certificate = from.certificate;
  if (certificate.empty()) throw bad_value(name + " certificate is missing");
  const std::string text = pem_text(certificate);
  if (is_pkcs12(text)) {
    if (!from.key.empty())
      throw bad_value(name + " certificate in " + name_of_source(certificate) +
                      " brings its key (PKCS 12), and another one is given");
    return read_pkcs12(text, from.passphrase,
                       name + " certificate in " + name_of_source(certificate));
  }
  if (from.key.empty()) throw bad_value(name + " key is missing");
  tls_identity found;
  found.chain = read_certificates(certificate, (name + " certificate").c_str());
  found.key = read_key(from.key, from.passphrase, (name + " key").c_str());
  return found;
}

}  // namespace

void use_certificate(SSL_CTX* c, const identity_source& from, const char* whose) {
  const std::string name = whose;
  const auto& certificate = from.certificate;
  const auto found = read_identity(from, name);
  const auto& chain = found.chain;
  ERR_clear_error();
  if (SSL_CTX_use_certificate(c, chain.front().get()) != 1)
    refuse(name + " certificate in " + name_of_source(certificate) + " cannot be used");
  const auto& key = from.key.empty() ? certificate : from.key;
  if (X509_check_private_key(chain.front().get(), found.key.get()) != 1) {
    ERR_clear_error();
    throw bad_value(name + " key in " + name_of_source(key) +
                    " is not the key of the certificate " +
                    name_text(X509_get_subject_name(chain.front().get())) + " in " +
                    name_of_source(certificate) +
                    (chain.size() > 1 ? " (the first of a chain must be the server's own)" : ""));
  }
  if (SSL_CTX_use_PrivateKey(c, found.key.get()) != 1)
    refuse(name + " key in " + name_of_source(key) + " cannot be used");
  for (std::size_t i = 1; i < chain.size(); ++i)
    if (SSL_CTX_add1_chain_cert(c, chain[i].get()) != 1)
      refuse(name + " chain in " + name_of_source(certificate) + " cannot be used");
  ERR_clear_error();
}

store_ptr store_of(const std::string& source, const char* what) {
  store_ptr store(X509_STORE_new());
  if (!store) throw std::bad_alloc();
  for (const auto& one : read_authorities(source, what))
    if (X509_STORE_add_cert(store.get(), one.get()) != 1)
      refuse(std::string(what) + " in " + name_of_source(source));
  ERR_clear_error();
  return store;
}

namespace {

// Without a file of authorities none is trusted, and each handshake says which one is missing.
void add_system_ca(X509_STORE* store) {
  ERR_clear_error();
  (void)X509_STORE_set_default_paths(store);
  ERR_clear_error();
}

/// What OpenSSL asks the environment for.
std::string variable(const char* name) {
  const char* found = std::getenv(name);
  return found ? found : "";
}

/// The system's authorities alone. Made once a process for each value of the two variables, and
/// never freed: contexts share them. Blocks.
X509_STORE* system_store() {
  static std::mutex& making = *new std::mutex;
  static auto& all = *new std::map<std::pair<std::string, std::string>, X509_STORE*>;
  const std::pair where(variable("SSL_CERT_FILE"), variable("SSL_CERT_DIR"));
  const std::lock_guard hold(making);
  X509_STORE*& one = all[where];
  if (!one) {
    one = X509_STORE_new();
    if (!one) throw std::bad_alloc();
    add_system_ca(one);
  }
  return one;
}

}  // namespace

void tls_setup::load_system_ca() {
  const std::lock_guard hold(loading_);
  if (has_authorities()) return;
  if (has_own_ca)
    add_system_ca(SSL_CTX_get_cert_store(library.get()));
  else
    SSL_CTX_set1_cert_store(library.get(), system_store());
  has_authorities_.store(true, release);  // pairs with the load in has_authorities()
}

namespace {

bool has_pin(const tls_setup& s, const X509& certificate) {
  const auto digest = digest_of_key(certificate);
  for (const auto& pin : s.pins)
    if (pin == digest) return true;
  return false;
}

/// With verification any certificate of the chain may be the pinned one. Without it only the peer's
/// own: that it has the key of another was not checked.
bool pins_hold(const tls_setup& s, X509_STORE_CTX* chain) {
  if (s.pins.empty()) return true;
  if (s.verify != tls_verify::full) return has_pin(s, *X509_STORE_CTX_get0_cert(chain));
  const auto* verified = X509_STORE_CTX_get0_chain(chain);
  for (int i = 0; i < sk_X509_num(verified); ++i)
    if (has_pin(s, *sk_X509_value(verified, i))) return true;
  return false;
}

void note_refused(handshake_notes& n, X509_STORE_CTX* chain, X509* which) {
  n.verify_code = X509_STORE_CTX_get_error(chain);
  if (!which) which = X509_STORE_CTX_get0_cert(chain);
  if (which && X509_up_ref(which) == 1) n.refused.reset(which);
}

/// Asks the user's function. Throws what that throws.
void check_client(const tls_setup& s, X509_STORE_CTX* chain) {
  tls_info info;
  const auto* verified = X509_STORE_CTX_get0_chain(chain);
  for (int i = 0; i < sk_X509_num(verified); ++i)
    info.chain.push_back(describe(*sk_X509_value(verified, i)));
  s.server.check_client(info);
}

}  // namespace

int verify_peer(X509_STORE_CTX* chain, void*) noexcept {
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto& n = notes_of(ssl);
  const tls_setup& s = *n.setup;
  try {
    const bool verifies = SSL_is_server(ssl) || s.verify == tls_verify::full;
    if (verifies && X509_verify_cert(chain) != 1) {
      note_refused(n, chain, X509_STORE_CTX_get_current_cert(chain));
      return 0;
    }
    if (!verifies) X509_STORE_CTX_set_error(chain, X509_V_OK);
    if (!pins_hold(s, chain)) {
      n.wrong_pin = true;
      X509_STORE_CTX_set_error(chain, X509_V_ERR_APPLICATION_VERIFICATION);
      note_refused(n, chain, X509_STORE_CTX_get0_cert(chain));
      return 0;
    }
    if (SSL_is_server(ssl) && s.server.check_client) check_client(s, chain);
    return 1;
  } catch (...) {
    n.thrown = std::current_exception();
    X509_STORE_CTX_set_error(chain, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
  }
}

}  // namespace heddle::detail
