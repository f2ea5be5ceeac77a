// SPDX-License-Identifier: MIT
// Datagrams.
#include "reactor_cases.h"

#include <heddle/io/datagram.h>
#include <heddle/sched/create_task.h>

namespace conformance {
namespace {

REACTOR_CASES(IO_UDP);

h::datagram_socket bound(const char* host = "127.0.0.1") {
  return h::datagram_socket::bind(h::address::ip(host, 0));
}

h::task<> answer(const char* host) {
  auto server = bound(host);
  auto client = h::datagram_socket::connect(server.local_address());
  co_await client.send("question");
  const h::datagram asked = co_await server.receive();
  EQUAL(asked.bytes, "question");
  EQUAL(asked.sender, client.local_address());
  co_await server.send_to("answer", asked.sender);
  const h::datagram told = co_await client.receive();
  EQUAL(told.bytes, "answer");
  const h::address before = server.local_address();
  server.close();
  EQUAL(server.local_address(), before);
}

TEST_P(IO_UDP, IO_UDP_01_AnAnswerGoesBackToTheSender) {
  run([]() -> h::task<> {
    co_await answer("127.0.0.1");
    co_await answer("::1");
  });
}

TEST_P(IO_UDP, IO_UDP_07_ALongDatagramIsRefusedAndTheLongestArrivesWhole) {
  run([]() -> h::task<> {
    auto server = bound();
    auto client = h::datagram_socket::connect(server.local_address());
    const std::string longest(65507, 'x');
    const std::string longer(65508, 'x');
    auto refused = client.send(longer);
    const auto error = co_await error_of(std::move(refused));
    EQUAL(code_of(error), EMSGSIZE);
    co_await client.send(longest);
    const h::datagram got = co_await server.receive();
    EQUAL(got.bytes, longest);
    HOLDS(!got.truncated);
  });
}

TEST_P(IO_UDP, IO_UDP_08_ATruncatedDatagramTellsItsTrueLength) {
  run([]() -> h::task<> {
    auto server = bound();
    auto client = h::datagram_socket::connect(server.local_address());
    const std::string hundred(100, 'x');
    co_await client.send(hundred);
    co_await client.send("next");
    char room[10];
    const std::span<char> span(room);
    const h::datagram_info cut = co_await server.receive_into(span);
    EQUAL(cut.size, 10u);
    EQUAL(cut.length, 100u);
    HOLDS(cut.truncated);
    const h::datagram next = co_await server.receive();
    EQUAL(next.bytes, "next");
  });
}

h::task<int> code_of_receive(h::datagram_socket socket) {
  auto receiving = socket.receive();
  const auto error = co_await error_of(std::move(receiving));
  co_return code_of(error);
}

TEST_P(IO_UDP, IO_UDP_03_ARefusalIsToldOnceAndTheSocketWorksOn) {
  run([]() -> h::task<> {
    auto server = bound();
    const h::address at = server.local_address();
    auto client = h::datagram_socket::connect(at);
    server.close();
    co_await client.send("lost");
    const int code = co_await code_of_receive(client);
    EQUAL(code, ECONNREFUSED);
    auto again = h::datagram_socket::bind(at);
    co_await client.send("heard");
    const h::datagram got = co_await again.receive();
    EQUAL(got.bytes, "heard");
  });
}

}  // namespace
}  // namespace conformance
