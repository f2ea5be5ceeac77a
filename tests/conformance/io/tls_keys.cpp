// SPDX-License-Identifier: MIT
// TLS: a peer that asks for new keys, which heddle itself never does. So the peer is OpenSSL, on a
// thread of its own.
#include "tls_support.h"

#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <cerrno>
#include <csignal>
#include <thread>

namespace {

using namespace conformance;

REACTOR_CASES(IO_TLS_KEYS);

/// A blocking client by OpenSSL. Its socket has no time limit: with one, a signal would end a read,
/// and OpenSSL takes that for the end of the connection.
class plain_client {
 public:
  plain_client(std::uint16_t port, int version) : context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_max_proto_version(context_, version);
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int at_once = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, socket_);
    connected_ = connected_ && SSL_connect(ssl_) == 1;
  }
  plain_client(const plain_client&) = delete;
  ~plain_client() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    ::close(socket_);
  }
  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] SSL* get() const { return ssl_; }
  [[nodiscard]] bool write(const std::string& bytes) const {
    return SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) ==
           static_cast<int>(bytes.size());
  }
  /// As many bytes as `n`, or fewer at the end.
  [[nodiscard]] std::string read(std::size_t n) const {
    std::string all(n, '\0');
    std::size_t got = 0;
    while (got < n) {
      const int more = SSL_read(ssl_, all.data() + got, static_cast<int>(n - got));
      if (more <= 0) break;
      got += static_cast<std::size_t>(more);
    }
    all.resize(got);
    return all;
  }

 private:
  SSL_CTX* context_;
  int socket_;
  SSL* ssl_ = nullptr;
  bool connected_ = false;
};

/// Runs `body(port)` on a thread of its own, while the loops serve.
template <class F>
h::task<bool> beside(std::uint16_t port, F body) {
  auto told = std::make_shared<h::promise<bool>>();
  auto future = told->get_future();
  std::thread thread([told, port, body] {
    sigset_t pipes;  // OpenSSL writes by write(2)
    sigemptyset(&pipes);
    sigaddset(&pipes, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipes, nullptr);
    told->set_value(body(port));
  });
  const bool held = co_await future;
  thread.join();
  co_return held;
}

bool updates_keys(std::uint16_t port) {
  const plain_client c(port, TLS1_3_VERSION);
  bool held = c.connected();
  std::string piece(40'000, 'a');
  for (int i = 0; held && i < 30; ++i) {
    piece.assign(piece.size(), static_cast<char>('a' + i % 26));
    // In turns with and without asking the server for new keys of its own.
    held = SSL_key_update(c.get(), i % 2 == 0 ? SSL_KEY_UPDATE_REQUESTED
                                              : SSL_KEY_UPDATE_NOT_REQUESTED) == 1 &&
           c.write(piece) && c.read(piece.size()) == piece;
  }
  return held;
}

TEST_P(IO_TLS_KEYS, IO_TLS_41_APeerUpdatesItsKeysWhileBytesFlow) {
  run([]() -> h::task<> {
    auto s = co_await h::start_server(echo, here, 0, with_tls());
    auto work = beside(s.port(), updates_keys);
    const bool held = co_await std::move(work);
    HOLDS(held);
  });
}

/// The server only reads: its answer to the request for new keys leaves although nobody writes.
bool is_answered_by_a_reader(std::uint16_t port) {
  const plain_client c(port, TLS1_3_VERSION);
  if (!c.connected() || SSL_key_update(c.get(), SSL_KEY_UPDATE_REQUESTED) != 1) return false;
  if (!c.write("x")) return false;
  // A record of the answer, which holds no bytes for us: so a peek finds nothing, and the socket
  // has been readable.
  pollfd answer{SSL_get_fd(c.get()), POLLIN, 0};
  while (::poll(&answer, 1, 60'000) < 0 && errno == EINTR) {}
  if (!(answer.revents & POLLIN)) return false;
  char byte = 0;
  const auto n = ::recv(SSL_get_fd(c.get()), &byte, 1, MSG_PEEK);
  return n == 1 && byte == '\x17' && c.write("end") && SSL_shutdown(c.get()) >= 0;
}

TEST_P(IO_TLS_KEYS, IO_TLS_41_AServerThatOnlyReadsAnswersARequestForKeys) {
  run([]() -> h::task<> {
    h::tls_server_options o = as_localhost();
    o.tickets = false;
    auto reads = [](h::stream_reader r, h::stream_writer) -> h::task<> {
      (void)co_await swallow(r);
    };
    auto s = co_await h::start_server(reads, here, 0, with_tls(h::tls_context::server(o)));
    auto work = beside(s.port(), is_answered_by_a_reader);
    const bool held = co_await std::move(work);
    HOLDS(held);
    s.close();
    co_await s.wait_closed();
  });
}

/// The server refuses, and the connection goes on or ends; it costs the server no handshake.
bool is_refused(std::uint16_t port) {
  const plain_client c(port, TLS1_2_VERSION);
  bool held = c.connected() && c.write("before\n") && c.read(7) == "before\n";
  for (int i = 0; held && i < 100; ++i) {
    if (SSL_renegotiate(c.get()) != 1) break;
    if (SSL_do_handshake(c.get()) != 1) break;
    if (!c.write("x") || c.read(1) != "x") break;
    held = SSL_renegotiate_pending(c.get()) == 1;  // never done
  }
  return held;
}

TEST_P(IO_TLS_KEYS, IO_TLS_42_RenegotiationIsRefused) {
  run([]() -> h::task<> {
    const auto context = h::tls_context::server(as_localhost());
    auto s = co_await h::start_server(
        [](h::stream_reader r, h::stream_writer w) -> h::task<> {
          (void)co_await error_of(echo(std::move(r), std::move(w)));
        },
        here, 0, with_tls(context));
    auto work = beside(s.port(), is_refused);
    const bool held = co_await std::move(work);
    HOLDS(held);
    s.close();
    co_await s.wait_closed();
    EQUAL(context.counts().handshakes, 1u);
    EQUAL(context.counts().failed, 0u);
  });
}

}  // namespace
