// SPDX-License-Identifier: MIT
// An https GET, from a server of its own. "https_get URL [CA_FILE]" asks another one.
#include "example_certificate.h"

#include <heddle/heddle.h>

#include <cstdio>
#include <exception>
#include <string>

namespace h = heddle;
namespace http = heddle::http;

h::task<> get(std::string url, std::string ca) {
  h::tls_options trust;
  trust.ca = ca;  // empty: the system's authorities
  http::session_options options;
  options.tls = h::tls_context::client(trust);
  http::session client(options);
  const auto answer = co_await client.get(url);
  std::printf("%d %s", answer.status, answer.text().c_str());
}

h::task<> serve_and_get() {
  http::server_options options;
  options.tls = h::tls_context::server(example_certificate, example_key);
  http::server server(options);
  server.get("/", [](http::request&) { return http::response::text("hello over TLS\n"); });
  co_await server.start("127.0.0.1", 0);
  const std::string url = "https://localhost:" + std::to_string(server.port()) + "/";
  co_await get(url, example_certificate);

  try {
    co_await get(url, "");
  } catch (const h::certificate_error& e) {
    std::printf("without its authority: %s\n", e.code().message().c_str());
  }
  co_await server.stop();
}

int main(int count, char** arguments) {
  try {
    if (count > 1)
      h::run(get(arguments[1], count > 2 ? arguments[2] : ""));
    else
      h::run(serve_and_get(), {.exception_handler = [](const h::error_context&) {}});
  } catch (const std::exception& e) {
    std::fprintf(stderr, "https_get: %s\n", e.what());
    return 1;
  }
}

// > 200 hello over TLS
// > without its authority: the certificate is not trusted
