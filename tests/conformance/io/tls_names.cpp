// SPDX-License-Identifier: MIT
// TLS: which certificates and names a client believes, and which ones a server shows.
#include "tls_support.h"

namespace {

using namespace conformance;
using support::identity;
using support::wish;

REACTOR_CASES(IO_TLS_NAMES);

h::tls_context server_of(const identity& i) { return h::tls_context::server(i.certificate, i.key); }

h::tls_options trusting(const support::authority& ca) {
  h::tls_options o;
  o.handshake_limit = patience;
  o.ca = ca.certificate();
  return o;
}

wish for_name(const std::string& name) {
  wish w;
  w.common_name = name;
  w.names.push_back(name);
  return w;
}

/// The error of a client that expects `name` from a server with this certificate.
h::task<std::exception_ptr> meet(identity shown, h::tls_options trust, std::string name) {
  auto s = co_await h::start_server(echo, here, 0, with_tls(server_of(shown)));
  auto connecting = connect_error(s.port(), by_tls(h::tls_context::client(trust), name));
  std::exception_ptr error = co_await std::move(connecting);
  s.close();
  co_await s.wait_closed();
  co_return error;
}

struct distrust {
  const char* what;
  identity shown;
  const char* reason;
};

std::vector<distrust> distrusted(const support::authority& ca) {
  std::vector<distrust> all;
  const support::authority other("Unknown CA");
  all.push_back({"unknown CA", other.issue(for_name("a.test")), "unable to get local issuer"});
  all.push_back({"self-signed", support::self_signed(for_name("a.test")), "self-signed"});
  wish expired = for_name("a.test");
  expired.begins_in = -7200;
  expired.ends_in = -3600;
  all.push_back({"expired", ca.issue(expired), "has expired"});
  wish early = for_name("a.test");
  early.begins_in = 3600;
  early.ends_in = 7200;
  all.push_back({"not yet valid", ca.issue(early), "not yet valid"});
  wish purpose = for_name("a.test");
  purpose.purpose = "clientAuth";
  all.push_back({"wrong purpose", ca.issue(purpose), "purpose"});
  return all;
}

TEST_P(IO_TLS_NAMES, IO_TLS_08_ACertificateThatIsNotTrustedSaysWhy) {
  run([]() -> h::task<> {
    const support::authority ca;
    for (const auto& d : distrusted(ca)) {
      auto meeting = meet(d.shown, trusting(ca), "a.test");
      const auto error = co_await std::move(meeting);
      const auto e = as<h::certificate_error>(error);
      HOLDS(e != nullptr) << d.what << ": " << text_of(error);
      if (!e) continue;
      HOLDS(e->code() == h::tls_errc::untrusted);
      HOLDS(e->reason().find(d.reason) != std::string::npos) << d.what << ": " << e->what();
      HOLDS(e->verify_code() != 0);
      EQUAL(e->subject(), "CN=a.test");
      HOLDS(e->issuer().starts_with("CN="));
      EQUAL(e->host(), "a.test");
      HOLDS(e->peer().starts_with("127.0.0.1:"));
    }
  });
  // The peer receives the alert.
  EQUAL(report_count(), 5 * reactors().size());
  for (const auto& r : reports()) {
    const auto e = as<h::tls_error>(r.error);
    HOLDS(e && e->code() == h::tls_errc::alert && e->alert() != 0) << text_of(r.error);
  }
}

TEST_P(IO_TLS_NAMES, IO_TLS_09_AWrongNameIsAnErrorOfItsOwn) {
  std::atomic<int> handled{0};
  run([&handled]() -> h::task<> {
    const support::authority ca;
    auto handler = [&handled](h::connection) { ++handled; };
    wish w = for_name("a.test");
    w.names.emplace_back("*.b.test");
    auto s = co_await h::start_server(handler, here, 0, with_tls(server_of(ca.issue(w))));
    const auto context = h::tls_context::client(trusting(ca));
    const auto error = co_await connect_error(s.port(), by_tls(context, "c.test"));
    const auto e = as<h::certificate_name_error>(error);
    HOLDS(e != nullptr) << text_of(error);
    if (e) {
      HOLDS(e->code() == h::tls_errc::wrong_name);
      EQUAL(e->host(), "c.test");
      EQUAL(e->names().size(), 2u);
      HOLDS(std::string(e->what()).find("*.b.test") != std::string::npos) << e->what();
    }
    EQUAL(handled.load(), 0);
    for (const char* good : {"a.test", "A.Test", "a.test.", "x.b.test"}) {
      const auto none = co_await connect_error(s.port(), by_tls(context, good));
      HOLDS(!none) << good << ": " << text_of(none);
    }
    for (const char* bad : {"b.test", "x.y.b.test", "aa.test"}) {
      const auto some = co_await connect_error(s.port(), by_tls(context, bad));
      HOLDS(has_code(some, h::tls_errc::wrong_name)) << bad << ": " << text_of(some);
    }
    s.close();
    co_await s.wait_closed();
    handled = 0;
  });
}

TEST_P(IO_TLS_NAMES, IO_TLS_10_AnAddressIsCheckedAgainstAddressesAlone) {
  run([]() -> h::task<> {
    const support::authority ca;
    wish by_address;
    by_address.addresses = {"127.0.0.1"};
    wish by_name = for_name("127.0.0.1");  // a host name that looks like one
    auto asked = std::make_shared<h::promise<std::string>>();
    auto tell = [asked](h::connection c) { asked->set_value(c.writer.tls().server_name); };
    auto s = co_await h::start_server(tell, here, 0, with_tls(server_of(ca.issue(by_address))));
    const auto context = h::tls_context::client(trusting(ca));
    const auto none = co_await connect_error(s.port(), by_tls(context));
    HOLDS(!none) << text_of(none);
    const std::string& name = co_await asked->get_future();
    EQUAL(name, "");
    auto t = co_await h::start_server(echo, here, 0, with_tls(server_of(ca.issue(by_name))));
    const auto error = co_await connect_error(t.port(), by_tls(context));
    HOLDS(as<h::certificate_name_error>(error) != nullptr) << text_of(error);
  });
}

TEST_P(IO_TLS_NAMES, IO_TLS_11_ANameThatIsNotAsciiIsRefusedBeforeConnecting) {
  run([]() -> h::task<> {
    const auto context = h::tls_context::client();
    for (const char* bad : {"b\xc3\xbc"
                            "cher.test",
                            "a b.test", "a..test", ".test", "a/b"}) {
      const auto error = co_await connect_error(1, by_tls(context, bad));
      HOLDS(name_of(error) == "BadValue") << bad;
      const auto by_host = co_await connect_error(1, by_tls(context), bad);
      HOLDS(name_of(by_host) == "BadValue") << bad;
    }
  });
}

h::task<std::string> subject_at(std::uint16_t port, h::tls_context context, std::string name) {
  auto c = co_await h::open_connection(here, port, by_tls(context, name));
  co_return c.writer.tls().chain.front().subject;
}

TEST_P(IO_TLS_NAMES, IO_TLS_12_AServerChoosesItsCertificateByName) {
  run([]() -> h::task<> {
    const support::authority ca;
    const auto of = [&ca](const char* name) { return ca.issue(for_name(name)); };
    h::tls_server_options o;
    const identity main_one = of("main.test");
    o.certificate = main_one.certificate;
    o.key = main_one.key;
    o.names["One.test."] = server_of(of("one.test"));
    o.names["*.any.test"] = server_of(of("*.any.test"));
    const auto two = server_of(of("two.test"));
    o.choose = [two](std::string_view n) { return n == "two.test" ? two : h::tls_context(); };
    h::tls_options unchecked;
    unchecked.verify = h::tls_verify::insecure_none;
    const auto client = h::tls_context::client(unchecked);
    auto s = co_await h::start_server(echo, here, 0, with_tls(h::tls_context::server(o)));
    const std::pair<const char*, const char*> table[] = {{"one.test", "CN=one.test"},
                                                         {"ONE.TEST", "CN=one.test"},
                                                         {"one.test.", "CN=one.test"},
                                                         {"two.test", "CN=two.test"},
                                                         {"x.any.test", "CN=*.any.test"},
                                                         {"other.test", "CN=main.test"},
                                                         {"", "CN=main.test"}};
    for (const auto& [name, subject] : table) {
      const std::string shown = co_await subject_at(s.port(), client, name);
      HOLDS(shown == subject) << name << ": " << shown;
    }
    o.unknown_name = h::tls_unknown_name::refuse;
    auto strict = co_await h::start_server(echo, here, 0, with_tls(h::tls_context::server(o)));
    const auto error = co_await connect_error(strict.port(), by_tls(client, "other.test"));
    HOLDS(has_code(error, h::tls_errc::unknown_name)) << text_of(error);
    const std::string shown = co_await subject_at(strict.port(), client, "two.test");
    EQUAL(shown, "CN=two.test");
    strict.close();
    co_await strict.wait_closed();  // it has reported
  });
  EQUAL(report_count(), reactors().size());
  for (const auto& r : reports()) HOLDS(has_code(r.error, h::tls_errc::unknown_name));
}

TEST_P(IO_TLS_NAMES, IO_TLS_12_AnExactNameComesBeforeAnyLabelAndTheFunctionLast) {
  run([]() -> h::task<> {
    const support::authority ca;
    const auto of = [&ca](const char* name) { return server_of(ca.issue(for_name(name))); };
    h::tls_server_options o = as_localhost();
    o.names["*.test"] = of("any");
    o.names["a.test"] = of("exact");
    const auto chosen = of("chosen");
    auto asked = std::make_shared<std::atomic<int>>(0);
    o.choose = [chosen, asked](std::string_view) {
      ++*asked;
      return chosen;
    };
    h::tls_options unchecked;
    unchecked.verify = h::tls_verify::insecure_none;
    const auto client = h::tls_context::client(unchecked);
    auto s = co_await h::start_server(echo, here, 0, with_tls(h::tls_context::server(o)));
    const std::pair<const char*, const char*> table[] = {{"a.test", "CN=exact"},
                                                         {"b.test", "CN=any"},
                                                         {"a.b.test", "CN=chosen"},
                                                         {"test", "CN=chosen"}};
    for (const auto& [name, subject] : table) {
      const std::string shown = co_await subject_at(s.port(), client, name);
      HOLDS(shown == subject) << name << ": " << shown;
    }
    EQUAL(asked->load(), 2);
  });
}

TEST_P(IO_TLS_NAMES, IO_TLS_13_VerificationIsOffByAnExplicitWordAlone) {
  run([]() -> h::task<> {
    const identity own = support::self_signed(for_name("a.test"));
    auto s = co_await h::start_server(echo, here, 0, with_tls(server_of(own)));
    const auto usual = co_await connect_error(s.port(), by_tls(h::tls_context::client()));
    HOLDS(has_code(usual, h::tls_errc::untrusted)) << text_of(usual);
    h::tls_options off;
    off.verify = h::tls_verify::insecure_none;
    const auto none = co_await connect_error(s.port(), by_tls(h::tls_context::client(off)));
    HOLDS(!none) << text_of(none);
    std::exception_ptr error;
    try {
      (void)co_await h::open_unix_connection("/nowhere", by_tls(h::tls_context::client()));
    } catch (...) { error = std::current_exception(); }
    EQUAL(name_of(error), "BadValue");  // no name to check
    THROWS(h::bad_value, h::tls_context::client({.verify = h::tls_verify::pins_only}));
  });
}

}  // namespace
