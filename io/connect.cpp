// SPDX-License-Identifier: MIT
// Connecting: the functions open_connection, open_unix_connection and adopt_connection of stream.h.
#include <heddle/io/connecting/attempt.h>
#include <heddle/io/resolve.h>
#include <heddle/io/stream.h>
#include <heddle/io/streams/stream_access.h>
#include <heddle/io/streams/stream_core.h>
#include <heddle/io/tls/handshake.h>

#include <exception>

namespace heddle {

namespace detail {

namespace {

task<connection> connect_to_one(std::vector<address> addresses, std::string host,
                                const connection_options& options) {
  std::vector<std::exception_ptr> failures;
  for (const auto& to : addresses) {
    try {
      task<connection> connecting = connect_to(to, options);
      connection c = co_await connecting;
      co_return c;
    } catch (const std::system_error&) { failures.push_back(std::current_exception()); }
  }
  if (options.all_errors) throw exception_group("connecting to " + host, std::move(failures));
  std::rethrow_exception(failures.back());
}

/// The handshake, where TLS is asked for. `name` was checked before connecting.
task<> secure(connection& c, connection_options options, std::string name) {
  if (!options.tls) co_return;
  task<> work = connect_tls(stream_access::of(c), options.tls, std::move(name));
  co_await work;
}

std::string server_name_of(const connection_options& options, const std::string& host) {
  return options.tls ? checked_server_name(options.tls, options.server_name, host) : std::string();
}

}  // namespace

}  // namespace detail

task<connection> open_connection(std::string host, port_number port, connection_options options) {
  detail::check_connection_options(options);
  std::string name = detail::server_name_of(options, host);
  resolve_options how;
  how.family = options.family;
  std::vector<address> addresses = co_await resolve(host, port, how);
  task<connection> connecting =
      detail::connect_to_one(std::move(addresses), std::move(host), options);
  connection c = co_await connecting;
  task<> securing = detail::secure(c, std::move(options), std::move(name));
  co_await securing;
  co_return c;
}

task<connection> open_unix_connection(std::string path, connection_options options) {
  detail::check_connection_options(options);
  std::string name = detail::server_name_of(options, std::string());
  const address to = address::unix_path(path);
  task<connection> connecting = detail::connect_to(to, options);
  connection c = co_await connecting;
  task<> securing = detail::secure(c, std::move(options), std::move(name));
  co_await securing;
  co_return c;
}

task<connection> adopt_connection(int socket, connection_options options) {
  detail::check_connection_options(options);
  std::string name = detail::server_name_of(options, std::string());
  connection c = detail::adopt_socket(socket, options);
  task<> securing = detail::secure(c, std::move(options), std::move(name));
  co_await securing;
  co_return c;
}

}  // namespace heddle
