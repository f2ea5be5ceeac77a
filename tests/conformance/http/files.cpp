// SPDX-License-Identifier: MIT
// HTTP-SRV-FIL: the files below a directory: what is sent, what never is, directories, and files
// that lie packed beside the plain ones.
#include "../io/file_cases.h"
#include "fields.h"
#include "file_routes.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/files.h>
#include <heddle/io/http/server.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <thread>

namespace {

using namespace conformance;
namespace fs = std::filesystem;

CASES(HTTP_SRV_FIL);
REACTOR_CASES(HTTP_SRV_FIL_SENT);

/// Counts what comes until the end, and keeps the beginning.
struct received {
  std::string head;
  std::uint64_t bytes = 0;
  std::string ended = "in order";
};
h::task<received> receive(h::connection& c) {
  received all;
  try {
    for (;;) {
      const bool more = co_await c.reader.fill();
      if (!more) break;
      const auto piece = c.reader.buffered();
      all.bytes += piece.size();
      if (all.head.size() < 1000) all.head += piece.substr(0, 1000);
      c.reader.consume(piece.size());
    }
  } catch (const std::system_error&) { all.ended = "by a reset"; }
  co_return all;
}

/// So many descriptors are open, once late closes have been made.
bool has_at_most(std::size_t n) {
  for (int i = 0; open_descriptors() > n && i < 10'000; ++i) std::this_thread::sleep_for(1ms);
  return open_descriptors() <= n;
}

TEST_P(HTTP_SRV_FIL_SENT, HTTP_SRV_FIL_01_ALargeFileIsSentWholeAndHeldNowhere) {
  const fresh_directory top;
  put(top / "large.bin", "");
  const std::uint64_t size = std::uint64_t{1} << 30;
  fs::resize_file(top / "large.bin", size);  // a hole: it takes no space
  run([&]() -> h::task<> {
    http::server_options limits;
    limits.max_held_bytes = 1 << 20;
    http::server s(serving(top.path()), limits);
    co_await s.start("127.0.0.1", 0);
    const auto ask = [&](std::string request) -> h::task<received> {
      h::connection c = co_await h::open_connection("127.0.0.1", s.port());
      c.writer.write(request + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
      auto reading = receive(c);
      received all = co_await reading;
      co_return all;
    };
    const received head = co_await ask("HEAD /f/large.bin");
    HOLDS(head.head.find("\r\nContent-Length: 1073741824\r\n") != std::string::npos);
    HOLDS(head.head.find("\r\nETag: \"") != std::string::npos);
    HOLDS(head.head.find("\r\nLast-Modified: ") != std::string::npos);
    HOLDS(head.head.find("\r\nAccept-Ranges: bytes\r\n") != std::string::npos);
    HOLDS(head.head.find("\r\nContent-Type: application/octet-stream\r\n") != std::string::npos);
    HOLDS(head.head.ends_with("\r\n\r\n"));
    fs::resize_file(top / "large.bin", sanitized ? 8 << 20 : 64 << 20);  // enough to be seen
    const received whole = co_await ask("GET /f/large.bin");
    EQUAL(whole.ended, "in order");
    const auto end_of_head = whole.head.find("\r\n\r\n");
    EQUAL(whole.bytes, (sanitized ? 8u << 20 : 64u << 20) + end_of_head + 4);
    fs::resize_file(top / "large.bin", size);
    co_await s.stop(10s);
  });
}

TEST_P(HTTP_SRV_FIL, HTTP_SRV_FIL_01_TypesGoByTheExtension) {
  const fresh_directory top;
  put(top / "a.html", "<p>");
  put(top / "b.PNG", "x");
  put(top / "c", "x");
  run([&]() -> h::task<> {
    http::test_client c(serving(top.path()));
    const pairs wanted = {{"/f/a.html", "text/html; charset=utf-8"},
                          {"/f/b.PNG", "image/png"},
                          {"/f/c", "application/octet-stream"}};
    for (const auto& [target, type] : wanted) {
      auto asking = fetch(c, target, {});
      const http::response answer = co_await asking;
      EQUAL(answer.status, 200);
      EQUAL(field_of(answer, "content-type"), type);
    }
  });
}

TEST_P(HTTP_SRV_FIL, HTTP_SRV_FIL_01_AHandlerMayAnswerWithAFile) {
  const fresh_directory top;
  put(top / "a.txt", "0123456789");
  run([&]() -> h::task<> {
    http::router r;
    const auto root = std::make_shared<const http::file_root>(top.path());
    r.get("/one", [&](http::request& q) { return http::file_response(q, top / "a.txt"); });
    r.get("/none", [&](http::request& q) { return http::file_response(q, top / "x/a.txt"); });
    r.get("/top", [&](http::request& q) { return http::file_response(q, top.path()); });
    r.get("/by/{name}", [root](http::request& q) {
      return http::file_response(q, root, std::string(*q.path_value("name")));
    });
    http::test_client c(r);
    EQUAL(co_await got(c, "/one"), "200 0123456789");
    EQUAL(co_await got(c, "/by/a.txt"), "200 0123456789");
    EQUAL(co_await got(c, "/none"), "404 404 Not Found");
    EQUAL(co_await got(c, "/top"), "404 404 Not Found");
    EQUAL(co_await got(c, "/by/b.txt"), "404 404 Not Found");
    auto asking = fetch(c, "/one", {{"Range", "bytes=3-5"}});
    const http::response part = co_await asking;
    EQUAL(part.status, 206);
    EQUAL(part.body, "345");
    EQUAL(field_of(part, "content-type"), "text/plain; charset=utf-8");
  });
}

TEST_P(HTTP_SRV_FIL, HTTP_SRV_FIL_03_ARangeIsSentIfItIsOfTheStateThatWasMeant) {
  const fresh_directory top;
  put(top / "a.txt", "0123456789");
  run([&]() -> h::task<> {
    http::test_client c(serving(top.path()));
    auto first = fetch(c, "/f/a.txt", {});
    const http::response now = co_await first;
    const std::string tag = field_of(now, "etag");
    const std::string date = field_of(now, "last-modified");
    const std::vector<std::pair<std::string, int>> wanted = {
        {tag, 206},
        {"\"other\"", 200},
        {"W/" + tag, 200},
        {date, 206},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 200},
        {"Fri, 01 Jan 2038 00:00:00 GMT", 200},  // not this state, though later
        {"rubbish", 200}};
    for (const auto& [condition, status] : wanted) {
      auto asking = fetch(c, "/f/a.txt", {{"Range", "bytes=2-4"}, {"If-Range", condition}});
      const http::response answer = co_await asking;
      EQUAL(answer.status, status);
      EQUAL(answer.body, status == 206 ? "234" : "0123456789");
      EQUAL(field_of(answer, "content-range"), status == 206 ? "bytes 2-4/10" : "(none)");
    }
    auto without = fetch(c, "/f/a.txt", {{"Range", "bytes=-3"}});
    const http::response part = co_await without;
    EQUAL(part.body, "789");
    auto beyond = fetch(c, "/f/a.txt", {{"Range", "bytes=10-"}});
    const http::response none = co_await beyond;
    EQUAL(none.status, 416);
    EQUAL(field_of(none, "content-range"), "bytes */10");
  });
}

/// A tree with a secret beside its root, and links of all kinds.
void make_traps(const fresh_directory& top) {
  fs::create_directories(top / "root/sub");
  put(top / "secret.txt", "secret");
  put(top / "root/a.txt", "a");
  put(top / "root/sub/b.txt", "b");
  fs::create_symlink("../secret.txt", top / "root/out");
  fs::create_symlink(top / "secret.txt", top / "root/absolute");
  fs::create_directory_symlink("..", top / "root/up");
  fs::create_symlink("/etc/passwd", top / "root/passwd");
  fs::create_symlink("/proc/self/root", top / "root/magic");
  fs::create_symlink("loop", top / "root/loop");
}

TEST_P(HTTP_SRV_FIL, HTTP_SRV_FIL_04_NoByteComesFromOutside) {
  const fresh_directory top;
  make_traps(top);
  run([&]() -> h::task<> {
    http::test_client c(serving(top / "root"));
    EQUAL(co_await got(c, "/f/a.txt"), "200 a");
    for (const char* path :
         {"../secret.txt", "%2e%2e/secret.txt", "%2E%2E%2Fsecret.txt", "..%2fsecret.txt",
          "sub/../../secret.txt", "/etc/passwd", "//etc/passwd", "%2fetc/passwd", "a.txt%00.html",
          "out", "absolute", "up/secret.txt", "passwd", "magic/etc/passwd", "..\\secret.txt",
          "sub/%2e%2e/%2e%2e/secret.txt"}) {
      const std::string answer = co_await got(c, std::string("/f/") + path);
      HOLDS(answer.starts_with("404 ") || answer.starts_with("400 "));
      HOLDS(answer.find("secret\n") == std::string::npos && !answer.ends_with("secret"));
      HOLDS(answer.find("root:") == std::string::npos);
    }
  });
}

TEST_P(HTTP_SRV_FIL, HTTP_SRV_FIL_04_ARenameInTheMiddleLeadsNowhereElse) {
  const fresh_directory top;
  make_traps(top);
  fs::create_directories(top / "root/at");
  fs::create_directories(top / "apart");
  put(top / "root/at/name.txt", "inside");
  put(top / "apart/name.txt", "outside");
  fs::create_directory_symlink("../apart", top / "root/other");
  std::atomic<bool> ends = false;
  // A directory and a link that leads out change places all the time.
  std::thread renamer([&] {
    while (!ends) {
      (void)::renameat2(AT_FDCWD, (top / "root/at").c_str(), AT_FDCWD, (top / "root/other").c_str(),
                        RENAME_EXCHANGE);
      std::this_thread::yield();
    }
  });
  run([&]() -> h::task<> {
    http::test_client c(serving(top / "root"));
    for (int i = 0; i < 200; ++i) {
      const std::string answer = co_await got(c, "/f/at/name.txt");
      HOLDS(answer == "200 inside" || answer.starts_with("404 ") || answer.starts_with("503 "));
    }
  });
  ends = true;
  renamer.join();
}

TEST_P(HTTP_SRV_FIL, HTTP_SRV_FIL_05_ADirectoryIsItsIndexOrNothing) {
  const fresh_directory top;
  fs::create_directories(top / "with");
  fs::create_directories(top / "without");
  fs::create_directories(top / "other");
  put(top / "with/index.html", "<p>index");
  put(top / "other/start.htm", "<p>start");
  run([&]() -> h::task<> {
    http::test_client c(serving(top.path()));
    EQUAL(co_await got(c, "/f/with/"), "200 <p>index");
    EQUAL(co_await got(c, "/f/without/"), "404 404 Not Found");
    EQUAL(co_await got(c, "/f/other/"), "404 404 Not Found");
    auto asking = fetch(c, "/f/with?a=1&b", {});
    const http::response there = co_await asking;
    EQUAL(there.status, 301);
    EQUAL(field_of(there, "location"), "/f/with/?a=1&b");
    http::files_options how;
    how.index = {"index.html", "start.htm"};
    http::test_client two(serving(top.path(), how));
    EQUAL(co_await got(two, "/f/with/"), "200 <p>index");
    EQUAL(co_await got(two, "/f/other/"), "200 <p>start");
    how.index = {};
    http::test_client none(serving(top.path(), how));
    EQUAL(co_await got(none, "/f/with/"), "404 404 Not Found");
  });
  for (const char* name : {"", "..", "a/b", "."}) {
    http::files_options how;
    how.index = {name};
    THROWS(h::bad_value, http::file_root(top.path(), how));
  }
}

TEST_P(HTTP_SRV_FIL, HTTP_SRV_FIL_05_AListingIsSortedEscapedAndBounded) {
  const fresh_directory top;
  fs::create_directories(top / "d/sub");
  put(top / "d/b.txt", "");
  put(top / "d/a<b>&\".txt", "");
  put(top / "d/javascript:alert(1)", "");
  put(top / "d/c\xff\x01.txt", "");
  put(top / "d/.hidden", "");
  put(top / "secret", "");
  fs::create_symlink("b.txt", top / "d/link");
  fs::create_symlink("../secret", top / "d/out");
  ASSERT_EQ(::mkfifo((top / "d/pipe").c_str(), 0600), 0);
  run([&]() -> h::task<> {
    http::files_options how;
    how.listing = true;
    http::test_client c(serving(top / "d", how));
    auto asking = fetch(c, "/f/", {});
    const http::response page = co_await asking;
    EQUAL(page.status, 200);
    EQUAL(field_of(page, "content-type"), "text/html; charset=utf-8");
    std::string expected;
    for (const char* item :
         {"<a href=\"./a%3Cb%3E%26%22.txt\">a&lt;b&gt;&amp;&quot;.txt</a>",
          "<a href=\"./b.txt\">b.txt</a>", "<a href=\"./c%FF%01.txt\">c&#xFFFD;&#xFFFD;.txt</a>",
          "<a href=\"./javascript%3Aalert%281%29\">javascript:alert(1)</a>",
          "<a href=\"./link\">link</a>", "<a href=\"./sub/\">sub/</a>"})
      expected += std::string("<li>") + item + "</li>\n";
    const auto from = page.body.find("<ul>\n");
    const auto to = page.body.find("</ul>");
    HOLDS(from != std::string::npos && to != std::string::npos);
    EQUAL(page.body.substr(from + 5, to - from - 5), expected);
    const std::string below = co_await got(c, "/f/sub/");
    HOLDS(below.find("<a href=\"../\">") != std::string::npos);
    EQUAL(co_await status_with(c, "/f/sub", "X", "y"), 301);
    how.listing_limit = 2;
    http::test_client bounded(serving(top / "d", how));
    const std::string two = co_await got(bounded, "/f/");
    HOLDS(two.find("b.txt") != std::string::npos);
    HOLDS(two.find("javascript") == std::string::npos);
    HOLDS(two.find("listing_limit is 2") != std::string::npos);
  });
}

/// A socket that lies in a directory.
class socket_file {
 public:
  explicit socket_file(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::strncpy(at.sun_path, path.c_str(), sizeof at.sun_path - 1);
    (void)::bind(fd_, reinterpret_cast<const sockaddr*>(&at), sizeof at);
  }
  socket_file(const socket_file&) = delete;
  ~socket_file() { ::close(fd_); }

 private:
  int fd_;
};

TEST_P(HTTP_SRV_FIL, HTTP_SRV_FIL_06_WhatIsNoFileIsNotFoundAtOnce) {
  const fresh_directory top;
  ASSERT_EQ(::mkfifo((top / "pipe").c_str(), 0600), 0);
  const socket_file socket(top / "socket");
  (void)::mknod((top / "null").c_str(), S_IFCHR | 0666, makedev(1, 3));  // root alone may do this
  fs::create_symlink("/dev/zero", top / "zero");
  fs::create_symlink("self", top / "self");
  put(top / "unreadable", "x");
  ::chmod((top / "unreadable").c_str(), 0);
  run([&]() -> h::task<> {
    http::test_client c(serving(top.path()));
    std::vector<std::string> paths = {"pipe", "socket", "null", "zero", "self", "none"};
    paths.push_back(std::string(300, 'n'));
    paths.push_back(std::string(5000, 'n'));
    paths.emplace_back("pipe/below");
    if (::access((top / "unreadable").c_str(), R_OK) != 0) paths.emplace_back("unreadable");
    for (const auto& path : paths) EQUAL(co_await got(c, "/f/" + path), "404 404 Not Found");
  });
  EQUAL(report_count(), 0u);
}

TEST_P(HTTP_SRV_FIL_SENT, HTTP_SRV_FIL_08_AFileThatBecomesShorterBreaksItsConnection) {
  const fresh_directory top;
  put(top / "large", "");
  const auto before = open_descriptors();
  run([&]() -> h::task<> {
    fs::resize_file(top / "large", 64 << 20);
    http::server s(serving(top.path()));
    co_await s.start("127.0.0.1", 0);
    h::connection c = co_await h::open_connection("127.0.0.1", s.port());
    c.writer.write("GET /f/large HTTP/1.1\r\nHost: h\r\n\r\n");
    (void)co_await c.reader.read_until("\r\n\r\n");  // 64 MiB do not fit into the sockets
    fs::resize_file(top / "large", 1 << 20);
    auto reading = receive(c);
    const received all = co_await reading;
    HOLDS(all.bytes < 64u << 20);
    // A reader that meets the reset behind data may be told of an end alone.
    co_await until([&] { return s.stats().connections == 0; });
    c.writer.close();
    co_await s.stop(10s);
  });
  HOLDS(has_at_most(before));
}

TEST_P(HTTP_SRV_FIL_SENT, HTTP_SRV_FIL_08_AReplacedFileIsSentAsItWasOpened) {
  const fresh_directory top;
  run([&]() -> h::task<> {
    put(top / "large", std::string(24 << 20, 'o'));
    http::server s(serving(top.path()));
    co_await s.start("127.0.0.1", 0);
    h::connection c = co_await h::open_connection("127.0.0.1", s.port());
    c.writer.write("GET /f/large HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    (void)co_await c.reader.read_until("\r\n\r\n");
    put(top / "new", "n");
    fs::rename(top / "new", top / "large");
    std::uint64_t old_bytes = 0;
    for (;;) {
      const bool more = co_await c.reader.fill();
      if (!more) break;
      const auto piece = c.reader.buffered();
      old_bytes += static_cast<std::uint64_t>(std::count(piece.begin(), piece.end(), 'o'));
      c.reader.consume(piece.size());
    }
    EQUAL(old_bytes, 24u << 20);
    co_await s.stop(10s);
  });
}

TEST_P(HTTP_SRV_FIL_SENT, HTTP_SRV_FIL_08_AClientThatLeavesLeavesNothingBehind) {
  const fresh_directory top;
  put(top / "large", "");
  fs::resize_file(top / "large", 64 << 20);
  const auto before = open_descriptors();
  run([&]() -> h::task<> {
    http::server s(serving(top.path()));
    co_await s.start("127.0.0.1", 0);
    for (int i = 0; i < 4; ++i) {
      h::connection c = co_await h::open_connection("127.0.0.1", s.port());
      c.writer.write("GET /f/large HTTP/1.1\r\nHost: h\r\n\r\n");
      (void)co_await c.reader.read_exactly(1 << 20);
      c.writer.abort();
    }
    co_await until([&] { return s.stats().connections == 0; });
    co_await s.stop(10s);
  });
  HOLDS(has_at_most(before));
  EQUAL(report_count(), 0u);
}

}  // namespace
