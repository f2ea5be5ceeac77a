// SPDX-License-Identifier: MIT
// A proxy: what comes to its port goes to another one, and the answers come back.
#include <heddle/heddle.h>

#include <cstdint>
#include <cstdio>
#include <string>

namespace h = heddle;

// One client. copy() passes on the end of either side, so the last bytes arrive.
h::task<> forward(h::connection client, std::uint16_t target) {
  h::connection upstream = co_await h::open_connection("127.0.0.1", target);
  const h::copied_bytes moved = co_await h::copy(client, upstream);
  std::printf("forwarded %d bytes there, %d back\n", static_cast<int>(moved.there),
              static_cast<int>(moved.back));
  client.writer.close();
  upstream.writer.close();
}

// Answers when its client has said all.
h::task<> shout(h::connection c) {
  std::string text = co_await c.reader.read();
  for (char& letter : text)
    if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
  c.writer.write(text);
  c.writer.close();
  co_await c.writer.wait_closed();
}

h::task<> run() {
  auto target = co_await h::start_server(shout, "127.0.0.1", 0);
  auto proxy = co_await h::start_server(
      [to = target.port()](h::connection c) { return forward(std::move(c), to); }, "127.0.0.1", 0);

  auto client = co_await h::open_connection("127.0.0.1", proxy.port());
  client.writer.write("hello over there");
  client.writer.write_eof();
  const std::string answer = co_await client.reader.read();
  client.writer.close();
  proxy.close();
  co_await proxy.wait_closed();  // the proxy has said what it forwarded
  std::printf("%s\n", answer.c_str());
  target.close();
  co_await target.wait_closed();
}

int main() { h::run(run()); }

// > forwarded 16 bytes there, 16 back
// > HELLO OVER THERE
