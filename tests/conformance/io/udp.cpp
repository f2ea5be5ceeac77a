// SPDX-License-Identifier: MIT
// Datagrams: sending and receiving, errors of peers, lengths.
#include "udp_cases.h"

namespace conformance {
namespace {

REACTOR_CASES(IO_UDP);

double processor_seconds() {
  timespec used{};
  (void)::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
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
  server.close();
  EQUAL(server.local_address(), before);
  EQUAL(server.native_handle(), -1);
}

TEST_P(IO_UDP, IO_UDP_01_AnAnswerGoesBackToTheSender) {
  const auto before = open_ends();
  run([]() -> h::task<> {
    co_await answer("127.0.0.1");
    co_await answer("::1");
  });
  EQUAL(open_ends(), before);
}

TEST_P(IO_UDP, IO_UDP_01_AClosedOrMovedSocketSaysSo) {
  run([]() -> h::task<> {
    auto socket = bound();
    const h::address at = socket.local_address();
    socket.close();
    EQUAL(co_await code_of_receive(socket), ECANCELED);
    EQUAL(co_await code_of_send(socket, "x", at), ECANCELED);
    const h::datagram_socket moved = std::move(socket);
    HOLDS(!socket.valid());
    socket.close();
    THROWS(h::usage_error, socket.receive());
    THROWS(h::usage_error, socket.local_address());
    HOLDS(moved.is_closed());
    THROWS(h::bad_value, (void)moved.receive_many(0));
    THROWS(h::bad_value, (void)h::datagram_socket::open(AF_PACKET));
    // Sockets of the program's own, taken over.
    h::owned_descriptor stream(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    THROWS(h::bad_value, (void)h::datagram_socket::adopt(std::move(stream)));
    h::owned_descriptor own(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    (void)::bind(own.get(), at.data(), at.size());
    auto adopted = h::datagram_socket::adopt(std::move(own));
    EQUAL(adopted.local_address(), at);
    co_await adopted.send_to("to myself", at);
    const h::datagram got = co_await adopted.receive();
    EQUAL(got.bytes, "to myself");
  });
}

h::task<std::string> ending_of_receive(h::datagram_socket socket) {
  auto receiving = socket.receive();
  co_return name_of(co_await error_of(std::move(receiving)));
}

TEST_P(IO_UDP, IO_UDP_01_ASocketWhoseRuntimeHasEndedSaysSo) {
  std::optional<h::datagram_socket> kept;
  const auto before = open_ends();
  for (int i = 0; i < 2; ++i)
    run([&kept]() -> h::task<> {
      if (kept) EQUAL(co_await ending_of_receive(*kept), "Usage");
      kept = bound();
      co_await kept->send_to("x", kept->local_address());
      EQUAL((co_await kept->receive()).bytes, "x");
    });
  kept->close();
  EQUAL(open_ends(), before);
}

h::task<> refused_once(std::string host) {
  auto server = bound(host.c_str());
  auto client = h::datagram_socket::connect(server.local_address());
  server.close();
  co_await client.send("lost");
  EQUAL(co_await code_of_receive(client), ECONNREFUSED);
  auto again = h::datagram_socket::bind(client.peer_address());
  co_await client.send("heard");
  const h::datagram got = co_await again.receive();
  EQUAL(got.bytes, "heard");
  co_await again.send_to("answer", client.local_address());
  const h::datagram told = co_await client.receive();
  EQUAL(told.bytes, "answer");
}

TEST_P(IO_UDP, IO_UDP_03_ARefusalIsToldOnceAndTheSocketWorksOn) {
  run([]() -> h::task<> {
    co_await refused_once(lonely_host());
    co_await refused_once("::1");
  });
}

TEST_P(IO_UDP, IO_UDP_03_ARefusalWakesOneReceiverAndTheOthersGoOn) {
  run([]() -> h::task<> {
    auto server = bound(lonely_host().c_str());
    auto client = h::datagram_socket::connect(server.local_address());
    server.close();
    auto first = h::create_task(code_of_receive(client));
    auto second = h::create_task(client.receive());
    co_await until_waiting(first);
    co_await until_waiting(second);
    co_await client.send("lost");
    // The refusal ends one of the two; the datagram must reach the other one, or the next receive.
    auto ended = until([&] { return first.done() || second.done(); });
    co_await std::move(ended);
    auto open = h::datagram_socket::bind(client.peer_address());
    co_await open.send_to("for the other", client.local_address());
    if (first.done()) {
      EQUAL(co_await first, ECONNREFUSED);
      const h::datagram& got = co_await second;
      EQUAL(got.bytes, "for the other");
    } else {
      const auto error = co_await error_of([](auto t) -> h::task<> { (void)co_await t; }(second));
      EQUAL(code_of(error), ECONNREFUSED);
      EQUAL(co_await first, 0);
    }
  });
}

TEST_P(IO_UDP, IO_UDP_04_AClientThatHasGoneIsNoErrorOfTheServer) {
  run([]() -> h::task<> {
    auto server = bound(lonely_host().c_str());
    auto serving = h::create_task([](h::datagram_socket s) -> h::task<int> {
      for (int served = 0;; ++served) {
        const h::datagram asked = co_await s.receive();
        if (asked.bytes == "end") co_return served;
        co_await s.send_to("answer", asked.sender);
      }
    }(server));
    for (int i = 0; i < 3; ++i) {
      h::datagram_options from;
      from.local = h::address::ip(lonely_host(), 0);
      auto gone = h::datagram_socket::connect(server.local_address(), from);
      const h::address at = gone.local_address();
      // It goes, perhaps before the answer: then the server answers a port that is closed.
      gone.close();
      auto as_gone = h::datagram_socket::bind(at);
      co_await as_gone.send_to("question", server.local_address());
      as_gone.close();
    }
    auto client = h::datagram_socket::connect(server.local_address());
    co_await client.send("question");
    const h::datagram told = co_await client.receive();
    EQUAL(told.bytes, "answer");
    co_await client.send("end");
    EQUAL(co_await serving, 4);
  });
}

TEST_P(IO_UDP, IO_UDP_05_AnErrorThatNobodyAwaitsIsKeptAndKeepsNoLoopBusy) {
  run([]() -> h::task<> {
    auto server = bound();
    auto client = h::datagram_socket::connect(server.local_address());
    server.close();
    co_await client.send("lost");
    // A loop that spins uses a processor in every one of these moments, a calm one in few.
    bool calm = false;
    for (int i = 0; i < 50 && !calm; ++i) {
      const double before = processor_seconds();
      co_await h::sleep(50ms);
      calm = processor_seconds() - before < 0.02;
    }
    HOLDS(calm);
    EQUAL(co_await code_of_receive(client), ECONNREFUSED);
  });
}

TEST_P(IO_UDP, IO_UDP_07_ALongDatagramIsRefusedAndTheLongestArrivesWhole) {
  run([]() -> h::task<> {
    auto server = bound();
    auto client = h::datagram_socket::connect(server.local_address());
    const std::string longest(65507, 'x');
    const std::string longer(65508, 'x');
    EQUAL(co_await code_of_send(client, longer, h::address()), EMSGSIZE);
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
    co_await client.send("");
    char room[10];
    const std::span<char> span(room);
    const h::datagram_info cut = co_await server.receive_into(span);
    EQUAL(cut.size, 10u);
    EQUAL(cut.length, 100u);
    HOLDS(cut.truncated);
    EQUAL(cut.sender, client.local_address());
    const h::datagram next = co_await server.receive();
    EQUAL(next.bytes, "next");
    const h::datagram_info empty = co_await server.receive_into(span);
    EQUAL(empty.length, 0u);
    HOLDS(!empty.truncated);
  });
}

TEST_P(IO_UDP, IO_UDP_09_LongDatagramsAndStreamsShareALoop) {
  run([]() -> h::task<> {
    auto server = bound();
    auto client = h::datagram_socket::connect(server.local_address());
    ends pair = co_await connect_ends();
    auto echoing =
        h::create_task(echo(std::move(pair.server.reader), std::move(pair.server.writer)));
    const std::string longest(65507, 'd');
    for (int i = 0; i < rounds(30); ++i) {
      pair.client.writer.write("line\n");
      co_await client.send(longest);
      const h::datagram got = co_await server.receive();
      EQUAL(got.bytes.size(), longest.size());
      const std::string line = co_await pair.client.reader.read_line();
      EQUAL(line, "line\n");
    }
    pair.client.writer.close();
    co_await echoing;
  });
}

TEST_P(IO_UDP, IO_UDP_12_AWrongAddressIsAnErrorOfThatCallAlone) {
  run([]() -> h::task<> {
    auto socket = bound();
    auto other = bound();
    EQUAL(co_await code_of_send(socket, "x", h::address::ip("::1", 9)), EAFNOSUPPORT);
    EQUAL(co_await code_of_send(socket, "x", h::address::ip("127.0.0.1", 0)), EINVAL);
    // From 127.0.0.1 there is no way to the world.
    const int unroutable = co_await code_of_send(socket, "x", h::address::ip("198.51.100.77", 9));
    HOLDS(unroutable == EINVAL || unroutable == ENETUNREACH || unroutable == EHOSTUNREACH);
    auto unconnected = socket.send("to nobody");
    EQUAL(code_of(co_await error_of(std::move(unconnected))), EDESTADDRREQ);
    h::send_options odd;
    odd.traffic_class = 256;
    THROWS(h::bad_value, socket.send_to("x", other.local_address(), odd));
    co_await socket.send_to("well", other.local_address());
    const h::datagram got = co_await other.receive();
    EQUAL(got.bytes, "well");
  });
}

}  // namespace
}  // namespace conformance
