// SPDX-License-Identifier: MIT
//
// Closed-loop load over TLS from one thread: epoll, and OpenSSL over the sockets themselves.
// Each connection has one exchange in flight. Prints one JSON line. Loopback only.
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "common/program.h"
#include "load/loopback.h"
#include "load/openssl.h"
#include "load/plan.h"

namespace {

constexpr std::string_view about =
    "Closed-loop load on 127.0.0.1, over TLS 1.3. --depth is 1.\n"
    "  tls_echo   messages of --bytes, there and back, on connections that stay\n"
    "  https      GETs of --path on connections that stay\n"
    "  handshake  a new connection, a full handshake, one GET, and the end; again and again\n"
    "  resume     the same, by the ticket of the connection before\n"
    "  idle       one GET on each connection, then nothing: for a look at the server's memory\n";

struct line {
  int socket = -1;
  bench::ssl_ptr tls;
  bench::session_ptr session;  // the newest ticket
  std::size_t sent = 0;        // bytes of the request
  std::size_t received = 0;    // bytes of the answer
  std::int64_t began = 0;
};

class closed_loop {
 public:
  explicit closed_loop(const bench::load_plan& p)
      : plan_(p),
        anew_(p.what == "handshake" || p.what == "resume"),
        context_(SSL_CTX_new(TLS_client_method())),
        set_(bench::checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
        lines_(p.connections) {
    if (!context_) bench::fail_tls("SSL_CTX_new");
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_NONE, nullptr);
    SSL_CTX_set_mode(context_.get(),
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (p.what == "resume") {
      SSL_CTX_set_session_cache_mode(context_.get(),
                                     SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
      SSL_CTX_sess_set_new_cb(context_.get(), [](SSL* of, SSL_SESSION* s) {
        static_cast<line*>(SSL_get_app_data(of))->session.reset(s);
        return 1;
      });
    }
    const bool echo = p.what == "tls_echo";
    request_ =
        echo ? std::string(p.bytes, 'x') : "GET " + p.path + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    answer_size_ = echo ? p.bytes : 0;  // else known from the first answer
  }

  void run() {
    for (auto& l : lines_) open(l);
    const auto turns = [this](std::int64_t end) { turn_until(end); };
    figures_.warm_up(plan_, turns);
    resumed_ = 0;
    figures_.count(plan_, turns);
    if (plan_.what == "resume" && resumed_ * 10 < figures_.counted() * 9)
      throw std::runtime_error("the server resumes fewer than nine of ten sessions");
    figures_.print();
  }

 private:
  void open(line& l) {
    l.began = bench::now_ns();
    l.socket = bench::connect_to(plan_.port);
    // No TIME_WAIT, of which a minute of handshakes would leave more than there are ports.
    const linger at_once{1, 0};
    if (anew_)
      bench::checked(setsockopt(l.socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once),
                     "setsockopt");
    bench::checked(fcntl(l.socket, F_SETFL, O_NONBLOCK), "fcntl");
    l.tls.reset(SSL_new(context_.get()));
    SSL_set_app_data(l.tls.get(), &l);
    SSL_set_fd(l.tls.get(), l.socket);
    SSL_set_connect_state(l.tls.get());
    if (l.session) SSL_set_session(l.tls.get(), l.session.get());
    l.sent = l.received = 0;
    bench::watch(set_, EPOLL_CTL_ADD, l.socket, EPOLLIN | EPOLLOUT | EPOLLET, {.ptr = &l});
    advance(l);
  }

  void turn_until(std::int64_t end) {
    std::array<epoll_event, 256> events;
    while (bench::now_ns() < end) {
      const int n = epoll_wait(set_, events.data(), events.size(), 10);
      for (int i = 0; i < n; ++i)
        advance(*static_cast<line*>(events[static_cast<std::size_t>(i)].data.ptr));
    }
  }

  /// Sends and receives until OpenSSL has to wait.
  void advance(line& l) {
    for (;;) {
      ERR_clear_error();
      int n = 0;
      if (l.sent < request_.size()) {
        n = SSL_write(l.tls.get(), request_.data() + l.sent,
                      static_cast<int>(request_.size() - l.sent));
        if (n > 0) l.sent += static_cast<std::size_t>(n);
      } else {
        n = SSL_read(l.tls.get(), received_.data(), static_cast<int>(received_.size()));
        if (n > 0 && answered(l, std::string_view(received_.data(), static_cast<std::size_t>(n))))
          return;  // another connection stands in its place
      }
      if (n > 0) continue;
      const int why = SSL_get_error(l.tls.get(), n);
      if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return;
      bench::fail_tls("the server ended a connection");
    }
  }

  /// True: the connection has been replaced.
  bool answered(line& l, std::string_view bytes) {
    if (answer_size_ == 0) {
      const auto end = bytes.find("\r\n\r\n");
      const auto length = bytes.find("ontent-Length: ");
      if (!bytes.starts_with("HTTP/1.1 200") || end == bytes.npos || length > end)
        throw std::runtime_error("the first answer is not whole, or no 200 with its length");
      answer_size_ = end + 4 + std::strtoul(bytes.data() + length + 15, nullptr, 10);
    }
    l.received += bytes.size();
    if (l.received < answer_size_) return false;
    if (l.received > answer_size_) throw std::runtime_error("an answer is longer than the first");
    resumed_ += SSL_session_reused(l.tls.get()) != 0;
    const auto now = bench::now_ns();
    figures_.answered(l.began, now);
    l.began = now;
    l.sent = plan_.what == "idle" ? request_.size() : 0;
    l.received = 0;
    if (!anew_) return false;
    SSL_set_shutdown(l.tls.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);  // keeps the session
    l.tls.reset();
    close(l.socket);
    open(l);
    return true;
  }

  const bench::load_plan& plan_;
  bool anew_;
  bench::context_ptr context_;
  int set_;
  std::vector<line> lines_;
  std::string request_;
  std::size_t answer_size_ = 0;
  std::vector<char> received_ = std::vector<char>(65536);
  bench::figures figures_;
  std::uint64_t resumed_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  return bench::load_main(argc, argv, "tls_load", about,
                          {"tls_echo", "https", "handshake", "resume", "idle"},
                          [](const bench::load_plan& p) {
                            if (p.depth != 1) throw std::invalid_argument("--depth must be 1");
                            closed_loop(p).run();
                          });
}
