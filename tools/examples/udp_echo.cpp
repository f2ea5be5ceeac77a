// SPDX-License-Identifier: MIT
// Datagrams: a server that four tasks serve, and a client that waits for its answers.
#include <heddle/heddle.h>

#include <chrono>
#include <cstdio>
#include <string>

namespace h = heddle;
using namespace std::chrono_literals;

// Each datagram goes to one of the tasks that receive. The close of the socket ends them.
h::task<> serve(h::datagram_socket socket) {
  try {
    for (;;) {
      const h::datagram asked = co_await socket.receive();
      co_await socket.send_to("echo of " + asked.bytes, asked.sender);
    }
  } catch (const std::system_error& e) {
    if (e.code() != std::errc::operation_canceled) throw;
  }
}

// A datagram may be lost on its way. So the client asks again when no answer comes.
h::task<std::string> ask(h::datagram_socket socket, std::string question) {
  for (;;) {
    co_await socket.send(question);
    try {
      auto answer = h::wait_for(socket.receive(), 1s);
      const h::datagram got = co_await std::move(answer);
      if (got.bytes == "echo of " + question) co_return got.bytes;
    } catch (const h::timeout_error&) { std::fprintf(stderr, "asking again\n"); }
  }
}

h::task<> run() {
  auto server = h::datagram_socket::bind(h::address::ip("127.0.0.1", 0));
  auto client = h::datagram_socket::connect(server.local_address());
  co_await h::with_task_group([&](h::task_group& group) -> h::task<> {
    for (int i = 0; i < 4; ++i) group.create_task(serve(server));
    for (const char* word : {"one", "two", "three"}) {
      const std::string answer = co_await ask(client, word);
      std::printf("%s\n", answer.c_str());
    }
    server.close();
  });
  std::printf("closed\n");
}

int main() { h::run(run()); }

// > echo of one
// > echo of two
// > echo of three
// > closed
