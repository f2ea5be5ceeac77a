// SPDX-License-Identifier: MIT
// An echo server and its client, on streams.
#include <heddle/heddle.h>

#include <cstdio>
#include <string>

namespace h = heddle;

h::task<> handle_echo(h::stream_reader reader, h::stream_writer writer) {
  const std::string line = co_await reader.read_line();
  std::printf("server received %s", line.c_str());
  writer.write(line);
  co_await writer.drain();
  writer.close();
  co_await writer.wait_closed();
}

h::task<> talk() {
  auto server = co_await h::start_server(handle_echo, "127.0.0.1", 0);  // 0: any free port

  auto [reader, writer] = co_await h::open_connection("127.0.0.1", server.port());
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

// > server received Hello World!
// > client received Hello World!
