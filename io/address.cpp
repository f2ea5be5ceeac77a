// SPDX-License-Identifier: MIT
#include <heddle/io/address.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>

#include <arpa/inet.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <netinet/in.h>

#include <cstddef>
#include <cstring>

namespace heddle {
namespace {

const sockaddr_in& as_v4(const sockaddr* a) noexcept {
  return *reinterpret_cast<const sockaddr_in*>(a);
}
const sockaddr_in6& as_v6(const sockaddr* a) noexcept {
  return *reinterpret_cast<const sockaddr_in6*>(a);
}
constexpr socklen_t path_offset = offsetof(sockaddr_un, sun_path);

address from_call(int (*call)(int, sockaddr*, socklen_t*), int socket) noexcept {
  sockaddr_storage storage;
  socklen_t length = sizeof storage;
  if (call(socket, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {};
  return {reinterpret_cast<const sockaddr*>(&storage), length};
}

}  // namespace

address::address(const sockaddr* a, socklen_t length) noexcept {
  length_ = length < sizeof storage_ ? length : socklen_t{sizeof storage_};
  std::memcpy(&storage_, a, length_);
}

address address::ip(std::string_view host, port_number port) {
  const std::string text(host);
  sockaddr_in v4{};
  if (::inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    return {reinterpret_cast<const sockaddr*>(&v4), sizeof v4};
  }
  sockaddr_in6 v6{};
  const auto percent = text.find('%');
  if (::inet_pton(AF_INET6, text.substr(0, percent).c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    if (percent != std::string::npos) {
      const std::string scope = text.substr(percent + 1);
      unsigned index = ::if_nametoindex(scope.c_str());
      if (index == 0) (void)detail::parse_number(scope, index);
      if (index == 0)
        throw bad_value("no network interface named \"" + scope + "\" in the address " + text);
      v6.sin6_scope_id = index;
    }
    return {reinterpret_cast<const sockaddr*>(&v6), sizeof v6};
  }
  throw bad_value("not a numeric IPv4 or IPv6 address: \"" + text + "\"");
}

address address::unix_path(std::string_view path) {
  if (path.empty()) throw bad_value("an empty path for a Unix socket");
  sockaddr_un name{};
  // A path needs room for its terminator; an abstract name has none.
  if (path.size() > sizeof name.sun_path - (path[0] == '\0' ? 0 : 1))
    throw bad_value("the path of a Unix socket is longer than 107 bytes: " + std::string(path));
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.data(), path.size());
  const auto length =
      detail::narrow<socklen_t>(path_offset + path.size() + (path[0] == '\0' ? 0 : 1));
  return {reinterpret_cast<const sockaddr*>(&name), length};
}

address address::local_of(int socket) noexcept { return from_call(::getsockname, socket); }
address address::peer_of(int socket) noexcept { return from_call(::getpeername, socket); }

std::string address::host() const {
  char text[INET6_ADDRSTRLEN] = {};
  switch (family()) {
    case AF_INET: ::inet_ntop(AF_INET, &as_v4(data()).sin_addr, text, sizeof text); return text;
    case AF_INET6: {
      ::inet_ntop(AF_INET6, &as_v6(data()).sin6_addr, text, sizeof text);
      std::string host = text;
      if (const auto scope = as_v6(data()).sin6_scope_id) {
        char name[IF_NAMESIZE];
        host += "%";
        host += ::if_indextoname(scope, name) ? std::string(name) : std::to_string(scope);
      }
      return host;
    }
    case AF_UNIX: {
      if (length_ <= path_offset) return {};
      std::string path(storage_.unix_name.sun_path, length_ - path_offset);
      if (path[0] != '\0') path.resize(std::strlen(path.c_str()));
      return path;
    }
    default: return {};
  }
}

std::uint16_t address::port() const noexcept {
  switch (family()) {
    case AF_INET: return ntohs(as_v4(data()).sin_port);
    case AF_INET6: return ntohs(as_v6(data()).sin6_port);
    default: return 0;
  }
}

void address::set_port(port_number port) noexcept {
  if (family() == AF_INET) reinterpret_cast<sockaddr_in*>(&storage_.any)->sin_port = htons(port);
  if (family() == AF_INET6) reinterpret_cast<sockaddr_in6*>(&storage_.any)->sin6_port = htons(port);
}

std::string address::to_string() const {
  std::string text = host();
  if (family() == AF_INET) return text + ":" + std::to_string(port());
  if (family() == AF_INET6) return "[" + text + "]:" + std::to_string(port());
  if (!text.empty() && text[0] == '\0') text[0] = '@';
  if (family() == AF_VSOCK && length_ >= sizeof(sockaddr_vm)) {
    const auto& vm = *reinterpret_cast<const sockaddr_vm*>(data());
    return "vsock:" + std::to_string(vm.svm_cid) + ":" + std::to_string(vm.svm_port);
  }
  if (family() != 0 && family() != AF_UNIX) return "family " + std::to_string(family());
  return text;
}

bool operator==(const address& a, const address& b) noexcept {
  return a.length_ == b.length_ && std::memcmp(&a.storage_, &b.storage_, a.length_) == 0;
}

}  // namespace heddle
