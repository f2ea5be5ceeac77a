// SPDX-License-Identifier: MIT
// Group SENDFILE: files sent over connections, by the kernel or by reading and writing.
#include "file_cases.h"
#include "slow_disk.h"
#include "tls_support.h"

#include <heddle/io/pipe.h>
#include <heddle/io/send_file.h>

#include <sys/uio.h>

#include <array>

namespace {

using namespace conformance;

REACTOR_CASES(IO_SENDFILE);

enum class over : std::uint8_t { socket, memory, tls };
constexpr std::array all_ways{over::socket, over::memory, over::tls};

h::task<ends> connect(over way) {
  if (way == over::memory) {
    auto [a, b] = h::memory_pair();
    ends pair{std::move(a), std::move(b)};
    co_return pair;
  }
  auto connecting =
      way == over::tls ? connect_tls_ends() : support::connect_by_tcp(h::default_stream_limit);
  ends pair = co_await std::move(connecting);
  co_return pair;
}

h::task<std::string> read_all(h::stream_reader& r) {
  std::string all = co_await r.read();
  co_return all;
}

h::task<std::uint64_t> send_counted(h::stream_writer& w, h::file& f, std::uint64_t& sent) {
  const h::send_file_options all;
  const auto n = co_await h::send_file(w, f, all, sent);
  co_return n;
}
h::task<std::uint64_t> send_all(h::stream_writer& w, h::file& f) {
  const auto n = co_await h::send_file(w, f);
  co_return n;
}

TEST_P(IO_SENDFILE, IO_SENDFILE_02_OffsetAndCountChooseTheRangeAndTheEndOfTheFileCutsIt) {
  const fresh_directory top;
  const std::string all = pattern(700'001);
  put(top / "a", all);
  put(top / "empty", "");
  run([&]() -> h::task<> {
    auto f = co_await h::file::open(top / "a");
    auto empty = co_await h::file::open(top / "empty");
    for (const over way : all_ways) {
      ends e = co_await connect(way);
      auto reading = h::create_task(read_all(e.server.reader));
      auto& w = e.client.writer;
      EQUAL(co_await h::send_file(w, f, 1000, 300'000), 300'000u);
      EQUAL(co_await h::send_file(w, f, 700'000, 500), 1u);
      EQUAL(co_await h::send_file(w, f, 700'001), 0u);
      EQUAL(co_await h::send_file(w, f, 900'000, 5), 0u);
      EQUAL(co_await h::send_file(w, f, 5, 0), 0u);
      EQUAL(co_await h::send_file(w, empty), 0u);
      EQUAL(co_await h::send_file(w, f), all.size());
      EQUAL(w.buffered(), 0u);
      w.write_eof();
      const std::string& got = co_await reading;
      HOLDS(got == all.substr(1000, 300'000) + all.back() + all);
      EQUAL(f.tell(), 0u);
      w.close();
    }
    THROWS(h::bad_value, h::send_file_options{.offset = -1});
  });
}

TEST_P(IO_SENDFILE, IO_SENDFILE_02_PlainSocketsAreServedByTheKernel) {
  const fresh_directory top;
  const std::string all = pattern(300'000);
  put(top / "a", all);
  run([&]() -> h::task<> {
    auto f = co_await h::file::open(top / "a");
    // Where the kernel does not tell what it has in memory, the library must read.
    std::array<char, 1> byte{};
    const iovec one{byte.data(), 1};
    const bool tells = ::preadv2(f.native_handle(), &one, 1, 0, RWF_NOWAIT) == 1;
    for (const over way : all_ways) {
      ends e = co_await connect(way);
      auto reading = h::create_task(read_all(e.server.reader));
      const auto before = slow_disk::files_sent();
      EQUAL(co_await h::send_file(e.client.writer, f), all.size());
      EQUAL(slow_disk::files_sent() != before, tells && way == over::socket);
      e.client.writer.close();
      const std::string& got = co_await reading;
      HOLDS(got == all);
    }
  });
}

TEST_P(IO_SENDFILE, IO_SENDFILE_03_WhatIsWrittenBeforeComesBeforeAndWhatIsWrittenLaterBehind) {
  const fresh_directory top;
  const std::string all = pattern(400'000);
  put(top / "a", all);
  run([&]() -> h::task<> {
    auto f = co_await h::file::open(top / "a");
    for (const over way : all_ways) {
      ends e = co_await connect(way);
      auto& w = e.client.writer;
      // Much before, so that the file waits until the peer reads.
      const std::size_t before = co_await fill_up(w);
      auto sending = h::create_task(send_all(w, f));
      co_await until_waiting(sending);
      w.write("behind");
      HOLDS(w.buffered() > all.size());
      auto drains = h::create_task(drain(w));
      co_await until_waiting(drains);
      auto reading = h::create_task(read_all(e.server.reader));
      EQUAL(co_await sending, all.size());
      co_await drains;
      w.write(", last");
      w.close();
      const std::string& got = co_await reading;
      HOLDS(got == std::string(before, 'f') + all + "behind, last");
    }
  });
}

TEST_P(IO_SENDFILE, IO_SENDFILE_04_ManyWritersAndSendersNeverMix) {
  const fresh_directory top;
  const std::string a(300'000, 'a');
  const std::string b(200'000, 'b');
  put(top / "a", a);
  put(top / "b", b);
  run([&]() -> h::task<> {
    for (const over way : all_ways) {
      auto f = co_await h::file::open(top / "a");
      auto g = co_await h::file::open(top / "b");
      ends e = co_await connect(way);
      auto& w = e.client.writer;
      auto reading = h::create_task(read_all(e.server.reader));
      const auto writes = [&w]() -> h::task<> {
        for (int i = 0; i < 200; ++i) {
          w.write("[some text]");
          co_await w.drain();
        }
      };
      const auto sends = [&w](h::file& from) -> h::task<> {
        for (int i = 0; i < 3; ++i) (void)co_await h::send_file(w, from);
      };
      std::vector<h::task<>> work;
      for (int i = 0; i < 2; ++i) work.push_back(writes());
      work.push_back(sends(f));
      work.push_back(sends(g));
      auto together = h::gather(std::move(work));
      co_await together;
      w.close();
      const std::string& got = co_await reading;
      const std::array<std::string_view, 3> units{"[some text]", a, b};
      std::array<int, 3> seen{};
      std::string_view text = got;
      for (std::size_t i = 0; i < units.size();) {
        if (text.starts_with(units[i])) {
          text.remove_prefix(units[i].size());
          ++seen[i];
          i = 0;
        } else {
          ++i;
        }
      }
      HOLDS(text.empty());
      EQUAL(seen[0], 400);
      EQUAL(seen[1], 3);
      EQUAL(seen[2], 3);
    }
  });
}

TEST_P(IO_SENDFILE, IO_SENDFILE_05_WhatTheKernelRefusesIsReadAndWrittenOrAnErrorBeforeAnyByte) {
  const fresh_directory top;
  const std::string all = pattern(500'000);
  put(top / "a", all);
  run([&]() -> h::task<> {
    auto f = co_await h::file::open(top / "a");
    ends e = co_await connect(over::socket);
    auto reading = h::create_task(read_all(e.server.reader));
    h::send_file_options strict;
    strict.fallback = false;
    {
      const slow_disk::no_sendfile refused;
      EQUAL(co_await h::send_file(e.client.writer, f), all.size());
    }
    auto status = co_await h::file::open("/proc/self/status");  // of no known size
    const auto n = co_await h::send_file(e.client.writer, status);
    HOLDS(n > 100);
    auto error = co_await error_of(h::send_file(e.client.writer, status, strict));
    EQUAL(code_of(error), EOPNOTSUPP);
    HOLDS(says(error, "/proc/self/status") && says(error, "fallback"));
    e.client.writer.close();
    const std::string& got = co_await reading;
    HOLDS(got.starts_with(all));
    EQUAL(got.size(), all.size() + n);
    ends m = co_await connect(over::memory);
    error = co_await error_of(h::send_file(m.client.writer, f, strict));
    EQUAL(code_of(error), EOPNOTSUPP);
    HOLDS(!m.client.writer.is_closing());
    EQUAL(m.client.writer.buffered(), 0u);
    auto p = h::make_pipe();
    auto piped = h::create_task(read_all(p.reader));
    EQUAL(co_await h::send_file(p.writer, f), all.size());
    p.writer.close();
    const std::string& through = co_await piped;
    HOLDS(through == all);
  });
}

TEST_P(IO_SENDFILE, IO_SENDFILE_06_OverTlsWithDataAroundItAndAPart) {
  const fresh_directory top;
  const std::string all = pattern(1'000'000);
  put(top / "a", all);
  run([&]() -> h::task<> {
    auto f = co_await h::file::open(top / "a");
    ends e = co_await connect(over::tls);
    auto reading = h::create_task(read_all(e.server.reader));
    e.client.writer.write("before ");
    EQUAL(co_await h::send_file(e.client.writer, f, 10, 700'000), 700'000u);
    e.client.writer.write(" after");
    e.client.writer.close();
    const std::string& got = co_await reading;
    HOLDS(got == "before " + all.substr(10, 700'000) + " after");
  });
}

TEST_P(IO_SENDFILE, IO_SENDFILE_07_AWriterThatWasClosedIsAnErrorAtOnceAndNothingIsRead) {
  const fresh_directory top;
  put(top / "a", "text");
  run([&]() -> h::task<> {
    auto f = co_await h::file::open(top / "a");
    for (const over way : all_ways) {
      const slow_disk::stopped disk;  // a read would hang
      ends e = co_await connect(way);
      ends ended = co_await connect(way);
      e.client.writer.close();
      EQUAL(code_of(co_await error_of(h::send_file(e.client.writer, f))), ECONNRESET);
      ended.client.writer.write_eof();
      EQUAL(co_await ending(h::send_file(ended.client.writer, f)), "Usage");
      e.server.writer.abort();
      EQUAL(code_of(co_await error_of(h::send_file(e.server.writer, f))), ECONNRESET);
    }
    ends e = co_await connect(over::socket);
    h::file_options out;
    out.read = false;
    out.write = true;
    auto unreadable = co_await h::file::open(top / "a", out);
    EQUAL(co_await ending(h::send_file(e.client.writer, unreadable)), "Usage");
    co_await f.close();
    EQUAL(co_await ending(h::send_file(e.client.writer, f)), "Usage");
    e.client.writer.write("works");
    EQUAL(co_await e.server.reader.read_exactly(5), "works");
  });
}

TEST_P(IO_SENDFILE, IO_SENDFILE_08_APeerThatGoesMidwayIsToldWithTheCountThatWasTaken) {
  const fresh_directory top;
  const std::size_t size = 64 << 20;  // more than all buffers of a connection take
  put(top / "a", std::string(size, 'x'));
  run([&]() -> h::task<> {
    auto f = co_await h::file::open(top / "a");
    for (const bool by_kernel : {true, false}) {
      std::optional<slow_disk::no_sendfile> refused;
      if (!by_kernel) refused.emplace();
      ends e = co_await connect(over::socket);
      std::uint64_t sent = 0;
      auto sending = h::create_task(error_of(send_counted(e.client.writer, f, sent)));
      EQUAL((co_await e.server.reader.read_exactly(100'000)).size(), 100'000u);
      e.server.writer.abort();
      const std::exception_ptr& error = co_await sending;
      HOLDS(is_broken(error));
      if (by_kernel) HOLDS(sent >= 100'000);
      HOLDS(sent < size);
      HOLDS(e.client.writer.is_closing());
    }
  });
}

TEST_P(IO_SENDFILE, IO_SENDFILE_08_AnAbortOrAClosingOfOursMidway) {
  const fresh_directory top;
  const std::size_t size = 32 << 20;
  put(top / "a", std::string(size, 'x'));
  run([&]() -> h::task<> {
    const auto before = open_descriptors();
    {
      auto f = co_await h::file::open(top / "a");
      ends aborted = co_await connect(over::socket);
      auto sending = h::create_task(error_of(send_all(aborted.client.writer, f)));
      (void)co_await aborted.server.reader.read_exactly(1000);
      aborted.client.writer.abort();
      const std::exception_ptr& error = co_await sending;
      EQUAL(code_of(error), ECONNRESET);
      // A closed writer sends all that came before the close: the whole file.
      ends closed = co_await connect(over::socket);
      auto all = h::create_task(send_all(closed.client.writer, f));
      (void)co_await closed.server.reader.read_exactly(1000);
      closed.client.writer.write("end");
      closed.client.writer.close();
      EQUAL(co_await swallow(closed.server.reader), size - 1000 + 3);
      EQUAL(co_await all, size);
      co_await closed.client.writer.wait_closed();
    }
    co_await until_open(before);
  });
}

TEST_P(IO_SENDFILE, IO_SENDFILE_08_ACancelledSendHasSentWhatItCountsAndTheStreamGoesOn) {
  const fresh_directory top;
  const std::string all = pattern(32 << 20);  // more than all buffers of a connection take
  put(top / "a", all);
  run([&]() -> h::task<> {
    auto f = co_await h::file::open(top / "a");
    for (const bool by_kernel : {true, false}) {
      std::optional<slow_disk::no_sendfile> refused;
      if (!by_kernel) refused.emplace();
      ends e = co_await connect(over::socket);
      std::uint64_t sent = 0;
      auto sending = h::create_task(send_counted(e.client.writer, f, sent));
      std::string got = co_await e.server.reader.read_exactly(1000);
      e.client.writer.write("[behind]");
      sending.cancel();
      EQUAL(co_await ending(std::move(sending)), "Cancelled");
      HOLDS(sent >= 1000 && sent < all.size());
      e.client.writer.close();
      got += co_await e.server.reader.read();
      HOLDS(got == all.substr(0, sent) + "[behind]");
    }
  });
}

TEST_P(IO_SENDFILE, IO_SENDFILE_09_AFileThatBecomesShorterIsAnErrorAndBreaksTheConnection) {
  const fresh_directory top;
  const std::size_t size = 32 << 20;
  run([&]() -> h::task<> {
    for (const bool by_kernel : {true, false}) {
      put(top / "a", std::string(size, 'x'));
      std::optional<slow_disk::no_sendfile> refused;
      if (!by_kernel) refused.emplace();
      auto f = co_await h::file::open(top / "a");
      ends e = co_await connect(over::socket);
      auto sending = h::create_task(error_of(send_all(e.client.writer, f)));
      (void)co_await e.server.reader.read_exactly(1000);
      std::filesystem::resize_file(top / "a", 1000);
      auto reading = h::create_task(error_of(swallow(e.server.reader)));
      const std::exception_ptr& error = co_await sending;
      EQUAL(code_of(error), EIO);
      HOLDS(says(error, "became shorter") && says(error, top / "a"));
      HOLDS(e.client.writer.is_closing());
      (void)co_await reading;  // the peer hears of an end
    }
  });
}

TEST_P(IO_SENDFILE, IO_SENDFILE_12_AColdDiskHoldsNoLoopAndNoEndOfTheConnection) {
  const fresh_directory top;
  put(top / "a", pattern(300'000));
  run([&top]() -> h::task<> {
    auto f = co_await h::file::open(top / "a");
    ends e = co_await connect(over::socket);
    ends other = co_await connect(over::socket);
    slow_disk::stopped disk;
    auto sending = h::create_task(error_of(send_all(e.client.writer, f)));
    co_await until([] { return slow_disk::waiting() == 1; });
    for (int i = 0; i < 20; ++i) {
      other.client.writer.write("ask");
      EQUAL(co_await other.server.reader.read_exactly(3), "ask");
      co_await h::sleep(1ms);
    }
    e.client.writer.write("more");
    e.client.writer.abort();
    co_await e.client.writer.wait_closed();  // while the disk is silent still
    EQUAL(slow_disk::waiting(), 1u);
    slow_disk::stopped::go();
    const std::exception_ptr& error = co_await sending;
    EQUAL(code_of(error), ECONNRESET);
  });
}

TEST_P(IO_SENDFILE, IO_SENDFILE_12_APeerThatReadsAsFastAsWeSendLeavesTheLoopToOthers) {
  const fresh_directory top;
  const std::string all(16 << 20, 'x');
  put(top / "a", all);
  run([&]() -> h::task<> {
    auto f = co_await h::file::open(top / "a");
    ends e = co_await connect(over::socket);
    auto reading = h::create_task(swallow(e.server.reader));
    std::atomic<bool> over{false};
    std::atomic<int> turns{0};
    const auto others = [&]() -> h::task<> {
      while (!over) {
        ++turns;
        co_await h::yield_now();
      }
    };
    auto beside = h::create_task(others());
    EQUAL(co_await h::send_file(e.client.writer, f), all.size());
    const int seen = turns;
    over = true;
    co_await beside;
    HOLDS(seen > 0);
    e.client.writer.close();
    const std::size_t& n = co_await reading;
    EQUAL(n, all.size());
  });
}

}  // namespace
