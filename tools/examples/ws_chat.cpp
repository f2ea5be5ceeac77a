// SPDX-License-Identifier: MIT
// A chat room over WebSocket: what one guest says, all guests hear. A topic sends it to each of
// them; guests that do not listen hold nobody up.
#include <heddle/heddle.h>

#include <cstdio>
#include <string>

namespace h = heddle;
namespace http = heddle::http;

// One guest, on the server. The room forgets the guest when this returns.
h::task<> serve_guest(http::topic& room, http::websocket& ws, http::request& r) {
  const std::string name = r.query("name").value_or("somebody");
  const http::subscription mine = room.subscribe(ws);
  co_await ws.send_text("welcome, " + name);
  while (auto said = co_await ws.receive()) {
    http::ws_message line;
    line.data = name + ": " + said->data;
    co_await room.publish(line);
  }
}

// What a guest hears, up to a line that says goodbye.
h::task<> listen(http::websocket& ws, std::string name) {
  while (auto heard = co_await ws.receive_text()) {
    std::printf("%s hears \"%s\"\n", name.c_str(), heard->c_str());
    if (heard->ends_with("goodbye")) break;
  }
}

h::task<http::websocket> enter(const http::server& s, std::string name) {
  const std::string url = "ws://127.0.0.1:" + std::to_string(s.port()) + "/room?name=" + name;
  http::websocket ws = co_await http::connect_websocket(url);
  const auto welcome = co_await ws.receive_text();
  std::printf("%s\n", welcome.value_or("nothing").c_str());
  co_return ws;
}

h::task<> run() {
  http::topic room;
  http::server server;
  server.websocket(
      "/room", [&room](http::websocket& ws, http::request& r) { return serve_guest(room, ws, r); });
  co_await server.start("127.0.0.1", 0);

  http::websocket ann = co_await enter(server, "ann");
  http::websocket bob = co_await enter(server, "bob");
  co_await ann.send_text("hello, room");
  co_await ann.send_text("goodbye");
  co_await listen(ann, "ann");
  co_await listen(bob, "bob");
  co_await ann.close();
  std::printf("ann left with code %d\n", ann.close_code());
  co_await server.stop();  // the room is closed under bob
  while (co_await bob.receive()) {}
  std::printf("bob was sent away with code %d\n", bob.close_code());
}

int main() { h::run(run()); }

// > welcome, ann
// > welcome, bob
// > ann hears "ann: hello, room"
// > ann hears "ann: goodbye"
// > bob hears "ann: hello, room"
// > bob hears "ann: goodbye"
// > ann left with code 1000
// > bob was sent away with code 1001
