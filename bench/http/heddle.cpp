// SPDX-License-Identifier: MIT
#include "common/heddle_server.h"

namespace {

namespace http = heddle::http;

heddle::task<> serve(std::uint16_t port) {
  http::server server;
  server.get("/plaintext", [](http::request&) { return http::response::text("Hello, World!"); });
  co_await server.start("127.0.0.1", port);
  co_await server.serve_forever();
}

}  // namespace

int main(int argc, char** argv) {
  return bench::serve_on_heddle(argc, argv, {"http", "heddle"}, serve);
}
