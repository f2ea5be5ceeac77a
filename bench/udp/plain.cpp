// SPDX-License-Identifier: MIT
// One epoll set and the calls themselves: what the kernel alone takes.
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "udp/problem.h"

namespace {

constexpr bench::identity who{"udp", "plain"};

int checked(int result, const char* call) {
  if (result < 0) bench::give_up(who, call);
  return result;
}

struct end {
  int socket;
  bool echoes;
  long left;
};

class pairs {
 public:
  explicit pairs(long each) : set_(checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {
    ends_.reserve(2 * bench::udp::pairs);
    for (int i = 0; i < bench::udp::pairs; ++i) {
      sockaddr_in a = bench::udp::any_port_of_loopback();
      socklen_t size = sizeof a;
      auto* at = reinterpret_cast<sockaddr*>(&a);
      const int type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
      const int server = checked(socket(AF_INET, type, 0), "socket");
      checked(bind(server, at, size), "bind");
      checked(getsockname(server, at, &size), "getsockname");
      const int client = checked(socket(AF_INET, type, 0), "socket");
      checked(connect(client, at, size), "connect");
      add({server, true, each});
      add({client, false, each});
    }
  }
  ~pairs() {
    for (const auto& e : ends_) close(e.socket);
    close(set_);
  }

  long run() {
    long right = 0;
    long left = 0;
    std::array<char, 2048> room{};
    for (const auto& e : ends_) {
      if (e.echoes) continue;
      left += e.left;
      checked(static_cast<int>(send(e.socket, room.data(), bench::udp::bytes, 0)), "send");
    }
    std::array<epoll_event, 256> events;
    while (left > 0) {
      const int n = checked(epoll_wait(set_, events.data(), events.size(), -1), "epoll_wait");
      for (int i = 0; i < n; ++i) {
        auto& e = *static_cast<end*>(events[static_cast<std::size_t>(i)].data.ptr);
        sockaddr_in from{};
        socklen_t size = sizeof from;
        auto* peer = reinterpret_cast<sockaddr*>(&from);
        const auto got = recvfrom(e.socket, room.data(), room.size(), 0, peer, &size);
        if (got < 0) continue;
        --e.left;
        const auto length = static_cast<std::size_t>(got);
        if (e.echoes) {
          checked(static_cast<int>(sendto(e.socket, room.data(), length, 0, peer, size)), "sendto");
          continue;
        }
        right += length == bench::udp::bytes;
        --left;
        if (e.left > 0) checked(static_cast<int>(send(e.socket, room.data(), length, 0)), "send");
      }
    }
    return right;
  }

 private:
  void add(end e) {
    ends_.push_back(e);
    epoll_event interest{};
    interest.events = EPOLLIN;
    interest.data.ptr = &ends_.back();
    checked(epoll_ctl(set_, EPOLL_CTL_ADD, e.socket, &interest), "epoll_ctl");
  }

  int set_;
  std::vector<end> ends_;
};

}  // namespace

int main(int argc, char** argv) {
  const auto with =
      bench::read_settings(argc, argv, who, bench::udp::default_size, bench::udp::size_means);
  const long each = bench::udp::each_of(with.size);
  return bench::run_all(who, with, each * bench::udp::pairs, [each] { return pairs(each).run(); });
}
