// SPDX-License-Identifier: MIT
//
// The bare kernel path: one epoll set a thread, one recv and one send a message, no parsing worth
// the name, nothing allocated. A yardstick, not a server: rates of real servers are given as ratios
// to this one's, taken in turns.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/program.h"

namespace {

constexpr bench::identity who{"load", "reference"};

constexpr std::string_view answer =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!";

enum class protocol { echo, http };

int checked(int result, const char* call) {
  if (result < 0) bench::give_up(who, std::string(call) + ": " + std::strerror(errno));
  return result;
}

void watch(int set, int socket) {
  epoll_event interest{};
  interest.events = EPOLLIN;
  interest.data.fd = socket;
  checked(epoll_ctl(set, EPOLL_CTL_ADD, socket, &interest), "epoll_ctl");
}

int listen_on(std::uint16_t port) {
  const int listener =
      checked(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
  const int on = 1;
  checked(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "setsockopt");
  checked(setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), "setsockopt");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  checked(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), "bind");
  checked(listen(listener, 4096), "listen");
  return listener;
}

class serving_thread {
 public:
  serving_thread(std::uint16_t port, protocol what)
      : what_(what),
        listener_(listen_on(port)),
        set_(checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {
    watch(set_, listener_);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 1024> events;
    for (;;) {
      const int count = epoll_wait(set_, events.data(), events.size(), -1);
      for (int i = 0; i < count; ++i) {
        const int socket = events[static_cast<std::size_t>(i)].data.fd;
        if (socket == listener_) {
          accept_all();
        } else if (!serve(socket)) {
          close(socket);
        }
      }
    }
  }

 private:
  void accept_all() {
    for (;;) {
      const int socket = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (socket < 0) return;
      const int on = 1;
      setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      watch(set_, socket);
    }
  }

  // One turn of one connection; false when it is over. What the load sends is small, so a send is
  // taken whole or the connection is given up.
  bool serve(int socket) {
    const ssize_t got = recv(socket, received_.data(), received_.size(), 0);
    if (got < 0) return errno == EAGAIN;
    if (got == 0) return false;
    std::string_view bytes(received_.data(), static_cast<std::size_t>(got));
    if (what_ == protocol::echo) return send_all(socket, bytes);
    answers_.clear();
    for (std::size_t end = bytes.find("\r\n\r\n"); end != bytes.npos;
         end = bytes.find("\r\n\r\n", end + 4)) {
      answers_ += answer;
    }
    return answers_.empty() || send_all(socket, answers_);
  }

  static bool send_all(int socket, std::string_view bytes) {
    return send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }

  protocol what_;
  int listener_;
  int set_;
  std::vector<char> received_ = std::vector<char>(65536);
  std::string answers_;
};

}  // namespace

int main(int argc, char** argv) {
  std::vector<char*> rest(argv, argv + argc);
  protocol what = protocol::echo;
  if (argc > 1 && std::string_view(argv[1]) == "http") what = protocol::http;
  if (argc > 1 && (what == protocol::http || std::string_view(argv[1]) == "echo")) {
    rest.erase(rest.begin() + 1);
  }
  const auto with = bench::read_server_settings(static_cast<int>(rest.size()), rest.data(), who);
  for (unsigned i = 1; i < with.threads; ++i) {
    std::thread([&] { serving_thread(with.port, what).run(); }).detach();
  }
  serving_thread(with.port, what).run();
}
