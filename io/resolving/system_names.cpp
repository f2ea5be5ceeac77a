// SPDX-License-Identifier: MIT
#include <heddle/io/resolving/system_names.h>

#include <heddle/core/errors.h>
#include <heddle/io/resolving/resolve_category.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

namespace heddle {
namespace detail {
namespace {

static_assert(static_cast<int>(name_error::no_such_name) == EAI_NONAME);
static_assert(static_cast<int>(name_error::timed_out) == EAI_AGAIN);
static_assert(static_cast<int>(name_error::server_failure) == EAI_FAIL);
static_assert(static_cast<int>(name_error::no_data) == EAI_NODATA);

// RFC 1035.
constexpr std::size_t longest_name = 253;
constexpr std::size_t longest_part = 63;

class resolve_errors final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "getaddrinfo"; }
  [[nodiscard]] std::string message(int code) const override { return ::gai_strerror(code); }
};

std::string place_of(const name_query& q) {
  return q.host + ":" + (q.service.empty() ? std::to_string(q.port) : q.service);
}

/// `code` is of getaddrinfo or getnameinfo; `system` is errno.
[[noreturn]] void throw_failure(int code, int system, const char* call, const std::string& about) {
  if (code == EAI_SYSTEM && system != 0) throw_system_error(system, call, about);
  std::string text = std::string(call) + " " + about;
  // The servers' silence and their refusal have one code, but leave their errno.
  if ((code == EAI_AGAIN || code == EAI_FAIL) && system != 0)
    text += " (" + std::generic_category().message(system) + ")";
  throw std::system_error(code, resolve_category(), text);
}

/// getaddrinfo. Returns its code; the answer is set if that is 0. errno is kept.
int ask(const name_query& q, int flags, name_answer& out) {
  addrinfo hints{};
  hints.ai_family = q.family;
  hints.ai_socktype = q.type;
  hints.ai_flags = flags | (q.service.empty() ? AI_NUMERICSERV : 0) | (q.passive ? AI_PASSIVE : 0) |
                   (q.canonical_name ? AI_CANONNAME : 0) |
                   (q.only_own_families ? AI_ADDRCONFIG : 0);
  // The C library gives no canonical name for no name.
  if (q.host.empty()) hints.ai_flags &= ~AI_CANONNAME;
  const std::string service = q.service.empty() ? std::to_string(q.port) : q.service;
  addrinfo* list = nullptr;
  errno = 0;
  const int code =
      ::getaddrinfo(q.host.empty() ? nullptr : q.host.c_str(), service.c_str(), &hints, &list);
  if (code != 0) return code;
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, ::freeaddrinfo);
  if (list->ai_canonname) out.canonical_name = list->ai_canonname;
  for (const auto* at = list; at; at = at->ai_next)
    out.addresses.emplace_back(at->ai_addr, at->ai_addrlen);
  return 0;
}

}  // namespace

bool is_literal(const std::string& host, std::uint16_t port, int family, address& out) {
  unsigned char bytes[sizeof(in6_addr)];
  const bool v4 = ::inet_pton(AF_INET, host.c_str(), bytes) == 1;
  if (!v4 && ::inet_pton(AF_INET6, host.c_str(), bytes) != 1) return false;
  if (family != AF_UNSPEC && family != (v4 ? AF_INET : AF_INET6)) return false;
  out = address::ip(host, port);
  return true;
}

bool is_numeric(const name_query& q, name_answer& out) {
  const int code = ask(q, AI_NUMERICHOST, out);
  if (code == 0) return true;
  if (code == EAI_NONAME && !q.host.empty()) return false;
  throw_failure(code, errno, "getaddrinfo", place_of(q));
}

names names_of(const address& of, int flags) {
  char host[NI_MAXHOST] = {};
  char service[NI_MAXSERV] = {};
  errno = 0;
  const int code =
      ::getnameinfo(of.data(), of.size(), host, sizeof host, service, sizeof service, flags);
  if (code != 0) throw_failure(code, errno, "getnameinfo", of.to_string());
  return {host, service};
}

void check_host_name(const std::string& host) {
  const auto refuse = [&](const char* why) {
    throw bad_value("the host name \"" + host + "\" " + why);
  };
  for (const char c : host) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) refuse("is not ASCII: write it in its ASCII form (\"xn--...\")");
    if (byte < 0x20 || byte == 0x7f) refuse("has a control character");
  }
  if (host.starts_with(' ') || host.ends_with(' ')) refuse("begins or ends with a blank");
  if (host.find(' ') != std::string::npos) throw_name_error(name_error::no_such_name, host);
  std::string_view rest = host;
  if (rest.ends_with('.')) rest.remove_suffix(1);  // the root
  if (rest.size() > longest_name) refuse("is longer than 253 bytes");
  for (;;) {
    const auto end = rest.find('.');
    const auto part = rest.substr(0, end);
    if (part.empty()) refuse("has an empty part");
    if (part.size() > longest_part) refuse("has a part of more than 63 bytes");
    if (end == std::string_view::npos) return;
    rest.remove_prefix(end + 1);
  }
}

}  // namespace detail

const std::error_category& resolve_category() noexcept {
  static const detail::resolve_errors category;
  return category;
}

void throw_name_error(name_error why, const std::string& host) {
  throw std::system_error(static_cast<int>(why), resolve_category(), "looking up " + host);
}

name_answer system_look_up(const name_query& query) {
  name_answer a;
  const int code = detail::ask(query, 0, a);
  if (code != 0) detail::throw_failure(code, errno, "getaddrinfo", detail::place_of(query));
  return a;
}

}  // namespace heddle
