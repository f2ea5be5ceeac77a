// SPDX-License-Identifier: MIT
#include "io_cases.h"

namespace {

using namespace conformance;

STREAM_CASES(WTR);
CASES(WTR_CONNECT);  // by sockets only

TEST_P(WTR, WTR_01_BelowTheHighMarkADrainReturnsAtOnce) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    for (int i = 0; i < 10; ++i) {
      e.client.writer.write("0123456789");
      co_await e.client.writer.drain();
    }
    const std::string all = co_await e.server.reader.read_exactly(100);
    EQUAL(all.size(), 100u);
  });
}

TEST_P(WTR, WTR_02_AllWhoDrainGoOnOnceThePeerReads) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    const std::size_t written = co_await fill_up(e.client.writer);
    std::vector<h::task_handle<void>> draining;
    for (int i = 0; i < 3; ++i)
      draining.push_back(h::create_task(drain, std::ref(e.client.writer)));
    for (auto& d : draining) co_await until_waiting(d);
    for (auto& d : draining) HOLDS(!d.done());
    auto sink = h::create_task(swallow, std::ref(e.server.reader));
    for (auto& d : draining) co_await d;
    HOLDS(e.client.writer.buffered() <= 16u * 1024);
    e.client.writer.write_eof();
    const std::size_t got = co_await sink;
    EQUAL(got, written);
  });
}

TEST_P(WTR, WTR_03_TheMarksAreCheckedAndHoldAtOnce) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    THROWS(h::bad_value, e.client.writer.set_write_limits(10, 11));
    (void)co_await fill_up(e.client.writer);
    e.client.writer.set_write_limits(100'000'000, 100'000'000);
    co_await e.client.writer.drain();
    e.client.writer.set_write_limits(1, 0);
    auto draining = h::create_task(drain, std::ref(e.client.writer));
    co_await until_waiting(draining);
    HOLDS(!draining.done());
    draining.cancel();
    const std::string how = co_await ending(draining);
    EQUAL(how, "Cancelled");
    e.client.writer.abort();
  });
}

TEST_P(WTR, WTR_05_AResetEndsADrain) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    (void)co_await fill_up(e.client.writer);
    auto draining = h::create_task(error_of<void>, drain(e.client.writer));
    co_await until_waiting(draining);
    e.server.writer.abort();
    const auto error = co_await draining;
    HOLDS(is_broken(error));
  });
}

TEST_P(WTR, WTR_06_WritingToAClosedPeerEndsWithAnError) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    e.server.writer.close();
    co_await e.server.writer.wait_closed();
    std::exception_ptr error;
    for (int round = 0; round < 1000 && !error; ++round) {
      e.client.writer.write("are you there?");
      error = co_await error_of(drain(e.client.writer));
      co_await h::sleep(1ms);
    }
    HOLDS(is_broken(error));
    HOLDS(e.client.writer.is_closing());
  });
}

TEST_P(WTR, WTR_08_CloseDeliversWhatIsBuffered) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    const auto ours = e.client.writer.local_address();
    const std::string big(3'000'000, 'w');
    e.client.writer.write(big);
    e.client.writer.close();
    HOLDS(e.client.writer.is_closing());
    e.client.writer.close();
    auto one = h::create_task(wait_closed, std::ref(e.client.writer));
    auto two = h::create_task(wait_closed, std::ref(e.client.writer));
    const std::string got = co_await e.server.reader.read();
    HOLDS(got == big);
    co_await one;
    co_await two;
    co_await e.client.writer.wait_closed();
    EQUAL(e.client.writer.buffered(), 0u);
    // Both addresses are known afterwards, too.
    EQUAL(e.client.writer.local_address().to_string(), ours.to_string());
    EQUAL(e.client.writer.peer_address().to_string(), e.server.writer.local_address().to_string());
  });
}

TEST_P(WTR, WTR_09_AbortDropsTheRest) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    const std::string block(1'000'000, 'a');
    std::size_t written = 0;
    for (int i = 0; i < 30; ++i) {
      e.client.writer.write(block);
      written += block.size();
    }
    HOLDS(e.client.writer.buffered() > 0);
    e.client.writer.abort();
    co_await e.client.writer.wait_closed();
    EQUAL(e.client.writer.buffered(), 0u);
    std::size_t got = 0;
    const auto error = co_await error_of([](h::stream_reader& r, std::size_t& n) -> h::task<> {
      while (co_await r.fill()) {
        n += r.buffered().size();
        r.consume(r.buffered().size());
      }
    }(e.server.reader, got));
    HOLDS(code_of(error) == ECONNRESET || got < written);
  });
}

TEST_P(WTR, WTR_10_AResetIsToldByEveryOperation) {
  run([]() -> h::task<> {
    {
      auto e = co_await connect_ends();
      e.client.writer.abort();
      const auto read = co_await error_of(e.server.reader.read(1));
      EQUAL(code_of(read), ECONNRESET);
      const auto drained = co_await error_of(drain(e.server.writer));
      EQUAL(code_of(drained), ECONNRESET);
      const auto closed = co_await error_of(wait_closed(e.server.writer));
      EQUAL(code_of(closed), ECONNRESET);
      HOLDS(h::describe(closed).find(e.server.writer.peer_address().to_string()) !=
            std::string::npos);
    }
    {  // nobody reads: who waits for the end is told
      auto e = co_await connect_ends();
      auto waiting = h::create_task(error_of<void>, wait_closed(e.server.writer));
      co_await until_waiting(waiting);
      e.client.writer.abort();
      const auto closed = co_await waiting;
      EQUAL(code_of(closed), ECONNRESET);
      const auto drained = co_await error_of(drain(e.server.writer));
      EQUAL(code_of(drained), ECONNRESET);
      const auto read = co_await error_of(e.server.reader.read(1));
      EQUAL(code_of(read), ECONNRESET);
    }
    {  // what came before the reset can be read
      auto e = co_await connect_ends();
      e.client.writer.write("before");
      auto waiting = h::create_task(error_of<void>, wait_closed(e.server.writer));
      co_await until_waiting(waiting);
      co_await e.client.writer.drain();
      const std::string before = co_await e.server.reader.read_exactly(6);
      EQUAL(before, "before");
      e.client.writer.abort();
      (void)co_await waiting;
      const auto read = co_await error_of(e.server.reader.read(1));
      EQUAL(code_of(read), ECONNRESET);
    }
  });
}

TEST_P(WTR, WTR_11_WriteEofEndsOneDirection) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    const std::string big(2'000'000, 'q');
    e.client.writer.write(big);
    e.client.writer.write_eof();
    e.client.writer.write_eof();
    THROWS(h::usage_error, e.client.writer.write("late"));
    const std::string got = co_await e.server.reader.read();
    HOLDS(got == big);
    e.server.writer.write("answer\n");
    const std::string answer = co_await e.client.reader.read_line();
    EQUAL(answer, "answer\n");
  });
}

TEST_P(WTR_CONNECT, WTR_13_ConnectingTriesAddressAfterAddress) {
  run([]() -> h::task<> {
    auto s = co_await h::start_server(echo, std::string("127.0.0.1"), 0);
    const auto port = s.port();
    // Where the name has an IPv6 address too, that one is dead.
    auto c = co_await h::open_connection("localhost", port);
    c.writer.write("hello\n");
    const std::string line = co_await c.reader.read_line();
    EQUAL(line, "hello\n");
    c.writer.close();
    s.close();
    co_await s.wait_closed();
    const auto one = co_await error_of(h::open_connection("127.0.0.1", port));
    EQUAL(code_of(one), ECONNREFUSED);
    HOLDS(h::describe(one).find("127.0.0.1:" + std::to_string(port)) != std::string::npos);
    h::connection_options all;
    all.all_errors = true;
    const auto group = co_await error_of(h::open_connection("localhost", port, all));
    HOLDS(name_of(group).starts_with("Group{"));
  });
}

TEST_P(WTR_CONNECT, WTR_14_ACancelledAttemptLeavesNoDescriptor) {
  // A listener whose backlog is full answers nothing: the attempt hangs.
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto at = h::address::ip("127.0.0.1", 0);
  EQUAL(::bind(listener, at.data(), at.size()), 0);
  EQUAL(::listen(listener, 0), 0);
  run(
      [](h::address where) -> h::task<> {
        auto first = co_await h::open_connection("127.0.0.1", where.port());
        const auto before = open_descriptors();
        auto connecting = [](std::uint16_t port) -> h::task<> {
          auto c = co_await h::open_connection("127.0.0.1", port);
          c.writer.abort();
        };
        for (int i = 0; i < 10; ++i) {
          auto hanging = h::create_task(connecting, where.port());
          if (i % 2) co_await until_waiting(hanging);
          hanging.cancel();
          const std::string how = co_await ending(hanging);
          HOLDS(how == "Cancelled" || (i == 1 && how == "value"));  // one fits into the backlog
        }
        co_await until([before] { return open_descriptors() <= before; });
        HOLDS(open_descriptors() <= before);
      },
      h::address::local_of(listener));
  ::close(listener);
}

TEST_P(WTR, WTR_15_ADroppedWriterClosesWithOneWarning) {
  for (const bool debug : {false, true}) {
    const auto told = report_count();
    options.debug = debug;
    run([]() -> h::task<> {
      auto e = co_await connect_ends();
      e.client.writer.write("last words");
      { const h::stream_writer gone = std::move(e.client.writer); }
      const std::string last = co_await e.server.reader.read();
      EQUAL(last, "last words");
      HOLDS(!e.client.writer.valid());
      e.server.writer.close();  // closed: nothing to warn of
    });
    EQUAL(report_count() - told, debug ? runs() : 0u);
  }
  if (way.memory) return;  // it belongs to no runtime, and holds nothing of one
  // And when the runtime has gone before it.
  auto kept = std::make_shared<std::vector<ends>>();
  run(
      [](std::shared_ptr<std::vector<ends>> kept) -> h::task<> {
        kept->push_back(co_await connect_ends());
        kept->back().client.writer.write(std::string(1'000'000, 'o'));
      },
      kept);
  HOLDS(kept->back().client.writer.is_closing());
  kept->clear();
}

TEST_P(WTR, WTR_16_RecordsNeverMix) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    constexpr std::size_t record = 1024;
    const int each = way.simulated ? 50 : rounds(2000);
    auto writing = [](h::stream_writer& w, char c, int n) -> h::task<> {
      const std::string text(record, c);
      for (int i = 0; i < n; ++i) {
        w.write(text);
        co_await w.drain();
        if (i % 8 == 0) co_await h::yield_now();
      }
    };
    auto a = h::create_task(writing, std::ref(e.client.writer), 'a', each);
    auto b = h::create_task(writing, std::ref(e.client.writer), 'b', each);
    int seen[2] = {};
    int mixed = 0;
    for (int i = 0; i < 2 * each; ++i) {
      const std::string text = co_await e.server.reader.read_exactly(record);
      mixed += text != std::string(record, text[0]);
      ++seen[text[0] == 'a' ? 0 : 1];
    }
    EQUAL(mixed, 0);
    EQUAL(seen[0], each);
    EQUAL(seen[1], each);
    co_await a;
    co_await b;
  });
}

}  // namespace
