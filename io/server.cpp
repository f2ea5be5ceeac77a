// SPDX-License-Identifier: MIT
#include <heddle/io/server.h>

#include <heddle/io/descriptors/socket.h>
#include <heddle/io/resolve.h>
#include <heddle/io/servers/server_core.h>
#include <heddle/io/tls/handshake.h>
#include <heddle/sched/runtime.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <memory>

namespace heddle {
namespace detail {
namespace {

/// Removes a socket at `path` that no process listens at. Any other file there belongs to the user.
void remove_stale_socket(const std::string& path) {
  struct stat s{};
  if (path[0] == '\0' || ::stat(path.c_str(), &s) != 0 || !S_ISSOCK(s.st_mode)) return;
  const address at = address::unix_path(path);
  const fd probe = make_stream_socket(AF_UNIX, at);
  if (::connect(probe.get(), at.data(), at.size()) != 0 && errno == ECONNREFUSED)
    ::unlink(path.c_str());
}

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

void check_options(const server_options& o) {
  if (o.backlog < 1) throw bad_value("a server's backlog must be at least 1");
  check_limit(o.limit);
  if (o.tls) check_server_context(o.tls);
  check_handshake_limit(o.handshake_limit);
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
  const bool at_once = options.start_serving;
  auto core = std::make_shared<detail::server_core>(std::move(handler), std::move(options));
  server s = detail::server_handle::make(core);
  core->bind(at, current_runtime().loop_count());
  if (at_once) core->start();
  co_return s;
}

task<server> start_unix_server_erased(detail::connection_handler handler, std::string path,
                                      server_options options) {
  detail::check_options(options);
  const std::vector<address> at(1, address::unix_path(path));
  const bool at_once = options.start_serving;
  detail::remove_stale_socket(path);
  auto core = std::make_shared<detail::server_core>(std::move(handler), std::move(options));
  server s = detail::server_handle::make(core);
  core->bind(at, 1);
  if (at_once) core->start();
  co_return s;
}

}  // namespace heddle
