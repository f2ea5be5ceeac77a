// SPDX-License-Identifier: MIT
// Files as answers of http::server, and routes that are refused.
#include "http/site.h"

#include <filesystem>
#include <fstream>
#include <string>

namespace {

using namespace http_test;
namespace fs = std::filesystem;

class HttpServerFiles : public on_each_reactor {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "heddle_served_XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    top = name;
    fs::create_directories(top / "root/sub");
    std::ofstream(top / "secret.txt") << "secret";
    std::ofstream(top / "root/a.txt") << "0123456789";
    std::ofstream(top / "root/sub/index.html") << "<p>index";
    for (int i = 0; i < 300'000; ++i) large += static_cast<char>('a' + i % 23);
    for (int i = 0; i < 2; ++i) large += large;
    std::ofstream(top / "root/large.bin") << large;
  }
  void TearDown() override { fs::remove_all(top); }

  fs::path top;
  std::string large;
};
INSTANTIATE_TEST_SUITE_P(, HttpServerFiles, testing::ValuesIn(all_setups()), name_of);

TEST_P(HttpServerFiles, AreSentWholeInPartsOrNotAtAll) {
  run([this]() -> h::task<> {
    site s;
    s.server.files("/files/", (top / "root").string());
    co_await s.start();
    const std::string all = co_await talk(
        s, get("/files/a.txt") + get("/files/a.txt", "Range: bytes=2-4\r\n") +
               get("/files/a.txt", "Range: bytes=99-\r\n") + get("/files/sub/") +
               get("/files/none") + get("/files/../secret.txt") + get("/files/%2e%2e/secret.txt") +
               get("/files/..%2fsecret.txt") + get("/files//etc/passwd") +
               "HEAD /files/a.txt HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    const auto head = all.rfind("HTTP/1.1 200 OK");
    const std::string none = " 404:404 Not Found\n";
    EXPECT_EQ(bodies(all.substr(0, head)),
              "0123456789 206:234 416: <p>index" + none + none + none + none + none);
    EXPECT_EQ(bodies(all.substr(head), http::method::head), "");
    EXPECT_NE(all.find("\r\nContent-Range: bytes 2-4/10\r\n"), std::string::npos);
    EXPECT_NE(all.substr(head).find("\r\nContent-Length: 10\r\n"), std::string::npos);
    EXPECT_EQ(all.find("secret\n"), std::string::npos);
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

TEST_P(HttpServerFiles, AreStreamedWhenTheyAreLarge) {
  run([this]() -> h::task<> {
    site s;
    s.server.files("/files/", (top / "root").string());
    co_await s.start();
    const std::string all = co_await talk(
        s, get("/files/large.bin") + get("/files/large.bin", "Range: bytes=1-600000\r\n") +
               get("/files/a.txt", and_close));
    EXPECT_TRUE(bodies(all) == large + " 206:" + large.substr(1, 600'000) + " 0123456789");
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

TEST_P(HttpServerFiles, NeedADirectoryThatIsThere) {
  http::server s;
  EXPECT_THROW(s.files("/files/", "/nonexistent/heddle"), std::system_error);
}

TEST(HttpRoutes, BeginWithASlash) {
  http::server s;
  const auto plain = [](http::request&) { return http::response::text(""); };
  EXPECT_THROW(s.get("hello", plain), h::bad_value);
  EXPECT_THROW(s.prefix(http::method::get, "", plain), h::bad_value);
}

}  // namespace
