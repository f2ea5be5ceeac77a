// SPDX-License-Identifier: MIT
//
// A server of Boost.Asio coroutines: one io_context a thread, each with a listener of its own, its
// fastest arrangement.
#pragma once

#include <sys/socket.h>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <exception>
#include <thread>
#include <utility>
#include <vector>

#include "common/program.h"

namespace bench {

/// Accepts for ever and starts `talk(socket)` on each connection; an exception from it ends that
/// connection only.
template <class Talk>
boost::asio::awaitable<void> accept_on_asio(boost::asio::io_context& context, std::uint16_t port,
                                            Talk talk) {
  namespace asio = boost::asio;
  using asio::ip::tcp;
  const tcp::endpoint here(asio::ip::address_v4::loopback(), port);
  tcp::acceptor listener(context);
  listener.open(here.protocol());
  listener.set_option(asio::socket_base::reuse_address(true));
  listener.set_option(asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>(true));
  listener.bind(here);
  listener.listen(4096);
  for (;;) {
    tcp::socket socket = co_await listener.async_accept(asio::use_awaitable);
    socket.set_option(tcp::no_delay(true));
    asio::co_spawn(context, talk(std::move(socket)), asio::detached);
  }
}

template <class Talk>
int serve_on_asio(int argc, char** argv, identity who, Talk talk) {
  const server_settings with = read_server_settings(argc, argv, who);
  auto serve = [&] {
    boost::asio::io_context context(1);
    boost::asio::co_spawn(context, accept_on_asio(context, with.port, talk),
                          [who](std::exception_ptr failure) {
                            try {
                              if (failure) std::rethrow_exception(failure);
                            } catch (const std::exception& e) { give_up(who, e.what()); }
                          });
    context.run();
  };
  std::vector<std::jthread> others;
  for (unsigned i = 1; i < with.threads; ++i) others.emplace_back(serve);
  serve();
  return 0;
}

}  // namespace bench
