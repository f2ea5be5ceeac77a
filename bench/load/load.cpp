// SPDX-License-Identifier: MIT
//
// Closed-loop load from one thread on io_uring, cheaper than wrk, so that a fast server stays the
// bottleneck. Each connection keeps `depth` requests in flight; all answers have one length, which
// a probe finds and checks. Prints one JSON line. Loopback only.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "common/program.h"
#include "load/histogram.h"
#include "load/ring.h"

namespace {

constexpr const char* help =
    "load echo|http --port P [--connections 64] [--depth 1] [--bytes 64] [--path /plaintext]\n"
    "               [--seconds 0.6] [--warm-up 0.15]\n"
    "Closed-loop load on 127.0.0.1. depth: requests in flight a connection. bytes: of an echo "
    "message.\n";

struct plan {
  bool http = false;
  std::uint16_t port = 0;
  std::size_t connections = 64;
  std::size_t depth = 1;
  std::size_t bytes = 64;
  std::string path = "/plaintext";
  double seconds = 0.6;
  double warm_up = 0.15;
};

template <class Number>
Number number(const std::string& name, const std::string& text, Number least, Number most) {
  Number value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most) {
    throw std::invalid_argument(name + " cannot be " + text);
  }
  return value;
}

plan read_plan(int argc, char** argv) {
  if (argc < 2) throw std::invalid_argument("what load: echo or http?");
  plan p;
  const std::string_view kind = argv[1];
  if (kind != "echo" && kind != "http") throw std::invalid_argument("the load is echo or http");
  p.http = kind == "http";
  std::map<std::string, std::string> given;
  for (int i = 2; i < argc; i += 2) {
    if (i + 1 == argc) throw std::invalid_argument(std::string(argv[i]) + " needs a value");
    given[argv[i]] = argv[i + 1];
  }
  for (const auto& [name, text] : given) {
    if (name == "--port") {
      p.port = number<std::uint16_t>(name, text, 1, 65535);
    } else if (name == "--connections") {
      p.connections = number<std::size_t>(name, text, 1, 20000);
    } else if (name == "--depth") {
      p.depth = number<std::size_t>(name, text, 1, 1024);
    } else if (name == "--bytes") {
      p.bytes = number<std::size_t>(name, text, 1, 65536);
    } else if (name == "--path") {
      p.path = text;
    } else if (name == "--seconds") {
      p.seconds = number<double>(name, text, 0.01, 60);
    } else if (name == "--warm-up") {
      p.warm_up = number<double>(name, text, 0, 60);
    } else {
      throw std::invalid_argument("unknown option " + name);
    }
  }
  if (p.port == 0) throw std::invalid_argument("--port is required");
  return p;
}

int checked(int result, const char* call) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), call);
  return result;
}

int connected_socket(std::uint16_t port) {
  const int socket = checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  checked(connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), "connect");
  const int on = 1;
  checked(setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "setsockopt");
  return socket;
}

// Length of a whole answer that begins `text`, or 0 if more of its head is needed.
std::size_t http_answer_size(std::string_view text) {
  const std::size_t end = text.find("\r\n\r\n");
  if (end == text.npos) return 0;
  const std::string head(text.substr(0, end));
  if (!head.starts_with("HTTP/1.1 200")) {
    throw std::runtime_error("the server answered " + head.substr(0, head.find('\r')));
  }
  const char* length = strcasestr(head.c_str(), "\r\ncontent-length:");
  if (length == nullptr) throw std::runtime_error("the answer has no Content-Length");
  return end + 4 + std::strtoul(length + std::strlen("\r\ncontent-length:"), nullptr, 10);
}

/// What one connection sends and how much comes back for it.
struct exchange {
  std::string request;
  std::size_t answer_size;
};

// One exchange on a connection of its own: finds the length of the answer and checks what can be
// checked.
exchange probe(const plan& p) {
  std::string request(p.bytes, 'x');
  if (p.http) request = "GET " + p.path + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
  const int socket = connected_socket(p.port);
  const timeval patience{5, 0};
  checked(setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), "setsockopt");
  if (send(socket, request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    throw std::system_error(errno, std::generic_category(), "probe: send");
  }
  std::string answer;
  std::size_t whole = p.http ? 0 : p.bytes;
  while (whole == 0 || answer.size() < whole) {
    char piece[8192];
    const ssize_t got = recv(socket, piece, sizeof piece, 0);
    if (got < 0) throw std::system_error(errno, std::generic_category(), "probe: recv");
    if (got == 0) throw std::runtime_error("the server closed the probe's connection");
    answer.append(piece, static_cast<std::size_t>(got));
    if (p.http) whole = http_answer_size(answer);
  }
  close(socket);
  if (answer.size() > whole)
    throw std::runtime_error("the server answered more than was asked for");
  if (!p.http && answer != request) throw std::runtime_error("the echo differs from what was sent");
  return {std::move(request), whole};
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class closed_loop {
 public:
  closed_loop(const plan& p, const exchange& e, std::span<const int> sockets)
      : plan_(p), answer_size_(e.answer_size), ring_(sockets), state_(sockets.size()) {
    for (std::size_t i = 0; i < p.depth; ++i) requests_ += e.request;
    request_size_ = e.request.size();
    for (auto& s : state_) s.sent_at.resize(p.depth);
  }

  void run() {
    for (std::size_t i = 0; i < state_.size(); ++i) {
      ring_.receive(i);
      for (auto& t : state_[i].sent_at) t = bench::now_ns();
      send(i, plan_.depth);
    }
    turn_until(bench::now_ns() + ns(plan_.warm_up));
    latency_.clear();
    const std::uint64_t answers_before = answers_;
    const double cpu_before = cpu_seconds();
    const std::int64_t began = bench::now_ns();
    turn_until(began + ns(plan_.seconds));
    const double took = static_cast<double>(bench::now_ns() - began) * 1e-9;
    const double cpu = cpu_seconds() - cpu_before;
    auto us = [this](double quantile) { return static_cast<double>(latency_.at(quantile)) * 1e-3; };
    std::printf(
        R"({"rate":%.0f,"p50_us":%.1f,"p99_us":%.1f,"p999_us":%.1f,"client_cpu":%.3f,"answers":%llu})"
        "\n",
        static_cast<double>(answers_ - answers_before) / took, us(0.5), us(0.99), us(0.999),
        cpu / took, static_cast<unsigned long long>(answers_));
  }

 private:
  struct connection {
    std::size_t received = 0;           // bytes of an answer not yet whole
    std::size_t oldest = 0;             // of sent_at
    std::vector<std::int64_t> sent_at;  // one for each request in flight, in a circle
  };

  static std::int64_t ns(double seconds) { return static_cast<std::int64_t>(seconds * 1e9); }

  void send(std::size_t connection, std::size_t count) {
    ring_.send(connection, std::string_view(requests_).substr(0, count * request_size_));
  }

  void turn_until(std::int64_t end) {
    while (bench::now_ns() < end) {
      ring_.turn([this](const bench::ring::event& e) { handle(e); });
    }
  }

  void handle(const bench::ring::event& e) {
    switch (e.what) {
      case bench::ring::step::starved: ring_.receive(e.connection); return;
      case bench::ring::step::lost:
        throw std::runtime_error(e.error == 0
                                     ? "the server closed a connection"
                                     : std::string("connection lost: ") + std::strerror(e.error));
      case bench::ring::step::received: break;
    }
    connection& c = state_[e.connection];
    c.received += e.bytes;
    const std::size_t whole = c.received / answer_size_;
    if (whole == 0) return;
    if (whole > plan_.depth)
      throw std::runtime_error("the server answered more than was asked for");
    c.received %= answer_size_;
    const std::int64_t now = bench::now_ns();
    for (std::size_t i = 0; i < whole; ++i) {
      std::int64_t& sent = c.sent_at[c.oldest];
      latency_.record(static_cast<std::uint64_t>(now - sent));
      sent = now;
      c.oldest = (c.oldest + 1) % plan_.depth;
    }
    answers_ += whole;
    send(e.connection, whole);
  }

  const plan& plan_;
  std::size_t answer_size_;
  std::size_t request_size_ = 0;
  std::string requests_;
  bench::ring ring_;
  std::vector<connection> state_;
  bench::histogram latency_;
  std::uint64_t answers_ = 0;
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
    const exchange e = probe(p);
    std::vector<int> sockets;
    for (std::size_t i = 0; i < p.connections; ++i) sockets.push_back(connected_socket(p.port));
    closed_loop(p, e, sockets).run();
  } catch (const std::invalid_argument& e) {
    std::fprintf(stderr, "load: %s\n%s", e.what(), help);
    return 2;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "load: %s\n", e.what());
    return 1;
  }
}
