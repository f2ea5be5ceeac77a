// SPDX-License-Identifier: MIT
#include <heddle/io/tls/engine.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>

#include <openssl/x509v3.h>

#include <arpa/inet.h>

#include <algorithm>
#include <new>
#include <utility>

namespace heddle::detail {

/// One call of OpenSSL: what it reads and writes, and an empty queue of errors around it. The queue
/// is the thread's, so a good connection would else be told of a failure of another.
class tls_engine::call {
 public:
  call(tls_engine& e, std::string_view in, std::string& out) noexcept : memory_(e.memory_) {
    memory_.in = in;
    memory_.out = &out;
    memory_.out_of_memory = false;
    ERR_clear_error();
  }
  call(const call&) = delete;
  ~call() {
    memory_.in = {};
    memory_.out = nullptr;
    ERR_clear_error();  // OpenSSL may leave errors behind a success, too
  }

 private:
  bio_memory& memory_;
};

std::string numeric_address(const std::string& host) {
  std::string text = host;
  if (text.size() > 2 && text.front() == '[' && text.back() == ']')
    text = text.substr(1, text.size() - 2);
  text = text.substr(0, text.find('%'));
  unsigned char bytes[16];
  const bool is = ::inet_pton(AF_INET, text.c_str(), bytes) == 1 ||
                  ::inet_pton(AF_INET6, text.c_str(), bytes) == 1;
  return is ? text : std::string();
}

tls_engine::tls_engine(const tls_context& context, tls_ends ends, std::uint16_t port,
                       const tls_extras& with)
    : context_(context), ends_(std::move(ends)), inside_(with.inside) {
  tls_state& state = *tls_access::of(context_);
  notes_.setup = state.setup();
  ERR_clear_error();
  ssl_.reset(SSL_new(notes_.setup->library.get()));
  if (!ssl_) throw std::bad_alloc();
  set_notes(ssl_.get(), notes_);
  BIO* bio = make_library_bio(memory_);
  SSL_set_bio(ssl_.get(), bio, bio);
  if (ends_.is_server) {
    SSL_set_accept_state(ssl_.get());
    return;
  }
  SSL_set_connect_state(ssl_.get());
  notes_.sessions = &state.sessions;
  prepare_client(port, with.protocol);
  ERR_clear_error();
}

tls_engine::~tls_engine() { forget(); }

void tls_engine::forget() noexcept {
  if (!ssl_) return;
  // Without either end OpenSSL would mark the session as one that must not be resumed, and it may
  // stand in our store. A fatal alert has marked it already.
  SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  ssl_.reset();
  ERR_clear_error();
}

void tls_engine::prepare_client(std::uint16_t port, const std::string& protocol) {
  SSL* s = ssl_.get();
  const auto& setup = *notes_.setup;
  const std::string ip = numeric_address(ends_.host);
  const bool verifies = setup.verify == tls_verify::full;
  if (!ip.empty()) {
    if (verifies && X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s), ip.c_str()) != 1)
      throw std::bad_alloc();
  } else if (!ends_.host.empty()) {
    if (SSL_set_tlsext_host_name(s, ends_.host.c_str()) != 1) throw std::bad_alloc();
    if (verifies) {
      SSL_set_hostflags(s,
                        X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
      if (SSL_set1_host(s, ends_.host.c_str()) != 1) throw std::bad_alloc();
    }
  }
  std::string offered = setup.protocols;
  if (offered.empty() && !protocol.empty()) {
    offered = wire_of_protocols({protocol});
    if (SSL_set_alpn_protos(s, reinterpret_cast<const unsigned char*>(offered.data()),
                            narrow<unsigned>(offered.size())) != 0)
      throw std::bad_alloc();
  }
  if (!notes_.sessions->keeps_any()) return;
  // Zero bytes part what cannot hold one.
  notes_.session_key = ends_.host + '\0' + std::to_string(port) + '\0' + offered;
  if (const auto kept = notes_.sessions->take(notes_.session_key))
    (void)SSL_set_session(s, kept.get());  // if it cannot be used, the handshake is a full one
}

void tls_engine::begin(std::string& sealed) {
  if (ends_.is_server) return;
  const call one(*this, {}, sealed);
  shake_hands();
}

// Inside a `call`.
void tls_engine::shake_hands() {
  const int result = SSL_do_handshake(ssl_.get());
  const int error = SSL_get_error(ssl_.get(), result);
  if (result == 1)
    handshake_done();
  else if (error != SSL_ERROR_WANT_READ)
    fail();
}

// The error of the call that was just made. Inside a `call`.
void tls_engine::fail() {
  if (memory_.out_of_memory) throw std::bad_alloc();
  std::rethrow_exception(tls_failure({ends_, notes_, began_, !ready()}));
}

void tls_engine::handshake_done() {
  SSL* s = ssl_.get();
  facts_.version = SSL_get_version(s);
  facts_.cipher = SSL_get_cipher_name(s);
  facts_.is_1_3 = SSL_version(s) >= TLS1_3_VERSION;
  facts_.resumed = SSL_session_reused(s) == 1;
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(s, &name, &size);
  facts_.alpn.assign(reinterpret_cast<const char*>(name), size);
  if (ends_.is_server)
    facts_.server_name = notes_.asked_name;
  else if (numeric_address(ends_.host).empty())
    facts_.server_name = ends_.host;
  if (STACK_OF(X509)* chain = SSL_get_peer_cert_chain(s))
    facts_.chain.reset(X509_chain_up_ref(chain));
  facts_.own.reset(SSL_get1_peer_certificate(s));
  gives_ticket_ = ends_.is_server && facts_.is_1_3 && !(SSL_get_options(s) & SSL_OP_NO_TICKET);
  // pairs with the load in ready()
  ready_.store(true, release);
}

bool tls_engine::goes_above(const filter& below) const noexcept {
  const auto* engine = inside_ ? dynamic_cast<const tls_engine*>(&below) : nullptr;
  return engine && engine->ready() && engine->seals();
}

void tls_engine::go_above(std::unique_ptr<filter>& below, std::string_view opened) {
  middle_.append(opened);
  below_.reset(&dynamic_cast<tls_engine&>(*below));
  (void)below.release();
}

filter::opened tls_engine::open(std::string_view raw, input_buffer& plain, std::string& sealed) {
  return below_ ? open_below(raw, plain, sealed) : open_own(raw, plain, sealed);
}

std::size_t tls_engine::seal(std::string_view plain, std::string& sealed) {
  if (!below_) return seal_own(plain, sealed);
  std::string own;
  const auto n = seal_own(plain, own);
  seal_below(own, sealed);
  return n;
}

void tls_engine::end(std::string& sealed) {
  if (!below_) return end_own(sealed);
  std::string own;
  end_own(own);
  seal_below(own, sealed);
  below_->end(sealed);
}

/// What is sealed is sealed once more. Behind the end of `below_` nothing is sent.
void tls_engine::seal_below(std::string_view own, std::string& sealed) {
  while (!own.empty()) {
    const auto n = below_->seal(own, sealed);
    if (n == 0) return;
    own.remove_prefix(n);
  }
}

filter::opened tls_engine::open_below(std::string_view raw, input_buffer& plain,
                                      std::string& sealed) {
  opened o = below_->open(raw, middle_, sealed);
  std::string own;
  opened mine;
  try {
    mine = open_own(middle_.view(), plain, own);
  } catch (...) {
    seal_below(own, sealed);  // it may tell the peer of the failure
    throw;
  }
  if (mine.taken != 0) middle_.consume(mine.taken);
  seal_below(own, sealed);
  // The proxy has ended, and the server behind it has not.
  if (o.ended && !mine.ended && !mine.more) std::rethrow_exception(cut_off());
  o.ended = mine.ended;
  o.more = o.more || mine.more;
  return o;
}

filter::opened tls_engine::open_own(std::string_view raw, input_buffer& plain,
                                    std::string& sealed) {
  opened o;
  if (!seals()) {
    plain.append(raw);
    o.taken = raw.size();
    return o;
  }
  constexpr std::size_t telling = 24;  // bytes that show what the peer speaks
  if (began_.size() < telling) began_ += raw.substr(0, telling - began_.size());
  const call one(*this, raw, sealed);
  if (!ready()) {
    // A program may wait for more bytes before it looks at those that are there. So the first bytes
    // behind the handshake are opened by its first read, and not here.
    shake_hands();
    has_worked_ = ready() || !sealed.empty();
    o.more = !memory_.in.empty();
  } else {
    o.ended = read_records(plain);
    answer_for_keys();
  }
  o.taken = raw.size() - memory_.in.size();
  return o;
}

// True: the peer has ended its direction. Inside a `call`.
bool tls_engine::read_records(input_buffer& plain) {
  for (;;) {
    plain.make_room();
    std::size_t n = 0;
    const int result = SSL_read_ex(ssl_.get(), plain.tail(), plain.room(), &n);
    const int error = SSL_get_error(ssl_.get(), result);
    if (result == 1) {
      plain.added(n);
      continue;
    }
    if (plain.empty()) plain.clear();  // gives back the room that nothing was read into
    if (error == SSL_ERROR_ZERO_RETURN) return true;
    if (error != SSL_ERROR_WANT_READ) fail();
    return false;
  }
}

// A peer that asks us for new keys may wait for them. OpenSSL answers with the next bytes that are
// written, which may never be. Inside a `call`.
void tls_engine::answer_for_keys() {
  SSL* s = ssl_.get();
  if (SSL_get_key_update_type(s) == SSL_KEY_UPDATE_NONE || ended_) return;
  if (SSL_key_update(s, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 && SSL_do_handshake(s) != 1) fail();
}

std::size_t tls_engine::seal_own(std::string_view plain, std::string& sealed) {
  if (!seals()) {
    sealed.append(plain);
    return plain.size();
  }
  if (!ready() || ended_) return 0;
  constexpr std::size_t record = 16 * 1024;
  constexpr std::size_t more_a_record = 64;  // head, padding and check
  sealed.reserve(plain.size() + (plain.size() / record + 1) * more_a_record);
  const call one(*this, {}, sealed);
  // OpenSSL sends the ticket with the bytes that follow. If there is no memory for one, the client
  // will not resume.
  const bool with_ticket = std::exchange(gives_ticket_, false);
  if (with_ticket) (void)SSL_new_session_ticket(ssl_.get());
  std::size_t n = 0;
  const int result = SSL_write_ex(ssl_.get(), plain.data(), plain.size(), &n);
  const int error = SSL_get_error(ssl_.get(), result);
  // With a ticket OpenSSL enters its handshake again, and keeps a buffer for what it may read then:
  // 16 KiB until the next read, which an idle client may never cause.
  if (with_ticket) (void)SSL_free_buffers(ssl_.get());
  if (result == 1) return n;
  if (error != SSL_ERROR_WANT_READ) fail();
  return 0;
}

void tls_engine::end_own(std::string& sealed) {
  if (!seals() || !ready() || ended_) return;
  ended_ = true;
  const call one(*this, {}, sealed);
  (void)SSL_shutdown(ssl_.get());
}

std::exception_ptr tls_engine::cut_off() noexcept {
  try {
    return tls_truncation(ends_, ready() ? facts_.server_name : std::string(), !ready());
  } catch (const std::bad_alloc&) { return std::current_exception(); }
}

bool tls_engine::ends_alone() const noexcept {
  const bool own = !seals() || may_end_.load(relaxed) || (ready() && facts_.is_1_3);
  return own && (!below_ || below_->ends_alone());
}

tls_info tls_engine::info() const {
  if (!ready()) throw_usage("the TLS handshake of this connection is not done");
  tls_info i;
  i.version = facts_.version;
  i.cipher = facts_.cipher;
  i.alpn = facts_.alpn;
  i.server_name = facts_.server_name;
  i.resumed = facts_.resumed;
  if (facts_.own) i.chain.push_back(describe(*facts_.own));
  const auto* chain = facts_.chain.get();
  for (int at = 0; at < sk_X509_num(chain); ++at) {
    const X509* one = sk_X509_value(chain, at);
    if (!facts_.own || X509_cmp(one, facts_.own.get()) != 0) i.chain.push_back(describe(*one));
  }
  return i;
}

}  // namespace heddle::detail
