// SPDX-License-Identifier: MIT
// Memory runs out anywhere: an HTTP server and its client, in one process, with each of their
// allocations failing.
#include "memory/on_reactors.h"

#include <heddle/io/http/server.h>
#include <heddle/io/http/session.h>
#include <heddle/sched/sleep.h>

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

namespace {

using namespace std::chrono_literals;
using namespace memory;
namespace http = h::http;

class MemoryOfHttp : public on_reactors {};
INSTANTIATE_TEST_SUITE_P(, MemoryOfHttp, testing::ValuesIn(kinds()), name_of);

http::response streamed() {
  http::response r;
  r.stream.write = [](http::body_writer& out) -> h::task<> {
    for (const char* piece : {"one", "two"}) {
      h::task<> sent = out.write(piece);
      co_await sent;
      co_await h::yield_now();
    }
  };
  return r;
}

void add_routes(http::server& s) {
  s.get("/now", [](http::request&) { return http::response::text("now"); });
  s.get("/later", [](http::request&) -> h::task<http::response> {
    co_await h::yield_now();
    co_return http::response::text("later");
  });
  s.get("/streamed", [](http::request&) { return streamed(); });
  s.post("/echo", [](http::request& r) { return http::response::text(r.body); });
}

h::task<int> asks(http::session& client, std::string url, std::string body, std::string expected) {
  http::client_response answer;
  if (body.empty()) {
    auto asking = client.get(url);
    answer = co_await std::move(asking);
  } else {
    auto asking = client.post(url, body);
    answer = co_await std::move(asking);
  }
  co_return answer.status == 200 && answer.body == expected ? 1 : 0;
}

/// Starts a server, asks it once, and stops it.
h::task<int> asks_a_server(std::string path, std::string body, std::string expected) {
  http::server s;
  add_routes(s);
  auto starting = s.start("127.0.0.1", 0);
  co_await std::move(starting);
  int right = 0;
  {
    http::session client;
    const std::string url = "http://127.0.0.1:" + std::to_string(s.port()) + path;
    auto asking = asks(client, url, body, expected);
    right = co_await std::move(asking);
  }
  auto stopping = s.stop(1s);
  co_await std::move(stopping);
  co_return right;
}

TEST_P(MemoryOfHttp, IsShortForAnAnswerThatIsReady) {
  check("GET /now", [] { return asks_a_server("/now", "", "now"); }, 1);
}
TEST_P(MemoryOfHttp, IsShortForAHandlerThatWaits) {
  check("GET /later", [] { return asks_a_server("/later", "", "later"); }, 1);
}
TEST_P(MemoryOfHttp, IsShortForAnAnswerInPieces) {
  check("GET /streamed", [] { return asks_a_server("/streamed", "", "onetwo"); }, 1);
}
h::task<int> asks_for_a_file() {
  const std::string folder = testing::TempDir() + "heddle_memory_files_" + std::to_string(getpid());
  std::filesystem::create_directory(folder);
  std::ofstream(folder + "/text") << "of a file";
  http::server s;
  s.files("/files/", folder);
  auto starting = s.start("127.0.0.1", 0);
  co_await std::move(starting);
  int right = 0;
  {
    http::session client;
    const std::string url = "http://127.0.0.1:" + std::to_string(s.port()) + "/files/text";
    auto looking = client.head(url);
    const auto head = co_await std::move(looking);
    if (head.status == 200 && head.body.empty()) right += 1;
    auto asking = asks(client, url, "", "of a file");
    right += 2 * co_await std::move(asking);
    if (client.kept_connections() == 1) right += 4;
    client.close_kept();
    if (client.kept_connections() == 0) right += 8;
  }
  auto stopping = s.stop(1s);
  co_await std::move(stopping);
  co_return right;
}
TEST_P(MemoryOfHttp, IsShortForAFileAndForAKeptConnection) {
  check("GET /files/text", asks_for_a_file, 15);
}

TEST_P(MemoryOfHttp, IsShortForABodyThatIsEchoed) {
  const std::string body(5000, 'b');
  check("POST /echo", [&] { return asks_a_server("/echo", body, body); }, 1);
}

}  // namespace
