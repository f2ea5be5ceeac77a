// SPDX-License-Identifier: MIT
#include <heddle/io/resolving/ares/name_channel.h>

#include <heddle/core/checked.h>
#include <heddle/io/resolver.h>
#include <heddle/io/resolving/ares/name_failure.h>

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <sys/time.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <new>

namespace heddle::detail {
namespace {

[[noreturn]] void throw_ares(int status, const char* call) {
  if (status == ARES_ENOMEM) throw std::bad_alloc();
  throw std::system_error(static_cast<int>(name_error::server_failure), resolve_category(),
                          std::string(call) + " (" + ::ares_strerror(status) + ")");
}

void check_ares(int status, const char* call) {
  if (status != ARES_SUCCESS) throw_ares(status, call);
}

void start_library() {
  static const int status = ::ares_library_init(ARES_LIB_INIT_ALL);
  check_ares(status, "ares_library_init");
}

ares_addr_port_node node_of(const address& server, std::uint16_t port) {
  ares_addr_port_node n{};
  n.family = server.family();
  n.udp_port = n.tcp_port = server.port() != 0 ? server.port() : port;
  if (n.family == AF_INET)
    n.addr.addr4 = reinterpret_cast<const sockaddr_in*>(server.data())->sin_addr;
  else
    std::memcpy(&n.addr.addr6, &reinterpret_cast<const sockaddr_in6*>(server.data())->sin6_addr,
                sizeof n.addr.addr6);
  return n;
}

}  // namespace

name_channel::name_channel(const ares_resolver_options& options) {
  start_library();
  const bool own = !options.servers.empty();
  // c-ares copies all of it. It wants pointers to what it does not change.
  std::string file = own || options.resolv_conf.empty() ? "/dev/null" : options.resolv_conf;
  std::vector<std::string> search = options.search;
  std::vector<char*> domains;
  for (auto& s : search) domains.push_back(s.data());
  ::ares_options o{};
  o.timeout = narrow<int>(options.timeout.count() / 1'000'000);
  o.tries = narrow<int>(options.tries);
  o.udp_port = o.tcp_port = options.port;
  o.sock_state_cb = &note_socket;
  o.sock_state_cb_data = this;
  o.resolvconf_path = file.data();
  int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT |
             ARES_OPT_SOCK_STATE_CB | ARES_OPT_RESOLVCONF;
  if (own) {
    o.domains = domains.data();
    o.ndomains = narrow<int>(domains.size());
    o.flags = ARES_FLAG_NOALIASES | (search.empty() ? ARES_FLAG_NOSEARCH : 0);
    mask |= ARES_OPT_DOMAINS | ARES_OPT_FLAGS;
  }
  check_ares(::ares_init_options(&channel_, &o, mask), "ares_init_options");
  if (own) set_servers(options);
}

void name_channel::set_servers(const ares_resolver_options& options) {
  std::vector<ares_addr_port_node> all;
  for (const auto& s : options.servers) all.push_back(node_of(s, options.port));
  for (std::size_t i = 1; i < all.size(); ++i) all[i - 1].next = &all[i];
  const int status = ::ares_set_servers_ports(channel_, all.data());
  if (status == ARES_SUCCESS) return;
  ::ares_destroy(channel_);
  throw_ares(status, "ares_set_servers_ports");
}

name_channel::~name_channel() { ::ares_destroy(channel_); }

void name_channel::note_socket(void* self, ares_socket_t socket, int readable,
                               int writable) noexcept {
  auto& sockets = static_cast<name_channel*>(self)->sockets_;
  if (!readable && !writable) {
    sockets.erase(socket);
    return;
  }
  // A socket for which there is no memory is not waited for: its queries time out.
  try {
    sockets[socket] = narrow<short>((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));
  } catch (const std::bad_alloc&) {}
}

void name_channel::ask(const std::string& name, int family, ares_callback then,
                       void* arg) noexcept {
  ::ares_search(channel_, name.c_str(), ns_c_in, family == AF_INET ? ns_t_a : ns_t_aaaa, then, arg);
}

void name_channel::append_to(std::vector<pollfd>& all) const {
  for (const auto& [socket, events] : sockets_) all.push_back({socket, events, 0});
}

duration name_channel::next_timeout(duration most) const noexcept {
  timeval left{};
  if (!::ares_timeout(channel_, nullptr, &left)) return most;
  const auto d = std::chrono::seconds(left.tv_sec) + std::chrono::microseconds(left.tv_usec);
  return std::clamp<duration>(to_duration(d), duration::zero(), most);
}

void name_channel::process(const std::vector<pollfd>& found) noexcept {
  constexpr short in = POLLIN | POLLERR | POLLHUP;
  constexpr short out = POLLOUT | POLLERR | POLLHUP;
  for (const auto& p : found) {
    // An earlier turn may have closed the socket.
    if (p.revents == 0 || sockets_.find(p.fd) == sockets_.end()) continue;
    ::ares_process_fd(channel_, (p.revents & in) != 0 ? p.fd : ARES_SOCKET_BAD,
                      (p.revents & out) != 0 ? p.fd : ARES_SOCKET_BAD);
  }
  ::ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

void name_channel::cancel_all() noexcept { ::ares_cancel(channel_); }

}  // namespace heddle::detail
