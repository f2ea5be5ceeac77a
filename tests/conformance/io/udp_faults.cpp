// SPDX-License-Identifier: MIT
// Datagrams that the kernel has no memory for: this file stands between the library and sendmsg.
#include "udp_cases.h"

#include <atomic>
#include <cerrno>

namespace {

std::atomic<int> refusals{0};  // so many sends more are refused
std::atomic<int> refused{0};

}  // namespace

extern "C" {

ssize_t __real_sendmsg(int socket, const msghdr* message, int flags);

ssize_t __wrap_sendmsg(int socket, const msghdr* message, int flags) {
  if (refusals.load() == 0) return __real_sendmsg(socket, message, flags);
  --refusals;
  ++refused;
  errno = ENOBUFS;
  return -1;
}

}  // extern "C"

namespace conformance {
namespace {

REACTOR_CASES(IO_UDP_FAULTS);

TEST_P(IO_UDP_FAULTS, IO_UDP_10_WithoutMemoryASendTriesAgainInGrowingPauses) {
  run([]() -> h::task<> {
    auto server = bound();
    auto client = h::datagram_socket::connect(server.local_address());
    refusals = 3;
    refused = 0;
    co_await client.send("at last");
    EQUAL(refused.load(), 3);
    EQUAL((co_await server.receive()).bytes, "at last");
  });
}

TEST_P(IO_UDP_FAULTS, IO_UDP_10_WithoutMemoryASendDoesNotSpinAndCanBeEnded) {
  run([]() -> h::task<> {
    auto server = bound();
    auto client = h::datagram_socket::connect(server.local_address());
    refusals = 1'000'000;
    refused = 0;
    const auto began = h::clock::now();
    auto cancelled = h::create_task(client.send("never"));
    auto behind = h::create_task(client.send("never"));
    co_await until_waiting(cancelled);
    co_await until_waiting(behind);
    co_await h::sleep(100ms);
    // Pauses of 1, 2, 4, 8, 16, 16, ... ms.
    const int tries = refused.load();
    HOLDS(tries < 20 + (h::clock::now() - began) / 16ms);
    (void)cancelled.cancel();
    EQUAL(co_await ending(cancelled), "Cancelled");
    client.close();
    EQUAL(co_await ending(behind), "System(Operation canceled)");
    refusals = 0;
  });
}

}  // namespace
}  // namespace conformance
