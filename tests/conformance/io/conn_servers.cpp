// SPDX-License-Identifier: MIT
// Servers: what becomes of clients at their limits and at their end.
#include "reactor_cases.h"

#include <heddle/io/address.h>

#include <atomic>
#include <functional>

namespace {

using namespace conformance;

REACTOR_CASES(IO_CONN_SERVERS);

/// A plain client: connected without a loop, so the server cannot have accepted it unawares.
class guest {
 public:
  explicit guest(const h::address& at)
      : socket_(::socket(at.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)),
        connected_(::connect(socket_, at.data(), at.size()) == 0) {}
  guest(guest&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)), connected_(other.connected_) {}
  ~guest() {
    if (socket_ >= 0) ::close(socket_);
  }
  [[nodiscard]] bool connected() const { return connected_; }
  /// What the server sent first; a limit of 10 s, so that a silent server is an error.
  [[nodiscard]] std::string answer() const {
    const timeval limit{10, 0};
    (void)::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char bytes[16];
    const auto n = ::recv(socket_, bytes, sizeof bytes, 0);
    return n < 0 ? "error " + std::to_string(errno)
                 : std::string(bytes, static_cast<std::size_t>(n));
  }

 private:
  int socket_;
  bool connected_;
};

h::task<> greet(h::stream_reader, h::stream_writer w) {
  w.write("served");
  w.close();
  co_await w.wait_closed();
}

/// Blocks the calling loop, so at one loop none of these clients is accepted before the close.
void fill_the_backlog(std::vector<guest>& guests, const h::address& at, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    guests.emplace_back(at);
    HOLDS(guests.back().connected());
  }
}

void all_were_served(const std::vector<guest>& guests) {
  for (const auto& g : guests) EQUAL(g.answer(), "served");
}

TEST_P(IO_CONN_SERVERS, IO_CONN_20_ACloseServesAllThatWaitInTheBacklog) {
  run([]() -> h::task<> {
    auto s = co_await h::start_server(greet, "127.0.0.1", 0);
    const auto at = s.addresses().front();
    std::vector<guest> guests;
    fill_the_backlog(guests, at, 50);
    s.close();
    const guest late(at);
    HOLDS(!late.connected());
    co_await s.wait_closed();
    all_were_served(guests);
  });
  EQUAL(report_count(), 0u);
}

TEST_P(IO_CONN_SERVERS, IO_CONN_20_ACloseOfAUnixServerServesAllThatWait) {
  run([]() -> h::task<> {
    const auto path = fresh_path("backlog");
    auto s = co_await h::start_unix_server(greet, path);
    std::vector<guest> guests;
    fill_the_backlog(guests, h::address::unix_path(path), 50);
    s.close();
    const guest late(h::address::unix_path(path));
    HOLDS(!late.connected());
    co_await s.wait_closed();
    all_were_served(guests);
  });
}

TEST_P(IO_CONN_SERVERS, IO_CONN_20_ADestroyedServerServesThemToo) {
  run([]() -> h::task<> {
    std::vector<guest> guests;
    std::atomic<int> ended{0};
    auto counted = [&ended](h::stream_reader r, h::stream_writer w) -> h::task<> {
      auto greeting = greet(std::move(r), std::move(w));
      co_await greeting;
      ++ended;
    };
    {
      auto starting = h::start_server(counted, "127.0.0.1", 0);
      auto s = co_await starting;
      fill_the_backlog(guests, s.addresses().front(), 20);
    }
    co_await until([&] { return ended == 20; });
    all_were_served(guests);
  });
}

TEST_P(IO_CONN_SERVERS, IO_CONN_20_ClosingTheClientsEndsThoseToo) {
  run([]() -> h::task<> {
    std::atomic<int> ended{0};
    auto wait_for_the_end = [&ended](h::stream_reader r, h::stream_writer) -> h::task<> {
      (void)co_await error_of(r.read());
      ++ended;
    };
    auto starting = h::start_server(wait_for_the_end, "127.0.0.1", 0);
    auto s = co_await starting;
    std::vector<guest> guests;
    fill_the_backlog(guests, s.addresses().front(), 20);
    s.close();
    s.close_clients();
    co_await s.wait_closed();
    EQUAL(ended.load(), 20);
  });
}

}  // namespace
