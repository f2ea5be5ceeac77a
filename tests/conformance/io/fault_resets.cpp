// SPDX-License-Identifier: MIT
// A peer that resets, or ends one direction, at each place of a conversation: a table of what each
// call answers, the same on both reactors.
#include "fault_cases.h"

#include <heddle/io/file.h>
#include <heddle/io/send_file.h>

#include <filesystem>

namespace {

using namespace conformance;

REACTOR_CASES(IO_FAULT_RESETS);

bool is_reset(int code) { return code == ECONNRESET || code == EPIPE; }

/// After a reset each call answers at once, and the descriptor goes.
h::task<> all_is_over(h::connection& c) {
  HOLDS(is_reset(co_await code_of_end(c.writer)));
  HOLDS(is_reset(co_await code_of_drain(c.writer)));
  c.writer.write("dropped");
  co_await until([&] { return c.writer.buffered() == 0; });  // a kernel may be sending yet
  c.writer.close();
  HOLDS(is_reset(co_await code_of_end(c.writer)));
  co_await until([&] { return c.writer.native_handle() < 0; });
}

h::task<> before_a_read() {
  auto e = co_await connect_raw();
  e.peer.reset();
  EQUAL(co_await code_of_read(e.here.reader), ECONNRESET);
  co_await all_is_over(e.here);
}

h::task<> amid_a_read() {
  auto e = co_await connect_raw();
  e.peer.send("half a li");
  auto read = [](h::stream_reader& r) -> h::task<int> {
    auto line = r.read_line();
    const auto error = co_await error_of(std::move(line));
    co_return code_of(error);
  };
  while (e.here.reader.buffered().size() < 9) (void)co_await e.here.reader.fill();
  auto reading = h::create_task(read(e.here.reader));
  co_await until_waiting(reading);
  e.peer.reset();
  EQUAL(co_await reading, ECONNRESET);
  EQUAL(e.here.reader.buffered(), "half a li");
  co_await all_is_over(e.here);
}

h::task<> while_it_waits_for_bytes() {
  auto e = co_await connect_raw();
  auto reading = h::create_task(code_of_read(e.here.reader));
  co_await until_waiting(reading);
  e.peer.reset();
  EQUAL(co_await reading, ECONNRESET);
  co_await all_is_over(e.here);
}

h::task<> amid_a_write() {
  auto e = co_await connect_raw();
  (void)co_await fill_up(e.here.writer);
  auto draining = h::create_task(code_of_drain(e.here.writer));
  co_await until_waiting(draining);
  e.peer.reset();
  HOLDS(is_reset(co_await draining));
  co_await all_is_over(e.here);
}

h::task<> while_it_closes() {
  auto e = co_await connect_raw();
  (void)co_await fill_up(e.here.writer);
  e.here.writer.close();
  auto ending = h::create_task(code_of_end(e.here.writer));
  co_await until_waiting(ending);
  e.peer.reset();
  HOLDS(is_reset(co_await ending));
  co_await until(
      [&] { return e.here.writer.native_handle() < 0 && e.here.writer.buffered() == 0; });
}

h::task<> after_all_was_closed() {
  auto e = co_await connect_raw();
  e.here.writer.write("the last");
  co_await until([&] { return e.here.writer.buffered() == 0; });
  e.here.writer.close();
  e.peer.reset();
  // The kernel had taken all that was written: nothing that the peer does is an error.
  EQUAL(co_await code_of_end(e.here.writer), 0);
}

h::task<> while_it_waits_for_the_end() {
  auto e = co_await connect_raw();
  auto ending = h::create_task(code_of_end(e.here.writer));
  co_await until_waiting(ending);
  e.peer.reset();
  EQUAL(co_await ending, ECONNRESET);
  co_await all_is_over(e.here);
}

h::task<> amid_a_file() {
  const auto path = fresh_path("reset");
  {
    auto writing = h::write_file(path, std::string(32 * 1024 * 1024, 'f'));
    co_await writing;
  }
  auto e = co_await connect_raw();
  auto f = co_await h::file::open(path);
  auto send = [](h::stream_writer& w, h::file& from) -> h::task<int> {
    auto sending = h::send_file(w, from);
    const auto error = co_await error_of(std::move(sending));
    co_return code_of(error);
  };
  auto sending = h::create_task(send(e.here.writer, f));
  // The sockets take some of it. The peer reads nothing, so the rest stays.
  co_await until([&] { return e.here.writer.buffered() > 0 && waits(sending); });
  e.peer.reset();
  HOLDS(is_reset(co_await sending));
  co_await all_is_over(e.here);
  co_await f.close();
  std::filesystem::remove(path);
}

TEST_P(IO_FAULT_RESETS, IO_FAULT_08_AResetAtEachPlaceIsToldByEachCall) {
  const auto before = open_ends();
  run([]() -> h::task<> {
    co_await before_a_read();
    co_await amid_a_read();
    co_await while_it_waits_for_bytes();
    co_await amid_a_write();
    co_await while_it_closes();
    co_await after_all_was_closed();
    co_await while_it_waits_for_the_end();
    co_await amid_a_file();
  });
  EQUAL(open_ends(), before);
  EQUAL(report_count(), 0u);
}

/// Guests that are gone before they are accepted: each handler ends, and the next guest is served.
h::task<> before_it_is_accepted() {
  std::atomic<int> served{0};
  auto handler = [&served](h::stream_reader r, h::stream_writer w) -> h::task<> {
    (void)co_await error_of(r.read());
    w.close();
    ++served;
  };
  auto starting = h::start_server(handler, "127.0.0.1", 0);
  auto s = co_await starting;
  for (int i = 0; i < 20; ++i) {
    raw_peer gone(s.addresses().front());
    HOLDS(gone.connected());
    if (i % 2 == 0) gone.send("unread");
    gone.reset();
  }
  raw_peer last(s.addresses().front());
  last.end_output();
  EQUAL(co_await all_that_came(last), "");
  HOLDS(s.is_serving());
  co_await until([&] { return served >= 1 && s.connections() == 0; });
}

TEST_P(IO_FAULT_RESETS, IO_FAULT_08_GuestsThatResetBeforeTheyAreAcceptedDisturbNobody) {
  const auto before = open_ends();
  run(before_it_is_accepted);
  EQUAL(open_ends(), before);
  EQUAL(report_count(), 0u);
}

/// A client that resets amid its handshake, after so many bytes of it.
h::task<> amid_a_handshake() {
  auto starting = h::start_server(serve_echo, "127.0.0.1", 0, with_tls());
  auto s = co_await starting;
  const std::string hello("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
  for (const std::size_t n : {std::size_t{0}, std::size_t{3}, hello.size()}) {
    raw_peer gone(s.addresses().front());
    gone.send(hello.substr(0, n));
    gone.reset();
  }
  co_await until([&] { return s.connections() == 0; });
  auto connecting = h::open_connection("localhost", s.port(), by_tls());
  auto c = co_await connecting;
  EQUAL(co_await talk(c, "served"), "served\n");
  c.writer.close();
}

TEST_P(IO_FAULT_RESETS, IO_FAULT_08_AResetAmidAHandshakeIsReportedAndTheServerGoesOn) {
  run(amid_a_handshake);
  for (const auto& r : reports()) EQUAL(r.message, "TLS handshake failed");
  HOLDS(report_count() <= 3 * reactors().size());
}

// --- half-open peers ---

h::task<> the_peer_ends_and_listens() {
  auto e = co_await connect_raw();
  e.peer.send("question");
  e.peer.end_output();
  EQUAL(co_await e.here.reader.read(), "question");
  HOLDS(e.here.reader.at_eof());
  HOLDS(!e.here.writer.is_closing());
  e.here.writer.write("answer");
  EQUAL(co_await code_of_drain(e.here.writer), 0);
  e.here.writer.close();
  EQUAL(co_await code_of_end(e.here.writer), 0);
  EQUAL(co_await all_that_came(e.peer), "answer");
}

h::task<> we_end_and_listen() {
  auto e = co_await connect_raw();
  e.here.writer.write("question");
  e.here.writer.write_eof();
  EQUAL(co_await all_that_came(e.peer), "question");
  e.peer.send("answer");
  e.peer.end_output();
  EQUAL(co_await e.here.reader.read(), "answer");
  e.here.writer.close();
  EQUAL(co_await code_of_end(e.here.writer), 0);
}

h::task<> both_end_at_once() {
  auto e = co_await connect_ends();
  e.client.writer.write("from the client");
  e.server.writer.write("from the server");
  e.client.writer.write_eof();
  e.server.writer.write_eof();
  EQUAL(co_await e.client.reader.read(), "from the server");
  EQUAL(co_await e.server.reader.read(), "from the client");
  e.client.writer.close();
  e.server.writer.close();
  EQUAL(co_await code_of_end(e.client.writer), 0);
  EQUAL(co_await code_of_end(e.server.writer), 0);
}

/// Writes until it fails: the peer's kernel answers what comes to a closed socket by a reset.
h::task<int> code_of_writing(h::stream_writer& w) {
  for (;;) {
    w.write("x");
    const int code = co_await code_of_drain(w);
    if (code != 0) co_return code;
    co_await h::sleep(1ms);
  }
}

h::task<> the_peer_is_gone() {
  auto e = co_await connect_raw();
  e.peer.close();
  EQUAL(co_await e.here.reader.read(), "");
  HOLDS(is_reset(co_await code_of_writing(e.here.writer)));
  co_await all_is_over(e.here);
}

h::task<> the_peer_resets_after_its_end() {
  auto e = co_await connect_raw();
  e.peer.end_output();
  EQUAL(co_await e.here.reader.read(), "");
  e.peer.reset();
  HOLDS(is_reset(co_await code_of_writing(e.here.writer)));
  co_await all_is_over(e.here);
}

TEST_P(IO_FAULT_RESETS, IO_FAULT_09_HalfOpenPeersGetTheRestAndGiveTheirs) {
  const auto before = open_ends();
  run([]() -> h::task<> {
    co_await the_peer_ends_and_listens();
    co_await we_end_and_listen();
    co_await both_end_at_once();
    co_await the_peer_is_gone();
    co_await the_peer_resets_after_its_end();
  });
  EQUAL(open_ends(), before);
  EQUAL(report_count(), 0u);
}

}  // namespace
