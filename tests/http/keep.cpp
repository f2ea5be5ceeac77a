// SPDX-License-Identifier: MIT
// A kept connection is used only after a look: protocol KEEP of the HTTP client.
#include "io/runtime.h"

#include <heddle/io/http/message/parser.h>
#include <heddle/io/http/session.h>
#include <heddle/sync/event.h>
#include <heddle/sync/queue.h>

#include <atomic>
#include <string>
#include <string_view>

namespace {

using namespace io_test;
namespace http = h::http;

class HttpKeep : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, HttpKeep, testing::ValuesIn(all_setups()), name_of);

std::string local(std::uint16_t port) { return "http://127.0.0.1:" + std::to_string(port) + "/"; }
std::string text_of(std::string_view body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}
constexpr std::string_view unasked = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";

/// Reads one request. False: the connection ended.
h::task<bool> read_request(h::stream_reader& r, http::request& into) {
  http::limits l;
  l.body_bytes = 1 << 30;
  http::request_parser parser(l);
  while (!parser.done()) {
    if (r.buffered().empty()) {
      const bool more = co_await r.fill();
      if (!more) co_return false;
    }
    r.consume(parser.feed(r.buffered()));
    if (parser.failed()) co_return false;
  }
  into = std::move(parser.message());
  co_return true;
}

/// Answers each request with its number. Sends something unasked when `speak` is set.
struct talker {
  std::atomic<int> connections{0};
  h::event speak;
  h::event spoken;  // set when that has been sent

  h::task<> serve(h::stream_reader& r, h::stream_writer& w) {
    const int number = ++connections;
    for (int n = 1;; ++n) {
      http::request asked;
      const bool more = co_await read_request(r, asked);
      if (!more) co_return;
      w.write(text_of(std::to_string(number) + "." + std::to_string(n)));
      if (number != 1) continue;
      co_await speak.wait();
      w.write(unasked);
      co_await until([&w] { return w.buffered() == 0; });  // the kernel has it
      spoken.set();
    }
  }
};

h::task<h::server> start(talker& t) {
  auto handle = [&t](h::stream_reader r, h::stream_writer w) -> h::task<> {
    h::task<> work = t.serve(r, w);
    co_await work;
  };
  return h::start_server(handle, "127.0.0.1", 0);
}

TEST_P(HttpKeep, AnUnaskedAnswerThatCameMeanwhileIsNotTakenForTheNextOne) {
  for (const bool post : {false, true})
    run([post]() -> h::task<> {
      talker t;
      h::server s = co_await start(t);
      http::session client;
      const auto first = co_await client.get(local(s.port()));
      EXPECT_EQ(first.text(), "1.1");
      EXPECT_EQ(client.kept_connections(), 1u);
      t.speak.set();
      co_await t.spoken.wait();
      // Over loopback, what is sent is in the client's socket already, or beyond it.
      http::client_response second;
      if (post)
        second = co_await client.post(local(s.port()), "body");
      else
        second = co_await client.get(local(s.port()));
      EXPECT_EQ(second.status, 200);
      EXPECT_EQ(second.text(), "2.1");
      const auto third = co_await client.get(local(s.port()));
      EXPECT_EQ(third.text(), "2.2");
      client.close_kept();
      s.close();
      s.abort_clients();
      co_await s.wait_closed();
    });
}

// On io_uring the bytes leave the socket before the client looks: they lie with the stream.
TEST_P(HttpKeep, AnUnaskedAnswerThatTheLoopHasAlreadyFetchedIsSeenToo) {
  run([]() -> h::task<> {
    talker t;
    h::server s = co_await start(t);
    http::session client;
    const auto first = co_await client.get(local(s.port()));
    EXPECT_EQ(first.text(), "1.1");
    t.speak.set();
    co_await t.spoken.wait();
    for (int i = 0; i < 20; ++i) co_await h::sleep(1ms);  // the loops poll
    const auto second = co_await client.get(local(s.port()));
    EXPECT_EQ(second.text(), "2.1");
    client.close_kept();
    s.close();
    s.abort_clients();
    co_await s.wait_closed();
  });
}

TEST_P(HttpKeep, AConnectionWhosePeerAnsweredBeforeItReadAllIsNotUsedAgain) {
  run([]() -> h::task<> {
    std::atomic<int> connections{0};
    h::event over;
    auto handle = [&](h::stream_reader r, h::stream_writer w) -> h::task<> {
      const int number = ++connections;
      if (number == 1) {  // answers when it has the head, and never reads the rest
        const std::string head = co_await r.read_until("\r\n\r\n");
        w.write(text_of("early"));
        co_await over.wait();
        w.abort();
        co_return;
      }
      http::request asked;
      const bool more = co_await read_request(r, asked);
      if (more) w.write(text_of("late"));
      co_await over.wait();
    };
    auto starting = h::start_server(handle, "127.0.0.1", 0);
    h::server s = co_await starting;
    http::session client;
    const std::string much(32 * 1024 * 1024, 'u');
    const auto first = co_await client.post(local(s.port()), much);
    EXPECT_EQ(first.text(), "early");
    EXPECT_EQ(client.kept_connections(), 0u);
    const auto second = co_await client.get(local(s.port()));
    EXPECT_EQ(second.text(), "late");
    EXPECT_EQ(connections.load(), 2);
    over.set();
    client.close_kept();
    s.close();
    co_await s.wait_closed();
  });
}

TEST_P(HttpKeep, ATimedOutOrCancelledUploadGivesItsSocketBackAtOnce) {
  run([]() -> h::task<> {
    h::event over;
    auto handle = [&](h::stream_reader, h::stream_writer w) -> h::task<> {
      co_await over.wait();  // reads nothing
      w.abort();
    };
    auto starting = h::start_server(handle, "127.0.0.1", 0);
    h::server s = co_await starting;
    http::session client;
    co_await until(everybody_else_waits);
    const auto before = open_descriptors();
    const std::string much(16 * 1024 * 1024, 'u');
    for (int i = 0; i < 3; ++i) {
      http::request_options o;
      o.timeout = 20ms;
      const auto error = co_await error_of(client.post(local(s.port()), much, std::move(o)));
      EXPECT_TRUE(is<h::timeout_error>(error));
    }
    auto upload = h::create_task(client.post(local(s.port()), much));
    co_await until([&] { return s.connections() == 4; });
    upload.cancel();
    bool cancelled = false;
    try {
      (void)co_await upload;
    } catch (const h::cancelled_error&) { cancelled = true; }
    EXPECT_TRUE(cancelled);
    // Only the server's ends are left, and these are not closed before `over`.
    co_await until([&] { return open_descriptors() == before + s.connections(); });
    over.set();
    s.close();
    co_await s.wait_closed();
  });
}

TEST_P(HttpKeep, KeptConnectionsAreClosedInTimeAlsoWhenTheirHostIsNeverAskedAgain) {
  run([]() -> h::task<> {
    talker t;
    t.speak.set();
    std::vector<h::server> servers;
    for (int i = 0; i < 5; ++i) {
      auto handle = [](h::stream_reader r, h::stream_writer w) -> h::task<> {
        for (;;) {
          http::request asked;
          const bool more = co_await read_request(r, asked);
          if (!more) co_return;
          w.write(text_of("x"));
        }
      };
      auto starting = h::start_server(handle, "127.0.0.1", 0);
      servers.push_back(co_await starting);
    }
    http::session_options o;
    o.keep_for = 30ms;
    http::session client(o);
    for (int round = 0; round < 2; ++round) {
      for (auto& s : servers) {
        const auto got = co_await client.get(local(s.port()));
        EXPECT_EQ(got.text(), "x");
      }
      // The servers see the ends, although the session is asked for nothing.
      co_await until([&] {
        std::size_t n = 0;
        for (const auto& s : servers) n += s.connections();
        return n == 0;
      });
    }
    EXPECT_EQ(client.kept_connections(), 0u);
  });
}

TEST_P(HttpKeep, ASessionThatGoesClosesWhatItKeptAndKeepsNothingThatComesLater) {
  run([]() -> h::task<> {
    h::event may_answer, asked_all;
    std::atomic<int> asked{0};
    auto handle = [&](h::stream_reader r, h::stream_writer w) -> h::task<> {
      for (;;) {
        http::request request;
        const bool more = co_await read_request(r, request);
        if (!more) co_return;
        if (++asked == 2) asked_all.set();
        if (asked == 2) co_await may_answer.wait();
        w.write(text_of("x"));
      }
    };
    auto starting = h::start_server(handle, "127.0.0.1", 0);
    h::server s = co_await starting;
    auto client = std::make_unique<http::session>();
    const auto first = co_await client->get(local(s.port()));
    EXPECT_EQ(first.text(), "x");
    auto late = h::create_task(client->get(local(s.port())));
    co_await asked_all.wait();
    client.reset();
    may_answer.set();
    const auto& second = co_await late;
    EXPECT_EQ(second.text(), "x");
    co_await until([&] { return s.connections() == 0; });
  });
}

TEST_P(HttpKeep, EndlessInterimAnswersEndTheRequestWithAnError) {
  run([]() -> h::task<> {
    auto handle = [](h::stream_reader r, h::stream_writer w) -> h::task<> {
      http::request asked;
      const bool more = co_await read_request(r, asked);
      std::string some;
      for (int i = 0; i < 500; ++i) some += "HTTP/1.1 102 Processing\r\n\r\n";
      while (more && !w.is_closing()) {
        w.write(some);
        co_await w.drain();
        co_await h::yield_now();
      }
    };
    auto starting = h::start_server(handle, "127.0.0.1", 0);
    h::server s = co_await starting;
    http::session client;
    const auto error = co_await error_of(client.get(local(s.port())));
    EXPECT_TRUE(is<http::protocol_error>(error));
    EXPECT_NE(h::describe(error).find("interim_answers"), std::string::npos);
    s.close();
    s.abort_clients();
    s.cancel_handlers();
    co_await s.wait_closed();
  });
}

// --- the reader's side: what quiet() returns, and what an error leaves ---

TEST_P(HttpKeep, AStreamIsQuietUntilBytesOrTheEndOrAnErrorHaveCome) {
  run([]() -> h::task<> {
    for (int what = 0; what < 3; ++what) {
      ends e = co_await connect_ends();
      EXPECT_TRUE(e.client.reader.quiet());
      EXPECT_TRUE(e.client.reader.quiet());
      if (what == 0)
        e.server.writer.write("x");
      else if (what == 1)
        e.server.writer.write_eof();
      else
        e.server.writer.abort();
      co_await until([&] { return !e.client.reader.quiet(); });
      EXPECT_FALSE(e.client.reader.quiet());
      e.client.writer.close();
      e.server.writer.close();
    }
  });
}

TEST_P(HttpKeep, ReadsGiveWhatCameBeforeAResetAndThenTheError) {
  run([]() -> h::task<> {
    ends e = co_await connect_ends();
    e.server.writer.write("before the end");
    while (e.client.reader.buffered().size() < 14) {
      const bool more = co_await e.client.reader.fill();
      if (!more) break;
    }
    e.server.writer.abort();
    // The writer sees the reset while the bytes are still unread.
    const auto told = co_await error_of(closed(e.client.writer));
    EXPECT_EQ(code_of(told), ECONNRESET);
    const std::string some = co_await e.client.reader.read(6);
    EXPECT_EQ(some, "before");
    const std::string exact = co_await e.client.reader.read_exactly(8);
    EXPECT_EQ(exact, " the end");
    auto reading = [](h::stream_reader& r) -> h::task<> { (void)co_await r.read(1); };
    const auto error = co_await error_of(reading(e.client.reader));
    EXPECT_EQ(code_of(error), ECONNRESET);
  });
}

}  // namespace
