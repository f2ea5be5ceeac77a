// SPDX-License-Identifier: MIT
// Connecting: the functions open_connection, open_unix_connection and adopt_connection of stream.h.
#include <heddle/io/connecting/attempt.h>
#include <heddle/io/connecting/name_source.h>
#include <heddle/io/connecting/race.h>
#include <heddle/io/connecting/resolution.h>
#include <heddle/io/connecting/tried.h>
#include <heddle/io/stream.h>
#include <heddle/io/streams/stream_access.h>
#include <heddle/io/streams/stream_core.h>
#include <heddle/io/tls/handshake.h>
#include <heddle/sched/timeout.h>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace heddle {

namespace detail {

namespace {

/// The addresses of the host. `names` is null, or outlives the task.
task<name_answer> find(name_source* names, const std::string& host, port_number port,
                       const connection_options& options, bool fresh) {
  if (names) return names->addresses(host, port, fresh);
  return addresses_of(host, port, options, fresh);
}

/// A kept answer led nowhere: `error` is what connecting ended with. Asks anew, and tries the
/// addresses that are new. If there are none, or no answer, the error stays.
task<connection> connect_anew(name_source* names, const std::string& host, port_number port,
                              const connection_options& options, tried& notes,
                              const std::vector<address>& old, std::exception_ptr error) {
  name_answer now;
  try {
    task<name_answer> looking = find(names, host, port, options, true);
    now = co_await looking;
  } catch (const std::system_error&) { now.addresses.clear(); }
  std::vector<address> left;
  for (const address& a : now.addresses)
    if (std::find(old.begin(), old.end(), a) == old.end()) left.push_back(a);
  if (left.empty()) std::rethrow_exception(error);
  task<connection> connecting = race(left, options, notes);
  connection c = co_await connecting;
  co_return c;
}

/// Looks the name up, and connects to the first address that answers. The arguments outlive the
/// task.
task<connection> connect_to_name(name_source* names, const std::string& host, port_number port,
                                 const connection_options& options, tried& notes) {
  task<name_answer> looking = find(names, host, port, options, false);
  const name_answer found = co_await looking;
  const std::vector<address>& addresses = found.addresses;
  const bool races = addresses.size() != 1 || options.all_errors;
  const bool noted = !races && (options.connect_limit || found.kept);
  const std::size_t place = noted ? notes.begin(addresses.front()) : 0;
  std::exception_ptr error;
  try {
    task<connection> connecting =
        races ? race(addresses, options, notes) : connect_to(addresses.front(), options);
    connection c = co_await connecting;
    co_return c;
  } catch (const std::system_error&) {
    if (!found.kept) throw;
    error = std::current_exception();
  } catch (const exception_group&) {
    if (!found.kept) throw;
    error = std::current_exception();
  }
  if (noted) notes.failed(place, error);
  task<connection> connecting = connect_anew(names, host, port, options, notes, addresses, error);
  connection c = co_await connecting;
  co_return c;
}

/// How a block with a limit has ended. An error is kept here, so that a timeout_error which leaves
/// the block is the block's own.
struct ended {
  std::optional<connection> made;
  std::exception_ptr error;
};

task<> note_end(task<connection> work, ended& end) {
  try {
    end.made.emplace(co_await work);
  } catch (const std::exception&) { end.error = std::current_exception(); }
}

std::string milliseconds(duration d) { return std::to_string(d.count() / 1'000'000) + " ms"; }

task<connection> connect_in_time(name_source* names, const std::string& host, port_number port,
                                 const connection_options& options, tried& notes) {
  ended end;
  auto body = [&] { return note_end(connect_to_name(names, host, port, options, notes), end); };
  auto limited = timeout(options.connect_limit, body);
  bool late = false;
  try {
    co_await std::move(limited);
  } catch (const timeout_error&) { late = true; }
  if (late) notes.throw_timed_out(milliseconds(*options.connect_limit));
  if (end.error) std::rethrow_exception(end.error);
  connection c = std::move(*end.made);
  co_return c;
}

/// The handshake, where TLS is asked for. `name` was checked before connecting.
task<> secure(connection& c, connection_options options, std::string name, std::string protocol) {
  if (!options.tls) co_return;
  tls_extras with;
  with.protocol = std::move(protocol);
  task<> work = connect_tls(stream_access::of(c), options.tls, std::move(name), std::move(with));
  co_await work;
}

std::string server_name_of(const connection_options& options, const std::string& host) {
  return options.tls ? checked_server_name(options.tls, options.server_name, host) : std::string();
}

}  // namespace

task<connection> open_connection(std::string host, port_number port, connection_options options,
                                 connecting_extras with) {
  check_connection_options(options);
  std::string name = server_name_of(options, host);
  tried notes(host, port);
  name_source* const names = with.names.get();
  task<connection> connecting = options.connect_limit
                                    ? connect_in_time(names, host, port, options, notes)
                                    : connect_to_name(names, host, port, options, notes);
  connection c = co_await connecting;
  task<> securing = secure(c, std::move(options), std::move(name), std::move(with.protocol));
  co_await securing;
  co_return c;
}

task<connection> open_unix_connection(std::string path, connection_options options,
                                      connecting_extras with) {
  check_connection_options(options);
  std::string name = server_name_of(options, std::string());
  const address to = address::unix_path(path);
  task<connection> connecting = connect_to(to, options);
  connection c = co_await connecting;
  task<> securing = secure(c, std::move(options), std::move(name), std::move(with.protocol));
  co_await securing;
  co_return c;
}

}  // namespace detail

task<connection> open_connection(std::string host, port_number port, connection_options options) {
  return detail::open_connection(std::move(host), port, std::move(options),
                                 detail::connecting_extras());
}

task<connection> open_unix_connection(std::string path, connection_options options) {
  return detail::open_unix_connection(std::move(path), std::move(options),
                                      detail::connecting_extras());
}

task<connection> adopt_connection(int socket, connection_options options) {
  detail::check_connection_options(options);
  std::string name = detail::server_name_of(options, std::string());
  connection c = detail::adopt_socket(socket, options);
  task<> securing = detail::secure(c, std::move(options), std::move(name), std::string());
  co_await securing;
  co_return c;
}

}  // namespace heddle
