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
  EQUAL(open_descriptors(), before);
  EQUAL(report_count(), 0u);
}

}  // namespace
