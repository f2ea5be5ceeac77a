// SPDX-License-Identifier: MIT
#include "name_server.h"

#include <stdexcept>
#include <utility>

#include <fcntl.h>

namespace conformance {
namespace {

question read_question(std::string raw) {
  question q;
  q.raw = std::move(raw);
  std::size_t at = 12;
  while (at < q.raw.size() && q.raw[at] != 0) {
    const auto length = static_cast<unsigned char>(q.raw[at]);
    if (!q.name.empty()) q.name += '.';
    q.name += q.raw.substr(at + 1, length);
    at += length + 1u;
  }
  if (at + 2 < q.raw.size()) q.type = static_cast<unsigned char>(q.raw[at + 2]);
  return q;
}

/// Reads all of `size` bytes. False: the peer has gone.
bool read_all(int from, char* to, std::size_t size) {
  while (size > 0) {
    const auto n = ::recv(from, to, size, 0);
    if (n <= 0) return false;
    to += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace

name_server::name_server(script s, const std::string& host, std::uint16_t port)
    : script_(std::move(s)) {
  for (int tries = 0; tries < 100 && !bind_both(host, port); ++tries) {
    ::close(std::exchange(udp_, -1));
    ::close(std::exchange(tcp_, -1));
    if (port != 0) return;
  }
  if (udp_ < 0) throw std::runtime_error("no port for a name server");
  auto other = heddle::address::ip(host, 0);
  elsewhere_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (::bind(elsewhere_, other.data(), other.size()) != 0 || ::pipe2(stop_, O_CLOEXEC) != 0)
    throw std::runtime_error("a name server");
  thread_ = std::thread([this] { run(); });
}

name_server::~name_server() {
  if (thread_.joinable()) {
    ::close(stop_[1]);
    thread_.join();
  }
  for (const int d : {udp_, elsewhere_, tcp_, stop_[0]})
    if (d >= 0) ::close(d);
}

bool name_server::bind_both(const std::string& host, std::uint16_t port) {
  auto to = heddle::address::ip(host, port);
  tcp_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  udp_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (::bind(tcp_, to.data(), to.size()) != 0 || ::listen(tcp_, 64) != 0) return false;
  to = heddle::address::local_of(tcp_);
  return ::bind(udp_, to.data(), to.size()) == 0;
}

int name_server::asked(const std::string& name) {
  const std::lock_guard hold(lock_);
  int n = 0;
  for (const auto& q : seen_) n += q.is(name);
  return n;
}

std::set<int> name_server::ids() {
  const std::lock_guard hold(lock_);
  std::set<int> all;
  for (const auto& q : seen_) all.insert(q.id());
  return all;
}

std::set<int> name_server::ports() {
  const std::lock_guard hold(lock_);
  std::set<int> all;
  for (const auto& q : seen_) all.insert(q.from_port);
  return all;
}

void name_server::run() {
  for (;;) {
    pollfd all[] = {{stop_[0], 0, 0}, {udp_, POLLIN, 0}, {tcp_, POLLIN, 0}};
    if (::poll(all, 3, -1) < 0) continue;
    if (all[0].revents != 0) return;
    if (all[1].revents != 0) serve_udp();
    if (all[2].revents == 0) continue;
    const int c = ::accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC);
    if (c < 0) continue;
    serve_tcp(c);
    ::close(c);
  }
}

sent_replies name_server::answer(question q) {
  ++(q.tcp ? tcp_asked : udp_asked);
  {
    const std::lock_guard hold(lock_);
    seen_.push_back(q);
  }
  return script_(q);
}

void name_server::serve_udp() {
  char room[4096];
  sockaddr_in from{};
  socklen_t length = sizeof from;
  const auto n = ::recvfrom(udp_, room, sizeof room, MSG_DONTWAIT,
                            reinterpret_cast<sockaddr*>(&from), &length);
  if (n < 17) return;
  question q = read_question(std::string(room, static_cast<std::size_t>(n)));
  q.from_port = ntohs(from.sin_port);
  for (const auto& r : answer(std::move(q)))
    (void)::sendto(r.from_elsewhere ? elsewhere_ : udp_, r.bytes.data(), r.bytes.size(), 0,
                   reinterpret_cast<const sockaddr*>(&from), length);
}

/// Each reply goes in three pieces. Serves until the client has gone, one connection at a time.
void name_server::serve_tcp(int connection) {
  const int on = 1;
  (void)::setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  for (;;) {
    pollfd all[] = {{stop_[0], 0, 0}, {connection, POLLIN, 0}, {udp_, POLLIN, 0}};
    if (::poll(all, 3, -1) < 0) continue;
    if (all[0].revents != 0) return;
    if (all[2].revents != 0) serve_udp();
    if (all[1].revents == 0) continue;
    unsigned char size[2];
    if (!read_all(connection, reinterpret_cast<char*>(size), 2)) return;
    std::string raw(static_cast<std::size_t>(size[0] << 8 | size[1]), '\0');
    if (!read_all(connection, raw.data(), raw.size())) return;
    question q = read_question(std::move(raw));
    q.tcp = true;
    for (const auto& r : answer(std::move(q))) {
      const std::string s = big_endian(static_cast<std::uint32_t>(r.bytes.size()), 2) + r.bytes;
      const std::size_t cuts[] = {0, 1, s.size() / 2, s.size()};
      for (int i = 0; i < 3; ++i)
        (void)::send(connection, s.data() + cuts[i], cuts[i + 1] - cuts[i], MSG_NOSIGNAL);
    }
  }
}

}  // namespace conformance
