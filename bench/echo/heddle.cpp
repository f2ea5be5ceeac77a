// SPDX-License-Identifier: MIT
#include "common/heddle_echo.h"

namespace {

heddle::task<> serve(std::uint16_t port) {
  heddle::server server = co_await heddle::start_server(bench::echo, "127.0.0.1", port);
  co_await server.serve_forever();
}

}  // namespace

int main(int argc, char** argv) {
  return bench::serve_on_heddle(argc, argv, {"echo", "heddle"}, serve);
}
