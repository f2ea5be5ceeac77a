// SPDX-License-Identifier: MIT
// Connecting: the functions open_connection, open_unix_connection and adopt_connection of stream.h.
#include <heddle/io/connecting/attempt.h>
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

/// A kept answer led nowhere: `error` is what connecting ended with. Asks anew, and tries the
/// addresses that are new. If there are none, or no answer, the error stays.
task<connection> connect_anew(const std::string& host, port_number port,
                              const connection_options& options, tried& notes,
                              const std::vector<address>& old, std::exception_ptr error) {
  name_answer now;
  try {
    task<name_answer> looking = addresses_of(host, port, options, true);
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
task<connection> connect_to_name(const std::string& host, port_number port,
                                 const connection_options& options, tried& notes) {
  task<name_answer> looking = addresses_of(host, port, options, false);
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
  task<connection> connecting = connect_anew(host, port, options, notes, addresses, error);
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

task<connection> connect_in_time(const std::string& host, port_number port,
                                 const connection_options& options, tried& notes) {
  ended end;
  auto body = [&] { return note_end(connect_to_name(host, port, options, notes), end); };
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
  detail::tried notes(host, port);
  task<connection> connecting = options.connect_limit
                                    ? detail::connect_in_time(host, port, options, notes)
                                    : detail::connect_to_name(host, port, options, notes);
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
