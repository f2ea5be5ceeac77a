// SPDX-License-Identifier: MIT
//
// How the servers on heddle start: on so many loops and the reactor that was asked for.
#pragma once

#include <heddle/heddle.h>

#include <exception>
#include <string_view>

#include "common/program.h"

namespace bench {

inline heddle::reactor_kind reactor_named(std::string_view name) {
  if (name == "epoll") return heddle::reactor_kind::epoll;
  if (name == "uring") return heddle::reactor_kind::uring;
  return heddle::reactor_kind::automatic;
}

/// `serve(port)` makes the task that serves; it runs until the process is told to end.
template <class Serve>
int serve_on_heddle(int argc, char** argv, identity who, Serve serve) {
  const server_settings with = read_server_settings(argc, argv, who);
  try {
    heddle::run(serve(with.port), {.loops = with.threads, .reactor = reactor_named(with.reactor)});
  } catch (const std::exception& e) { give_up(who, e.what()); }
  return 0;
}

}  // namespace bench
