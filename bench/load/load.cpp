// SPDX-License-Identifier: MIT
//
// Closed-loop load from one thread on io_uring, cheaper than wrk, so that a fast server stays the
// bottleneck. Each connection keeps `depth` requests in flight; all answers have one length, which
// a probe finds and checks. Prints one JSON line. Loopback only.
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "common/program.h"
#include "load/loopback.h"
#include "load/plan.h"
#include "load/ring.h"
#include "load/websocket_client.h"

namespace {

constexpr std::string_view about =
    "Closed-loop load on 127.0.0.1.\n"
    "  echo            messages of --bytes, there and back\n"
    "  http            GETs of --path, or POSTs with a body of --upload bytes\n"
    "  websocket       binary messages of --bytes at --path, there and back\n"
    "  websocket_idle  --connections that have echoed once and then wait, until stdin ends\n";

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

std::string request_of(const bench::load_plan& p) {
  if (p.what == "echo") return std::string(p.bytes, 'x');
  if (p.what != "http") return bench::websocket_message(p.bytes);
  if (p.upload == 0) return "GET " + p.path + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
  return "POST " + p.path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n" +
         "Content-Length: " + std::to_string(p.upload) + "\r\n\r\n" + std::string(p.upload, 'x');
}

/// A connection on which the server waits for requests.
int open_line(const bench::load_plan& p) {
  const int socket = bench::connect_to(p.port);
  const timeval patience{5, 0};
  bench::checked(setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience),
                 "setsockopt");
  if (p.what.starts_with("websocket")) bench::upgrade(socket, p.path);
  return socket;
}

/// What one connection sends and how much comes back for it.
struct exchange {
  std::string request;
  std::size_t answer_size;
};

// One exchange on `socket`: finds the length of the answer and checks what can be checked.
exchange probe(const bench::load_plan& p, int socket) {
  std::string request = request_of(p);
  if (!bench::send_whole(socket, request.data(), request.size()))
    throw std::system_error(errno, std::generic_category(), "probe: send");
  const bool http = p.what == "http";
  const std::string echo = p.what == "echo" ? request : bench::websocket_echo(p.bytes);
  std::string answer;
  std::size_t whole = http ? 0 : echo.size();
  while (whole == 0 || answer.size() < whole) {
    char piece[8192];
    const ssize_t got = recv(socket, piece, sizeof piece, 0);
    if (got < 0) throw std::system_error(errno, std::generic_category(), "probe: recv");
    if (got == 0) throw std::runtime_error("the server closed the probe's connection");
    answer.append(piece, static_cast<std::size_t>(got));
    if (http) whole = http_answer_size(answer);
  }
  if (answer.size() > whole)
    throw std::runtime_error("the server answered more than was asked for");
  if (!http && answer != echo) throw std::runtime_error("the echo differs from what was sent");
  return {std::move(request), whole};
}

class closed_loop {
 public:
  closed_loop(const bench::load_plan& p, const exchange& e, std::span<const int> sockets)
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
    const auto turns = [this](std::int64_t end) { turn_until(end); };
    figures_.warm_up(plan_, turns);
    figures_.count(plan_, turns);
    figures_.print();
  }

 private:
  struct connection {
    std::size_t received = 0;           // bytes of an answer not yet whole
    std::size_t oldest = 0;             // of sent_at
    std::vector<std::int64_t> sent_at;  // one for each request in flight, in a circle
  };

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
      figures_.answered(sent, now);
      sent = now;
      c.oldest = (c.oldest + 1) % plan_.depth;
    }
    send(e.connection, whole);
  }

  const bench::load_plan& plan_;
  std::size_t answer_size_;
  std::size_t request_size_ = 0;
  std::string requests_;
  bench::ring ring_;
  std::vector<connection> state_;
  bench::figures figures_;
};

// The bench looks at the server's memory between the line and the end of stdin.
void be_idle(const bench::load_plan& p) {
  alarm(300);
  std::vector<int> lines;
  for (std::size_t i = 0; i < p.connections; ++i) probe(p, lines.emplace_back(open_line(p)));
  std::printf("{\"idle\":%zu}\n", lines.size());
  std::fflush(stdout);
  while (std::getchar() != EOF) {}
}

void work(const bench::load_plan& p) {
  if (p.what == "websocket_idle") return be_idle(p);
  const int first = open_line(p);
  const exchange e = probe(p, first);
  close(first);
  std::vector<int> sockets;
  for (std::size_t i = 0; i < p.connections; ++i) sockets.push_back(open_line(p));
  closed_loop(p, e, sockets).run();
}

}  // namespace

int main(int argc, char** argv) {
  return bench::load_main(argc, argv, "load", about,
                          {"echo", "http", "websocket", "websocket_idle"}, work);
}
