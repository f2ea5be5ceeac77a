// SPDX-License-Identifier: MIT
// A name server of the tests' own, over UDP and TCP at one port of the loopback: it answers what a
// test says.
#pragma once

#include <heddle/io/address.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace conformance {

/// What a server was asked. A query has one question.
struct question {
  std::string raw;
  bool tcp = false;
  std::uint16_t from_port = 0;
  std::string name;
  int type = 0;  // 1: IPv4, 28: IPv6

  [[nodiscard]] bool is(std::string_view n) const { return name == n; }
  [[nodiscard]] bool four() const { return type == 1; }
  [[nodiscard]] std::uint16_t id() const {
    return static_cast<std::uint16_t>(static_cast<unsigned char>(raw[0]) << 8 |
                                      static_cast<unsigned char>(raw[1]));
  }
};

inline std::string big_endian(std::uint32_t n, int bytes) {
  std::string s;
  while (bytes-- > 0) s += static_cast<char>(n >> (8 * bytes) & 0xff);
  return s;
}

/// Builds the reply to a question.
class reply {
 public:
  explicit reply(const question& q, unsigned code = 0) : raw_(q.raw) {
    raw_[2] = '\x84';
    raw_[3] = static_cast<char>(0x80 | code);
    // The question is all that is taken over: there may be additional records.
    std::size_t end = 12;
    while (raw_[end] != 0) end += static_cast<unsigned char>(raw_[end]) + 1;
    raw_.resize(end + 5);
    raw_.replace(6, 6, std::string(6, '\0'));
  }
  /// An address as a record of the question's type; nothing if it is not of that.
  reply& with(const std::string& host, std::uint32_t ttl) {
    const auto at = heddle::address::ip(host, 0);
    const bool four = at.family() == AF_INET;
    const auto type = static_cast<unsigned char>(raw_[raw_end_of_type()]);
    if (sections_ || type != (four ? 1 : 28)) return *this;
    const auto* bytes = four ? reinterpret_cast<const char*>(
                                   &reinterpret_cast<const sockaddr_in*>(at.data())->sin_addr)
                             : reinterpret_cast<const char*>(
                                   &reinterpret_cast<const sockaddr_in6*>(at.data())->sin6_addr);
    records_ += std::string("\xc0\x0c", 2) + big_endian(type, 2) + big_endian(1, 2) +
                big_endian(ttl, 4) + big_endian(four ? 4 : 16, 2) +
                std::string(bytes, four ? 4 : 16);
    ++answers_;
    return *this;
  }
  /// The zone's SOA record, in the authority section.
  reply& soa(std::uint32_t ttl, std::uint32_t minimum) {
    sections_ = true;
    records_ += std::string("\xc0\x0c", 2) + big_endian(6, 2) + big_endian(1, 2) +
                big_endian(ttl, 4) + big_endian(24, 2) + std::string("\xc0\x0c\xc0\x0c", 4) +
                std::string(16, '\1') + big_endian(minimum, 4);
    return *this;
  }
  reply& truncated() {
    raw_[2] = static_cast<char>(raw_[2] | 2);
    return *this;
  }
  reply& other_id() {
    raw_[0] = static_cast<char>(~raw_[0]);
    return *this;
  }
  /// As if another name of the same length had been asked for.
  reply& other_question() {
    raw_[13] = raw_[13] == 'z' ? 'y' : 'z';
    return *this;
  }
  [[nodiscard]] std::string bytes() const {
    std::string s = raw_;
    s.replace(6, 2, big_endian(answers_, 2));
    s.replace(8, 2, big_endian(sections_ ? 1 : 0, 2));
    return s + records_;
  }

 private:
  [[nodiscard]] std::size_t raw_end_of_type() const { return raw_.size() - 3; }

  std::string raw_;
  std::string records_;
  std::uint32_t answers_ = 0;
  bool sections_ = false;
};

/// What goes to the one who asked: from the server's address, or from another port.
struct sent_reply {
  std::string bytes;
  bool from_elsewhere = false;
};
using sent_replies = std::vector<sent_reply>;
inline sent_replies say(const reply& r) { return sent_replies(1, sent_reply{r.bytes(), false}); }

class name_server {
 public:
  using script = std::function<sent_replies(const question&)>;

  /// `s` is called by the server's thread, for one question at a time.
  explicit name_server(script s, const std::string& host = "127.0.0.1", std::uint16_t port = 0);
  name_server(const name_server&) = delete;
  ~name_server();

  /// False: the port was taken by somebody else.
  [[nodiscard]] bool works() const { return udp_ >= 0; }
  [[nodiscard]] heddle::address at() const { return heddle::address::local_of(udp_); }
  /// How many questions came; for a name.
  [[nodiscard]] int asked() const { return udp_asked + tcp_asked; }
  [[nodiscard]] int asked(const std::string& name);
  /// The numbers of the queries, and the ports that they came from.
  [[nodiscard]] std::set<int> ids();
  [[nodiscard]] std::set<int> ports();

  std::atomic<int> udp_asked{0};
  std::atomic<int> tcp_asked{0};

 private:
  [[nodiscard]] bool bind_both(const std::string& host, std::uint16_t port);
  void run();
  void serve_udp();
  void serve_tcp(int connection);
  [[nodiscard]] sent_replies answer(question q);

  script script_;
  int udp_ = -1;
  int elsewhere_ = -1;
  int tcp_ = -1;
  int stop_[2] = {-1, -1};
  std::mutex lock_;
  std::vector<question> seen_;  // under lock_
  std::thread thread_;
};

}  // namespace conformance
