// SPDX-License-Identifier: MIT
// What the cases of faults share: calls that fail, and what an error says of them.
#pragma once

#include "descriptor_count.h"
#include "tls_support.h"

#include <heddle/sched/to_thread.h>

#include <support/injected.h>

#include <cerrno>
#include <string>

#include <netinet/in.h>
#include <sys/socket.h>

namespace conformance {

using support::call;
using support::injected;

inline bool says(const std::exception_ptr& error, const std::string& part) {
  return text_of(error).find(part) != std::string::npos;
}

/// As many sockets, pipes and bells are open as before; on a busy machine perhaps a moment later.
inline h::task<> until_closed(std::size_t before) {
  auto wait = until([before] { return open_ends() <= before; });
  co_await std::move(wait);
}

/// A plain socket, connected without a loop: what it does the test decides.
class raw_peer {
 public:
  explicit raw_peer(const h::address& at)
      : socket_(::socket(at.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    connected_ = ::connect(socket_, at.data(), at.size()) == 0;
  }
  raw_peer(raw_peer&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)), connected_(other.connected_) {}
  ~raw_peer() { close(); }
  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] int get() const { return socket_; }
  void send(std::string_view bytes) const {
    EQUAL(::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
          static_cast<ssize_t>(bytes.size()));
  }
  void end_output() const { (void)::shutdown(socket_, SHUT_WR); }
  void close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }
  /// The other side sees a reset, and no end.
  void reset() {
    const linger at_once{1, 0};
    (void)::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close();
  }
  /// All up to the end; a limit of 10 s, so that a silent peer is an error.
  [[nodiscard]] std::string read_all() const {
    const timeval limit{10, 0};
    (void)::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    std::string all;
    for (;;) {
      char bytes[4096];
      const auto n = ::recv(socket_, bytes, sizeof bytes, 0);
      if (n < 0) return all + " error " + std::to_string(errno);
      if (n == 0) return all;
      all.append(bytes, static_cast<std::size_t>(n));
    }
  }

 private:
  int socket_;
  bool connected_ = false;
};

/// peer.read_all() by a thread that is no loop's.
inline h::task<std::string> all_that_came(const raw_peer& peer) {
  auto job = h::to_thread([&peer] { return peer.read_all(); });
  std::string all = co_await job;
  co_return all;
}

/// A connection whose other end is a plain socket.
struct raw_ends {
  h::connection here;
  raw_peer peer;
};
inline h::task<raw_ends> connect_raw(h::server_options so = {}) {
  auto arrived = std::make_shared<h::promise<h::connection>>();
  auto future = arrived->get_future();
  so.reuse_port = false;
  auto take = [arrived](h::connection c) { arrived->set_value(std::move(c)); };
  h::server s = co_await h::start_server(take, "127.0.0.1", 0, so);
  raw_peer peer(s.addresses().front());
  h::connection& mine = co_await future;
  raw_ends both{std::move(mine), std::move(peer)};
  co_return both;
}

inline h::task<> serve_echo(h::stream_reader r, h::stream_writer w) {
  auto talk = echo(std::move(r), std::move(w));
  (void)co_await error_of(std::move(talk));
}

/// The next line of that connection comes back: it lives.
inline h::task<std::string> talk(h::connection& c, std::string line) {
  c.writer.write(line + "\n");
  std::string answer = co_await c.reader.read_line();
  co_return answer;
}

inline h::task<int> code_of_read(h::stream_reader& r) {
  auto reading = r.read(1);
  const auto error = co_await error_of(std::move(reading));
  co_return code_of(error);
}
inline h::task<int> code_of_drain(h::stream_writer& w) {
  const auto error = co_await error_of(drain(w));
  co_return code_of(error);
}
inline h::task<int> code_of_end(h::stream_writer& w) {
  const auto error = co_await error_of(wait_closed(w));
  co_return code_of(error);
}

}  // namespace conformance
