// SPDX-License-Identifier: MIT
#include <heddle/io/connecting/local_end.h>

#include <heddle/core/base/atomic.h>
#include <heddle/core/errors.h>
#include <heddle/io/descriptors/fd.h>
#include <heddle/io/descriptors/socket.h>

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

namespace heddle::detail {
namespace {

/// Where the next walk over a range of ports begins. Relaxed: any number will do.
atomic<std::uint32_t> next_start{0};

}  // namespace

local_end::local_end(const address& to, const connection_options& o) : first_(o.local_port) {
  if (!to.is_ip()) return;
  if (!o.local_host.empty()) {
    const address at = address::ip(o.local_host, o.local_port);
    if (at.family() == to.family()) from_ = at;
  }
  for (const auto& host : o.local_hosts) {
    if (from_.family() != 0) break;
    const address at = address::ip(host, o.local_port);
    if (at.family() == to.family()) from_ = at;
  }
  if (from_.family() == 0) {
    if (!o.local_host.empty() || !o.local_hosts.empty())
      throw_system_error(EADDRNOTAVAIL, "bind, with no local address for the family of",
                         to.to_string());
    if (o.local_port == 0) return;
    from_ = address::ip(to.family() == AF_INET6 ? "::" : "0.0.0.0", o.local_port);
  }
  if (o.local_port_last == 0) return;
  ports_ = std::uint32_t{o.local_port_last} - first_ + 1;
  left_ = ports_ - 1;
  at_ = next_start.fetch_add(1, relaxed) % ports_;
  from_.set_port(first_ + at_);
}

void local_end::bind(int socket) const {
  if (from_.family() == 0) return;
  if (from_.port() != 0) {
    set_option(socket, SOL_SOCKET, SO_REUSEADDR, 1, "setsockopt SO_REUSEADDR", from_);
  } else {
    const int on = 1;
    // A kernel before 4.2 does not know it: then bind() takes the port.
    (void)::setsockopt(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  }
  check(::bind(socket, from_.data(), from_.size()), "bind", from_.to_string());
}

bool local_end::try_next(int error) noexcept {
  // EADDRINUSE comes from bind(); EADDRNOTAVAIL from connect(), if the port has a connection to
  // that very address.
  if (left_ == 0 || (error != EADDRINUSE && error != EADDRNOTAVAIL)) return false;
  --left_;
  at_ = (at_ + 1) % ports_;
  from_.set_port(first_ + at_);
  return true;
}

void check_local_end(const connection_options& o) {
  if (!o.local_host.empty()) (void)address::ip(o.local_host, o.local_port);
  for (const auto& host : o.local_hosts) (void)address::ip(host, o.local_port);
  if (o.local_port_last == 0) return;
  if (o.local_port == 0 || o.local_port_last < o.local_port)
    throw bad_value(
        "local_port_last ends the range that local_port begins: " + std::to_string(o.local_port) +
        " to " + std::to_string(o.local_port_last) + " is none");
}

}  // namespace heddle::detail
