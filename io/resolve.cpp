// SPDX-License-Identifier: MIT
#include <heddle/io/resolve.h>
#include <heddle/io/resolving/resolve_category.h>
#include <heddle/io/resolving/resolver.h>

#include <heddle/core/errors.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

namespace heddle {
namespace {

class resolve_errors final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "getaddrinfo"; }
  [[nodiscard]] std::string message(int code) const override { return ::gai_strerror(code); }
};

/// True: `host` is a numeric address of the wanted family, like "127.0.0.1" or "::1". Makes no
/// system call.
bool is_numeric(const std::string& host, std::uint16_t port, int family, address& out) {
  unsigned char bytes[sizeof(in6_addr)];
  const bool v4 = ::inet_pton(AF_INET, host.c_str(), bytes) == 1;
  if (!v4 && ::inet_pton(AF_INET6, host.c_str(), bytes) != 1) return false;
  if (family != AF_UNSPEC && family != (v4 ? AF_INET : AF_INET6)) return false;
  out = address::ip(host, port);
  return true;
}

}  // namespace

const std::error_category& resolve_category() noexcept {
  static const resolve_errors category;
  return category;
}

task<std::vector<address>> resolve(std::string host, port_number port, resolve_options options) {
  if (host.find('\0') != std::string::npos) throw bad_value("a host name with a NUL byte");
  address literal;
  if (is_numeric(host, port, options.family, literal)) co_return std::vector<address>(1, literal);
  const detail::resolver::question q{host, port, options.family, options.passive};
  detail::resolver::answer a = detail::resolver::ask(q, true);  // older numeric spellings, and ""
  if (a.error == EAI_NONAME && !host.empty()) {
    auto looking = detail::resolver::here().look_up(q);
    a = co_await looking;
  }
  if (a.error == EAI_SYSTEM && a.system != 0)
    throw_system_error(a.system, "getaddrinfo", host + ":" + std::to_string(port));
  if (a.error != 0)
    throw std::system_error(a.error, resolve_category(),
                            "getaddrinfo " + host + ":" + std::to_string(port));
  co_return std::move(a.addresses);
}

}  // namespace heddle
