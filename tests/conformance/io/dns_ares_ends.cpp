// SPDX-License-Identifier: MIT
// Names by c-ares: the system's files, and how look-ups end.
#include "ares_support.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace conformance;

REACTOR_CASES(IO_DNS_ARES_ENDS);

/// A directory with files as a system has them in /etc; it goes with the object.
class etc {
 public:
  etc() {
    std::string pattern = std::filesystem::temp_directory_path() / "heddle-etc-XXXXXX";
    if (!::mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp");
    path_ = pattern;
  }
  etc(const etc&) = delete;
  ~etc() { std::filesystem::remove_all(path_); }

  /// Replaces a file at once, as programs do that write resolv.conf.
  void put(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / "new") << text;
    std::filesystem::rename(path_ / "new", path_ / name);
  }
  [[nodiscard]] std::string path(const std::string& name) const { return path_ / name; }
  /// Waits for ever for the server of resolv.conf at that port.
  [[nodiscard]] h::ares_resolver_options options(std::uint16_t port) const {
    h::ares_resolver_options o;
    o.port = port;
    o.timeout = 1h;
    o.tries = 1;
    o.resolv_conf = path("resolv.conf");
    o.nsswitch_conf = path("nsswitch.conf");
    o.hosts_file = path("hosts");
    return o;
  }

 private:
  std::filesystem::path path_;
};

sent_replies say_old(const question& q) {
  if (q.is("slow.test")) return {};
  return say(reply(q).with("192.0.2.1", 3600));
}
sent_replies say_new(const question& q) { return say(reply(q).with("192.0.2.2", 3600)); }

/// Two servers at one port of two addresses.
struct two_servers {
  std::unique_ptr<name_server> one, two;
  two_servers() {
    do {
      one = std::make_unique<name_server>(say_old);
      two = std::make_unique<name_server>(say_new, "127.0.0.2", one->at().port());
    } while (!two->works());
  }
};

TEST_P(IO_DNS_ARES_ENDS, IO_DNS_19_AReplacedResolvConfIsUsedAndTheOldAnswersAreForgotten) {
  run([]() -> h::task<> {
    const etc files;
    two_servers servers;
    files.put("resolv.conf", "# at home\nnameserver 127.0.0.1\n");
    const auto names = use(files.options(servers.one->at().port()));
    std::string got = co_await first_four("x.test");
    EQUAL(got, "192.0.2.1");
    auto slow = h::create_task(first_four("slow.test"));
    co_await until([&] { return servers.one->asked("slow.test") == 1; });
    HOLDS(!slow.done());
    files.put("resolv.conf", "nameserver 127.0.0.2\n");
    // The look-up under way ends, by the new server.
    const std::string& slowly = co_await slow;
    EQUAL(slowly, "192.0.2.2");
    got = co_await first_four("x.test");
    EQUAL(got, "192.0.2.2");
    EQUAL(servers.one->asked("x.test"), 1);
    // And back, while none is under way.
    files.put("resolv.conf", "nameserver 127.0.0.1\n");
    for (int i = 0; i < 100'000 && got != "192.0.2.1"; ++i) {
      got = co_await first_four("x.test");
      co_await h::sleep(1ms);
    }
    EQUAL(got, "192.0.2.1");
    EQUAL(servers.one->asked("x.test"), 2);
  });
}

/// Asks the resolver itself: resolve() takes "127.1" for a number. getaddrinfo does that, too, and
/// a name server does not.
h::task<std::string> ask_directly(std::shared_ptr<h::ares_resolver> names, std::string host) {
  h::name_query q;
  q.host = std::move(host);
  q.family = AF_INET;
  q.port = 80;
  auto asking = names->look_up(q);
  const h::name_answer a = co_await asking;
  co_return a.addresses.front().to_string();
}

TEST_P(IO_DNS_ARES_ENDS, IO_DNS_20_WhereNsswitchWantsMoreTheSystemIsAsked) {
  run([]() -> h::task<> {
    const etc files;
    name_server s(say_new);
    files.put("resolv.conf", "nameserver 127.0.0.1\n");
    for (const char* hosts :
         {"files mdns4_minimal [NOTFOUND=return] dns", "files resolve [!UNAVAIL=return] dns",
          "files myhostname dns", "dns files", "files dns # and\nhosts: mdns", "files"}) {
      const bool plain = std::string(hosts).starts_with("files dns");
      files.put("nsswitch.conf", std::string("passwd: files\nhosts: ") + hosts + "\n");
      const auto names = use(files.options(s.at().port()));
      auto asking = ask_directly(names, "127.1");
      const std::string got = co_await asking;
      EQUAL(got, plain ? "192.0.2.2:80" : "127.0.0.1:80");
      EQUAL(s.asked(), plain ? 1 : 0);
      // A name without a dot is the system's.
      auto asking_more = ask_directly(names, "localhost");
      const std::string local = co_await asking_more;
      EQUAL(local, "127.0.0.1:80");
      EQUAL(s.asked(), plain ? 1 : 0);
      s.udp_asked = 0;
    }
    // With servers of its own a program asks these.
    const auto names = use(ask_only(s));
    auto asking = ask_directly(names, "127.1");
    const std::string got = co_await asking;
    EQUAL(got, "192.0.2.2:80");
  });
}

TEST_P(IO_DNS_ARES_ENDS, IO_DNS_20_TheHostsFileComesFirst) {
  run([]() -> h::task<> {
    const etc files;
    name_server s(say_new);
    files.put("hosts",
              "# ours\n192.0.2.7 db.test DB2.test # two names\nnonsense db.test\n"
              "192.0.2.8\tdb.test\n2001:db8::7 six.test\n");
    auto o = ask_only(s);
    o.hosts_file = files.path("hosts");
    const auto names = use(o);
    const found got = co_await h::resolve("db.TEST", 80);
    EQUAL(got.size(), 2u);
    EQUAL(got[0].to_string(), "192.0.2.7:80");
    EQUAL(got[1].to_string(), "192.0.2.8:80");
    std::string one = co_await first_four("db2.test.");
    EQUAL(one, "192.0.2.7");
    const found loop = co_await h::resolve("x.localhost", 80);
    EQUAL(loop.size(), 2u);
    EQUAL(s.asked(), 0);
    one = co_await first_four("six.test");  // the file has no IPv4 address
    EQUAL(one, "192.0.2.2");
    EQUAL(s.asked(), 1);
  });
}

TEST_P(IO_DNS_ARES_ENDS, IO_DNS_08_ACancelledLookUpEndsAtOnceAndTheQueriesOfAllAreDropped) {
  run([]() -> h::task<> {
    std::atomic<bool> answers{false};
    name_server s([&answers](const question& q) { return answers ? say_new(q) : sent_replies(); });
    auto o = ask_only(s);
    o.at_once = 10;
    const auto names = use(o);
    std::vector<h::task_handle<std::string>> all;
    for (int i = 0; i < 100; ++i)
      all.push_back(h::create_task(first_four("n" + std::to_string(i) + ".test")));
    co_await until([&] { return s.asked() == 10; });  // the others wait for them
    for (auto& t : all) t.cancel();
    for (auto& t : all) {
      const std::string how = co_await ending(t);
      EQUAL(how, "Cancelled");
    }
    // If a query of before were still under way, there would be less room for ever.
    answers = true;
    for (int i = 0; i < 3; ++i) {
      const std::string got = co_await first_four("m" + std::to_string(i) + ".test");
      EQUAL(got, "192.0.2.2");
    }
  });
}

TEST_P(IO_DNS_ARES_ENDS, IO_DNS_10_ManyNamesNeedOneThread) {
  run([]() -> h::task<> {
    name_server s(say_new);
    auto o = ask_only(s);
    o.at_once = 50;
    o.timeout = 1s;  // a datagram may be lost
    o.tries = 10;
    const auto names = use(o);
    std::vector<h::task_handle<std::string>> all;
    for (int i = 0; i < 1000; ++i)
      all.push_back(h::create_task(first_four("n" + std::to_string(i) + ".test")));
    for (auto& t : all) {
      const std::string& got = co_await t;
      EQUAL(got, "192.0.2.2");
    }
  });
}

TEST_P(IO_DNS_ARES_ENDS, IO_DNS_25_ARuntimeThatEndsCancelsItsLookUpsAndTheThreadEnds) {
  for (const auto kind : reactors()) {
    options.reactor = kind;
    const auto before = open_descriptors();
    {
      name_server s([](const question&) { return sent_replies(); });
      std::weak_ptr<h::ares_resolver> left;
      cases::run([&]() -> h::task<> {
        left = use(ask_only(s));
        for (int i = 0; i < 10; ++i)
          (void)h::create_task(first_four("n" + std::to_string(i) + ".test"));
        co_await until([&] { return s.asked() == 10; });
      });
      HOLDS(left.expired());
    }
    EQUAL(open_descriptors(), before);
  }
  EQUAL(report_count(), 0u);
}

TEST_P(IO_DNS_ARES_ENDS, IO_DNS_25_AResolverThatIsReplacedAnswersWhatItWasAsked) {
  run([]() -> h::task<> {
    std::atomic<bool> answers{false};
    name_server s([&answers](const question& q) -> sent_replies {
      if (!answers) return {};
      return say_new(q);
    });
    auto o = ask_only(s);
    o.timeout = 50ms;
    o.tries = 10;
    std::weak_ptr<h::ares_resolver> left = use(o);
    auto asking = h::create_task(first_four("x.test"));
    co_await until([&] { return s.asked() > 0; });
    h::reset_resolver();
    answers = true;
    const std::string& got = co_await asking;
    EQUAL(got, "192.0.2.2");
    co_await until([&] { return left.expired(); });
  });
}

TEST_P(IO_DNS_ARES_ENDS, IO_DNS_23_OptionsThatMakeNoSenseAreRefused) {
  HOLDS(h::ares_resolver::is_available());
  const auto make = [](auto change) {
    h::ares_resolver_options o;
    change(o);
    return h::ares_resolver::make(o);
  };
  THROWS(h::bad_value, make([](auto& o) { o.servers.push_back(h::address::unix_path("/x")); }));
  THROWS(h::bad_value, make([](auto& o) { o.timeout = 0s; }));
  THROWS(h::bad_value, make([](auto& o) { o.timeout = 2h; }));
  THROWS(h::bad_value, make([](auto& o) { o.tries = 0; }));
  THROWS(h::bad_value, make([](auto& o) { o.tries = 11; }));
  THROWS(h::bad_value, make([](auto& o) { o.at_once = 0; }));
  THROWS(h::bad_value, make([](auto& o) { o.at_once = 10'001; }));
}

}  // namespace
