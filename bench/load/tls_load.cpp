// SPDX-License-Identifier: MIT
//
// Closed-loop load over TLS from one thread: epoll, and OpenSSL over the sockets themselves.
//   tls_echo   messages of --bytes, there and back, on connections that stay
//   https      GETs on connections that stay
//   handshake  a new connection, a full handshake, one GET, and the end; again and again
//   resume     the same, by the ticket of the connection before
//   idle       one GET on each connection, then nothing: for a look at the server's memory
// Each connection has one exchange in flight. Prints one JSON line. Loopback only.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "common/program.h"
#include "load/histogram.h"
#include "load/openssl.h"

namespace {

constexpr const char* help =
    "tls_load tls_echo|https|handshake|resume|idle --port P [--connections 64] [--bytes 64]\n"
    "                [--depth 1] [--seconds 0.6] [--warm-up 0.15]\n"
    "Closed-loop load on 127.0.0.1. bytes: of an echo message. depth: only 1.\n";

enum class kind { echo, https, handshake, resume, idle };

struct plan {
  kind what = kind::echo;
  std::uint16_t port = 0;
  std::size_t connections = 64;
  std::size_t bytes = 64;
  double seconds = 0.6;
  double warm_up = 0.15;
};

plan read_plan(int argc, char** argv) {
  if (argc < 2 || argc % 2 != 0) throw std::invalid_argument("what load, and with which options?");
  plan p;
  const std::string_view what = argv[1];
  if (what == "tls_echo")
    p.what = kind::echo;
  else if (what == "https")
    p.what = kind::https;
  else if (what == "handshake")
    p.what = kind::handshake;
  else if (what == "resume")
    p.what = kind::resume;
  else if (what == "idle")
    p.what = kind::idle;
  else
    throw std::invalid_argument("the load is tls_echo, https, handshake, resume or idle");
  for (int i = 2; i < argc; i += 2) {
    const std::string_view name = argv[i];
    const double value = std::atof(argv[i + 1]);
    if (!(value >= 0) || value > 1e6) throw std::invalid_argument(std::string(name) + " is wrong");
    if (name == "--port")
      p.port = static_cast<std::uint16_t>(value);
    else if (name == "--connections")
      p.connections = static_cast<std::size_t>(value);
    else if (name == "--bytes")
      p.bytes = static_cast<std::size_t>(value);
    else if (name == "--seconds")
      p.seconds = value;
    else if (name == "--warm-up")
      p.warm_up = value;
    else if (name != "--depth" || value != 1)
      throw std::invalid_argument(std::string(name) + " is unknown, or has another value than 1");
  }
  if (p.port == 0 || p.connections == 0 || p.bytes == 0)
    throw std::invalid_argument("--port is required; connections and bytes are at least 1");
  return p;
}

int checked(int result, const char* call) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), call);
  return result;
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

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
  explicit closed_loop(const plan& p)
      : plan_(p),
        anew_(p.what == kind::handshake || p.what == kind::resume),
        context_(SSL_CTX_new(TLS_client_method())),
        set_(checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
        lines_(p.connections) {
    if (!context_) bench::fail_tls("SSL_CTX_new");
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_NONE, nullptr);
    SSL_CTX_set_mode(context_.get(),
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (p.what == kind::resume) {
      SSL_CTX_set_session_cache_mode(context_.get(),
                                     SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
      SSL_CTX_sess_set_new_cb(context_.get(), [](SSL* of, SSL_SESSION* s) {
        static_cast<line*>(SSL_get_app_data(of))->session.reset(s);
        return 1;
      });
    }
    request_ = p.what == kind::echo ? std::string(p.bytes, 'x')
                                    : "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    answer_size_ = p.what == kind::echo ? p.bytes : 0;  // else known from the first answer
  }

  void run() {
    for (auto& l : lines_) open(l);
    turn_until(bench::now_ns() + ns(plan_.warm_up));
    latency_.clear();
    resumed_ = 0;
    const std::uint64_t before = answers_;
    const double cpu_before = cpu_seconds();
    const std::int64_t began = bench::now_ns();
    turn_until(began + ns(plan_.seconds));
    const double took = static_cast<double>(bench::now_ns() - began) * 1e-9;
    const double cpu = cpu_seconds() - cpu_before;
    if (plan_.what == kind::resume && resumed_ * 10 < (answers_ - before) * 9)
      throw std::runtime_error("the server resumes fewer than nine of ten sessions");
    auto us = [this](double quantile) { return static_cast<double>(latency_.at(quantile)) * 1e-3; };
    std::printf(
        R"({"rate":%.0f,"p50_us":%.1f,"p99_us":%.1f,"p999_us":%.1f,"client_cpu":%.3f,"answers":%llu})"
        "\n",
        static_cast<double>(answers_ - before) / took, us(0.5), us(0.99), us(0.999), cpu / took,
        static_cast<unsigned long long>(answers_));
  }

 private:
  static std::int64_t ns(double seconds) { return static_cast<std::int64_t>(seconds * 1e9); }

  void open(line& l) {
    l.began = bench::now_ns();
    l.socket = checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(plan_.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    checked(connect(l.socket, reinterpret_cast<sockaddr*>(&address), sizeof address), "connect");
    const int on = 1;
    checked(setsockopt(l.socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "setsockopt");
    // No TIME_WAIT, of which a minute of handshakes would leave more than there are ports.
    const linger at_once{1, 0};
    if (anew_)
      checked(setsockopt(l.socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), "setsockopt");
    checked(fcntl(l.socket, F_SETFL, O_NONBLOCK), "fcntl");
    l.tls.reset(SSL_new(context_.get()));
    SSL_set_app_data(l.tls.get(), &l);
    SSL_set_fd(l.tls.get(), l.socket);
    SSL_set_connect_state(l.tls.get());
    if (l.session) SSL_set_session(l.tls.get(), l.session.get());
    l.sent = l.received = 0;
    epoll_event interest{};
    interest.events = EPOLLIN | EPOLLOUT | EPOLLET;
    interest.data.ptr = &l;
    checked(epoll_ctl(set_, EPOLL_CTL_ADD, l.socket, &interest), "epoll_ctl");
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
    ++answers_;
    resumed_ += SSL_session_reused(l.tls.get()) != 0;
    const auto now = bench::now_ns();
    latency_.record(static_cast<std::uint64_t>(now - l.began));
    l.began = now;
    l.sent = plan_.what == kind::idle ? request_.size() : 0;
    l.received = 0;
    if (!anew_) return false;
    SSL_set_shutdown(l.tls.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);  // keeps the session
    l.tls.reset();
    close(l.socket);
    open(l);
    return true;
  }

  const plan& plan_;
  bool anew_;
  bench::context_ptr context_;
  int set_;
  std::vector<line> lines_;
  std::string request_;
  std::size_t answer_size_ = 0;
  std::vector<char> received_ = std::vector<char>(65536);
  bench::histogram latency_;
  std::uint64_t answers_ = 0;
  std::uint64_t resumed_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "--help") {
    std::fputs(help, stdout);
    return 0;
  }
  try {
    const plan p = read_plan(argc, argv);
    // A server that stops answering must not hold the bench: the default action of SIGALRM ends
    // this process.
    alarm(static_cast<unsigned>(p.seconds + p.warm_up) + 10);
    closed_loop(p).run();
  } catch (const std::invalid_argument& e) {
    std::fprintf(stderr, "tls_load: %s\n%s", e.what(), help);
    return 2;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "tls_load: %s\n", e.what());
    return 1;
  }
}
