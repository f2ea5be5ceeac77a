// SPDX-License-Identifier: MIT
// SOCKS of version 5: its messages, and the conversation.
#include <heddle/core/errors.h>
#include <heddle/io/http/calling/tunnel.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <system_error>
#include <utility>

namespace heddle::http::detail {
namespace {

constexpr char version = 5;
constexpr char login_version = 1;
enum method_code : std::uint8_t { no_login = 0, user_and_password = 2, none_of_these = 0xff };
enum address_code : std::uint8_t { ipv4 = 1, name = 3, ipv6 = 4 };

char byte(std::size_t n) { return static_cast<char>(static_cast<unsigned char>(n)); }
std::uint8_t number(char c) { return static_cast<std::uint8_t>(c); }

struct reply {
  const char* text;
  int error;  // errno; 0: none fits
};
// By code, from 1 on (RFC 1928, 6).
constexpr std::array<reply, 8> replies{{{"it has failed in general", 0},
                                        {"its rules do not allow that", EACCES},
                                        {"the network is not reachable", ENETUNREACH},
                                        {"the host is not reachable", EHOSTUNREACH},
                                        {"the connection was refused", ECONNREFUSED},
                                        {"the time to live ran out", ETIMEDOUT},
                                        {"it does not know the command CONNECT", 0},
                                        {"it does not take addresses of this kind", EAFNOSUPPORT}}};

const reply* known(std::uint8_t code) noexcept {
  return code >= 1 && code <= replies.size() ? &replies[code - 1U] : nullptr;
}

[[noreturn]] void refuse(const call& of, std::error_code code, const std::string& to,
                         const std::string& why, int status = 0) {
  const auto& p = *of.proxy();
  throw proxy_error(code,
                    of.name() + ": the SOCKS proxy " + p.host + ":" + std::to_string(p.port) +
                        " does not connect to " + to + ": " + why,
                    status);
}

/// The next `n` bytes of the proxy.
task<std::string> take(const call& of, connection& c, std::size_t n, const std::string& to) {
  std::string why = "it closed the connection";
  std::error_code code = errc::proxy_refused;
  try {
    auto reading = c.reader.read_exactly(static_cast<std::ptrdiff_t>(n));
    co_return co_await reading;
  } catch (const incomplete_read_error&) {
  } catch (const std::system_error& e) {
    why = e.what();
    code = e.code();
  }
  refuse(of, code, to, why);
}

/// Agrees with the proxy on how we log in, and does it.
task<> log_in(const call& of, connection& c, const std::string& to) {
  const auto& by = *of.proxy();
  c.writer.write(socks_greeting(by));
  auto greeting = take(of, c, 2, to);
  const std::string chosen = co_await greeting;
  if (chosen[0] != version) refuse(of, errc::proxy_refused, to, "it speaks no SOCKS of version 5");
  const auto way = number(chosen[1]);
  if (way == no_login) co_return;
  if (way == none_of_these) {
    refuse(of, errc::proxy_refused, to,
           by.user.empty() ? "it wants a user and a password"
                           : "it takes no login by user and password");
  }
  if (way != user_and_password || by.user.empty())
    refuse(of, errc::proxy_refused, to, "it asks for a login that was not offered");
  c.writer.write(socks_login(by));
  auto answering = take(of, c, 2, to);
  const std::string answer = co_await answering;
  if (answer[1] != 0) {
    refuse(of, std::error_code(EACCES, std::system_category()), to,
           "it refuses the user or the password", number(answer[1]));
  }
}

}  // namespace

std::string socks_greeting(const proxy::endpoint& by) {
  if (by.user.empty()) return {version, 1, byte(no_login)};
  return {version, 2, byte(no_login), byte(user_and_password)};
}

std::string socks_login(const proxy::endpoint& by) {
  std::string text{login_version, byte(by.user.size())};
  text += by.user;
  text += byte(by.password.size());
  text += by.password;
  return text;
}

std::string socks_request(std::string_view host, std::uint16_t port) {
  std::string text{version, 1, 0};
  const std::string copy(host);
  in_addr four{};
  in6_addr six{};
  if (::inet_pton(AF_INET, copy.c_str(), &four) == 1) {
    text += byte(ipv4);
    text.append(reinterpret_cast<const char*>(&four), sizeof four);
  } else if (::inet_pton(AF_INET6, copy.c_str(), &six) == 1) {
    text += byte(ipv6);
    text.append(reinterpret_cast<const char*>(&six), sizeof six);
  } else {
    if (host.empty() || host.size() > 255)
      throw bad_value("a name of 1 to 255 bytes goes to a SOCKS proxy, and not of " +
                      std::to_string(host.size()));
    text += byte(name);
    text += byte(host.size());
    text += host;
  }
  text += byte(port / 256U);
  text += byte(port % 256U);
  return text;
}

std::string socks_reason(std::uint8_t code) {
  const auto* found = known(code);
  return (found ? std::string(found->text) : std::string("for a reason that has no name")) +
         " (reply " + std::to_string(code) + ")";
}

bool socks_blames_address(std::uint8_t code) noexcept {
  return (code >= 3 && code <= 6) || code == 8;
}

task<> ask_socks(const call& of, connection& c, std::string host, std::uint16_t port) {
  const bool brackets = host.find(':') != host.npos;
  const std::string to = (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
  const std::string request = socks_request(host, port);
  auto logging_in = log_in(of, c, to);
  co_await logging_in;
  c.writer.write(request);
  auto heading = take(of, c, 4, to);
  const std::string head = co_await heading;
  if (head[0] != version) refuse(of, errc::proxy_refused, to, "it speaks no SOCKS of version 5");
  const auto code = number(head[1]);
  if (code != 0) {
    const auto* found = known(code);
    std::error_code why = errc::proxy_refused;
    if (found && found->error != 0) why = std::error_code(found->error, std::system_category());
    refuse(of, why, to, socks_reason(code), code);
  }
  // The address from which the proxy connects: nobody asks for it, and its length says where the
  // bytes of the server begin.
  std::size_t rest = 2;
  switch (number(head[3])) {
    case ipv4: rest += 4; break;
    case ipv6: rest += 16; break;
    case name: {
      auto measuring = take(of, c, 1, to);
      const std::string size = co_await measuring;
      rest += number(size[0]);
      break;
    }
    default: refuse(of, errc::proxy_refused, to, "its answer has an address of no known kind");
  }
  auto dropping = take(of, c, rest, to);
  (void)co_await dropping;
}

}  // namespace heddle::http::detail
