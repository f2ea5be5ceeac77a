// SPDX-License-Identifier: MIT
// Sockets of the program's own: what goes through them.
#include "sock_cases.h"

#include <fcntl.h>
#include <linux/vm_sockets.h>

#include <atomic>

namespace conformance {
namespace {

REACTOR_CASES(IO_SOCK);

TEST_P(IO_SOCK, IO_SOCK_01_ConnectAcceptSendAndReceive) {
  const auto before = open_ends();
  run([]() -> h::task<> {
    const auto listener = listening();
    const h::address at = h::address::local_of(listener.get());
    const auto client = own_socket(AF_INET, SOCK_STREAM);
    auto accepting = h::create_task(h::sock_accept(listener.get()));
    co_await h::sock_connect(client.get(), at);
    const h::sock_accepted& server = co_await accepting;
    EQUAL(server.peer, h::address::local_of(client.get()));
    HOLDS((::fcntl(server.socket.get(), F_GETFL) & O_NONBLOCK) != 0);
    HOLDS((::fcntl(server.socket.get(), F_GETFD) & FD_CLOEXEC) != 0);
    co_await h::sock_sendall(client.get(), "question");
    EQUAL(co_await h::sock_recv(server.socket.get(), 4), "ques");
    EQUAL(co_await h::sock_recv(server.socket.get(), 400), "tion");
    co_await h::sock_sendall(server.socket.get(), "answer");
    EQUAL(co_await h::sock_recv(client.get(), 400), "answer");
    (void)::shutdown(client.get(), SHUT_WR);
    EQUAL(co_await h::sock_recv(server.socket.get(), 400), "");
    EQUAL(co_await h::sock_recv(client.get(), 0), "");
  });
  EQUAL(open_ends(), before);
}

TEST_P(IO_SOCK, IO_SOCK_01_ARefusalAndABlockingSocketAreErrors) {
  run([]() -> h::task<> {
    auto closed = own_socket(AF_INET, SOCK_STREAM);  // bound, and listens not
    const h::address any = h::address::ip("127.0.0.1", 0);
    (void)::bind(closed.get(), any.data(), any.size());
    const h::address at = h::address::local_of(closed.get());
    const auto client = own_socket(AF_INET, SOCK_STREAM);
    auto refused = h::sock_connect(client.get(), at);
    EQUAL(code_of(co_await error_of(std::move(refused))), ECONNREFUSED);
    EQUAL(co_await code_of_recv(-1), EBADF);
    foreign_pair pair;
    const int flags = ::fcntl(pair.a.get(), F_GETFL);
    (void)::fcntl(pair.a.get(), F_SETFL, flags & ~O_NONBLOCK);
    const int d = pair.a.get();
    EQUAL(co_await ending(h::sock_recv(d, 1)), "Usage");
    EQUAL(co_await ending(h::sock_sendall(d, "x")), "Usage");
    EQUAL(co_await ending(h::sock_accept(d)), "Usage");
    EQUAL(co_await ending(h::sock_connect(d, at)), "Usage");
    // readable and writable make no call of their own: there a blocking one is fine.
    co_await h::writable(d);
    co_await h::sock_sendall(pair.b.get(), "x");
    co_await h::readable(d);
  });
}

TEST_P(IO_SOCK, IO_SOCK_02_IntoMemoryOfTheCallerAndWithTheSender) {
  run([]() -> h::task<> {
    foreign_pair pair;
    char room[5];
    const std::span<char> span(room);
    auto receiving = h::create_task(h::sock_recv_into(pair.a.get(), span));
    co_await until_waiting(receiving);
    co_await h::sock_sendall(pair.b.get(), "seven..");
    EQUAL(co_await receiving, 5u);
    EQUAL(std::string_view(room, 5), "seven");
    EQUAL(co_await h::sock_recv_into(pair.a.get(), span), 2u);
    pair.b.reset();
    EQUAL(co_await h::sock_recv_into(pair.a.get(), span), 0u);
    const auto one = own_socket(AF_INET, SOCK_DGRAM), other = own_socket(AF_INET, SOCK_DGRAM);
    const h::address any = h::address::ip("127.0.0.1", 0);
    (void)::bind(one.get(), any.data(), any.size());
    (void)::bind(other.get(), any.data(), any.size());
    co_await h::sock_sendto(one.get(), "long datagram", h::address::local_of(other.get()));
    const h::sock_datagram cut = co_await h::sock_recvfrom_into(other.get(), span);
    EQUAL(cut.size, 5u);
    HOLDS(cut.truncated);
    EQUAL(cut.sender, h::address::local_of(one.get()));
  });
}

/// Receives until `n` bytes came, within limits that are often too short.
h::task<std::string> receive_racing(int descriptor, std::size_t n) {
  std::string all;
  while (all.size() < n) {
    try {
      const auto limit = std::chrono::microseconds(1 + all.size() % 60);
      auto limited = h::wait_for(h::sock_recv(descriptor, 1000), limit);
      all += co_await std::move(limited);
    } catch (const h::timeout_error&) {}
  }
  co_return all;
}

TEST_P(IO_SOCK, IO_SOCK_03_AReceiveThatIsCancelledAsBytesComeLosesNone) {
  const std::size_t many = sized(sanitized ? 300 : 2000, 100'000);
  run(
      [](std::size_t n) -> h::task<> {
        foreign_pair pair = co_await connect_foreign();
        auto receiving = h::create_task(receive_racing(pair.a.get(), n));
        std::string sent;
        for (std::size_t i = 0; i < n; ++i) {
          sent += static_cast<char>('a' + i % 26);
          co_await h::sock_sendall(pair.b.get(), std::string_view(sent).substr(i));
          if (i % 7 == 0) co_await h::sleep(std::chrono::microseconds(i % 50));
        }
        const std::string& got = co_await receiving;
        EQUAL(got, sent);
      },
      many);
}

TEST_P(IO_SOCK, IO_SOCK_04_ACancelledSendTellsHowMuchWentAndTheNextFollows) {
  run([]() -> h::task<> {
    foreign_pair pair;
    const std::string first(3'000'000, '1'), second(100'000, '2'), third(100'000, '3');
    std::size_t went = 77;
    auto sending = h::create_task(h::sock_sendall(pair.a.get(), first, went));
    co_await until_waiting(sending);
    auto next = h::create_task(h::sock_sendall(pair.a.get(), second));
    co_await until_waiting(next);  // in line behind the first
    auto last = h::create_task(h::sock_sendall(pair.a.get(), third));
    co_await until_waiting(last);
    (void)sending.cancel();
    EQUAL(co_await ending(sending), "Cancelled");
    HOLDS(went > 0 && went < first.size());
    const std::string wanted = first.substr(0, went) + second + third;
    std::string got;
    while (got.size() < wanted.size()) got += co_await h::sock_recv(pair.b.get(), 1 << 20);
    HOLDS(got == wanted);
    co_await next;
    co_await last;
  });
}

TEST_P(IO_SOCK, IO_SOCK_08_AMegabyteBothWaysAtOnce) {
  run([]() -> h::task<> {
    foreign_pair pair = co_await connect_foreign();
    std::string bytes(1'000'000, '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7 / 1000);
    auto out = h::create_task(h::sock_sendall(pair.a.get(), bytes));
    auto back = h::create_task([](int d, std::size_t n) -> h::task<> {
      std::string all;
      while (all.size() < n) {
        const std::string some = co_await h::sock_recv(d, 4096);
        co_await h::sock_sendall(d, some);
        all += some;
      }
    }(pair.b.get(), bytes.size()));
    std::string got;
    while (got.size() < bytes.size()) got += co_await h::sock_recv(pair.a.get(), 100'000);
    HOLDS(got == bytes);
    co_await out;
    co_await back;
  });
}

TEST_P(IO_SOCK, IO_SOCK_12_OtherFamiliesGoThroughAGeneralAddress) {
  run([]() -> h::task<> {
    sockaddr_vm vm{};
    vm.svm_family = AF_VSOCK;
    vm.svm_cid = VMADDR_CID_LOCAL;
    vm.svm_port = 7;
    const h::address at(reinterpret_cast<const sockaddr*>(&vm), sizeof vm);
    EQUAL(at.family(), AF_VSOCK);
    EQUAL(at.to_string(), "vsock:1:7");
    const auto socket = own_socket(AF_VSOCK, SOCK_STREAM);
    if (socket.valid()) {
      // Whether there is a peer is the matter of the machine.
      auto connecting = h::sock_connect(socket.get(), at);
      auto limited = h::wait_for(std::move(connecting), 50ms);
      (void)co_await error_of(std::move(limited));
    } else {
      HOLDS(errno == EAFNOSUPPORT || errno == EPERM || errno == EACCES);
    }
    // An address of a family that a socket has not.
    const auto tcp = own_socket(AF_INET, SOCK_STREAM);
    auto wrong = h::sock_connect(tcp.get(), at);
    EQUAL(code_of(co_await error_of(std::move(wrong))), EAFNOSUPPORT);
  });
}

}  // namespace
}  // namespace conformance
