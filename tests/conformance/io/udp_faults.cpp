// SPDX-License-Identifier: MIT
// Datagrams that the kernel has no memory for.
#include "udp_cases.h"

#include <support/injected.h>

#include <cerrno>

namespace conformance {
namespace {

REACTOR_CASES(IO_UDP_FAULTS);

TEST_P(IO_UDP_FAULTS, IO_UDP_10_WithoutMemoryASendTriesAgainInGrowingPauses) {
  run([]() -> h::task<> {
    auto server = bound();
    auto client = h::datagram_socket::connect(server.local_address());
    const support::injected want({.where = support::call::sendmsg, .code = ENOBUFS, .times = 3});
    co_await client.send("at last");
    EQUAL(want.met(), 3);
    EQUAL((co_await server.receive()).bytes, "at last");
  });
}

TEST_P(IO_UDP_FAULTS, IO_UDP_10_WithoutMemoryASendDoesNotSpinAndCanBeEnded) {
  run([]() -> h::task<> {
    auto server = bound();
    auto client = h::datagram_socket::connect(server.local_address());
    const support::injected want({.where = support::call::sendmsg, .code = ENOBUFS, .times = -1});
    const auto began = h::clock::now();
    auto cancelled = h::create_task(client.send("never"));
    auto behind = h::create_task(client.send("never"));
    co_await until_waiting(cancelled);
    co_await until_waiting(behind);
    co_await h::sleep(100ms);
    // Pauses of 1, 2, 4, 8, 16, 16, ... ms.
    const int tries = want.met();
    HOLDS(tries < 20 + (h::clock::now() - began) / 16ms);
    (void)cancelled.cancel();
    EQUAL(co_await ending(cancelled), "Cancelled");
    client.close();
    EQUAL(co_await ending(behind), "System(Operation canceled)");
  });
}

}  // namespace
}  // namespace conformance
