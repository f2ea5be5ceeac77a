// SPDX-License-Identifier: MIT
//
// The bare kernel path: one epoll set a thread, one recv and one send a message, no parsing worth
// the name, nothing allocated. A yardstick, not a server: rates of real servers are given as ratios
// to this one's, taken in turns.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <exception>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/program.h"
#include "load/loopback.h"

namespace {

constexpr bench::identity who{"load", "reference"};

enum class protocol { echo, http };

std::string answer_of(std::size_t bytes) {
  const std::string_view hello = "Hello, World!";
  const std::string body = bytes == hello.size() ? std::string(hello) : std::string(bytes, 'x');
  return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(bytes) +
         "\r\n\r\n" + body;
}

class serving_thread {
 public:
  serving_thread(const bench::server_settings& with, protocol what)
      : what_(what),
        answer_(answer_of(with.answer)),
        listener_(bench::listen_on(with.port)),
        set_(bench::checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {
    bench::watch(set_, EPOLL_CTL_ADD, listener_, EPOLLIN, {.fd = listener_});
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
      const int socket = bench::accept_from(listener_);
      if (socket < 0) return;
      bench::watch(set_, EPOLL_CTL_ADD, socket, EPOLLIN, {.fd = socket});
    }
  }

  // One turn of one connection; false when it is over. The load reads what it is sent, so a send
  // that finds no room waits for it.
  bool serve(int socket) {
    const ssize_t got = recv(socket, received_.data(), received_.size(), 0);
    if (got < 0) return errno == EAGAIN;
    if (got == 0) return false;
    std::string_view bytes(received_.data(), static_cast<std::size_t>(got));
    if (what_ == protocol::echo) return bench::send_whole(socket, bytes.data(), bytes.size());
    answers_.clear();
    for (std::size_t end = bytes.find("\r\n\r\n"); end != bytes.npos;
         end = bytes.find("\r\n\r\n", end + 4)) {
      answers_ += answer_;
    }
    return bench::send_whole(socket, answers_.data(), answers_.size());
  }

  protocol what_;
  std::string answer_;
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
  const auto serve = [&with, what] {
    try {
      serving_thread(with, what).run();
    } catch (const std::exception& e) { bench::give_up(who, e.what()); }
  };
  for (unsigned i = 1; i < with.threads; ++i) std::thread(serve).detach();
  serve();
}
