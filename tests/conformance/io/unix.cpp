// SPDX-License-Identifier: MIT
// Unix sockets: descriptors and credentials that travel beside the bytes, and packets.
#include "descriptor_count.h"
#include "reactor_cases.h"

#include <heddle/io/peer_credentials.h>
#include <heddle/io/unix_socket.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

namespace conformance {
namespace {

REACTOR_CASES(IO_UNIX);

/// The reading ends of so many pipes, each with its number written into it.
class pipes {
 public:
  explicit pipes(std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      int ends[2] = {-1, -1};
      (void)::pipe2(ends, O_CLOEXEC);
      const h::owned_descriptor writing(ends[1]);
      kept_.emplace_back(ends[0]);
      numbers_.push_back(ends[0]);
      (void)!::write(ends[1], &i, sizeof i);
    }
  }
  [[nodiscard]] std::span<const int> numbers() const { return numbers_; }

 private:
  std::vector<h::owned_descriptor> kept_;
  std::vector<int> numbers_;
};

/// It is a working copy of the pipe with that number, and closed on exec.
bool is_pipe(const h::owned_descriptor& d, std::size_t number) {
  std::size_t read = ~number;
  return ::read(d.get(), &read, sizeof read) == sizeof read && read == number &&
         (::fcntl(d.get(), F_GETFD) & FD_CLOEXEC) != 0;
}

h::task<> pass(h::unix_kind kind, std::size_t n) {
  auto [ours, theirs] = h::unix_socket::make_pair(kind);
  const pipes given(n);
  co_await ours.send_descriptors("take these", given.numbers());
  const h::unix_message got = co_await theirs.receive();
  EQUAL(got.bytes, "take these");
  EQUAL(got.descriptors.size(), n);
  HOLDS(!got.descriptors_lost);
  HOLDS(!got.end);
  for (std::size_t i = 0; i < n; ++i) HOLDS(is_pipe(got.descriptors[i], i));
}

TEST_P(IO_UNIX, IO_UNIX_08_DescriptorsArriveAsWorkingCopies) {
  const auto before = open_ends();
  run([]() -> h::task<> {
    for (const auto kind :
         {h::unix_kind::stream, h::unix_kind::seqpacket, h::unix_kind::datagram}) {
      co_await pass(kind, 1);
      co_await pass(kind, 253);
      auto [ours, theirs] = h::unix_socket::make_pair(kind);
      const std::vector<int> none, many(254, 0);
      THROWS(h::bad_value, ours.send_descriptors("x", none));
      THROWS(h::bad_value, ours.send_descriptors("x", many));
      THROWS(h::bad_value, ours.send_descriptors("", 0));
      auto bad = ours.send_descriptors("x", -1);
      EQUAL(code_of(co_await error_of(std::move(bad))), EBADF);
      co_await ours.send("still open");
      EQUAL((co_await theirs.receive()).bytes, "still open");
    }
  });
  EQUAL(open_ends(), before);
}

TEST_P(IO_UNIX, IO_UNIX_09_DescriptorsThatNobodyTakesAreClosed) {
  const auto before = open_ends();
  run([]() -> h::task<> {
    for (const auto kind :
         {h::unix_kind::stream, h::unix_kind::seqpacket, h::unix_kind::datagram}) {
      auto [ours, theirs] = h::unix_socket::make_pair(kind);
      const pipes given(5);
      const auto open = open_ends();
      // More than room: the first two come, and it is told that some are missing.
      co_await ours.send_descriptors("five", given.numbers());
      {
        const h::unix_message got = co_await theirs.receive(100, 2);
        EQUAL(got.bytes, "five");
        EQUAL(got.descriptors.size(), 2u);
        HOLDS(got.descriptors_lost);
        HOLDS(is_pipe(got.descriptors[0], 0));
        EQUAL(open_ends(), open + 2);
      }
      // None asked for.
      co_await ours.send_descriptors("five", given.numbers());
      const h::unix_message none = co_await theirs.receive(100, 0);
      EQUAL(none.bytes, "five");
      EQUAL(none.descriptors.size(), 0u);
      HOLDS(none.descriptors_lost);
      EQUAL(open_ends(), open);
      THROWS(h::bad_value, theirs.receive(0, 1));
      THROWS(h::bad_value, theirs.receive(1, 254));
    }
  });
  EQUAL(open_ends(), before);
}

TEST_P(IO_UNIX, IO_UNIX_09_AStreamOfBytesAloneDropsDescriptors) {
  const auto before = open_ends();
  run([]() -> h::task<> {
    const std::string path = fresh_path("bytes");
    h::promise<void> accepted;
    h::promise<std::size_t> counted;
    auto is_accepted = accepted.get_future();
    auto count = counted.get_future();
    auto handler = [&](h::stream_reader r, h::stream_writer) -> h::task<> {
      accepted.set_value();
      const std::string line = co_await r.read_line();
      EQUAL(line, "a line\n");
      counted.set_value(open_ends());  // while it holds its connection
    };
    h::server s = co_await h::start_unix_server(handler, path);
    auto socket = co_await h::unix_socket::connect(path, h::unix_kind::stream);
    co_await is_accepted;
    const pipes given(3);
    const auto open = open_ends();
    co_await socket.send_descriptors("a line\n", given.numbers());
    EQUAL(co_await count, open);
    s.close();
    co_await s.wait_closed();
  });
  EQUAL(open_ends(), before);
}

TEST_P(IO_UNIX, IO_UNIX_09_AtTheLimitOfDescriptorsTheBytesAreKept) {
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &usual), 0);
  run([usual]() -> h::task<> {
    auto [ours, theirs] = h::unix_socket::make_pair(h::unix_kind::stream);
    const pipes given(3);
    co_await ours.send_descriptors("bytes", given.numbers());
    rlimit none = usual;
    none.rlim_cur = 3;  // all below it are taken
    HOLDS(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    auto receiving = theirs.receive();
    const h::unix_message got = co_await std::move(receiving);
    HOLDS(::setrlimit(RLIMIT_NOFILE, &usual) == 0);
    EQUAL(got.bytes, "bytes");
    EQUAL(got.descriptors.size(), 0u);
    HOLDS(got.descriptors_lost);
    // Nothing that was lost comes with the next message.
    co_await ours.send_descriptors("next", given.numbers().first(1));
    const h::unix_message next = co_await theirs.receive();
    EQUAL(next.bytes, "next");
    EQUAL(next.descriptors.size(), 1u);
    HOLDS(!next.descriptors_lost);
  });
}

TEST_P(IO_UNIX, IO_UNIX_09_ADescriptorIsToldWithTheBytesItCameWith) {
  run([]() -> h::task<> {
    auto [ours, theirs] = h::unix_socket::make_pair(h::unix_kind::stream);
    const pipes given(2);
    co_await ours.send("12345");
    EQUAL((co_await theirs.receive(3, 9)).bytes, "123");
    co_await ours.send_descriptors("abcdef", given.numbers().first(1));
    co_await ours.send_descriptors("ABCDEF", given.numbers().last(1));
    // However the bytes are cut: the first piece that has a byte of the message has its descriptor.
    std::string all;
    std::vector<std::size_t> came_at;
    while (all.size() < 14) {
      const h::unix_message piece = co_await theirs.receive(4, 9);
      if (!piece.descriptors.empty()) came_at.push_back(all.size() + piece.bytes.size());
      all += piece.bytes;
    }
    EQUAL(all, "45abcdefABCDEF");
    EQUAL(came_at.size(), 2u);
    // The end of the piece lies behind the first byte of the message, by less than a piece.
    HOLDS(came_at[0] > 2 && came_at[0] <= 6);
    HOLDS(came_at[1] > 8 && came_at[1] <= 12);
    ours.write_eof();
    const h::unix_message over = co_await theirs.receive();
    HOLDS(over.end);
    co_await theirs.send("the other way goes on");
    EQUAL((co_await ours.receive()).bytes, "the other way goes on");
  });
}

TEST_P(IO_UNIX, IO_UNIX_07_ThePeersProcessUserAndGroupAreKnownAtBothEnds) {
  run([]() -> h::task<> {
    const h::peer_credentials me{::getpid(), ::getuid(), ::getgid()};
    const std::string path = fresh_path("who");
    auto listener = h::unix_listener::listen(path, h::unix_kind::stream);
    auto connecting = h::create_task(h::unix_socket::connect(path, h::unix_kind::stream));
    const h::unix_socket server = co_await listener.accept();
    const h::unix_socket client = co_await connecting;
    HOLDS(client.peer() == me);
    HOLDS(server.peer() == me);
    // A child: it connects, and waits for the end.
    const int end = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const pid_t child = ::fork();
    if (child == 0) {
      char byte;
      const h::address& at = listener.local_address();
      const bool ok = ::connect(end, at.data(), at.size()) == 0;
      ::_exit(ok && ::read(end, &byte, 1) == 0 ? 0 : 1);
    }
    ::close(end);
    {
      const h::unix_socket theirs = co_await listener.accept();
      HOLDS(theirs.peer() == (h::peer_credentials{child, me.user, me.group}));
      theirs.close();
    }
    int status = -1;
    EQUAL(::waitpid(child, &status, 0), child);
    EQUAL(status, 0);
    // Streams of Unix sockets know them, too; TCP has none.
    ends tcp = co_await connect_ends();
    HOLDS(!h::peer_credentials_of(tcp.client.writer));
    THROWS(std::system_error, (void)h::peer_credentials_of(-1));
    // A datagram and a packet come with those of their sender.
    auto [ours, their] = h::unix_socket::make_pair(h::unix_kind::datagram);
    co_await ours.send("who am I?");
    HOLDS((co_await their.receive()).credentials == me);
  });
}

TEST_P(IO_UNIX, IO_UNIX_12_PacketsKeepTheirBordersAndAnEmptyOneIsNotTheEnd) {
  run([]() -> h::task<> {
    auto [ours, theirs] = h::unix_socket::make_pair(h::unix_kind::seqpacket);
    co_await ours.send("one");
    co_await ours.send("");
    co_await ours.send("three");
    co_await ours.send("a long one");
    ours.close();
    EQUAL((co_await theirs.receive()).bytes, "one");
    const h::unix_message empty = co_await theirs.receive();
    EQUAL(empty.bytes, "");
    HOLDS(!empty.end);
    EQUAL((co_await theirs.receive()).bytes, "three");
    const h::unix_message cut = co_await theirs.receive(3, 0);
    EQUAL(cut.bytes, "a l");
    HOLDS(cut.truncated);
    for (int i = 0; i < 2; ++i) HOLDS((co_await theirs.receive()).end);
    auto broken = theirs.send("to nobody");
    EQUAL(code_of(co_await error_of(std::move(broken))), EPIPE);
  });
}

TEST_P(IO_UNIX, IO_UNIX_12_SeveralWriteToOneStreamAndNothingIsMixed) {
  run([]() -> h::task<> {
    auto [ours, theirs] = h::unix_socket::make_pair(h::unix_kind::stream);
    const std::size_t each = 300'000;  // more than the kernel takes at once
    std::vector<std::string> texts;
    for (char c = 'a'; c < 'e'; ++c) texts.emplace_back(each, c);
    std::vector<h::task_handle<void>> tasks;
    for (const auto& t : texts) tasks.push_back(h::create_task(ours.send(t)));
    std::string all;
    while (all.size() < 4 * each) all += (co_await theirs.receive(1 << 20, 0)).bytes;
    for (std::size_t i = 0; i < 4; ++i)
      EQUAL(all.find_first_not_of(all[i * each], i * each), i == 3 ? all.npos : (i + 1) * each);
    for (auto& t : tasks) co_await t;
  });
}

}  // namespace
}  // namespace conformance
