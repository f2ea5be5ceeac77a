// SPDX-License-Identifier: MIT
#include "common/heddle_echo.h"

namespace {

heddle::task<> serve(bench::server_settings with) {
  heddle::tls_server_options identity;
  identity.certificate = with.certificate;
  identity.key = with.key;
  heddle::server_options options;
  options.tls = heddle::tls_context::server(identity);
  auto starting = heddle::start_server(bench::echo, "127.0.0.1", with.port, options);
  heddle::server server = co_await starting;
  co_await server.serve_forever();
}

}  // namespace

int main(int argc, char** argv) {
  return bench::serve_on_heddle(argc, argv, {"tls_echo", "heddle"}, serve);
}
