// SPDX-License-Identifier: MIT
// Datagrams: many tasks at one socket, batches, segments, floods.
#include "udp_cases.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>

namespace conformance {
namespace {

REACTOR_CASES(IO_UDP_TASKS);

using counts = std::vector<std::atomic<int>>;

h::task<> receive_until_closed(h::datagram_socket socket, counts& seen) {
  for (;;) {
    const h::datagram got = co_await socket.receive();
    ++seen.at(std::stoul(got.bytes));
  }
}

/// Receives within a limit, again and again: its receives are cancelled half way.
h::task<> receive_impatiently(h::datagram_socket socket, counts& seen) {
  for (;;) {
    try {
      auto limited = h::wait_for(socket.receive(), 100us);
      const h::datagram got = co_await std::move(limited);
      ++seen.at(std::stoul(got.bytes));
    } catch (const h::timeout_error&) {}
  }
}

TEST_P(IO_UDP_TASKS, IO_UDP_17_EachDatagramGoesToOneTaskAndCancellingLosesNone) {
  run([]() -> h::task<> {
    auto server = bound();
    auto client = h::datagram_socket::connect(server.local_address());
    const std::size_t many = rounds(2000);
    counts seen(many);
    std::vector<h::task_handle<void>> tasks;
    for (int i = 0; i < 8; ++i)
      tasks.push_back(h::create_task(i % 2 ? receive_until_closed(server, seen)
                                           : receive_impatiently(server, seen)));
    // One by one, so that the socket's buffer never overflows.
    for (std::size_t i = 0; i < many; ++i) {
      co_await client.send(std::to_string(i));
      auto arrived = until([&] { return seen[i] != 0; });
      co_await std::move(arrived);
    }
    server.close();
    for (auto& t : tasks) EQUAL(co_await ending(t), "System(Operation canceled)");
    HOLDS(std::ranges::all_of(seen, [](const auto& n) { return n == 1; }));
  });
}

h::task<std::string> ending_of(h::task_handle<h::datagram> t) {
  auto joining = [](h::task_handle<h::datagram> task) -> h::task<> { (void)co_await task; }(t);
  const auto error = co_await error_of(std::move(joining));
  co_return error ? name_of(error) : std::string("value");
}

void drain_socket(const h::datagram_socket& socket) {
  char byte;
  while (::recv(socket.native_handle(), &byte, 1, MSG_DONTWAIT) >= 0) {}
}

TEST_P(IO_UDP_TASKS, IO_UDP_17_SeveralDatagramsAtOnceWakeAllThatWait) {
  run([]() -> h::task<> {
    auto server = bound();
    auto client = h::datagram_socket::connect(server.local_address());
    for (int round = 0; round < rounds(30); ++round) {
      std::vector<h::task_handle<h::datagram>> tasks;
      for (int i = 0; i < 8; ++i) tasks.push_back(h::create_task(server.receive()));
      for (auto& t : tasks) co_await until_waiting(t);
      // One that was woken is cancelled, perhaps before it looks: then the next one must look.
      // It may have taken a datagram by then, so there is one more than the others need.
      const std::vector<h::outgoing_datagram> eight(8, {"x"});
      EQUAL(co_await client.send_many(eight), 8u);
      (void)tasks[0].cancel();
      for (std::size_t i = 1; i < tasks.size(); ++i) EQUAL(co_await ending_of(tasks[i]), "value");
      (void)co_await ending_of(tasks[0]);
      drain_socket(server);
    }
  });
}

TEST_P(IO_UDP_TASKS, IO_UDP_18_CloseEndsAllThatWait) {
  const auto before = open_ends();
  run([]() -> h::task<> {
    auto server = bound();
    const std::string path = fresh_path("full");
    auto full = h::datagram_socket::bind(h::address::unix_path(path));
    auto sender = h::datagram_socket::open(AF_UNIX);
    (void)fill(full.local_address());
    auto connected = h::datagram_socket::connect(full.local_address());
    std::vector<h::task_handle<int>> tasks;
    for (int i = 0; i < 3; ++i) {
      tasks.push_back(h::create_task(code_of_receive(server)));
      tasks.push_back(h::create_task(code_of_receive(sender)));
      tasks.push_back(h::create_task(code_of_send(sender, "waits", full.local_address())));
      tasks.push_back(h::create_task(code_of_send(connected, "waits", h::address())));
    }
    for (auto& t : tasks) co_await until_waiting(t);
    server.close();
    sender.close();
    connected.close();
    for (auto& t : tasks) EQUAL(co_await t, ECANCELED);
    full.close();
    HOLDS(!std::filesystem::exists(path));
  });
  EQUAL(open_ends(), before);
}

TEST_P(IO_UDP_TASKS, IO_UDP_18_TheAddressIsFreeAsSoonAsCloseReturns) {
  run([]() -> h::task<> {
    auto server = bound(lonely_host().c_str());
    const h::address at = server.local_address();
    for (int i = 0; i < 30; ++i) {
      auto receiving = h::create_task(code_of_receive(server));
      co_await until_waiting(receiving);
      server.close();
      server = h::datagram_socket::bind(at);
      EQUAL(co_await receiving, ECANCELED);
      // Nobody but the new one has what is sent now.
      co_await server.send_to("to myself", at);
      const h::datagram got = co_await server.receive();
      EQUAL(got.bytes, "to myself");
    }
  });
}

TEST_P(IO_UDP_TASKS, IO_UDP_10_ASendThatFindsNoRoomWaitsInTurn) {
  run([]() -> h::task<> {
    auto receiver = h::datagram_socket::bind(h::address::unix_path(fresh_path("turns")));
    auto sender = h::datagram_socket::open(AF_UNIX);
    const h::address to = receiver.local_address();
    const std::size_t filled = fill(to);
    std::vector<h::task_handle<void>> tasks;
    const std::vector<std::string> names{"0", "1", "cancelled", "3"};
    for (const auto& name : names) {
      tasks.push_back(h::create_task(sender.send_to(name, to)));
      co_await until_waiting(tasks.back());  // so that the order of the calls is known
    }
    // A receiver of its own is not held up by the full one.
    auto other = h::datagram_socket::bind(h::address::unix_path(fresh_path("other")));
    co_await sender.send_to("to the other", other.local_address());
    EQUAL((co_await other.receive()).bytes, "to the other");
    (void)tasks[2].cancel();
    EQUAL(co_await ending(tasks[2]), "Cancelled");
    for (std::size_t i = 0; i < filled; ++i) (void)co_await receiver.receive();
    for (const char* name : {"0", "1", "3"}) EQUAL((co_await receiver.receive()).bytes, name);
    for (int i : {0, 1, 3}) EQUAL(co_await ending(tasks[static_cast<std::size_t>(i)]), "value");
  });
}

/// Receives until "last" comes; yields how many came before, and how many the kernel says it
/// dropped.
h::task<std::pair<std::size_t, std::size_t>> count_until_last(h::datagram_socket socket) {
  for (std::size_t kept = 0;; ++kept) {
    const h::datagram got = co_await socket.receive();
    if (got.bytes == "last") co_return std::pair{kept, std::size_t{got.dropped}};
  }
}

TEST_P(IO_UDP_TASKS, IO_UDP_11_EmptyDatagramsThatNobodyTakesAreBounded) {
  run([]() -> h::task<> {
    h::datagram_options o;
    o.packet_info = true;
    o.receive_buffer = 32768;
    auto server = bound("127.0.0.1", o);
    auto client = h::datagram_socket::connect(server.local_address());
    const std::size_t many = sized(2000, 1'000'000);
    for (std::size_t i = 0; i < many; ++i) co_await client.send("");
    // The kernel counts more than their bytes: it keeps some, and drops the rest.
    auto counting = h::create_task(count_until_last(server));
    while (!counting.done()) {
      co_await client.send("last");
      co_await h::sleep(1ms);
    }
    const auto& [kept, dropped] = co_await counting;
    HOLDS(kept < many / 2);
    HOLDS(kept + dropped >= many);
  });
}

std::vector<std::string> numbered(std::size_t n) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < n; ++i) texts.push_back("number " + std::to_string(100 + i));
  return texts;
}

/// Receives until there are `n`. Over loopback datagrams may come a little later than their send
/// returns, and in another order where the sender changes the processor: so they are sorted.
h::task<std::vector<std::string>> gather_sorted(h::datagram_socket socket, std::size_t n) {
  std::vector<std::string> got;
  while (got.size() < n) {
    const auto some = co_await socket.receive_many(64);
    HOLDS(!some.empty() && some.size() <= 64);
    for (const auto& one : some) got.push_back(one.bytes);
  }
  std::ranges::sort(got);
  co_return got;
}

h::task<int> code_of_batch(h::datagram_socket socket, std::span<const h::outgoing_datagram> batch) {
  auto sending = [](h::datagram_socket s, auto what) -> h::task<> {
    (void)co_await s.send_many(what);
  }(socket, batch);
  co_return code_of(co_await error_of(std::move(sending)));
}

TEST_P(IO_UDP_TASKS, IO_UDP_19_ABatchGoesByOneCallAndStopsAtTheRefusedOne) {
  run([]() -> h::task<> {
    auto server = bound();
    auto client = h::datagram_socket::connect(server.local_address());
    auto texts = numbered(64);
    std::vector<h::outgoing_datagram> batch;
    for (const auto& t : texts) batch.push_back({t});
    EQUAL(co_await client.send_many(batch), 64u);
    EQUAL(co_await gather_sorted(server, 64), texts);
    // The 10th is refused: nine went, and what is sent next tells why.
    const std::string too_long(65508, 'x');
    batch[9].bytes = too_long;
    EQUAL(co_await client.send_many(batch), 9u);
    const std::span<const h::outgoing_datagram> rest(batch.begin() + 9, batch.end());
    EQUAL(co_await code_of_batch(client, rest), EMSGSIZE);
    EQUAL(co_await client.send_many(rest.subspan(1)), 54u);
    texts.erase(texts.begin() + 9);
    EQUAL(co_await gather_sorted(server, 63), texts);
    const std::vector<h::outgoing_datagram> none;
    EQUAL(co_await client.send_many(none), 0u);
  });
}

TEST_P(IO_UDP_TASKS, IO_UDP_19_ABatchKeepsItsOrderAndWaitsForRoom) {
  run([]() -> h::task<> {
    auto receiver = h::datagram_socket::bind(h::address::unix_path(fresh_path("batch")));
    auto sender = h::datagram_socket::connect(receiver.local_address());
    const auto texts = numbered(1000);  // more than the queue of a Unix socket holds
    std::vector<h::outgoing_datagram> batch;
    for (const auto& t : texts) batch.push_back({t});
    auto sending = h::create_task(sender.send_many(batch));
    std::vector<std::string> got;
    while (got.size() < texts.size()) {
      const auto some = co_await receiver.receive_many(64);
      for (const auto& one : some) got.push_back(one.bytes);
    }
    EQUAL(got, texts);
    EQUAL(co_await sending, texts.size());
  });
}

TEST_P(IO_UDP_TASKS, IO_UDP_21_SegmentsArriveAsDatagramsOfTheirOwn) {
  run([]() -> h::task<> {
    h::datagram_options o;
    o.coalesce = true;
    o.packet_info = true;
    auto server = bound("127.0.0.1", o);
    auto plain = bound();
    auto client = h::datagram_socket::open(AF_INET);
    std::vector<std::string> pieces;
    for (char c = 'a'; c < 'u'; ++c) pieces.emplace_back(1000, c);
    pieces.emplace_back(500, 'u');
    std::string bytes;
    for (const auto& p : pieces) bytes += p;
    for (const auto* to : {&server, &plain}) {
      co_await client.send_segments(bytes, 1000, to->local_address());
      std::vector<std::string> got;
      while (got.size() < pieces.size()) {
        const h::datagram one = co_await to->receive();
        EQUAL(one.sender.port(), client.local_address().port());
        HOLDS(!one.truncated);
        got.push_back(one.bytes);
      }
      std::ranges::sort(got);
      EQUAL(got, pieces);
    }
    THROWS(h::bad_value, client.send_segments("x", 0, server.local_address()));
  });
}

TEST_P(IO_UDP_TASKS, IO_UDP_21_SeveralTasksTakeWhatOneReceiveBrought) {
  run([]() -> h::task<> {
    h::datagram_options o;
    o.coalesce = true;
    auto server = bound("127.0.0.1", o);
    auto client = h::datagram_socket::connect(server.local_address());
    co_await client.send_segments("aaabbbccc", 3, h::address());
    auto first = h::create_task(server.receive());
    auto second = h::create_task(server.receive());
    char room[2];
    const std::span<char> span(room);
    const h::datagram_info cut = co_await server.receive_into(span);
    EQUAL(cut.size, 2u);
    EQUAL(cut.length, 3u);
    HOLDS(cut.truncated);
    EQUAL((co_await first).bytes.size(), 3u);
    EQUAL((co_await second).bytes.size(), 3u);
  });
}

TEST_P(IO_UDP_TASKS, IO_UDP_23_AFloodLeavesTimersAndStreamsTheirTurn) {
  run([]() -> h::task<> {
    auto server = bound();
    auto client = h::datagram_socket::connect(server.local_address());
    std::atomic<bool> over{false};
    auto flooding = h::create_task([](h::datagram_socket s, std::atomic<bool>& end) -> h::task<> {
      while (!end) co_await s.send("flood");
    }(client, over));
    auto draining = h::create_task([](h::datagram_socket s) -> h::task<> {
      for (;;) (void)co_await s.receive();
    }(server));
    ends pair = co_await connect_ends();
    auto echoing =
        h::create_task(echo(std::move(pair.server.reader), std::move(pair.server.writer)));
    // They go on at all, although both ends of the flood are always ready.
    for (int i = 0; i < 5; ++i) {
      co_await h::sleep(1ms);
      pair.client.writer.write("line\n");
      const std::string line = co_await pair.client.reader.read_line();
      EQUAL(line, "line\n");
    }
    over = true;
    co_await flooding;
    (void)draining.cancel();
    EQUAL(co_await ending(draining), "Cancelled");
    pair.client.writer.close();
    co_await echoing;
  });
}

}  // namespace
}  // namespace conformance
