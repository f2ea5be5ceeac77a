// SPDX-License-Identifier: MIT
#include <heddle/io/connecting/attempt.h>

#include <heddle/io/descriptors/socket.h>
#include <heddle/io/streams/stream_core.h>
#include <heddle/sched/sleep.h>

#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <string>

namespace heddle::detail {

task<connection> connect_to(address to, connection_options options) {
  using namespace std::chrono_literals;
  fd socket = make_stream_socket(to.family(), to);
  if (!options.local_host.empty() || options.local_port != 0) {
    const std::string any = to.family() == AF_INET6 ? "::" : "0.0.0.0";
    const address from =
        address::ip(options.local_host.empty() ? any : options.local_host, options.local_port);
    set_option(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1, "setsockopt SO_REUSEADDR", from);
    check(::bind(socket.get(), from.data(), from.size()), "bind", from.to_string());
  }
  if (options.no_delay) set_no_delay(socket.get(), to.family());

  auto pause = 1ms;
  int result = ::connect(socket.get(), to.data(), to.size());
  while (result != 0 && errno == EAGAIN && to.family() == AF_UNIX) {
    // The backlog of the Unix server is full, and no event tells of room. So it is tried again.
    co_await sleep(pause);
    pause = std::min(2 * pause, 50ms);
    result = ::connect(socket.get(), to.data(), to.size());
  }
  if (result != 0 && errno != EINPROGRESS && errno != EINTR)
    throw_system_error(errno, "connect", to.to_string());

  // The watch begins after connect(): a socket that was never connected reports a hang-up.
  const auto purpose = result == 0 ? watched_for::streaming : watched_for::connecting;
  stream_core* core =
      stream_core::open(std::move(socket), current_reactor(), purpose, options.limit, to);
  connection c = make_connection(core);
  if (result != 0) {
    int error = 0;
    do {
      writable_wait connected(core->source(), core->source().name());
      co_await connected;
      socklen_t length = sizeof error;
      check(::getsockopt(core->descriptor(), SOL_SOCKET, SO_ERROR, &error, &length),
            "getsockopt SO_ERROR", to.to_string());
    } while (error == 0 && core->is_connecting());
    if (error != 0) throw_system_error(error, "connect", to.to_string());
    core->established();
  }
  co_return c;
}

}  // namespace heddle::detail
