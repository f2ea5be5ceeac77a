// SPDX-License-Identifier: MIT
// TLS: handshakes, bytes both ways, and good and bad clients of one server.
#include "tls_support.h"

namespace {

using namespace conformance;

REACTOR_CASES(IO_TLS);

h::task<std::size_t> pour_and_read(h::connection c, std::size_t size) {
  const std::string sent(size, 'x');
  c.writer.write(sent);
  c.writer.write_eof();
  const std::string back = co_await c.reader.read(-1);
  c.writer.close();
  co_await c.writer.wait_closed();
  co_return back == sent ? back.size() : 0;
}

h::task<std::size_t> client(std::uint16_t port, h::connection_options o, std::size_t size) {
  auto c = co_await h::open_connection(here, port, o);
  auto work = pour_and_read(std::move(c), size);
  co_return co_await std::move(work);
}

TEST_P(IO_TLS, IO_TLS_01_ManyClientsAtOnceOverOneContext) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    auto s = co_await h::start_server(echo, here, 0, with_tls());
    const auto o = by_tls();
    const std::size_t size = sized(128, 1024) * 1024;
    std::vector<h::task_handle<std::size_t>> all;
    for (int i = 0; i < 25; ++i) all.push_back(h::create_task(client(s.port(), o, size)));
    std::size_t right = 0;
    for (auto& one : all) right += co_await one == size;
    EQUAL(right, 25u);
    EQUAL(o.tls.counts().handshakes, 25u);
    s.close();
    co_await s.wait_closed();
  });
  HOLDS(are_closed(before));
  EQUAL(report_count(), 0u);
}

h::task<bool> says_hello(std::uint16_t port, h::connection_options o) {
  auto c = co_await h::open_connection(here, port, o);
  c.writer.write("hello\n");
  const std::string line = co_await c.reader.read_line();
  c.writer.close();
  co_return line == "hello\n";
}

TEST_P(IO_TLS, IO_TLS_02_OnlyGoodClientsReachTheHandler) {
  std::atomic<int> called{0};
  run([&called]() -> h::task<> {
    called = 0;
    auto handler = [&called](h::stream_reader r, h::stream_writer w) -> h::task<> {
      ++called;
      auto work = echo(std::move(r), std::move(w));
      co_await std::move(work);
    };
    auto s = co_await h::start_server(handler, here, 0, with_tls());
    const auto good = by_tls();
    for (int i = 0; i < 5; ++i) {
      const bool answered = co_await says_hello(s.port(), good);
      HOLDS(answered);
      const auto error =
          co_await connect_error(s.port(), by_tls(h::tls_context::client(distrusting())));
      HOLDS(has_code(error, h::tls_errc::untrusted));
    }
    s.close();
    co_await s.wait_closed();
    EQUAL(called.load(), 5);
  });
  EQUAL(report_count(), 5 * reactors().size());
  for (const auto& r : reports()) {
    EQUAL(r.message, "TLS handshake failed");
    HOLDS(has_code(r.error, h::tls_errc::alert)) << text_of(r.error);
  }
}

/// Passes bytes on, and cuts both connections when `left` bytes have come from the server.
h::task<> pass_on(h::connection& from, h::connection& to, std::size_t left, bool reset) {
  while (left != 0 && co_await from.reader.fill()) {
    const auto bytes = from.reader.buffered().substr(0, left);
    left -= bytes.size();
    to.writer.write(bytes);
    from.reader.consume(bytes.size());
  }
  if (reset) {
    from.writer.abort();
    to.writer.abort();
  } else {
    from.writer.close();
    to.writer.close();
  }
}

h::task<> relay(h::connection client, std::uint16_t port, std::size_t most, bool reset) {
  auto server = co_await h::open_connection(here, port);
  auto up = h::create_task(pass_on(client, server, ~std::size_t{0}, reset));
  auto down = h::create_task(pass_on(server, client, most, reset));
  std::exception_ptr first;
  try {
    co_await down;
  } catch (const std::system_error&) { first = std::current_exception(); }
  try {
    co_await up;
  } catch (const std::system_error&) { first = std::current_exception(); }
}

TEST_P(IO_TLS, IO_TLS_05_APeerThatGoesAmidTheHandshakeIsAnErrorAtOnce) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    auto s = co_await h::start_server(echo, here, 0, with_tls());
    for (const bool reset : {false, true}) {
      for (const std::size_t most : {0, 1, 5, 60, 127, 133, 400, 700, 900}) {
        const auto port = s.port();
        auto pass = [port, most, reset](h::connection c) -> h::task<> {
          return relay(std::move(c), port, most, reset);
        };
        auto between = co_await h::start_server(pass, here, 0);
        auto connecting = connect_error(between.port(), by_tls());
        auto limited = h::wait_for(std::move(connecting), patience);
        const auto error = co_await std::move(limited);
        HOLDS(error != nullptr || most > 400);
        HOLDS(!error || has_code(error, h::tls_errc::truncated) || is_broken(error))
            << most << ": " << text_of(error);
        between.close();
        co_await between.wait_closed();
      }
    }
    s.close();
    co_await s.wait_closed();
  });
  HOLDS(are_closed(before));
}

TEST_P(IO_TLS, IO_TLS_06_ACancelledHandshakeClosesItsConnection) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    h::connection_options o = by_tls();
    auto arrived = std::make_shared<h::promise<void>>();
    auto mute = [arrived](h::stream_reader r, h::stream_writer) -> h::task<> {
      (void)co_await r.fill();
      if (!arrived->done()) arrived->set_value();
      (void)co_await error_of(swallow(r));  // the client resets it
    };
    auto s = co_await h::start_server(mute, here, 0);
    auto connecting = h::create_task(connect_error(s.port(), o));
    co_await arrived->get_future();
    connecting.cancel();
    std::exception_ptr& error = co_await connecting;
    HOLDS(h::is_cancellation(error));
    s.close();
    co_await s.wait_closed();
  });
  HOLDS(are_closed(before));
  EQUAL(report_count(), 0u);
}

// A client that gives up may reset these two, which is not asked about here.
h::task<> answers_in_http(h::stream_reader r, h::stream_writer w) {
  (void)co_await r.fill();
  w.write("HTTP/1.1 400 Bad Request\r\n\r\n");
  (void)co_await error_of(swallow(r));
}
h::task<> echoes(h::stream_reader r, h::stream_writer w) {
  (void)co_await error_of(echo(std::move(r), std::move(w)));
}

TEST_P(IO_TLS, IO_TLS_07_ThatThePeerSpeaksNoTlsIsSaid) {
  run([]() -> h::task<> {
    auto http = co_await h::start_server(answers_in_http, here, 0);
    auto error = co_await connect_error(http.port(), by_tls());
    HOLDS(has_code(error, h::tls_errc::not_tls)) << text_of(error);
    HOLDS(text_of(error).find("HTTP/1.1 400") != std::string::npos) << text_of(error);
    auto plain = co_await h::start_server(echoes, here, 0);
    error = co_await connect_error(plain.port(), by_tls());
    HOLDS(has_code(error, h::tls_errc::not_tls)) << text_of(error);
    auto secure = co_await h::start_server(echo, here, 0, with_tls());
    auto c = co_await h::open_connection(here, secure.port());
    c.writer.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::string answer = co_await c.reader.read(-1);
    HOLDS(answer.empty() || answer.front() == '\x15');  // an alert
    const bool goes_on = co_await says_hello(secure.port(), by_tls());
    HOLDS(goes_on);
    c.writer.close();
    secure.close();
    co_await secure.wait_closed();  // it has reported
  });
  EQUAL(report_count(), reactors().size());
  for (const auto& r : reports())
    HOLDS(has_code(r.error, h::tls_errc::not_tls)) << text_of(r.error);
}

TEST_P(IO_TLS, IO_TLS_50_AFailureOfOneConnectionIsNotToldToAnother) {
  run([]() -> h::task<> {
    auto s = co_await h::start_server(echo, here, 0, with_tls());
    const auto bad = by_tls(h::tls_context::client(distrusting()));
    const auto good = by_tls();
    std::vector<h::task_handle<std::size_t>> transfers;
    std::vector<h::task_handle<std::exception_ptr>> failures;
    for (int i = 0; i < 20; ++i) {
      transfers.push_back(h::create_task(client(s.port(), good, 50'000)));
      failures.push_back(h::create_task(connect_error(s.port(), bad)));
    }
    for (auto& one : transfers) {
      const std::size_t n = co_await one;
      EQUAL(n, 50'000u);
    }
    for (auto& one : failures) {
      const std::exception_ptr& error = co_await one;
      HOLDS(has_code(error, h::tls_errc::untrusted)) << text_of(error);
    }
  });
}

}  // namespace
