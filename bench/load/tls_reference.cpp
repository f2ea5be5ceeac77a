// SPDX-License-Identifier: MIT
//
// The bare path of TLS: one epoll set, OpenSSL over the socket itself, no parsing worth the name.
// The yardstick for servers over TLS, as reference_server.cpp is for plain ones.
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/program.h"
#include "load/loopback.h"
#include "load/openssl.h"

namespace {

constexpr bench::identity who{"load", "tls_reference"};

constexpr std::string_view answer =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!";

struct client {
  int socket = -1;
  bench::ssl_ptr tls;
  std::string unsent;
  std::size_t sent = 0;
  bool waits_for_room = false;
};

class tls_server {
 public:
  tls_server(const bench::server_settings& with, bool http)
      : http_(http),
        context_(bench::server_context(with.certificate, with.key)),
        set_(bench::checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
        listener_(bench::listen_on(with.port)) {
    watch(listener_, EPOLL_CTL_ADD, EPOLLIN, nullptr);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 1024> events;
    for (;;) {
      const int count = epoll_wait(set_, events.data(), events.size(), -1);
      for (int i = 0; i < count; ++i) {
        auto* c = static_cast<client*>(events[static_cast<std::size_t>(i)].data.ptr);
        if (!c)
          accept_all();
        else if (!serve(*c))
          end(c);
      }
    }
  }

 private:
  void watch(int socket, int how, unsigned events, client* of) {
    bench::watch(set_, how, socket, events, {.ptr = of});
  }

  void accept_all() {
    for (;;) {
      const int socket = bench::accept_from(listener_);
      if (socket < 0) return;
      auto c = std::make_unique<client>();
      c->socket = socket;
      c->tls.reset(SSL_new(context_.get()));
      SSL_set_fd(c->tls.get(), socket);
      SSL_set_accept_state(c->tls.get());
      watch(socket, EPOLL_CTL_ADD, EPOLLIN, c.release());
    }
  }

  static void end(client* c) {
    SSL_shutdown(c->tls.get());
    ERR_clear_error();
    close(c->socket);
    delete c;
  }

  /// False: the connection is over.
  bool serve(client& c) {
    if (!send_rest(c)) return false;
    if (c.sent < c.unsent.size()) return true;
    for (;;) {
      ERR_clear_error();
      const int got = SSL_read(c.tls.get(), received_.data(), static_cast<int>(received_.size()));
      if (got <= 0) return SSL_get_error(c.tls.get(), got) == SSL_ERROR_WANT_READ;
      const std::string_view bytes(received_.data(), static_cast<std::size_t>(got));
      if (http_) {
        for (std::size_t at = bytes.find("\r\n\r\n"); at != bytes.npos;
             at = bytes.find("\r\n\r\n", at + 4))
          c.unsent += answer;
      } else {
        c.unsent += bytes;
      }
      if (!send_rest(c)) return false;
      if (c.sent < c.unsent.size() || SSL_pending(c.tls.get()) == 0) return true;
    }
  }

  bool send_rest(client& c) {
    while (c.sent < c.unsent.size()) {
      ERR_clear_error();
      const int n = SSL_write(c.tls.get(), c.unsent.data() + c.sent,
                              static_cast<int>(c.unsent.size() - c.sent));
      if (n > 0) {
        c.sent += static_cast<std::size_t>(n);
        continue;
      }
      const int why = SSL_get_error(c.tls.get(), n);
      if (why != SSL_ERROR_WANT_WRITE && why != SSL_ERROR_WANT_READ) return false;
      if (!c.waits_for_room) watch(c.socket, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT, &c);
      c.waits_for_room = true;
      return true;
    }
    if (c.waits_for_room) watch(c.socket, EPOLL_CTL_MOD, EPOLLIN, &c);
    c.waits_for_room = false;
    c.unsent.clear();
    c.sent = 0;
    return true;
  }

  bool http_;
  bench::context_ptr context_;
  int set_;
  int listener_;
  std::vector<char> received_ = std::vector<char>(65536);
};

}  // namespace

int main(int argc, char** argv) {
  std::vector<char*> rest(argv, argv + argc);
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what == "https" || what == "tls_echo") rest.erase(rest.begin() + 1);
  const auto with = bench::read_server_settings(static_cast<int>(rest.size()), rest.data(), who);
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
  try {
    tls_server(with, what == "https").run();
  } catch (const std::exception& e) { bench::give_up(who, e.what()); }
}
