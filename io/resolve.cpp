// SPDX-License-Identifier: MIT
#include <heddle/io/resolve.h>
#include <heddle/io/resolve_category.h>

#include <heddle/core/errors.h>
#include <heddle/sched/to_thread.h>

#include <netdb.h>

#include <algorithm>
#include <memory>

namespace heddle {
namespace {

class resolve_errors final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "getaddrinfo"; }
  [[nodiscard]] std::string message(int code) const override { return ::gai_strerror(code); }
};

/// A look-up by the C library; with AI_NUMERICHOST it asks nobody and does not block. Returns its
/// error code.
int look_up(const std::string& host, std::uint16_t port, const resolve_options& o, int more_flags,
            std::vector<address>& out) {
  addrinfo hints{};
  hints.ai_family = o.family;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (o.passive ? AI_PASSIVE : 0) | more_flags;
  addrinfo* list = nullptr;
  const std::string service = std::to_string(port);
  const int error =
      ::getaddrinfo(host.empty() ? nullptr : host.c_str(), service.c_str(), &hints, &list);
  if (error != 0) return error == EAI_SYSTEM ? EAI_FAIL : error;
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, ::freeaddrinfo);
  for (const auto* a = list; a; a = a->ai_next) {
    const address found(a->ai_addr, a->ai_addrlen);
    if (std::find(out.begin(), out.end(), found) == out.end()) out.push_back(found);
  }
  return 0;
}

struct answer {
  int error = 0;
  std::vector<address> addresses;
};

}  // namespace

const std::error_category& resolve_category() noexcept {
  static const resolve_errors category;
  return category;
}

task<std::vector<address>> resolve(std::string host, port_number port, resolve_options options) {
  if (host.find('\0') != std::string::npos) throw bad_value("a host name with a NUL byte");
  answer a;
  a.error = look_up(host, port, options, AI_NUMERICHOST, a.addresses);
  if (a.error == EAI_NONAME && !host.empty()) {
    auto blocking = to_thread([host, port, options] {
      answer found;
      found.error = look_up(host, port, options, 0, found.addresses);
      return found;
    });
    a = co_await blocking;
  }
  if (a.error != 0)
    throw std::system_error(a.error, resolve_category(),
                            "getaddrinfo " + host + ":" + std::to_string(port));
  co_return std::move(a.addresses);
}

}  // namespace heddle
