// SPDX-License-Identifier: MIT
//
// How the servers on heddle start: on so many loops and the reactor that was asked for.
#pragma once

#include <heddle/heddle.h>

#include <cstdint>
#include <exception>
#include <string_view>
#include <type_traits>

#include "common/program.h"

namespace bench {

inline heddle::reactor_kind reactor_named(std::string_view name) {
  if (name == "epoll") return heddle::reactor_kind::epoll;
  if (name == "uring") return heddle::reactor_kind::uring;
  return heddle::reactor_kind::automatic;
}

/// `serve(port)`, or `serve(settings)` for a server that needs more than its port, makes the task
/// that serves; it runs until the process is told to end.
template <class Serve>
int serve_on_heddle(int argc, char** argv, identity who, Serve serve) {
  const server_settings with = read_server_settings(argc, argv, who);
  try {
    const heddle::options how{.loops = with.threads, .reactor = reactor_named(with.reactor)};
    if constexpr (std::is_invocable_v<Serve&, std::uint16_t>)
      heddle::run(serve(with.port), how);
    else
      heddle::run(serve(with), how);
  } catch (const std::exception& e) { give_up(who, e.what()); }
  return 0;
}

}  // namespace bench
