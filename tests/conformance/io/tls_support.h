// SPDX-License-Identifier: MIT
// What the cases of TLS share: contexts, a server that echoes, and errors by their type.
#pragma once

#include "reactor_cases.h"

#include <heddle/io/tls.h>

#include <support/certificates.h>

#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace conformance {

inline const std::string here = "127.0.0.1";

/// Of handshakes. On a busy machine many of them share what one processor has left.
constexpr auto patience = 60s;

/// A client that trusts the authority of support::localhost().
inline h::tls_options trusting() {
  h::tls_options o;
  o.handshake_limit = patience;
  o.ca = support::localhost_ca();
  return o;
}

/// A client that trusts another authority alone.
inline h::tls_options distrusting() {
  static const support::authority other("Another CA");
  h::tls_options o;
  o.handshake_limit = patience;
  o.ca = other.certificate();
  return o;
}

inline h::tls_server_options as_localhost() {
  h::tls_server_options o;
  o.certificate = support::localhost().certificate;
  o.key = support::localhost().key;
  return o;
}

inline h::connection_options by_tls(const h::tls_context& context, std::string name = {}) {
  h::connection_options o;
  o.tls = context;
  o.server_name = std::move(name);
  return o;
}
inline h::connection_options by_tls() { return by_tls(h::tls_context::client(trusting())); }

inline h::server_options with_tls(const h::tls_context& context) {
  h::server_options o;
  o.tls = context;
  o.handshake_limit = patience;
  return o;
}
inline h::server_options with_tls() { return with_tls(h::tls_context::server(as_localhost())); }

/// The error of connecting, or null.
inline h::task<std::exception_ptr> connect_error(std::uint16_t port, h::connection_options o,
                                                 std::string host = here) {
  std::exception_ptr error;
  try {
    auto c = co_await h::open_connection(host, port, o);
    c.writer.close();
  } catch (...) { error = std::current_exception(); }
  co_return error;
}

/// `error` as an E; null: it is another one.
template <class E>
std::unique_ptr<E> as(const std::exception_ptr& error) {
  if (!error) return nullptr;
  try {
    std::rethrow_exception(error);
  } catch (const E& e) { return std::make_unique<E>(e); } catch (...) {
    return nullptr;
  }
}

inline bool has_code(const std::exception_ptr& error, h::tls_errc code) {
  const auto e = as<h::tls_error>(error);
  return e && e->code() == code;
}

inline std::string text_of(const std::exception_ptr& error) {
  return error ? h::describe(error) : std::string("no error");
}

/// As many descriptors are open as before; on a busy machine perhaps a moment later.
inline bool are_closed(std::size_t before) {
  for (int i = 0; open_descriptors() != before && i < 10'000; ++i) std::this_thread::sleep_for(1ms);
  return open_descriptors() == before;
}

/// Two ends of a connection with TLS.
inline h::task<ends> connect_tls_ends(h::server_options so, h::connection_options co) {
  auto arrived = std::make_shared<h::promise<h::connection>>();
  auto future = arrived->get_future();
  so.reuse_port = false;
  auto take = [arrived](h::connection c) { arrived->set_value(std::move(c)); };
  h::server s = co_await h::start_server(take, here, 0, so);
  h::connection mine = co_await h::open_connection(here, s.port(), co);
  h::connection& theirs = co_await future;
  ends e{std::move(mine), std::move(theirs)};
  co_return e;
}
inline h::task<ends> connect_tls_ends() { return connect_tls_ends(with_tls(), by_tls()); }

}  // namespace conformance
