// SPDX-License-Identifier: MIT
#include <heddle/io/server.h>

#include <heddle/io/resolve.h>
#include <heddle/io/servers/binding.h>
#include <heddle/io/servers/proxy_header.h>
#include <heddle/io/servers/server_core.h>
#include <heddle/io/servers/unix_path.h>
#include <heddle/io/tls/handshake.h>
#include <heddle/sched/runtime.h>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace heddle {
namespace detail {
namespace {

task<> run_forever(std::shared_ptr<server_core> s) {
  s->begin_forever();
  s->start();
  std::exception_ptr cut;
  try {
    task<> closed = wait_for_server(s, false);
    co_await closed;
  } catch (...) { cut = std::current_exception(); }
  s->close();
  try {
    task<> empty = wait_for_server(s, true);
    co_await empty;
  } catch (const cancelled_error&) {
    if (!cut) throw;  // else an error is told, and not the cancellation that came behind it
  }
  if (cut) std::rethrow_exception(cut);
  throw cancelled_error("the server was closed");
}

void check_positive(const std::optional<any_duration>& limit, const char* name) {
  if (limit && limit->count() <= 0)
    throw bad_value(std::string(name) + " of a server must be positive");
}

void check_options(const server_options& o) {
  if (o.backlog < 1) throw bad_value("a server's backlog must be at least 1");
  check_limit(o.limit);
  if (o.tls) check_server_context(o.tls);
  check_handshake_limit(o.handshake_limit);
  check_positive(o.first_byte_limit, "first_byte_limit");
  check_positive(o.idle_limit, "idle_limit");
  check_positive(o.connection_limit, "connection_limit");
  check_positive(o.proxy_header_limit, "proxy_header_limit");
  if (o.report_every.count() < 0) throw bad_value("report_every of a server is negative");
  (void)checked<std::ptrdiff_t>(o.max_connections, "max_connections", 0);
  (void)checked<std::size_t>(o.proxy_header_bytes, "proxy_header_bytes", 16, longest_proxy_header);
  if (o.socket_mode) (void)checked<unsigned>(*o.socket_mode, "socket_mode", 0, 0777);
}

}  // namespace

/// The inside of a server object. Its tasks share the core.
struct server_handle {
  std::shared_ptr<server_core> core;

  static server make(std::shared_ptr<server_core> core) {
    server s;
    s.core_.reset(new server_handle{std::move(core)});
    return s;
  }
  /// Serves what is bound. The options were checked.
  static server serve(connection_handler handler, server_options options, binding b,
                      owned_path path) {
    const bool at_once = options.start_serving;
    auto core = std::make_shared<server_core>(std::move(handler), std::move(options),
                                              current_runtime().loop_count());
    core->take_over(std::move(b), std::move(path));
    server s = make(core);
    if (at_once) core->start();
    return s;
  }
};

}  // namespace detail

server::server() noexcept = default;
server::server(server&&) noexcept = default;

server& server::operator=(server&& other) noexcept {
  if (this != &other) {
    if (core_) core_->core->close();
    core_ = std::move(other.core_);
  }
  return *this;
}

server::~server() {
  if (core_) core_->core->close();
}

namespace {

detail::server_core& use(const detail::owned<detail::server_handle>& handle) {
  if (!handle) detail::throw_usage("this server is empty: it was moved from, or never started");
  return *handle->core;
}

}  // namespace

void server::start_serving() { use(core_).start(); }
bool server::is_serving() const noexcept { return core_ && core_->core->look().serving; }
task<> server::serve_forever() {
  (void)use(core_);
  return detail::run_forever(core_->core);
}
void server::close() { use(core_).close(); }
void server::hand_over() { use(core_).close(detail::server_core::waiting_guests::left); }
task<> server::wait_closed() {
  (void)use(core_);
  return detail::wait_for_server(core_->core, true);
}
void server::close_clients() { use(core_).for_each_client(&detail::stream_core::close); }
void server::abort_clients() { use(core_).for_each_client(&detail::stream_core::abort); }
void server::cancel_handlers() { use(core_).cancel_handlers(); }
std::vector<address> server::addresses() const { return use(core_).addresses(); }
std::uint16_t server::port() const { return use(core_).port(); }
std::vector<int> server::sockets() const { return use(core_).sockets(); }
server_stats server::stats() const { return use(core_).stats(); }
std::size_t server::connections() const noexcept { return core_ ? core_->core->look().live : 0; }

task<server> start_server_erased(detail::connection_handler handler, std::string host,
                                 port_number port, server_options options) {
  std::vector<std::string> one;
  one.push_back(std::move(host));
  return start_server_erased(std::move(handler), std::move(one), port, std::move(options));
}

task<server> start_server_erased(detail::connection_handler handler, std::vector<std::string> hosts,
                                 port_number port, server_options options) {
  detail::check_options(options);
  resolve_options how;
  how.passive = true;
  std::vector<address> at;
  for (auto& host : hosts) {
    if (host == "*") host.clear();
    const std::vector<address> some = co_await resolve(host, port, how);
    for (const auto& a : some)
      if (std::find(at.begin(), at.end(), a) == at.end()) at.push_back(a);
  }
  auto bound = detail::bind_addresses(at, current_runtime().loop_count(), options);
  co_return detail::server_handle::serve(std::move(handler), std::move(options), std::move(bound),
                                         detail::owned_path());
}

task<server> start_unix_server_erased(detail::connection_handler handler, std::string path,
                                      server_options options) {
  detail::check_options(options);
  const address at = address::unix_path(path);
  task<detail::fd> binding = detail::bind_unix_path(at, options);
  detail::fd socket = co_await binding;
  detail::owned_path own;
  if (options.cleanup_socket) own = detail::owned_path(at);
  detail::binding bound;
  bound.where.push_back(at);
  bound.listeners.push_back(std::make_shared<detail::listener>(std::move(socket), 0));
  co_return detail::server_handle::serve(std::move(handler), std::move(options), std::move(bound),
                                         std::move(own));
}

task<server> start_server_on_erased(detail::connection_handler handler, std::vector<int> sockets,
                                    server_options options) {
  detail::check_options(options);
  detail::check_listening_sockets(sockets);
  auto bound = detail::adopt_sockets(sockets, current_runtime().loop_count(), true);
  co_return detail::server_handle::serve(std::move(handler), std::move(options), std::move(bound),
                                         detail::owned_path());
}

task<server> start_unix_server_on_erased(detail::connection_handler handler, int socket,
                                         server_options options) {
  detail::check_options(options);
  detail::check_bound_unix_socket(socket);
  const std::vector<int> one(1, socket);
  auto bound = detail::adopt_sockets(one, 1, false);
  detail::owned_path own;
  if (options.cleanup_socket) own = detail::owned_path(bound.where.front());
  co_return detail::server_handle::serve(std::move(handler), std::move(options), std::move(bound),
                                         std::move(own));
}

}  // namespace heddle
