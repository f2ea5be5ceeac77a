// SPDX-License-Identifier: MIT
// An echo server over TLS and its client. The same on a plain connection: client_server.cpp.
#include "example_certificate.h"

#include <heddle/heddle.h>

#include <cstdio>
#include <string>
#include <utility>

namespace h = heddle;

// A handler is called after the handshake. It does not know of TLS, unless it asks.
h::task<> handle_echo(h::stream_reader reader, h::stream_writer writer) {
  const auto agreed = writer.tls();
  std::printf("server speaks %s as %s\n", agreed.version.c_str(), agreed.server_name.c_str());
  const std::string line = co_await reader.read_line();
  writer.write(line);
  co_await writer.drain();
  writer.close();
  co_await writer.wait_closed();
}

h::task<> talk() {
  h::server_options so;
  so.tls = h::tls_context::server(example_certificate, example_key);
  auto server = co_await h::start_server(handle_echo, "127.0.0.1", 0, so);

  h::tls_options trust;
  trust.ca = example_certificate;
  h::connection_options co;
  co.tls = h::tls_context::client(trust);
  co.server_name = "localhost";  // it connects by address, and expects this name
  auto [reader, writer] = co_await h::open_connection("127.0.0.1", server.port(), co);
  writer.write("Hello World!\n");
  co_await writer.drain();
  const std::string answer = co_await reader.read_line();
  std::printf("client received %s", answer.c_str());
  writer.close();
  co_await writer.wait_closed();

  server.close();
  co_await server.wait_closed();
}

int main() { h::run(talk()); }

// > server speaks TLSv1.3 as localhost
// > client received Hello World!
