// SPDX-License-Identifier: MIT
// Servers with limits on time: the first byte, silence, the whole connection.
#include "conn_support.h"

#include <heddle/sync/event.h>

#include <algorithm>
#include <atomic>
#include <mutex>

namespace {

using namespace conformance;

REACTOR_CASES(IO_CONN_TIMES);

const std::string here = "127.0.0.1";

/// How the handlers of a server ended: "end", or their error's text.
class endings {
 public:
  void add(const std::exception_ptr& error) {
    const std::lock_guard hold(lock_);
    all_.push_back(error ? h::describe(error) : std::string("end"));
    codes_.push_back(code_of(error));
  }
  [[nodiscard]] std::size_t count() const {
    const std::lock_guard hold(lock_);
    return all_.size();
  }
  [[nodiscard]] std::string text(std::size_t i) const {
    const std::lock_guard hold(lock_);
    return all_.at(i);
  }
  [[nodiscard]] int code(std::size_t i) const {
    const std::lock_guard hold(lock_);
    return codes_.at(i);
  }

 private:
  mutable std::mutex lock_;
  std::vector<std::string> all_;
  std::vector<int> codes_;
};

auto noting(endings& all) {
  return [&all](h::stream_reader r, h::stream_writer w) -> h::task<> {
    std::exception_ptr error;
    try {
      auto work = echo(std::move(r), std::move(w));
      co_await work;
    } catch (const std::exception&) { error = std::current_exception(); }
    all.add(error);
  };
}

TEST_P(IO_CONN_TIMES, IO_CONN_18_AClientThatSendsNothingIsEndedByTheLimitForItsFirstByte) {
  run([]() -> h::task<> {
    endings all;
    h::server_options o;
    o.first_byte_limit = 30ms;
    auto starting = h::start_server(noting(all), here, 0, o);
    h::server s = co_await starting;
    h::connection c = co_await h::open_connection(here, s.port());
    const std::string nothing = co_await c.reader.read();
    EQUAL(nothing, "");
    co_await until([&] { return all.count() == 1; });
    EQUAL(all.code(0), ETIMEDOUT);
    HOLDS(has(all.text(0), "first_byte_limit"));
    EQUAL(s.stats().timed_out, 1u);
    s.close();
    co_await s.wait_closed();
  });
  EQUAL(report_count(), 0u);
}

TEST_P(IO_CONN_TIMES, IO_CONN_18_AByteThatCameBeforeTheHandlerIsTheFirstByte) {
  run([]() -> h::task<> {
    constexpr auto limit = 200ms;
    h::event may_end;
    std::atomic<int> called{0};
    // The first client's handler keeps the only place, whatever becomes of its client.
    auto handler = [&](h::stream_reader r, h::stream_writer w) -> h::task<> {
      if (++called == 1) {
        co_await may_end.wait();
        co_return;
      }
      auto work = echo(std::move(r), std::move(w));
      co_await work;
    };
    h::server_options o;
    o.first_byte_limit = limit;
    o.max_connections = 1;
    auto starting = h::start_server(handler, here, 0, o);
    h::server s = co_await starting;
    h::connection first = co_await h::open_connection(here, s.port());
    co_await until([&] { return called.load() == 1; });
    h::connection second = co_await h::open_connection(here, s.port());
    second.writer.write("early\n");
    co_await until([&] { return second.writer.buffered() == 0; });
    may_end.set();
    const std::string line = co_await second.reader.read_line();
    EQUAL(line, "early\n");
    co_await h::sleep(limit + 50ms);
    second.writer.write("late\n");
    const std::string more = co_await second.reader.read_line();
    EQUAL(more, "late\n");
    second.writer.close();
    first.writer.close();
    s.close();
    co_await s.wait_closed();
  });
}

h::task<> end_by_silence(h::server& s, h::connection c, endings& all) {
  const std::string nothing = co_await c.reader.read();
  EQUAL(nothing, "");
  co_await until([&] { return all.count() == 1; });
  EQUAL(all.code(0), ETIMEDOUT);
  HOLDS(has(all.text(0), "idle_limit"));
  EQUAL(s.stats().timed_out, 1u);
  s.close();
  co_await s.wait_closed();
}

TEST_P(IO_CONN_TIMES, IO_CONN_18_ASilentConnectionIsEnded) {
  run([]() -> h::task<> {
    h::server_options o;
    o.idle_limit = 40ms;
    {
      endings all;
      auto starting = h::start_server(noting(all), here, 0, o);
      h::server s = co_await starting;
      h::connection c = co_await h::open_connection(here, s.port());
      auto silence = end_by_silence(s, std::move(c), all);
      co_await silence;
    }
    endings all;
    const auto path = fresh_path("silent");
    auto starting = h::start_unix_server(noting(all), path, o);
    h::server s = co_await starting;
    h::connection c = co_await h::open_unix_connection(path);
    auto silence = end_by_silence(s, std::move(c), all);
    co_await silence;
  });
}

/// Sends now and then, for `whole`. Yields the longest time from the begin of a send to the end of
/// the next one: an upper bound of how long the connection was silent.
h::task<h::duration> send_for(h::stream_writer& w, h::duration whole, bool& ended) {
  const auto begin = h::clock::now();
  auto last = begin;
  h::duration longest{};
  while (!ended && h::clock::now() - begin < whole) {
    const auto before = h::clock::now();
    w.write("x");
    ended = w.is_closing();
    longest = std::max(longest, h::clock::now() - last);
    last = before;
    co_await h::sleep(1ms);
  }
  co_return longest;
}

TEST_P(IO_CONN_TIMES, IO_CONN_18_AConnectionThatSendsIsNotSilent) {
  run([]() -> h::task<> {
    constexpr auto limit = 100ms;
    h::server_options o;
    o.idle_limit = limit;
    std::atomic<bool> done{false}, right{false};
    auto pushing = [&](h::stream_reader, h::stream_writer w) -> h::task<> {
      bool ended = false;
      const h::duration longest = co_await send_for(w, 4 * limit, ended);
      // On a machine that stood still it was silent indeed.
      right = !ended || longest >= limit;
      done = true;
    };
    auto starting = h::start_server(pushing, here, 0, o);
    h::server s = co_await starting;
    h::connection c = co_await h::open_connection(here, s.port());
    (void)co_await swallow(c.reader);
    co_await until([&] { return done.load(); });
    HOLDS(right.load());
    s.close();
    co_await s.wait_closed();
  });
}

TEST_P(IO_CONN_TIMES, IO_CONN_18_ABusyConnectionEndsAtItsWholeLimit) {
  run([]() -> h::task<> {
    endings all;
    h::server_options o;
    o.connection_limit = 50ms;
    auto starting = h::start_server(noting(all), here, 0, o);
    h::server s = co_await starting;
    const auto begin = h::clock::now();
    h::connection c = co_await h::open_connection(here, s.port());
    try {
      for (bool more = true; more;) {
        c.writer.write("ping\n");
        const std::string line = co_await c.reader.read_line();
        more = !line.empty();
      }
    } catch (const std::system_error&) {
      // A ping came after the end, and was answered with a reset.
    }
    HOLDS(h::clock::now() - begin >= 50ms);
    co_await until([&] { return all.count() == 1; });
    EQUAL(all.code(0), ETIMEDOUT);
    HOLDS(has(all.text(0), "connection_limit"));
    s.close();
    co_await s.wait_closed();
  });
}

TEST_P(IO_CONN_TIMES, IO_CONN_18_ALimitOutOfItsRangeIsRefused) {
  run([]() -> h::task<> {
    h::server_options first, idle, whole;
    first.first_byte_limit = 0s;
    idle.idle_limit = -1s;
    whole.connection_limit = 0ms;
    h::server_options places, header;
    places.max_connections = static_cast<std::size_t>(-1);
    header.proxy_header_bytes = 15;
    for (const auto& o : {first, idle, whole, places, header}) {
      auto starting = h::start_server(echo, here, 0, o);
      const std::string how = co_await ending(std::move(starting));
      EQUAL(how, "BadValue");
    }
  });
}

}  // namespace
