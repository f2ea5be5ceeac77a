// SPDX-License-Identifier: MIT
#include "fairness/problem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <random>
#include <thread>

namespace bench::fairness {
namespace {

sockaddr_in local(std::uint16_t port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  a.sin_port = htons(port);
  return a;
}

}  // namespace

void send_messages(std::uint16_t port, const std::atomic<bool>& over) {
  const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in to = local(port);
  const int on = 1;
  ::setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  bool fine = ::connect(s, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  std::minstd_rand random(1);
  std::uniform_int_distribution<int> nap_us(300, 1700);
  while (fine && !over.load()) {
    std::this_thread::sleep_for(std::chrono::microseconds(nap_us(random)));
    const std::int64_t now = now_ns();
    message m{};
    std::copy_n(reinterpret_cast<const char*>(&now), sizeof now, m.data());
    fine = ::send(s, m.data(), m.size(), MSG_NOSIGNAL) == ssize_t(m.size()) &&
           ::recv(s, m.data(), m.size(), MSG_WAITALL) == ssize_t(m.size());
  }
  ::close(s);
}

int listen_anywhere(std::uint16_t& port) {
  const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in a = local(0);
  socklen_t size = sizeof a;
  const bool fine = ::bind(s, reinterpret_cast<sockaddr*>(&a), size) == 0 && ::listen(s, 1) == 0 &&
                    ::getsockname(s, reinterpret_cast<sockaddr*>(&a), &size) == 0;
  port = ntohs(a.sin_port);
  return fine ? s : -1;
}

bool print(const identity& who, const settings& with, std::string_view storm, long steps,
           delays& timer, delays& socket) {
  const auto quantiles = [](std::string_view name, delays& d) {
    std::printf(R"(,"%.*s":{"samples":%zu,"p50":%lld,"p99":%lld,"max":%lld})", int(name.size()),
                name.data(), d.count(), static_cast<long long>(d.quantile(0.5)),
                static_cast<long long>(d.quantile(0.99)), static_cast<long long>(d.quantile(1)));
  };
  std::printf(
      R"({"problem":"fairness","peer":"%.*s","threads":%u,"size":%ld,"storm":"%.*s","steps":%ld)",
      int(who.peer.size()), who.peer.data(), with.threads, with.size, int(storm.size()),
      storm.data(), steps);
  quantiles("timer", timer);
  quantiles("socket", socket);
  std::printf("}\n");
  std::fflush(stdout);
  return timer.count() >= expected_least && socket.count() >= expected_least && steps > 0;
}

}  // namespace bench::fairness
