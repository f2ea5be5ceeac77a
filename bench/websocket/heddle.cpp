// SPDX-License-Identifier: MIT
#include "common/heddle_server.h"

namespace {

namespace http = heddle::http;

heddle::task<> echo(http::websocket& peer, http::request&) {
  while (const auto got = co_await peer.receive()) co_await peer.send(*got);
}

heddle::task<> serve(std::uint16_t port) {
  http::server server;
  http::ws_options options;
  options.deflate = std::nullopt;
  server.websocket("/", echo, options);
  co_await server.start("127.0.0.1", port);
  co_await server.serve_forever();
}

}  // namespace

int main(int argc, char** argv) {
  return bench::serve_on_heddle(argc, argv, {"websocket", "heddle"}, serve);
}
