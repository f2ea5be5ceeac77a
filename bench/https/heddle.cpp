// SPDX-License-Identifier: MIT
#include "common/heddle_server.h"

namespace {

namespace http = heddle::http;

heddle::task<> serve(bench::server_settings with) {
  heddle::tls_server_options identity;
  identity.certificate = with.certificate;
  identity.key = with.key;
  http::server_options options;
  options.tls = heddle::tls_context::server(identity);
  http::server server(options);
  server.get("/plaintext", [](http::request&) { return http::response::text("Hello, World!"); });
  co_await server.start("127.0.0.1", with.port);
  co_await server.serve_forever();
}

}  // namespace

int main(int argc, char** argv) {
  return bench::serve_on_heddle(argc, argv, {"https", "heddle"}, serve);
}
