// SPDX-License-Identifier: MIT
// TLS: sessions that are resumed, and those that are not.
#include "tls_support.h"

namespace {

using namespace conformance;

REACTOR_CASES(IO_TLS_RESUME);

/// One connection that exchanges a line. True: it resumed a session.
h::task<bool> resumes(std::uint16_t port, h::connection_options o) {
  auto c = co_await h::open_connection(here, port, o);
  c.writer.write("x\n");
  (void)co_await c.reader.read_line();
  const bool resumed = c.writer.tls().resumed;
  c.writer.close();
  co_return resumed;
}

TEST_P(IO_TLS_RESUME, IO_TLS_43_AllLoopsResumeWithOneTicket) {
  run([]() -> h::task<> {
    for (const auto version : {h::tls_version::v1_2, h::tls_version::v1_3}) {
      h::tls_server_options so = as_localhost();
      so.max_version = version;
      const auto context = h::tls_context::server(so);
      auto s = co_await h::start_server(echo, here, 0, with_tls(context));
      const auto o = by_tls();
      std::size_t resumed = 0;
      const std::size_t n = sized(30, 100);
      for (std::size_t i = 0; i < n; ++i) {
        const bool yes = co_await resumes(s.port(), o);
        resumed += yes;
      }
      EQUAL(resumed, n - 1);
      EQUAL(o.tls.counts().resumed, n - 1);
      s.close();
      co_await s.wait_closed();
      EQUAL(context.counts().handshakes, n);
      EQUAL(context.counts().resumed, n - 1);
    }
  });
  EQUAL(report_count(), 0u);
}

TEST_P(IO_TLS_RESUME, IO_TLS_44_ASessionIsGoodForItsHostAndContextAlone) {
  run([]() -> h::task<> {
    const support::authority ca;
    support::wish w;
    w.names = words("one.test", "two.test");
    const auto shown = ca.issue(w);
    h::tls_options trust;
    trust.ca = ca.certificate();
    const auto client = h::tls_context::client(trust);
    auto context = h::tls_context::server(shown.certificate, shown.key);
    auto s = co_await h::start_server(echo, here, 0, with_tls(context));
    auto t = co_await h::start_server(echo, here, 0, with_tls(context));
    const auto as_one = by_tls(client, "one.test");
    HOLDS(!co_await resumes(s.port(), as_one));
    HOLDS(co_await resumes(s.port(), as_one));
    HOLDS(!co_await resumes(s.port(), by_tls(client, "two.test")));
    HOLDS(!co_await resumes(t.port(), as_one));  // another port
    const auto other = h::tls_context::client(trust);
    HOLDS(!co_await resumes(s.port(), by_tls(other, "one.test")));  // another context
    trust.alpn = words("h2");
    HOLDS(!co_await resumes(s.port(), by_tls(h::tls_context::client(trust), "one.test")));
    context.reload();  // the same certificate
    HOLDS(co_await resumes(s.port(), as_one));
    const auto fresh = ca.issue(w);
    context.reload(fresh.certificate, fresh.key);
    HOLDS(!co_await resumes(s.port(), as_one));
    HOLDS(co_await resumes(s.port(), as_one));
    THROWS(h::bad_value, context.reload(fresh.certificate, shown.key));
    HOLDS(co_await resumes(s.port(), as_one));  // a reload that failed changed nothing
    h::tls_options never = trust;               // keeps no sessions
    never.alpn.clear();
    never.sessions = 0;
    const auto forgetful = by_tls(h::tls_context::client(never), "one.test");
    HOLDS(!co_await resumes(s.port(), forgetful));
    HOLDS(!co_await resumes(s.port(), forgetful));
  });
}

TEST_P(IO_TLS_RESUME, IO_TLS_44_ASessionOfTls13IsUsedOnce) {
  run([]() -> h::task<> {
    auto s = co_await h::start_server(echo, here, 0, with_tls());
    const auto o = by_tls();
    HOLDS(!co_await resumes(s.port(), o));
    // Neither reads what the server would give it, so there is one session for both.
    auto first = co_await h::open_connection(here, s.port(), o);
    auto second = co_await h::open_connection(here, s.port(), o);
    HOLDS(first.writer.tls().resumed);
    HOLDS(!second.writer.tls().resumed);
    first.writer.close();
    second.writer.close();
  });
}

TEST_P(IO_TLS_RESUME, IO_TLS_43_AnOldTicketIsWorthNothing) {
  run([]() -> h::task<> {
    h::tls_server_options so = as_localhost();
    so.ticket_key_life = 1us;
    auto s = co_await h::start_server(echo, here, 0, with_tls(h::tls_context::server(so)));
    const auto o = by_tls();
    HOLDS(!co_await resumes(s.port(), o));
    co_await h::sleep(1ms);
    HOLDS(!co_await resumes(s.port(), o));
    so.ticket_key_life = 0us;
    THROWS(h::bad_value, h::tls_context::server(so));
    so.ticket_key_life = 1h;
    so.ticket_keys = "too short";
    THROWS(h::bad_value, h::tls_context::server(so));
  });
}

h::task<> echo_by_tls(h::connection c, h::tls_context context) {
  co_await c.writer.start_tls(context);
  auto work = echo(std::move(c.reader), std::move(c.writer));
  co_await std::move(work);
}

h::task<bool> resumes_after_upgrade(std::uint16_t port, h::tls_context context) {
  auto c = co_await h::open_connection(here, port);
  co_await c.writer.start_tls(context, "localhost");
  c.writer.write("x\n");
  (void)co_await c.reader.read_line();
  co_return c.writer.tls().resumed;
}

TEST_P(IO_TLS_RESUME, IO_TLS_43_ContextsWithTheSameKeysResumeEachOthersSessions) {
  run([]() -> h::task<> {
    h::tls_server_options so = as_localhost();
    auto turn = std::make_shared<std::atomic<std::size_t>>(0);
    std::vector<h::tls_context> contexts;
    for (const char key : {'k', 'k', 'l'}) {
      so.ticket_keys = std::string(80, key);
      contexts.push_back(h::tls_context::server(so));
    }
    auto handler = [contexts, turn](h::connection c) -> h::task<> {
      return echo_by_tls(std::move(c), contexts.at((*turn)++));
    };
    auto s = co_await h::start_server(handler, here, 0);
    const auto client = h::tls_context::client(trusting());
    HOLDS(!co_await resumes_after_upgrade(s.port(), client));
    HOLDS(co_await resumes_after_upgrade(s.port(), client));
    HOLDS(!co_await resumes_after_upgrade(s.port(), client));
  });
}

TEST_P(IO_TLS_RESUME, IO_TLS_44_AServerIsReloadedUnderLoad) {
  run([]() -> h::task<> {
    auto context = h::tls_context::server(as_localhost());
    auto s = co_await h::start_server(echo, here, 0, with_tls(context));
    const auto o = by_tls();
    std::atomic<bool> over{false};
    auto reloading = h::create_task([](h::tls_context c, std::atomic<bool>& end) -> h::task<> {
      while (!end) {
        c.reload();
        co_await h::sleep(1ms);
      }
    }(context, over));
    for (int i = 0; i < 20; ++i) {
      auto work = resumes(s.port(), o);
      (void)co_await std::move(work);
    }
    over = true;
    co_await reloading;
    EQUAL(context.counts().handshakes, 20u);
    EQUAL(context.counts().failed, 0u);
  });
}

}  // namespace
