// SPDX-License-Identifier: MIT
// Sockets of the program's own: waits, cancellations, and descriptors that are closed.
#include "sock_cases.h"

#include <heddle/io/datagram.h>
#include <heddle/io/pipe.h>

#include <fcntl.h>
#include <sys/eventfd.h>

namespace conformance {
namespace {

REACTOR_CASES(IO_SOCK_ENDS);

h::task<int> code_of_readable(int descriptor) {
  auto waiting = h::readable(descriptor);
  co_return code_of(co_await error_of(std::move(waiting)));
}
h::task<int> code_of_writable(int descriptor) {
  auto waiting = h::writable(descriptor);
  co_return code_of(co_await error_of(std::move(waiting)));
}

TEST_P(IO_SOCK_ENDS, IO_SOCK_06_CloseEndsTheWaitsAndANewSocketSeesNoneOfThem) {
  const auto before = open_ends();
  run([]() -> h::task<> {
    foreign_pair pair;
    const int number = pair.a.release();
    (void)fill_socket(number);
    const std::string text = "waits";
    std::vector<h::task_handle<int>> tasks;
    for (int i = 0; i < 2; ++i) {
      tasks.push_back(h::create_task(code_of_recv(number)));
      tasks.push_back(h::create_task(code_of_readable(number)));
      tasks.push_back(h::create_task(code_of_writable(number)));
      tasks.push_back(h::create_task(code_of_sendall(number, text)));
    }
    for (auto& t : tasks) co_await until_waiting(t);
    h::sock_close(number);
    foreign_pair fresh;  // gets the number again, most likely
    co_await h::sock_sendall(fresh.a.get(), "of the new one");
    co_await h::sock_sendall(fresh.b.get(), "of the new one");
    for (auto& t : tasks) EQUAL(co_await t, ECANCELED);
    EQUAL(co_await h::sock_recv(fresh.a.get(), 100), "of the new one");
    EQUAL(co_await h::sock_recv(fresh.b.get(), 100), "of the new one");
    // The peer sees the end at once.
    std::size_t rest = 0;
    for (;;) {
      const std::string some = co_await h::sock_recv(pair.b.get(), 1 << 20);
      if (some.empty()) break;
      rest += some.size();
    }
    HOLDS(rest > 0);
    // The same by a close of the program's own.
    auto waiting = h::create_task(code_of_readable(fresh.a.get()));
    co_await until_waiting(waiting);
    h::notify_closing(fresh.a.get());
    fresh.a.reset();
    EQUAL(co_await waiting, ECANCELED);
    THROWS(std::system_error, h::sock_close(-1));
  });
  EQUAL(open_ends(), before);
}

TEST_P(IO_SOCK_ENDS, IO_SOCK_07_WhatTheLibraryOwnsIsRefused) {
  run([]() -> h::task<> {
    ends pair = co_await connect_ends();
    auto datagrams = h::datagram_socket::bind(h::address::ip("127.0.0.1", 0));
    auto pipe = h::make_pipe();
    for (const int d : {pair.client.writer.native_handle(), datagrams.native_handle(),
                        pipe.reader.native_handle(), pipe.writer.native_handle()}) {
      EQUAL(co_await ending(h::sock_recv(d, 1)), "Usage");
      EQUAL(co_await ending(h::sock_sendall(d, "x")), "Usage");
      EQUAL(co_await ending(h::readable(d)), "Usage");
      EQUAL(co_await ending(h::writable(d)), "Usage");
      EQUAL(co_await ending(h::sock_accept(d)), "Usage");
      THROWS(h::usage_error, h::sock_close(d));
      THROWS(h::usage_error, h::current_loop().add_reader(d, [] {}));
    }
    // The stream is unharmed. Once it is closed its number is anybody's.
    pair.client.writer.write("line\n");
    EQUAL(co_await pair.server.reader.read_line(), "line\n");
    const int number = datagrams.native_handle();
    datagrams.close();
    foreign_pair reuse;
    h::owned_descriptor again;
    if (reuse.a.get() != number && reuse.b.get() != number)
      again = h::owned_descriptor(::dup3(reuse.a.get(), number, O_CLOEXEC));
    co_await h::writable(number);
  });
}

TEST_P(IO_SOCK_ENDS, IO_SOCK_06_SeveralWaitForOneDescriptorAndEachIsTold) {
  const auto before = open_ends();
  run([]() -> h::task<> {
    foreign_pair pair;
    std::vector<h::task_handle<int>> tasks;
    for (int i = 0; i < 4; ++i) tasks.push_back(h::create_task(code_of_readable(pair.a.get())));
    for (auto& t : tasks) co_await until_waiting(t);
    (void)tasks[0].cancel();
    co_await h::sock_sendall(pair.b.get(), "x");
    for (std::size_t i = 1; i < 4; ++i) EQUAL(co_await tasks[i], 0);
    co_await until_done(tasks[0]);
    // Level: bytes that are left make it ready at once, whatever was told before.
    co_await h::readable(pair.a.get());
    co_await h::readable(pair.a.get());
    // Several receive: each byte goes to one of them.
    EQUAL(co_await h::sock_recv(pair.a.get(), 10), "x");
    std::vector<h::task_handle<std::string>> receiving;
    for (int i = 0; i < 4; ++i) receiving.push_back(h::create_task(h::sock_recv(pair.a.get(), 1)));
    for (auto& t : receiving) co_await until_waiting(t);
    co_await h::sock_sendall(pair.b.get(), "abcd");
    int sum = 0;
    for (auto& t : receiving) sum += (co_await t).at(0);
    EQUAL(sum, 'a' + 'b' + 'c' + 'd');
  });
  EQUAL(open_ends(), before);
}

TEST_P(IO_SOCK_ENDS, IO_SOCK_01_OtherDescriptorsAreAwaitedToo) {
  run([]() -> h::task<> {
    const h::owned_descriptor bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    auto waiting = h::create_task(code_of_readable(bell.get()));
    co_await until_waiting(waiting);
    const std::uint64_t one = 1;
    HOLDS(::write(bell.get(), &one, sizeof one) == sizeof one);
    EQUAL(co_await waiting, 0);
    int both[2] = {-1, -1};
    HOLDS(::pipe2(both, O_CLOEXEC | O_NONBLOCK) == 0);
    const h::owned_descriptor reading(both[0]);
    h::owned_descriptor writing(both[1]);
    auto ended = h::create_task(code_of_readable(reading.get()));
    co_await until_waiting(ended);
    writing.reset();  // the end is readable, too
    EQUAL(co_await ended, 0);
    EQUAL(co_await code_of_readable(-1), EBADF);
    EQUAL(co_await code_of_readable(99'999), EBADF);
    EQUAL(co_await code_of_recv(reading.get()), ENOTSOCK);
  });
}

TEST_P(IO_SOCK_ENDS, IO_SOCK_09_ACancelledAcceptLeavesTheConnectionToTheNext) {
  const auto before = open_ends();
  run([]() -> h::task<> {
    const auto listener = listening();
    const h::address at = h::address::local_of(listener.get());
    for (int i = 0; i < rounds(50); ++i) {
      auto accepting = h::create_task(h::sock_accept(listener.get()));
      if (i % 2) co_await until_waiting(accepting);
      const auto client = own_socket(AF_INET, SOCK_STREAM);
      co_await h::sock_connect(client.get(), at);
      (void)accepting.cancel();
      co_await until_done(accepting);
      if (!accepting.cancelled()) continue;
      // It may have taken the connection in the moment of its cancellation, and closed it.
      const auto second = own_socket(AF_INET, SOCK_STREAM);
      co_await h::sock_connect(second.get(), at);
      h::sock_accepted taken = co_await h::sock_accept(listener.get());
      if (taken.peer == h::address::local_of(client.get()))
        taken = co_await h::sock_accept(listener.get());
      EQUAL(taken.peer, h::address::local_of(second.get()));
    }
  });
  EQUAL(open_ends(), before);
}

TEST_P(IO_SOCK_ENDS, IO_SOCK_09_AUnixListenerWhoseBacklogIsFullIsAwaited) {
  run([]() -> h::task<> {
    const std::string path = fresh_path("backlog");
    auto listener = own_socket(AF_UNIX, SOCK_STREAM);
    const h::address at = h::address::unix_path(path);
    HOLDS(::bind(listener.get(), at.data(), at.size()) == 0);
    HOLDS(::listen(listener.get(), 0) == 0);
    std::vector<h::owned_descriptor> queued;
    for (;;) {
      queued.push_back(own_socket(AF_UNIX, SOCK_STREAM));
      if (::connect(queued.back().get(), at.data(), at.size()) != 0) break;
    }
    auto connecting = h::create_task(h::sock_connect(queued.back().get(), at));
    co_await until_waiting(connecting);
    for (std::size_t i = 0; i < queued.size(); ++i) (void)co_await h::sock_accept(listener.get());
    co_await connecting;
    std::filesystem::remove(path);
  });
}

}  // namespace
}  // namespace conformance
