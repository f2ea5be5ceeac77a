// SPDX-License-Identifier: MIT
// Named pipes, and descriptors that are none.
#include "reactor_cases.h"

#include <heddle/io/pipe.h>

#include <fcntl.h>
#include <sys/stat.h>

namespace {

using namespace conformance;

REACTOR_CASES(IO_PIPE_FIFO);

/// A named pipe, removed at the end.
struct named_pipe {
  named_pipe() { (void)::mkfifo(path.c_str(), 0600); }
  named_pipe(const named_pipe&) = delete;
  ~named_pipe() { std::filesystem::remove(path); }
  const std::string path = fresh_path("fifo");
};

template <class F>
std::exception_ptr error_in(F f) {
  try {
    (void)f();
  } catch (...) { return std::current_exception(); }
  return nullptr;
}

TEST_P(IO_PIPE_FIFO, IO_PIPE_03_AWriterNeedsAReader) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    const named_pipe fifo;
    const auto nobody = error_in([&] { return h::open_fifo_writer(fifo.path); });
    EQUAL(code_of(nobody), ENXIO);
    HOLDS(h::describe(nobody).find(fifo.path) != std::string::npos);
    auto reader = h::open_fifo_reader(fifo.path);
    auto writer = h::open_fifo_writer(fifo.path);
    writer.write("whole");
    writer.close();
    const std::string all = co_await reader.read();
    EQUAL(all, "whole");
    // The other order, where the writer is its own peer.
    h::fifo_options first;
    first.outlives_peers = true;
    auto early = h::open_fifo_writer(fifo.path, first);
    early.write("early\n");
    auto late = h::open_fifo_reader(fifo.path);
    const std::string line = co_await late.read_line();
    EQUAL(line, "early\n");
  });
  EQUAL(open_descriptors(), before);
}

TEST_P(IO_PIPE_FIFO, IO_PIPE_03_AReaderWaitsForTheFirstWriterAndEndsWithTheLast) {
  run([]() -> h::task<> {
    const named_pipe fifo;
    auto reader = h::open_fifo_reader(fifo.path);
    auto reading = h::create_task(reader.read());
    co_await until_waiting(reading);
    HOLDS(!reading.done());
    auto one = h::open_fifo_writer(fifo.path);
    auto two = h::open_fifo_writer(fifo.path);
    one.write("1");
    one.close();
    co_await h::yield_now();
    HOLDS(!reading.done());
    two.write("2");
    two.close();
    const std::string all = co_await reading;
    EQUAL(all.size(), 2u);
    // A writer that comes and goes without a word ends it, too.
    auto patient = h::open_fifo_reader(fifo.path);
    auto waiting = h::create_task(patient.read());
    co_await until_waiting(waiting);
    { auto silent = h::open_fifo_writer(fifo.path); }
    const std::string nothing = co_await waiting;
    EQUAL(nothing, "");
  });
}

TEST_P(IO_PIPE_FIFO, IO_PIPE_03_SeveralWritersInTurnAndAReaderThatOutlivesThem) {
  run([]() -> h::task<> {
    const named_pipe fifo;
    h::fifo_options resilient;
    resilient.outlives_peers = true;
    auto reader = h::open_fifo_reader(fifo.path, resilient);
    for (int i = 0; i < 5; ++i) {
      auto writer = h::open_fifo_writer(fifo.path);
      writer.write("turn " + std::to_string(i) + "\n");
      writer.close();
      const std::string line = co_await reader.read_line();
      EQUAL(line, "turn " + std::to_string(i) + "\n");
      auto more = h::create_task(reader.read(1));
      co_await until_waiting(more);
      HOLDS(!more.done());
      more.cancel();
      const auto how = co_await ending(more);
      EQUAL(how, "Cancelled");
    }
  });
}

TEST_P(IO_PIPE_FIFO, IO_PIPE_03_WhatIsNoPipeIsRefusedAndStaysTheCallers) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    const auto path = fresh_path("no-fifo");
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    EQUAL(name_of(error_in([&] { return h::open_fifo_reader(path); })), "BadValue");
    EQUAL(name_of(error_in([&] { return h::open_fifo_writer(path); })), "BadValue");
    EQUAL(name_of(error_in([&] { return h::open_pipe_reader(file); })), "BadValue");
    EQUAL(code_of(error_in([&] { return h::open_fifo_reader(path + "-gone"); })), ENOENT);
    HOLDS(::fcntl(file, F_GETFD) >= 0);
    ::close(file);
    std::filesystem::remove(path);
    const socket_pair sockets;
    EQUAL(name_of(error_in([&] { return h::open_pipe_writer(sockets[0]); })), "BadValue");
    int ends[2];
    HOLDS(::pipe2(ends, O_CLOEXEC) == 0);
    EQUAL(name_of(error_in([&] { return h::open_pipe_reader(ends[1]); })), "BadValue");
    EQUAL(name_of(error_in([&] { return h::open_pipe_writer(ends[0]); })), "BadValue");
    h::pipe_options no_limit;
    no_limit.limit = 0;
    EQUAL(name_of(error_in([&] { return h::open_pipe_reader(ends[0], no_limit); })), "BadValue");
    EQUAL(::fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
    ::close(ends[0]);
    ::close(ends[1]);
    EQUAL(code_of(error_in([&] { return h::open_pipe_reader(987); })), EBADF);
    co_return;
  });
  EQUAL(open_descriptors(), before);
  THROWS(h::no_running_loop, (void)h::make_pipe());
}

}  // namespace
