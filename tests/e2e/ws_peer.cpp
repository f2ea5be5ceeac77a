// SPDX-License-Identifier: MIT
// A WebSocket that talks to other programs. `ws_peer serve REACTOR`: prints its port, and returns
// each message to its sender until its input ends. `ws_peer call REACTOR URL`: sends messages of
// many sizes to a server that returns them, and prints what was wrong, or "fine".
#include <heddle/heddle.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace h = heddle;
namespace http = heddle::http;

namespace {

h::task<> echo(http::websocket& ws, http::request&) {
  while (auto m = co_await ws.receive()) co_await ws.send(*m);
}

h::task<> serve() {
  http::server server;
  http::ws_options o;
  o.protocols = {"echo"};
  server.websocket("/echo", echo, o);
  co_await server.start("127.0.0.1", 0);
  std::printf("%u\n", static_cast<unsigned>(server.port()));
  std::fflush(stdout);
  co_await h::to_thread([] {
    while (std::getchar() != EOF) {}
  });
  co_await server.stop();
}

h::task<std::string> call(std::string url) {
  http::ws_options o;
  o.protocols = {"other", "echo"};
  http::websocket ws = co_await http::connect_websocket(url, o);
  if (ws.protocol() != "echo") co_return "the protocol is " + ws.protocol();
  if (!ws.is_compressed()) co_return "nothing is compressed";
  (void)co_await ws.ping();
  for (std::size_t n = 0; n <= 200'000; n = n * 3 + 1) {
    http::ws_message m;
    m.kind = n % 2 == 0 ? http::ws_kind::text : http::ws_kind::binary;
    m.data.assign(n, 'm');
    co_await ws.send(m);
    const auto back = co_await ws.receive();
    if (!back || back->kind != m.kind || back->data != m.data)
      co_return "a message of " + std::to_string(n) + " bytes is another one";
  }
  co_await ws.close(4001, "enough");
  co_return ws.close_code() == 4001 ? "fine" : "closed by " + std::to_string(ws.close_code());
}

h::task<> call_and_tell(std::string url) {
  const std::string found = co_await call(url);
  std::printf("%s\n", found.c_str());
}

}  // namespace

int main(int count, char** words) {
  const std::string_view what = count > 2 ? words[1] : "";
  if (count > 2) ::setenv("HEDDLE_REACTOR", words[2], 1);
  if (what == "serve") {
    h::run(serve());
  } else if (what == "call" && count > 3) {
    h::run(call_and_tell(words[3]));
  } else {
    std::fprintf(stderr, "usage: ws_peer serve REACTOR | call REACTOR URL\n");
    return 2;
  }
}
