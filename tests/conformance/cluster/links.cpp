// SPDX-License-Identifier: MIT
// CLU-CON: URLs, and connections that fail.
#include "cluster_cases.h"
#include "raw_nats.h"

#include <heddle/io/cluster/nats_credentials.h>
#include <heddle/io/server.h>

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace {

using namespace conformance;

CLUSTER_CASES(CLU_CON);

std::size_t sockets() {
  std::size_t n = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const auto target = std::filesystem::read_symlink(entry.path(), gone).string();
    n += target.starts_with("socket:");
  }
  return n;
}

TEST_P(CLU_CON, CLU_CON_01_WithoutAClusterNoSocketIsOpened) {
  ::unsetenv("HEDDLE_CLUSTER");
  run([]() -> h::task<> {
    HOLDS(cl::client::current().local());
    const auto before = sockets();
    const auto value = co_await h::to_cluster(jobs::twice, 4);
    EQUAL(value, 8);
    EQUAL(sockets(), before);
    EQUAL(cl::client::current().stats().connects, 0u);
  });
}

std::string refused(const std::string& url) {
  try {
    (void)cl::options::from_url(url);
  } catch (const h::bad_value& e) { return e.what(); }
  return {};
}

TEST_P(CLU_CON, CLU_CON_02_UrlsAndWhatIsWrongWithThem) {
  const auto o = cl::options::from_url(
      "nats://us%40er:p%3Aw@a.example:4222,[::1]:5,b/shop?replicas=3&ack_wait=500ms&max_jobs=7");
  EQUAL(o.user, "us@er");
  EQUAL(o.password, "p:w");
  EQUAL(o.servers.size(), 3u);
  EQUAL(o.servers[0].host, "a.example");
  EQUAL(o.servers[1].host, "::1");
  EQUAL(o.servers[1].port, 5);
  EQUAL(o.servers[2].host, "b");
  EQUAL(o.servers[2].port, 4222);
  EQUAL(o.name, "shop");
  EQUAL(o.replicas, 3u);
  EQUAL(o.ack_wait.count(), 500'000'000);
  EQUAL(o.max_jobs, 7u);
  HOLDS(!o.tls);
  HOLDS(static_cast<bool>(cl::options::from_url("tls://a").tls));
  EQUAL(cl::options::from_url("nats://secret@a").token, "secret");
  HOLDS(cl::options::from_url("local:").servers.empty());
  HOLDS(cl::options::from_url("").servers.empty());
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"http://a", "scheme"},
      {"nats://", "host"},
      {"nats://u:geheim@a,,b", "host is empty"},
      {"nats://u:geheim@a:0", "port"},
      {"nats://u:geheim@a:70000", "port"},
      {"nats://u:geheim@a:x", "port"},
      {"nats://u:geheim%4@a", "password"},
      {"nats://u:geheim@a/x?colour=1", "colour"},
      {"nats://u:geheim@a/x?replicas=many", "replicas"},
      {"nats://u:geheim@a/x?replicas=9", "replicas"},
      {"nats://u:geheim@a/x?ack_wait=5", "ack_wait"},
      {"nats://u:geheim@a/a.b", "name"}};
  for (const auto& [url, word] : bad) {
    const auto text = refused(url);
    HOLDS(text.find(word) != std::string::npos);
    HOLDS(text.find("geheim") == std::string::npos);
  }
}

/// What a false server has received; it runs on any loop.
class heard {
 public:
  void add(const std::string& more) {
    const std::lock_guard hold(lock_);
    text_ += more;
  }
  [[nodiscard]] bool has(std::string_view word) const {
    const std::lock_guard hold(lock_);
    return text_.find(word) != std::string::npos;
  }

 private:
  mutable std::mutex lock_;
  std::string text_;
};

/// A server that says what a case wants.
h::task<h::server> false_server(std::string info, std::string after_connect,
                                std::shared_ptr<heard> got) {
  auto handler = [=](h::connection c) -> h::task<> {
    c.writer.write("INFO " + info + "\r\n");
    const auto hello = co_await c.reader.read_line();
    got->add(hello);
    c.writer.write(after_connect);
    for (;;) {
      const auto line = co_await c.reader.read_line();
      if (line.empty()) break;
      got->add(line);
      if (line.starts_with("PING") && after_connect.empty()) c.writer.write("PONG\r\n");
    }
  };
  co_return co_await h::start_server(std::move(handler), "127.0.0.1", 0);
}

TEST_P(CLU_CON, CLU_CON_03_TheNextServerIsUsed) {
  auto o = fresh_cluster();
  const auto good = o.servers.front();
  o.servers = {{"127.0.0.1", free_port()}, good};
  served(o, [](cl::client c) -> h::task<> {
    const auto value = co_await h::to_cluster(jobs::twice, 4);
    EQUAL(value, 8);
    EQUAL(c.stats().connects, 1u);
  });
}

TEST_P(CLU_CON, CLU_CON_03_ServersThatInfoNamesAreTriedToo) {
  run([]() -> h::task<> {
    auto o = fresh_cluster();
    const auto good = o.servers.front();
    auto got = std::make_shared<heard>();
    const auto url = "\"127.0.0.1:" + std::to_string(good.port) + "\"";
    // It names a server and turns everybody away, as one that is about to end.
    auto server = co_await false_server(
        "{\"version\":\"2.9.10\",\"jetstream\":true,\"connect_urls\":[\"127.0.0.1\",\"[::1]:x\"," +
            url + "]}",
        "PONG\r\n-ERR 'Server Shutdown'\r\n", got);
    o.servers = {{"127.0.0.1", server.port()}};
    {
      cl::client c(o);
      cl::use(c);
      here_worker w(c);
      const auto value = co_await h::to_cluster(jobs::twice, 4);
      EQUAL(value, 8);
      HOLDS(got->has("CONNECT"));
      (void)co_await w.stop();
    }
    cl::use(cl::client(cl::options()));
    server.close();
    server.abort_clients();
    co_await server.wait_closed();
  });
}

TEST_P(CLU_CON, CLU_CON_04_CallsOutliveARestartOfTheServer) {
  auto o = fresh_cluster();
  o.ack_wait = 1s;
  cluster(o, [](cl::client c) -> h::task<> {
    std::vector<h::task_handle<int>> calls;
    for (int i = 0; i < 100; ++i) calls.push_back(h::create_task(h::to_cluster(jobs::twice, i)));
    here_worker w(c);
    (void)co_await calls.front();
    nats_server::common().kill();
    for (int i = 100; i < 200; ++i) calls.push_back(h::create_task(h::to_cluster(jobs::twice, i)));
    nats_server::common().start();
    int wrong = 0;
    for (int i = 0; i < 200; ++i) {
      const int got = co_await calls[static_cast<std::size_t>(i)];
      wrong += got != 2 * i;
    }
    EQUAL(wrong, 0);
    HOLDS(c.stats().connects >= 2);
    EQUAL(c.stats().values, 200u);
    (void)co_await w.stop();
  });
}

TEST_P(CLU_CON, CLU_CON_05_PingsAreAnsweredAndASilentServerIsLeft) {
  auto o = fresh_cluster();
  o.ping_interval = 200ms;
  o.ping_limit = 300ms;
  served(o, [](cl::client c) -> h::task<> {
    const auto first = co_await h::to_cluster(jobs::twice, 4);
    EQUAL(first, 8);
    co_await h::sleep(600ms);
    const auto idle = c.stats().connects;
    nats_server::common().pause();
    co_await h::sleep(1s);
    nats_server::common().go_on();
    const auto again = co_await eventually([&] { return c.stats().connects > idle; });
    HOLDS(again);
    const auto second = co_await h::to_cluster(jobs::twice, 5);
    EQUAL(second, 10);
  });
  run([]() -> h::task<> {
    auto got = std::make_shared<heard>();
    auto server = co_await false_server("{\"version\":\"2.9.10\"}", "PING\r\n", got);
    cl::options fake;
    fake.servers = {{"127.0.0.1", server.port()}};
    {
      cl::client c(fake);
      const auto answered = co_await eventually([&] { return got->has("PONG"); });
      HOLDS(answered);
    }
    server.close();
    co_await server.wait_closed();
  });
}

h::task<> refused_by(std::string info, std::string after, cl::options o, std::string word,
                     bool unfit) {
  auto got = std::make_shared<heard>();
  auto server = co_await false_server(info, after, got);
  o.servers = {{"127.0.0.1", server.port()}};
  {
    cl::client c(o);
    cl::use(c);
    std::string text;
    bool right = false;
    try {
      (void)co_await h::to_cluster(jobs::twice, 1);
    } catch (const cl::engine_unfit& e) {
      right = unfit;
      text = e.what();
    } catch (const cl::unavailable& e) {
      right = !unfit && !e.maybe_accepted();
      text = e.what();
    }
    HOLDS(right);
    HOLDS(text.find(word) != std::string::npos);
    HOLDS(text.find("geheim") == std::string::npos);
    HOLDS(!got->has("HPUB"));
  }
  cl::use(cl::client(cl::options()));  // the task has kept the other one
  server.close();
  server.abort_clients();
  co_await server.wait_closed();
}

TEST_P(CLU_CON, CLU_CON_06_AServerThatIsNotFitIsRefused) {
  run([]() -> h::task<> {
    cl::options o;
    auto a = refused_by("{\"version\":\"2.9.10\"}", "", o, "-js", true);
    co_await std::move(a);
    auto b = refused_by("{\"version\":\"2.9.9\",\"jetstream\":true}", "", o, "2.9.10", true);
    co_await std::move(b);
    o.replicas = 3;
    auto d = refused_by("{\"version\":\"2.10.28\",\"jetstream\":true}", "", o, "2.10.29", true);
    co_await std::move(d);
  });
}

TEST_P(CLU_CON, CLU_CON_07_ARefusedLoginIsToldAtOnce) {
  run([]() -> h::task<> {
    cl::options o;
    o.user = "me";
    o.password = "geheim";
    auto a = refused_by("{\"version\":\"2.9.10\",\"jetstream\":true}",
                        "-ERR 'Authorization Violation'\r\n", o, "Authorization Violation", false);
    co_await std::move(a);
    cl::options nkey;
    nkey.credentials = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y";
    const auto login = cl::detail::login_of(nkey, "nonce");
    EQUAL(login.nkey, "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK");
    EQUAL(login.signature,
          "-HTq4d6DDHVNb8MsTRAZtSIa0vXA_yuZblwTA7JT5wYzmKBxJ2wpYfjHh7hcptZlidbVw_6ZLyubjm_yDk-OCQ");
    nkey.credentials[20] = 'A';
    THROWS(h::bad_value, cl::detail::login_of(nkey, "nonce"));
  });
}

}  // namespace
