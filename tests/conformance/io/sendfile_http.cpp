// SPDX-License-Identifier: MIT
// Group SENDFILE: the files of an HTTP server.
#include "file_cases.h"
#include "slow_disk.h"

#include <heddle/io/http/server.h>
#include <heddle/io/http/session.h>

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

namespace {

using namespace conformance;

REACTOR_CASES(IO_SENDFILE_HTTP);

/// The kernel tells what it has in memory of that file. Otherwise the library must read.
bool kernel_tells(const std::string& path) {
  std::ifstream(path).get();
  const int f = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  char byte = 0;
  const iovec one{&byte, 1};
  const bool tells = ::preadv2(f, &one, 1, 0, RWF_NOWAIT) == 1;
  ::close(f);
  return tells;
}

TEST_P(IO_SENDFILE_HTTP, IO_SENDFILE_13_LargeFilesAndRangesOfAServerGoByTheKernel) {
  const fresh_directory top;
  const std::string all = pattern(1'500'000);
  put(top / "large", all);
  put(top / "small", "text");
  const bool tells = kernel_tells(top / "large");
  run([&]() -> h::task<> {
    h::http::server s;
    s.files("/files/", top.path());
    co_await s.start("127.0.0.1", 0);
    const std::string url = "http://127.0.0.1:" + std::to_string(s.port()) + "/files/";
    h::http::session client;
    const auto before = slow_disk::files_sent();
    auto answer = co_await client.get(url + "large");
    EQUAL(answer.status, 200);
    HOLDS(answer.body == all);
    const auto after = slow_disk::files_sent();
    EQUAL(after != before, tells);
    h::http::request_options part;
    part.headers.set("Range", "bytes=1000-1000999");
    answer = co_await client.get(url + "large", part);
    EQUAL(answer.status, 206);
    HOLDS(answer.body == all.substr(1000, 1'000'000));
    EQUAL(slow_disk::files_sent() != after, tells);
    const auto last = slow_disk::files_sent();
    answer = co_await client.head(url + "large");
    EQUAL(answer.body, "");
    answer = co_await client.get(url + "small");
    EQUAL(answer.body, "text");
    EQUAL(slow_disk::files_sent(), last);
    EQUAL(client.kept_connections(), 1u);  // one connection carried all of them
    co_await s.stop(1s);
  });
}

}  // namespace
