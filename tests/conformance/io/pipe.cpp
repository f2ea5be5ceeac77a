// SPDX-License-Identifier: MIT
// Pipes of the program's own, as streams.
#include "reactor_cases.h"

#include <heddle/io/pipe.h>
#include <heddle/sched/to_thread.h>

#include <fcntl.h>

#include <thread>

namespace {

using namespace conformance;

REACTOR_CASES(IO_PIPE);

/// Both ends of a pipe as the system has them.
struct raw_pipe {
  raw_pipe() { (void)::pipe2(ends, O_CLOEXEC); }
  int ends[2] = {-1, -1};
};

TEST_P(IO_PIPE, IO_PIPE_02_BytesAndTheEndWhenTheWriterCloses) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    auto p = h::make_pipe();
    p.writer.write("one\ntwo\n");
    const std::string one = co_await p.reader.read_line();
    EQUAL(one, "one\n");
    auto reading = h::create_task(p.reader.read());
    p.writer.write("three");
    p.writer.close();
    const std::string rest = co_await reading;
    EQUAL(rest, "two\nthree");
    HOLDS(p.reader.at_eof());
    // The ends that the program has already.
    raw_pipe raw;
    h::pipe_options small;
    small.limit = 10;
    h::pipe_reader r = h::open_pipe_reader(raw.ends[0], small);
    h::pipe_writer w = h::open_pipe_writer(raw.ends[1]);
    EQUAL(r.limit(), 10u);
    EQUAL(r.native_handle(), raw.ends[0]);
    w.write("taken over\n");
    w.write_eof();  // of a pipe: closes it
    EQUAL(name_of(co_await error_of(r.read_until(","))), "LimitOverrun(11)");
    const std::string all = co_await r.read();
    EQUAL(all, "taken over\n");
  });
  EQUAL(open_descriptors(), before);
}

TEST_P(IO_PIPE, IO_PIPE_02_AClosedReaderIsABrokenPipeAndNoSignal) {
  const auto was = std::signal(SIGPIPE, SIG_DFL);  // a SIGPIPE would end this program
  run([]() -> h::task<> {
    auto p = h::make_pipe();
    p.reader.close();
    p.writer.write("to nobody");
    EQUAL(code_of(co_await error_of(drain(p.writer))), EPIPE);
    HOLDS(p.writer.is_closing());
    // On a thread that is no loop, and in to_thread.
    auto q = h::make_pipe();
    q.reader.close();
    std::thread foreign([&q] { q.writer.write("to nobody"); });
    foreign.join();
    EQUAL(code_of(co_await error_of(drain(q.writer))), EPIPE);
    auto t = h::make_pipe();
    t.reader.close();
    auto elsewhere = h::to_thread([](h::pipe_writer* w) { w->write("to nobody"); }, &t.writer);
    co_await std::move(elsewhere);
    EQUAL(code_of(co_await error_of(drain(t.writer))), EPIPE);
    // The reader goes while a drain waits.
    auto r = h::make_pipe();
    (void)co_await fill_up(r.writer);
    auto draining = h::create_task(drain(r.writer));
    co_await until_waiting(draining);
    r.reader.close();
    const auto broken =
        co_await error_of([](h::task_handle<void> t) -> h::task<> { co_await t; }(draining));
    EQUAL(code_of(broken), EPIPE);
    // A reader that was merely dropped counts as closed.
    auto s = h::make_pipe();
    { const h::pipe_reader gone = std::move(s.reader); }
    s.writer.write("x");
    EQUAL(code_of(co_await error_of(drain(s.writer))), EPIPE);
  });
  std::signal(SIGPIPE, was);
}

TEST_P(IO_PIPE, IO_PIPE_05_AFullPipeHoldsTheWriterUpAndItsCapacityIsSet) {
  run([]() -> h::task<> {
    h::pipe_options o;
    o.capacity = 4096;
    auto p = h::make_pipe(o);
    EQUAL(p.reader.capacity(), 4096u);
    p.writer.set_capacity(1 << 18);
    EQUAL(p.reader.capacity(), std::size_t{1} << 18);
    p.writer.set_capacity(4096);
    EQUAL(p.writer.capacity(), 4096u);
    p.writer.set_write_limits(1000, 100);
    p.writer.write(std::string(4096, 'k'));
    co_await p.writer.drain();  // the kernel has them
    p.writer.write(std::string(1001, 'b'));
    EQUAL(p.writer.buffered(), 1001u);
    auto draining = h::create_task(drain(p.writer));
    co_await until_waiting(draining);
    const std::string taken = co_await p.reader.read_exactly(4096);
    EQUAL(taken, std::string(4096, 'k'));
    co_await draining;
    const std::string rest = co_await p.reader.read_exactly(1001);
    EQUAL(rest, std::string(1001, 'b'));
    THROWS(h::bad_value, p.writer.set_capacity(0));
    h::pipe_options huge;
    huge.capacity = std::size_t{1} << 40;
    THROWS(h::bad_value, (void)h::make_pipe(huge));
    p.writer.write(std::string(4096, 'f'));
    p.reader.close();
    THROWS(std::system_error, (void)p.reader.capacity());
  });
}

h::task<> write_all(h::pipe_writer& w, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 1000) {
    w.write(std::string(std::min<std::size_t>(1000, n - i), static_cast<char>('a' + i % 23)));
    co_await w.drain();
  }
  w.close();
}

TEST_P(IO_PIPE, IO_PIPE_05_AReaderOfSingleBytesAndAWriterOfMany) {
  const std::size_t many = sized(sanitized ? 20'000 : 100'000, 1 << 20);
  run(
      [](std::size_t n) -> h::task<> {
        h::pipe_options o;
        o.capacity = 4096;
        auto p = h::make_pipe(o);
        auto writing = h::create_task(write_all(p.writer, n));
        std::size_t got = 0, wrong = 0;
        for (;; ++got) {
          const std::string byte = co_await p.reader.read(1);
          if (byte.empty()) break;
          wrong += byte.front() != static_cast<char>('a' + got / 1000 * 1000 % 23);
        }
        EQUAL(got, n);
        EQUAL(wrong, 0u);
        co_await writing;
        auto q = h::make_pipe(o);
        q.writer.write(std::string(1 << 20, 'm'));  // one write, far beyond the pipe
        q.writer.close();
        const std::size_t all = co_await swallow(q.reader);
        EQUAL(all, std::size_t{1} << 20);
      },
      many);
}

TEST_P(IO_PIPE, IO_PIPE_06_AnEndThatIsClosedWhileATaskWaitsIsAnErrorAtOnce) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    auto p = h::make_pipe();
    const int number = p.reader.native_handle();
    auto reading = h::create_task(p.reader.read(10));
    co_await until_waiting(reading);
    p.reader.close();
    const auto closed = co_await ending(reading);
    EQUAL(closed, "System(Operation canceled)");
    EQUAL(code_of(co_await error_of(p.reader.read(10))), ECANCELED);
    EQUAL(p.reader.native_handle(), -1);
    // The number is free, and what has it next is left alone by the old end.
    const int next = ::fcntl(p.writer.native_handle(), F_DUPFD_CLOEXEC, number);
    p.reader.close();
    p.reader = h::pipe_reader();
    HOLDS(::fcntl(next, F_GETFD) >= 0);
    ::close(next);
    auto q = h::make_pipe();
    (void)co_await fill_up(q.writer);
    auto draining = h::create_task(drain(q.writer));
    co_await until_waiting(draining);
    q.writer.abort();
    const auto aborted = co_await ending(draining);
    EQUAL(aborted, "System(Connection reset by peer)");
    EQUAL(q.writer.native_handle(), -1);
  });
  EQUAL(open_descriptors(), before);
}

/// Readers are closed while others open pipes: a byte of another pipe in a reader would show that a
/// number was used again too early.
TEST_P(IO_PIPE, IO_PIPE_06_NoNumberIsUsedAgainBeforeItsReaderHasLeft) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    for (int i = 0; i < rounds(200); ++i) {
      auto p = h::make_pipe();
      auto reading = h::create_task(p.reader.read());
      auto closing = h::create_task(
          [](h::pipe_reader& r) -> h::task<> {
            r.close();
            co_return;
          },
          std::ref(p.reader));
      auto other = h::make_pipe();
      other.writer.write("of the other");
      const auto how = co_await ending(reading);
      EQUAL(how, "System(Operation canceled)");
      co_await closing;
      other.writer.close();
      const std::string own = co_await other.reader.read();
      EQUAL(own, "of the other");
    }
  });
  EQUAL(open_descriptors(), before);
}

}  // namespace
