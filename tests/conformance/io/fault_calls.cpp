// SPDX-License-Identifier: MIT
// Calls that fail for a moment, that do less than was asked, and that signals interrupt.
#include "fault_cases.h"

#include <heddle/io/datagram.h>
#include <heddle/io/file.h>
#include <heddle/io/pipe.h>
#include <heddle/io/reactor/uring.h>
#include <heddle/io/sock.h>
#include <heddle/io/tls.h>

#include <filesystem>

namespace {

using namespace conformance;

class IO_FAULT_CALLS : public reactor_cases {
 protected:
  void TearDown() override {
    h::detail::plant_fault_no_receive_cap(false);
    reactor_cases::TearDown();
  }
};
HEDDLE_AT_LOOPS(IO_FAULT_CALLS);

bool on_ring() { return h::current_runtime().reactor() == "io_uring"; }

/// The two ends of a plain Unix connection.
ends unix_ends(h::connection near, h::connection far) { return {std::move(near), std::move(far)}; }
h::task<ends> connect_by_unix(h::connection_options options = {}) {
  int both[2] = {-1, -1};
  EQUAL(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both), 0);
  auto near_end = h::adopt_connection(both[0], options);
  h::connection near = co_await near_end;
  auto far_end = h::adopt_connection(both[1], options);
  h::connection far = co_await far_end;
  ends e = unix_ends(std::move(near), std::move(far));
  co_return e;
}

// --- 05 ---

/// A send without memory is told to the writer, and ends the connection: on both sides.
h::task<> tells_of(int code) {
  auto e = co_await connect_by_unix();
  e.client.writer.write("before");
  EQUAL(co_await e.server.reader.read_exactly(6), "before");
  const auto where = on_ring() ? call::ring_send : call::send;
  const injected once({.where = where, .code = code});
  e.client.writer.write("refused");
  EQUAL(co_await code_of_end(e.client.writer), code);
  EQUAL(once.met(), 1);
  EQUAL(co_await code_of_drain(e.client.writer), code);
  co_await until([&] { return e.client.writer.buffered() == 0; });
  HOLDS(e.client.writer.is_closing());
  e.client.writer.close();
  auto rest = swallow(e.server.reader);
  const auto error = co_await error_of(std::move(rest));
  HOLDS(!error || is_broken(error));
}

TEST_P(IO_FAULT_CALLS, IO_FAULT_05_ASendWithoutMemoryIsToldAndNothingHangs) {
  run([]() -> h::task<> {
    for (const int code : {ENOBUFS, ENOMEM}) {
      auto once = tells_of(code);
      co_await once;
    }
  });
}

h::task<> tells_a_reader_of(int code) {
  auto e = co_await connect_by_unix();
  const auto where = on_ring() ? call::ring_receive : call::recv;
  auto reading = h::create_task(code_of_read(e.client.reader));
  co_await until_waiting(reading);
  const injected once({.where = where, .code = code});
  e.server.writer.write("lost");
  EQUAL(co_await reading, code);
  EQUAL(once.met(), 1);
  EQUAL(co_await code_of_end(e.client.writer), code);
}

TEST_P(IO_FAULT_CALLS, IO_FAULT_05_AReceiveWithoutMemoryIsToldAndNothingHangs) {
  h::detail::plant_fault_no_receive_cap(true);  // a receive ends with each completion
  run(tells_a_reader_of, ENOMEM);
}

// --- 06 ---

/// Reads that many bytes, one at a time.
h::task<std::string> bytewise(h::stream_reader& r, std::size_t n) {
  std::string all;
  while (all.size() < n) {
    const std::string one = co_await r.read(1);
    if (one.empty()) break;
    all += one;
  }
  co_return all;
}

/// What the one side says and the other understands: each kind of read once.
h::task<> speak(h::stream_writer& w, std::string blob) {
  w.write("a line\n");
  w.write_uint(std::uint32_t{0xcafe});
  w.write("key: value;rest|");
  w.write(blob);
  co_await w.drain();
  w.write("bytewise");
  w.write("last");
  co_await w.drain();
}
h::task<> listen(h::stream_reader& r, std::string blob) {
  EQUAL(co_await r.read_line(), "a line\n");
  EQUAL(co_await r.read_uint<std::uint32_t>(), 0xcafeu);
  EQUAL(co_await r.read_until(";"), "key: value;");
  EQUAL(co_await r.peek(4), "rest");
  EQUAL(co_await r.read_until("|"), "rest|");
  const std::string got = co_await r.read_exactly(static_cast<std::ptrdiff_t>(blob.size()));
  HOLDS(got == blob);
  EQUAL(co_await bytewise(r, 8), "bytewise");
  char room[4];
  std::size_t filled = 0;
  while (filled < sizeof room) {
    const auto n = co_await r.read_into(std::span<char>(room + filled, 1));
    if (n == 0) break;
    filled += n;
  }
  EQUAL(std::string(room, filled), "last");
}

std::string blob_of(std::size_t n) {
  std::string all(n, 0);
  for (std::size_t i = 0; i < n; ++i) all[i] = static_cast<char>(i * 31 % 251);
  return all;
}

/// Both ways at once; then the ends.
h::task<> converse(ends& e, bool ends_alone) {
  const std::string blob = blob_of(20'000);
  auto up = h::create_task(speak(e.client.writer, blob));
  auto down = h::create_task(speak(e.server.writer, blob));
  auto heard = h::create_task(listen(e.client.reader, blob));
  co_await listen(e.server.reader, blob);
  co_await heard;
  co_await up;
  co_await down;
  if (ends_alone) e.client.writer.write_eof();
  if (!ends_alone) e.client.writer.close();
  EQUAL(co_await e.server.reader.read(), "");
  e.server.writer.close();
  EQUAL(co_await code_of_end(e.server.writer), 0);
}

h::connection_options tiny() {
  h::connection_options o;
  o.socket.send_buffer = 1024;
  o.socket.receive_buffer = 1024;
  o.limit = 1024;
  return o;
}

h::task<> secure_both(ends& e) {
  auto client = e.client.writer.start_tls(h::tls_context::client(trusting()), "localhost");
  auto server = h::create_task(
      e.server.writer.start_tls(h::tls_context::server(as_localhost()), std::string()));
  co_await client;
  co_await server;
}

TEST_P(IO_FAULT_CALLS, IO_FAULT_06_WithTinyBuffersAndShortSendsAllReadsAreRight) {
  run([]() -> h::task<> {
    const injected shorter({.where = call::send, .most = 7, .times = -1});
    auto connecting = connect_by_unix(tiny());
    auto e = co_await connecting;
    co_await converse(e, true);
  });
}

TEST_P(IO_FAULT_CALLS, IO_FAULT_06_WithTinyBuffersAndShortSendsTlsIsRight) {
  run([]() -> h::task<> {
    const injected shorter({.where = call::send, .most = 61, .times = -1});
    auto connecting = connect_by_unix(tiny());
    auto e = co_await connecting;
    co_await secure_both(e);
    co_await converse(e, false);
  });
}

TEST_P(IO_FAULT_CALLS, IO_FAULT_06_WithShortWritesAPipeIsRight) {
  run([]() -> h::task<> {
    const injected shorter(
        {.where = call::write, .most = 3, .times = -1, .of = support::file_class::pipes});
    auto p = h::make_pipe();
    const std::string blob = blob_of(3000);
    auto speaking = h::create_task(speak(p.writer, blob));
    co_await listen(p.reader, blob);
    co_await speaking;
    p.writer.close();
    EQUAL(co_await p.reader.read(), "");
  });
}

/// A read ends at the place of an urgent byte, and the rest stands behind it.
h::task<> urgent_byte() {
  auto e = co_await connect_raw();
  e.peer.send("before ");
  EQUAL(::send(e.peer.get(), "!", 1, MSG_OOB | MSG_NOSIGNAL), 1);
  e.peer.send("after\n");
  EQUAL(co_await e.here.reader.read_line(), "before after\n");
  auto reading = h::create_task(e.here.reader.read_line());
  co_await until_waiting(reading);
  e.peer.send("once more ");
  EQUAL(::send(e.peer.get(), "!", 1, MSG_OOB | MSG_NOSIGNAL), 1);
  e.peer.send("after\n");
  EQUAL(co_await reading, "once more after\n");
}

TEST_P(IO_FAULT_CALLS, IO_FAULT_06_AnUrgentByteShortensAReadAndStopsNoReader) { run(urgent_byte); }

// --- interrupted calls ---

h::task<> interrupted_streams() {
  const injected connect({.where = call::connect, .code = EINTR, .times = 2});
  const injected accept({.where = call::accept, .code = EINTR, .times = 2});
  const injected send({.where = call::send, .code = EINTR, .times = 3});
  const injected recv({.where = call::recv, .code = EINTR, .times = 3});
  auto s = co_await h::start_server(serve_echo, "127.0.0.1", 0);
  EQUAL(co_await ask(s.port(), "asked once"), "asked once\n");
  EQUAL(connect.met(), 2);
  EQUAL(accept.met(), 2);
  if (!on_ring()) EQUAL(send.met(), 3);
  if (!on_ring()) EQUAL(recv.met(), 3);
}

h::task<> interrupted_unix() {
  const auto path = fresh_path("interrupted");
  const injected connect({.where = call::connect, .code = EINTR, .times = 2});
  auto s = co_await h::start_unix_server(serve_echo, path);
  auto c = co_await h::open_unix_connection(path);
  EQUAL(co_await talk(c, "once"), "once\n");
  EQUAL(connect.met(), 2);
  c.writer.close();
}

h::task<> interrupted_messages() {
  const injected send({.where = call::sendmsg, .code = EINTR, .times = 2});
  const injected receive({.where = call::recvmsg, .code = EINTR, .times = 2});
  auto server = h::datagram_socket::bind(h::address::ip("127.0.0.1", 0));
  auto client = h::datagram_socket::connect(server.local_address());
  co_await client.send("once");
  EQUAL((co_await server.receive()).bytes, "once");
  EQUAL(send.met(), 2);
  EQUAL(receive.met(), 2);
}

h::task<> interrupted_files() {
  const auto path = fresh_path("interrupted-file");
  co_await h::write_file(path, "whole");
  const injected open({.where = call::open, .code = EINTR, .times = 2});
  auto f = co_await h::file::open(path);
  EQUAL(co_await f.read(), "whole");
  EQUAL(open.met(), 2);
  co_await f.close();
  std::filesystem::remove(path);
}

h::task<> interrupted_pipes() {
  using support::file_class;
  auto p = h::make_pipe();
  const injected write({.where = call::write, .code = EINTR, .times = 2, .of = file_class::pipes});
  const injected read({.where = call::read, .code = EINTR, .times = 2, .of = file_class::pipes});
  p.writer.write("once\n");
  EQUAL(co_await p.reader.read_line(), "once\n");
  EQUAL(write.met(), 2);
  EQUAL(read.met(), 2);
}

TEST_P(IO_FAULT_CALLS, IO_FAULT_07_AnInterruptedCallIsMadeAgainAndDoneOnce) {
  run([]() -> h::task<> {
    co_await interrupted_streams();
    co_await interrupted_unix();
    co_await interrupted_messages();
    co_await interrupted_files();
    co_await interrupted_pipes();
  });
  EQUAL(report_count(), 0u);
}

}  // namespace
