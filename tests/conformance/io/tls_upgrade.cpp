// SPDX-License-Identifier: MIT
// TLS: a plain connection turns to TLS, and back.
#include "tls_support.h"

namespace {

using namespace conformance;

REACTOR_CASES(IO_TLS_UPGRADE);

h::task<ends> plain_ends() { return support::connect_by_tcp(h::default_stream_limit); }

h::task<> to_server(h::connection& c) {
  co_await c.writer.start_tls(h::tls_context::server(as_localhost()));
}
h::task<> to_client(h::connection& c) {
  co_await c.writer.start_tls(h::tls_context::client(trusting()), "localhost");
}

h::task<> both_to_tls(ends& e) {
  auto server = h::create_task(to_server(e.server));
  auto client = to_client(e.client);
  co_await std::move(client);
  co_await server;
}

TEST_P(IO_TLS_UPGRADE, IO_TLS_20_WhatTheReaderHasBufferedGoesToTls) {
  run([]() -> h::task<> {
    ends e = co_await plain_ends();
    const std::string line = "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n";
    e.client.writer.write(line);
    auto client = h::create_task(to_client(e.client));
    while (e.server.reader.buffered().size() < line.size() + 50)
      (void)co_await e.server.reader.fill();
    const std::string first = co_await e.server.reader.read_line();
    EQUAL(first, line);
    auto server = to_server(e.server);
    co_await std::move(server);
    co_await client;
    e.client.writer.write("secret\n");
    const std::string secret = co_await e.server.reader.read_line();
    EQUAL(secret, "secret\n");
    EQUAL(e.server.writer.tls().server_name, "localhost");
  });
}

TEST_P(IO_TLS_UPGRADE, IO_TLS_22_WhatIsPendingGoesOutPlain) {
  run([]() -> h::task<> {
    ends e = co_await plain_ends();
    const std::size_t plain = co_await fill_up(e.client.writer);
    auto client = h::create_task(to_client(e.client));
    co_await until_waiting(client);
    auto draining = h::create_task(error_of(drain(e.client.writer)));
    co_await until_waiting(draining);  // the marks hold
    const std::string all =
        co_await e.server.reader.read_exactly(static_cast<std::ptrdiff_t>(plain));
    HOLDS(all == std::string(plain, 'f'));
    auto server = to_server(e.server);
    co_await std::move(server);
    co_await client;
    const std::exception_ptr& none = co_await draining;
    HOLDS(!none);
    e.server.writer.write("sealed\n");
    const std::string line = co_await e.client.reader.read_line();
    EQUAL(line, "sealed\n");
  });
}

TEST_P(IO_TLS_UPGRADE, IO_TLS_23_CancelledItClosesAndItIsRefusedWhereItCannotBe) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    ends e = co_await plain_ends();
    auto client = h::create_task(error_of(to_client(e.client)));
    (void)co_await e.server.reader.fill();
    client.cancel();
    const std::exception_ptr& cut = co_await client;
    HOLDS(h::is_cancellation(cut));
    HOLDS(e.client.writer.is_closing());
    const auto gone = co_await error_of(e.server.reader.read(-1));
    HOLDS(is_broken(gone)) << text_of(gone);

    ends f = co_await plain_ends();
    auto reading = h::create_task(error_of(f.client.reader.read(1)));
    co_await until_waiting(reading);
    const auto busy = co_await error_of(to_client(f.client));
    EQUAL(name_of(busy), "Usage");
    f.server.writer.write("y");  // it is a plain connection still
    const std::exception_ptr& none = co_await reading;
    HOLDS(!none);
    auto to_tls = both_to_tls(f);
    co_await std::move(to_tls);
    const auto twice = co_await error_of(to_client(f.client));
    EQUAL(name_of(twice), "Usage");
    f.client.writer.close();
    const auto closed = co_await error_of(to_client(f.client));
    EQUAL(name_of(closed), "Usage");
  });
  HOLDS(are_closed(before));
}

h::task<> back(h::connection& c) { co_await c.writer.unwrap(); }

TEST_P(IO_TLS_UPGRADE, IO_TLS_25_UnwrappedItIsAPlainConnectionAgain) {
  run([]() -> h::task<> {
    for (const auto& [pending, again] :
         {std::pair(false, false), std::pair(true, false), std::pair(true, true)}) {
      ends e = co_await connect_tls_ends();
      e.client.writer.write("sealed\n");
      auto client = h::create_task(back(e.client));
      const std::string sealed = co_await e.server.reader.read_line();
      EQUAL(sealed, "sealed\n");
      if (pending) {  // the peer's end is read before we end
        const std::string end = co_await e.server.reader.read(1);
        EQUAL(end, "");
      }
      auto server = back(e.server);
      co_await std::move(server);
      co_await client;
      HOLDS(!e.client.writer.tls());
      e.client.writer.write("plain\n");
      const std::string plain = co_await e.server.reader.read_line();
      EQUAL(plain, "plain\n");
      if (again) {
        auto to_tls = both_to_tls(e);
        co_await std::move(to_tls);
        EQUAL(e.client.writer.tls().version, "TLSv1.3");
        e.client.writer.write("sealed again\n");
        const std::string anew = co_await e.server.reader.read_line();
        EQUAL(anew, "sealed again\n");
        auto other = h::create_task(back(e.client));
        auto ours = back(e.server);
        co_await std::move(ours);
        co_await other;
        HOLDS(!e.server.writer.tls());
      }
      e.server.writer.write("plain, too");
      e.server.writer.close();
      const std::string rest = co_await e.client.reader.read(-1);
      EQUAL(rest, "plain, too");
      e.client.writer.close();
    }
    ends p = co_await plain_ends();
    const auto none = co_await error_of(back(p.client));
    EQUAL(name_of(none), "Usage");
  });
}

// The end of our TLS stands behind bytes that a slow peer does not take: unwrap waits for that.
TEST_P(IO_TLS_UPGRADE, IO_TLS_25_UnwrapWaitsForWhatWasWrittenBefore) {
  run([]() -> h::task<> {
    ends e = co_await connect_tls_ends();
    const std::size_t much = co_await fill_up(e.client.writer);
    auto client = h::create_task(back(e.client));
    auto server = h::create_task([](h::connection& c, std::size_t n) -> h::task<> {
      const std::string all = co_await c.reader.read_exactly(static_cast<std::ptrdiff_t>(n));
      HOLDS(all == std::string(n, 'f'));
      co_await c.writer.unwrap();
    }(e.server, much));
    co_await client;
    co_await server;
    e.client.writer.write("plain\n");
    const std::string plain = co_await e.server.reader.read_line();
    EQUAL(plain, "plain\n");
    ends f = co_await connect_tls_ends();
    auto cut = h::create_task(error_of(back(f.client)));
    co_await until_waiting(cut);
    f.server.writer.abort();
    const std::exception_ptr& error = co_await cut;
    HOLDS(is_broken(error)) << text_of(error);
  });
}

}  // namespace
