// SPDX-License-Identifier: MIT
#include "io/runtime.h"

#include <heddle/io/http/message/parser.h>
#include <heddle/io/http/server.h>
#include <heddle/io/http/session.h>
#include <heddle/sync/event.h>

#include <nlohmann/json.hpp>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace {

using namespace io_test;
namespace http = h::http;
namespace fs = std::filesystem;

std::string local(std::uint16_t port, std::string_view path) {
  return "http://127.0.0.1:" + std::to_string(port) + std::string(path);
}

/// A server that answers every request with the same bytes, and counts. Its connections may outlive
/// it.
class parrot {
 public:
  explicit parrot(std::string text, int answers_each = 1000) : learnt(new known) {
    learnt->answer = std::move(text);
    learnt->answers_each = answers_each;
  }

  h::task<> start() {
    auto take = [shared = learnt](h::connection c) { return converse(shared, std::move(c)); };
    auto starting = h::start_server(take, "127.0.0.1", 0);
    server = co_await starting;
  }
  [[nodiscard]] int connections() const { return learnt->connections; }
  [[nodiscard]] int requests() const { return learnt->requests; }

  h::server server;

 private:
  struct known {
    std::string answer;
    int answers_each = 0;
    std::atomic<int> connections{0};
    std::atomic<int> requests{0};
  };

  static h::task<> converse(std::shared_ptr<known> self, h::connection c) {
    ++self->connections;
    for (int i = 0; i < self->answers_each; ++i) {
      http::request_parser parser;
      while (!parser.done()) {
        if (c.reader.buffered().empty()) {
          const bool more = co_await c.reader.fill();
          if (!more) co_return;
        }
        c.reader.consume(parser.feed(c.reader.buffered()));
      }
      ++self->requests;
      c.writer.write(self->answer);
    }
  }

  std::shared_ptr<known> learnt;
};

class HttpSession : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, HttpSession, testing::ValuesIn(all_setups()), name_of);

TEST_P(HttpSession, GetsAndPostsOverOneKeptConnection) {
  run([]() -> h::task<> {
    http::server s;
    s.get("/hello", [](http::request& r) {
      return http::response::text("hello " + r.query("name").value_or("nobody"));
    });
    s.post("/echo", [](http::request& r) {
      auto answer = http::response::text(r.body, 201);
      answer.headers.add("X-Type", r.headers.get("content-type").value_or("none"));
      return answer;
    });
    co_await s.start("127.0.0.1", 0);
    http::session client;
    const auto got = co_await client.get(local(s.port(), "/hello?name=you%21"));
    EXPECT_EQ(got.status, 200);
    EXPECT_TRUE(got.ok());
    EXPECT_EQ(got.text(), "hello you!");
    EXPECT_EQ(got.headers.get("content-type"), "text/plain; charset=utf-8");
    http::request_options o;
    o.content_type = "text/x";
    const auto posted = co_await client.post(local(s.port(), "/echo"), "body", o);
    EXPECT_EQ(posted.status, 201);
    EXPECT_EQ(posted.text(), "body");
    EXPECT_EQ(posted.headers.get("x-type"), "text/x");
    const auto missing = co_await client.get(local(s.port(), "/none"));
    EXPECT_EQ(missing.status, 404);
    EXPECT_FALSE(missing.ok());
    const auto head = co_await client.head(local(s.port(), "/hello"));
    EXPECT_EQ(head.headers.get("content-length"), "12");
    EXPECT_EQ(head.text(), "");
    EXPECT_EQ(client.kept_connections(), 1u);
    EXPECT_EQ(s.stats().connections, 1u);
    client.close_kept();
    co_await until([&] { return s.stats().connections == 0; });
  });
}

TEST_P(HttpSession, ReadsJson) {
  run([]() -> h::task<> {
    http::server s;
    s.get("/good",
          [](http::request&) { return http::response::json(R"({"a":[1,2,{"b":null}]})"); });
    s.get("/bad", [](http::request&) { return http::response::json("{\"a\":"); });
    co_await s.start("127.0.0.1", 0);
    http::session client;
    const auto good = co_await client.get(local(s.port(), "/good"));
    EXPECT_EQ(good.json()["a"][1], 2);
    const auto bad = co_await client.get(local(s.port(), "/bad"));
    EXPECT_THROW((void)bad.json(), http::protocol_error);
  });
}

TEST_P(HttpSession, SendsItsOwnFieldsUnlessTheRequestBringsThem) {
  run([]() -> h::task<> {
    http::server s;
    s.get("/", [](http::request& r) {
      return http::response::text(std::string(r.headers.get("user-agent").value_or("")) + " " +
                                  std::string(r.headers.get("host").value_or("")));
    });
    co_await s.start("127.0.0.1", 0);
    http::session_options so;
    so.headers.add("User-Agent", "tester");
    http::session client(so);
    const auto own = co_await client.get(local(s.port(), "/"));
    EXPECT_EQ(own.text(), "tester 127.0.0.1:" + std::to_string(s.port()));
    http::request_options o;
    o.headers.add("user-agent", "other");
    o.headers.add("host", "named");
    const auto brought = co_await client.get(local(s.port(), "/"), o);
    EXPECT_EQ(brought.text(), "other named");
  });
}

TEST_P(HttpSession, RepeatsAGetWhenTheKeptConnectionTurnsOutToBeClosed) {
  run([]() -> h::task<> {
    parrot p("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 1);
    co_await p.start();
    http::session client;
    for (int i = 0; i < 5; ++i) {
      const auto answer = co_await client.get(local(p.server.port(), "/"));
      EXPECT_EQ(answer.text(), "hi");
    }
    EXPECT_EQ(p.connections(), 5);
    EXPECT_EQ(p.requests(), 5);
  });
}

TEST_P(HttpSession, NeverRepeatsAPost) {
  run([]() -> h::task<> {
    parrot p("", 1);
    co_await p.start();
    http::session client;
    const auto error = co_await error_of(client.post(local(p.server.port(), "/"), "body"));
    EXPECT_TRUE(is<http::protocol_error>(error) || code_of(error) == ECONNRESET);
    EXPECT_EQ(p.requests(), 1);
  });
}

TEST_P(HttpSession, AnErrorNamesTheProxyThatClosedTheConnection) {
  run([]() -> h::task<> {
    parrot p("", 1);
    co_await p.start();
    const std::string at = "127.0.0.1:" + std::to_string(p.server.port());
    http::session_options so;
    so.proxy = http::proxy("http://" + at);
    http::session client(so);
    std::string said;
    try {
      (void)co_await client.post("http://elsewhere.example/", "body");
    } catch (const http::http_error& e) { said = e.what(); }
    EXPECT_NE(said.find("the proxy " + at + " closed"), std::string::npos) << said;
  });
}

TEST_P(HttpSession, DoesNotKeepAConnectionThatCannotBeTrusted) {
  run([]() -> h::task<> {
    for (const char* answer : {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                               "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
                               "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n"}) {
      parrot p(answer);
      co_await p.start();
      http::session client;
      const auto got = co_await client.get(local(p.server.port(), "/"));
      EXPECT_EQ(got.status, 200);
      EXPECT_EQ(client.kept_connections(), 0u) << answer;
    }
  });
}

TEST_P(HttpSession, ReadsAnAnswerThatLastsUntilTheConnectionEnds) {
  run([]() -> h::task<> {
    parrot p("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nall of it", 1);
    co_await p.start();
    http::session client;
    const auto got = co_await client.get(local(p.server.port(), "/"));
    EXPECT_EQ(got.text(), "all of it");
    EXPECT_EQ(client.kept_connections(), 0u);
  });
}

TEST_P(HttpSession, SaysWhatIsWrongWithAnAnswer) {
  run([]() -> h::task<> {
    for (const char* answer :
         {"SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi",
          "HTTP/3.0 200 OK\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"}) {
      parrot p(answer, 1);
      co_await p.start();
      http::session client;
      const auto error = co_await error_of(client.get(local(p.server.port(), "/")));
      EXPECT_TRUE(is<http::protocol_error>(error)) << answer;
    }
  });
}

TEST_P(HttpSession, LimitsWhatAnAnswerMayCost) {
  run([]() -> h::task<> {
    parrot p("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + std::string(1000, 'x'));
    co_await p.start();
    http::session_options so;
    so.limits.body_bytes = 999;
    http::session client(so);
    const auto error = co_await error_of(client.get(local(p.server.port(), "/")));
    EXPECT_TRUE(is<http::protocol_error>(error));
  });
}

TEST_P(HttpSession, GivesUpAfterItsTimeout) {
  run([]() -> h::task<> {
    parrot p("");
    co_await p.start();
    http::session client;
    http::request_options o;
    o.timeout = 10ms;
    const auto error = co_await error_of(client.get(local(p.server.port(), "/"), o));
    EXPECT_TRUE(is<h::timeout_error>(error));
    EXPECT_EQ(client.kept_connections(), 0u);
  });
}

TEST_P(HttpSession, ClosesItsConnectionsOnPurposeAndSoDoesTheServer) {
  debug = true;  // there a writer that is dropped without close() is reported
  run([]() -> h::task<> {
    http::server s;
    s.get("/", [](http::request&) { return http::response::text("x"); });
    co_await s.start("127.0.0.1", 0);
    {
      http::session client;
      const auto kept = co_await client.get(local(s.port(), "/"));
      EXPECT_EQ(kept.text(), "x");
      http::request_options last;
      last.headers.add("Connection", "close");
      const auto closed = co_await client.get(local(s.port(), "/"), last);
      EXPECT_EQ(closed.text(), "x");
      const auto again = co_await client.get(local(s.port(), "/"));
      EXPECT_EQ(again.text(), "x");
    }
    h::connection refused = co_await h::open_connection("127.0.0.1", s.port());
    refused.writer.write("nonsense\r\n\r\n");
    const std::string answer = co_await refused.reader.read();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400"));
    refused.writer.close();
    co_await until([&] { return s.stats().connections == 0; });
  });
  for (const auto& r : reports) EXPECT_EQ(r.find("without close()"), std::string::npos) << r;
}

TEST_P(HttpSession, ClosesTheConnectionOfACancelledRequest) {
  run([]() -> h::task<> {
    http::server s;
    h::event entered, gate;
    s.get("/", [&](http::request&) -> h::task<http::response> {
      entered.set();
      co_await gate.wait();
      co_return http::response::text("");
    });
    co_await s.start("127.0.0.1", 0);
    http::session client;
    auto request = h::create_task(client.get(local(s.port(), "/")));
    co_await entered.wait();
    request.cancel();
    bool cancelled = false;
    try {
      co_await request;
    } catch (const h::cancelled_error&) { cancelled = true; }
    EXPECT_TRUE(cancelled);
    EXPECT_EQ(client.kept_connections(), 0u);
    gate.set();
    co_await until([&] { return s.stats().connections == 0; });
  });
}

TEST_P(HttpSession, RefusesUrlsItCannotUse) {
  run([]() -> h::task<> {
    http::session client;
    EXPECT_THROW((void)client.get("ftp://localhost/"), h::bad_value);
    EXPECT_THROW((void)client.get("localhost"), h::bad_value);
    EXPECT_THROW((void)client.get("http://h/a b"), h::bad_value);
    co_return;
  });
}

TEST_P(HttpSession, SaysThatNobodyListens) {
  run([]() -> h::task<> {
    std::uint16_t port = 0;
    {
      parrot p("");
      co_await p.start();
      port = p.server.port();
    }
    http::session client;
    const auto error = co_await error_of(client.get(local(port, "/")));
    EXPECT_EQ(code_of(error), ECONNREFUSED);
  });
}

/// An nginx for the test, on a port that the kernel picked, with its files in its own directory.
class nginx {
 public:
  nginx() {
    std::string name = (fs::temp_directory_path() / "heddle_nginx_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    top_ = name;
    fs::create_directories(top_ / "www");
    // nginx's workers may run as another user, and must be able to read it.
    fs::permissions(top_, fs::perms::owner_all | fs::perms::group_exec | fs::perms::others_exec);
    std::ofstream(top_ / "www/file.txt") << std::string(100'000, 'n');
    listen_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof any;
    // A socket that is bound and never listens keeps the port from others until nginx has it. nginx
    // may share the port.
    const int one = 1;
    ::setsockopt(listen_, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (::bind(listen_, reinterpret_cast<sockaddr*>(&any), size) != 0)
      throw std::runtime_error("bind");
    ::getsockname(listen_, reinterpret_cast<sockaddr*>(&any), &size);
    port_ = ntohs(any.sin_port);
    std::ofstream(top_ / "nginx.conf")
        << "daemon off; master_process off; worker_processes 1; pid " << (top_ / "pid").string()
        << "; error_log " << (top_ / "error.log").string()
        << ";\nevents { worker_connections 64; }\nhttp {\n  access_log off;\n"
        << "  client_body_temp_path " << (top_ / "body").string() << "; proxy_temp_path "
        << (top_ / "proxy").string() << ";\n  fastcgi_temp_path " << (top_ / "fastcgi").string()
        << "; uwsgi_temp_path " << (top_ / "uwsgi").string() << "; scgi_temp_path "
        << (top_ / "scgi").string() << ";\n  server {\n    listen 127.0.0.1:" << port_
        << " reuseport;\n    root " << (top_ / "www").string()
        << ";\n    location = /hello { return 200 \"hello from nginx\"; }\n"
        << "    location = /post { return 201 \"$request_method $content_length\"; }\n"
        << "    location = /chunked { return 200 \"chunks\"; chunked_transfer_encoding on; gzip "
           "on; gzip_min_length 1; "
           "gzip_types *; }\n  }\n}\n";
    const std::string conf = (top_ / "nginx.conf").string();
    const std::string log = (top_ / "error.log").string();
    process_ = ::fork();
    if (process_ == 0) {
      ::execl("/usr/sbin/nginx", "nginx", "-e", log.c_str(), "-c", conf.c_str(), nullptr);
      ::_exit(127);
    }
  }
  ~nginx() {
    if (process_ > 0) {
      ::kill(process_, SIGTERM);
      ::waitpid(process_, nullptr, 0);
    }
    ::close(listen_);
    fs::remove_all(top_);
  }
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  /// If nginx has ended by itself, which it should not: what it printed.
  std::string failure() {
    int status = 0;
    if (::waitpid(process_, &status, WNOHANG) == 0) return {};
    process_ = -1;
    std::ifstream log(top_ / "error.log");
    return "nginx ended: " + std::string(std::istreambuf_iterator<char>(log), {});
  }

 private:
  fs::path top_;
  int listen_ = -1;
  std::uint16_t port_ = 0;
  pid_t process_ = -1;
};

TEST_P(HttpSession, SpeaksWithNginx) {
  nginx peer;
  run([&peer]() -> h::task<> {
    http::session client;
    for (;;) {  // until it listens
      const auto error = co_await error_of(client.get(local(peer.port(), "/hello")));
      if (!error) break;
      const auto failure = peer.failure();
      if (!failure.empty()) {
        ADD_FAILURE() << failure;
        co_return;
      }
      co_await h::sleep(5ms);
    }
    const auto hello = co_await client.get(local(peer.port(), "/hello"));
    EXPECT_EQ(hello.text(), "hello from nginx");
    EXPECT_TRUE(hello.headers.contains("server"));
    const auto posted = co_await client.post(local(peer.port(), "/post"), "body");
    EXPECT_EQ(posted.status, 201);
    EXPECT_EQ(posted.text(), "POST 4");
    const auto file = co_await client.get(local(peer.port(), "/file.txt"));
    EXPECT_EQ(file.text(), std::string(100'000, 'n'));
    http::request_options part;
    part.headers.add("Range", "bytes=-3");
    const auto range = co_await client.get(local(peer.port(), "/file.txt"), part);
    EXPECT_EQ(range.status, 206);
    EXPECT_EQ(range.text(), "nnn");
    http::request_options zipped;
    zipped.headers.add("Accept-Encoding", "gzip");
    const auto chunked = co_await client.get(local(peer.port(), "/chunked"), zipped);
    EXPECT_TRUE(chunked.headers.has_token("transfer-encoding", "chunked"));
    EXPECT_TRUE(chunked.text().starts_with("\x1f\x8b"));
    const auto head = co_await client.head(local(peer.port(), "/file.txt"));
    EXPECT_EQ(head.headers.get("content-length"), "100000");
    const auto missing = co_await client.get(local(peer.port(), "/none"));
    EXPECT_EQ(missing.status, 404);
    EXPECT_EQ(client.kept_connections(), 1u);
    client.close_kept();
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

}  // namespace
