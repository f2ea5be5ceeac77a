// SPDX-License-Identifier: MIT
// Unix datagrams: names, full queues, peers that are gone.
#include "udp_cases.h"

#include <heddle/io/unix_socket.h>

#include <sys/eventfd.h>

namespace conformance {
namespace {

REACTOR_CASES(IO_UNIX_DATAGRAMS);

TEST_P(IO_UNIX_DATAGRAMS, IO_UNIX_10_SendersWithANameAreAnswered) {
  run([]() -> h::task<> {
    const std::string path = fresh_path("server");
    h::datagram_options o;
    o.credentials = true;
    auto server = h::datagram_socket::bind(h::address::unix_path(path), o);
    EQUAL(server.local_address().host(), path);
    auto named = h::datagram_socket::bind(h::address::unix_path(fresh_path("client")));
    auto autobound = h::datagram_socket::connect(server.local_address());
    EQUAL(autobound.local_address().host().at(0), '\0');
    co_await named.send_to("named", server.local_address());
    const h::datagram first = co_await server.receive();
    EQUAL(first.sender, named.local_address());
    HOLDS(first.credentials == (h::peer_credentials{::getpid(), ::getuid(), ::getgid()}));
    co_await server.send_to("answer", first.sender);
    EQUAL((co_await named.receive()).bytes, "answer");
    co_await autobound.send("autobound");
    const h::datagram second = co_await server.receive();
    EQUAL(second.sender, autobound.local_address());
    co_await server.send_to("answer", second.sender);
    EQUAL((co_await autobound.receive()).bytes, "answer");
  });
}

TEST_P(IO_UNIX_DATAGRAMS, IO_UNIX_10_AnUnnamedSenderIsEmptyAndLongDatagramsComeWhole) {
  run([]() -> h::task<> {
    auto server = h::datagram_socket::bind(h::address::unix_path(fresh_path("long")));
    auto unnamed = h::datagram_socket::open(AF_UNIX);
    EQUAL(unnamed.local_address().host(), "");
    co_await unnamed.send_to("from nobody", server.local_address());
    const h::datagram got = co_await server.receive();
    EQUAL(got.bytes, "from nobody");
    EQUAL(got.sender.host(), "");
    // Beyond what UDP can send.
    const std::string large(150'000, 'l');
    co_await unnamed.send_to(large, server.local_address());
    const h::datagram whole = co_await server.receive();
    EQUAL(whole.bytes, large);
    HOLDS(!whole.truncated);
    co_await unnamed.send_to(large, server.local_address());
    char room[10];
    const std::span<char> span(room);
    const h::datagram_info cut = co_await server.receive_into(span);
    EQUAL(cut.length, large.size());
    HOLDS(cut.truncated);
    // An abstract name.
    const std::string name = '\0' + fresh_path("abstract");
    auto abstract = h::datagram_socket::bind(h::address::unix_path(name));
    co_await unnamed.send_to("hello", abstract.local_address());
    EQUAL((co_await abstract.receive()).bytes, "hello");
  });
}

TEST_P(IO_UNIX_DATAGRAMS, IO_UNIX_06_PathsOfAnyBytesAndTheSameFileIsRemoved) {
  const auto home = std::filesystem::current_path();
  const std::filesystem::path folder = fresh_path("folder");
  std::filesystem::create_directory(folder);
  run([folder]() -> h::task<> {
    auto client = h::datagram_socket::open(AF_UNIX);
    const std::string longest = '/' + std::string(106, 'x');
    EQUAL(h::address::unix_path(longest).host(), longest);
    THROWS(h::bad_value, (void)h::address::unix_path(longest + "x"));
    THROWS(h::bad_value, (void)h::address::unix_path(""));
    std::filesystem::current_path(folder);
    auto relative = h::datagram_socket::bind(h::address::unix_path("bytes \xff\xfe\n"));
    auto listener = h::unix_listener::listen("listener", h::unix_kind::seqpacket);
    co_await client.send_to("hello", relative.local_address());
    EQUAL((co_await relative.receive()).bytes, "hello");
    std::filesystem::current_path("/");
    HOLDS(!std::filesystem::is_empty(folder));
    relative.close();
    listener.close();
    HOLDS(std::filesystem::is_empty(folder));
  });
  std::filesystem::current_path(home);
  std::filesystem::remove(folder);
}

TEST_P(IO_UNIX_DATAGRAMS, IO_UNIX_10_DescriptorsForADatagramSocketAreClosed) {
  const auto before = open_ends();
  run([]() -> h::task<> {
    h::datagram_options o;
    o.credentials = true;  // so that there is room for what travels beside
    auto server = h::datagram_socket::bind(h::address::unix_path(fresh_path("asks")), o);
    auto sender = h::unix_socket::bind(fresh_path("gives"));
    const h::owned_descriptor bell(::eventfd(0, EFD_CLOEXEC));
    const int passed[] = {bell.get(), bell.get()};
    const auto open = open_ends();
    co_await sender.send_to("unasked", passed, server.local_address());
    EQUAL((co_await server.receive()).bytes, "unasked");
    EQUAL(open_ends(), open);
    (void)std::filesystem::remove(sender.local_address().host());
  });
  EQUAL(open_ends(), before);
}

TEST_P(IO_UNIX_DATAGRAMS, IO_UNIX_11_AFullReceiverIsAwaitedAndTheWaitCanBeCancelled) {
  run([]() -> h::task<> {
    auto receiver = h::datagram_socket::bind(h::address::unix_path(fresh_path("slow")));
    const h::address to = receiver.local_address();
    const std::size_t filled = fill(to);
    auto free = h::datagram_socket::open(AF_UNIX);
    auto connected = h::datagram_socket::connect(to);
    auto one = h::create_task(free.send_to("free", to));
    auto other = h::create_task(connected.send("connected"));
    auto never = h::create_task(connected.send("never"));
    for (auto* t : {&one, &other, &never}) co_await until_waiting(*t);
    (void)never.cancel();
    EQUAL(co_await ending(never), "Cancelled");
    for (std::size_t i = 0; i < filled; ++i) (void)co_await receiver.receive();
    std::string both = (co_await receiver.receive()).bytes;
    both += (co_await receiver.receive()).bytes;
    HOLDS(both == "freeconnected" || both == "connectedfree");
    co_await one;
    co_await other;
  });
}

TEST_P(IO_UNIX_DATAGRAMS, IO_UNIX_11_AReceiverThatIsGoneOrWasNeverThereIsAnError) {
  run([]() -> h::task<> {
    const std::string path = fresh_path("gone");
    h::datagram_options stays;
    stays.cleanup_socket = false;
    auto receiver = h::datagram_socket::bind(h::address::unix_path(path), stays);
    const h::address to = receiver.local_address();
    auto sender = h::datagram_socket::open(AF_UNIX);
    auto connected = h::datagram_socket::connect(to);
    receiver.close();
    HOLDS(std::filesystem::exists(path));
    EQUAL(co_await code_of_send(sender, "x", to), ECONNREFUSED);
    EQUAL(co_await code_of_send(connected, "x", h::address()), ECONNREFUSED);
    std::filesystem::remove(path);
    EQUAL(co_await code_of_send(sender, "x", to), ENOENT);
    THROWS(std::system_error, (void)h::datagram_socket::connect(to));
    // A receiver that goes while a sender waits for its queue.
    auto slow = h::datagram_socket::bind(h::address::unix_path(fresh_path("slow")));
    (void)fill(slow.local_address());
    auto waiting = h::create_task(code_of_send(sender, "x", slow.local_address()));
    co_await until_waiting(waiting);
    slow.close();
    const int code = co_await waiting;
    HOLDS(code == ECONNREFUSED || code == ENOENT);
    // The path of another is not removed.
    auto first = h::datagram_socket::bind(h::address::unix_path(fresh_path("mine")));
    std::filesystem::remove(first.local_address().host());
    auto second = h::datagram_socket::bind(first.local_address());
    first.close();
    HOLDS(std::filesystem::exists(second.local_address().host()));
  });
}

}  // namespace
}  // namespace conformance
