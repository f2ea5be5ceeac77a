// SPDX-License-Identifier: MIT
// A client that has ended its sending, and still waits for its answer: its handler has all the time
// that it wants, whatever the server's time-outs are. A reset or stop() ends it.
#include "http/site.h"

#include <support/waiting.h>

#include <atomic>
#include <memory>
#include <string>

namespace {

using namespace http_test;

class HalfClosed : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, HalfClosed, testing::ValuesIn(all_setups()), name_of);

/// Each of them is over long before the handler is.
http::server_options hurried() {
  http::server_options o;
  o.header_timeout = 50ms;
  o.body_timeout = 50ms;
  o.idle_timeout = 50ms;
  o.write_timeout = 50ms;
  o.linger_timeout = 50ms;
  o.linger_time = 50ms;
  return o;
}

/// What became of a handler that waits for ever.
struct fate {
  std::atomic<bool> begun{false}, cancelled{false};
};
void add_endless(site& s, fate& f) {
  s.server.get("/for-ever", [&f](http::request&) -> h::task<http::response> {
    f.begun = true;
    try {
      co_await h::sleep(1h);
    } catch (const h::cancelled_error&) {
      f.cancelled = true;
      throw;
    }
    co_return http::response();
  });
}

h::task<h::connection> ask_and_end(site& s, std::string path) {
  auto opening = h::open_connection("127.0.0.1", s.server.port());
  h::connection c = co_await std::move(opening);
  c.writer.write(get(path));
  c.writer.write_eof();
  co_return c;
}

TEST_P(HalfClosed, AClientIsAnsweredHoweverLongItTakes) {
  run([]() -> h::task<> {
    site s(hurried());
    auto starting = s.start();
    co_await std::move(starting);
    auto asking = ask_and_end(s, "/gated");
    h::connection c = co_await std::move(asking);
    co_await s.entered.wait();
    co_await h::sleep(700ms);  // longer than any time-out, and than the looks at who is gone
    EXPECT_EQ(s.server.stats().working, 1u);
    s.gate.set();
    auto reading = read_to_end(c);
    const std::string all = co_await std::move(reading);
    EXPECT_EQ(bodies(all), "through");
    c.writer.close();
    auto stopping = s.server.stop(1s);
    co_await std::move(stopping);
  });
}

TEST_P(HalfClosed, AHandlerThatWaitsForEverIsEndedByTheGraceOfStop) {
  run([]() -> h::task<> {
    fate f;
    site s(hurried());
    add_endless(s, f);
    auto starting = s.start();
    co_await std::move(starting);
    auto asking = ask_and_end(s, "/for-ever");
    h::connection c = co_await std::move(asking);
    auto begun = until([&f] { return f.begun.load(); });
    co_await std::move(begun);
    co_await h::sleep(700ms);
    EXPECT_FALSE(f.cancelled);  // no limit but the handler's own
    auto stopping = s.server.stop(10ms);
    co_await std::move(stopping);
    EXPECT_TRUE(f.cancelled);
    auto reading = read_to_end(c);
    (void)co_await std::move(reading);
    c.writer.close();
  });
}

TEST_P(HalfClosed, AHandlerThatWaitsForEverIsCancelledWhenItsClientResets) {
  run([]() -> h::task<> {
    fate f;
    site s(hurried());
    add_endless(s, f);
    auto starting = s.start();
    co_await std::move(starting);
    auto asking = ask_and_end(s, "/for-ever");
    h::connection c = co_await std::move(asking);
    auto begun = until([&f] { return f.begun.load(); });
    co_await std::move(begun);
    EXPECT_FALSE(f.cancelled);
    c.writer.abort();
    auto told = until([&f] { return f.cancelled.load(); });
    co_await std::move(told);
    auto stopping = s.server.stop(1s);
    co_await std::move(stopping);
  });
}

}  // namespace
