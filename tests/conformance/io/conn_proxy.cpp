// SPDX-License-Identifier: MIT
// Servers behind a proxy that speaks the PROXY protocol, versions 1 and 2.
#include "tls_support.h"

#include <heddle/io/address.h>

#include <atomic>

namespace {

using namespace conformance;

REACTOR_CASES(IO_CONN_PROXY);

/// A header of version 2. `fields` stand behind the addresses, and count in the length.
std::string binary(char command, char family, const std::string& addresses,
                   const std::string& fields = {}) {
  std::string h("\r\n\r\n\0\r\nQUIT\n", 12);
  const std::size_t length = addresses.size() + fields.size();
  h += command;
  h += family;
  h += static_cast<char>(length >> 8);
  h += static_cast<char>(length & 0xff);
  return h + addresses + fields;
}
const std::string v4_ends("\xcb\x00\x71\x07\xc0\x00\x02\x01\x30\x39\x01\xbb", 12);

std::string v6_ends() {
  std::string h(36, '\0');
  h[0] = h[16] = '\x20';
  h[1] = h[17] = '\x01';
  h[15] = '\x07';
  h[31] = '\x01';
  h[33] = '\x50';
  h[35] = '\x51';
  return h;
}
std::string unix_ends() {
  std::string h(216, '\0');
  h.replace(0, 9, "/run/from");
  h.replace(108, 7, "/run/to");
  return h;
}

struct good_header {
  std::string bytes;
  std::string ends;  // what the server's writer tells; empty: its own
};

std::vector<good_header> good_headers() {
  const std::string v4 = "203.0.113.7:12345 192.0.2.1:443";
  const std::string field("\x04\x00\x03ttl", 6);
  // The checksum was computed by another program (Python, bit by bit).
  const std::string sum("\x03\x00\x04\x30\x28\xc1\x9a", 7);
  std::vector<good_header> all;
  all.push_back({"PROXY TCP4 203.0.113.7 192.0.2.1 12345 443\r\n", v4});
  all.push_back(
      {"PROXY TCP6 2001:db8::1 2001:db8::2 80 65535\r\n", "[2001:db8::1]:80 [2001:db8::2]:65535"});
  all.push_back({"PROXY UNKNOWN\r\n", ""});
  all.push_back({"PROXY UNKNOWN whatever stands here\r\n", ""});
  all.push_back({binary(0x21, 0x11, v4_ends), v4});
  all.push_back({binary(0x21, 0x11, v4_ends, field), v4});
  all.push_back({binary(0x21, 0x11, v4_ends, sum), v4});
  all.push_back({binary(0x21, 0x21, v6_ends()), "[2001::7]:80 [2001::1]:81"});
  all.push_back({binary(0x21, 0x31, unix_ends()), "/run/from"});
  all.push_back({binary(0x20, 0x00, ""), ""});
  all.push_back({binary(0x20, 0x11, "junk of a LOCAL header"), ""});
  all.push_back({binary(0x21, 0x00, ""), ""});
  return all;
}

/// Tells the addresses of its connection, then echoes.
auto telling(std::atomic<int>& called) {
  return [&called](h::stream_reader r, h::stream_writer w) -> h::task<> {
    ++called;
    w.write(w.peer_address().to_string() + " " + w.local_address().to_string() + "\n");
    auto work = echo(std::move(r), std::move(w));
    co_await work;
  };
}

h::server_options behind_a_proxy() {
  h::server_options o;
  o.proxy_header = true;
  o.proxy_header_limit = patience;
  return o;
}

h::task<> write_in_pieces(h::stream_writer& w, std::string bytes, std::size_t piece) {
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    w.write(bytes.substr(at, piece));
    co_await h::yield_now();
  }
}

/// The line that tells the ends, and that what follows the header comes through.
h::task<> check_header(std::uint16_t port, good_header head, std::size_t piece) {
  h::connection c = co_await h::open_connection(here, port);
  co_await write_in_pieces(c.writer, head.bytes + "and more\n", piece);
  const std::string told = co_await c.reader.read_line();
  std::string own = c.writer.local_address().to_string();
  if (head.ends.empty()) {
    own += " " + c.writer.peer_address().to_string() + "\n";
    EQUAL(told, own);
  } else {
    EQUAL(told.substr(0, head.ends.size()), head.ends);
  }
  const std::string more = co_await c.reader.read_line();
  EQUAL(more, "and more\n");
  c.writer.close();
}

TEST_P(IO_CONN_PROXY, IO_CONN_22_TheHandlerSeesTheAddressesOfTheHeader) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    std::atomic<int> called{0};
    auto starting = h::start_server(telling(called), here, 0, behind_a_proxy());
    h::server s = co_await std::move(starting);
    int clients = 0;
    for (const auto& head : good_headers())
      for (const std::size_t piece : {std::size_t{1000}, std::size_t{7}, std::size_t{1}}) {
        co_await check_header(s.port(), head, piece);
        ++clients;
      }
    EQUAL(called.load(), clients);
    s.close();
    co_await s.wait_closed();
  });
  HOLDS(are_closed(before));
  EQUAL(report_count(), 0u);
}

std::vector<std::string> bad_headers() {
  std::string wrong_sum("\x03\x00\x04\x30\x28\xc1\x9b", 7);
  std::vector<std::string> all;
  for (const char* line :
       {"GET / HTTP/1.1\r\n\r\n", "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY  TCP4 1.2.3.4\r\n",
        "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", "PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n", "PROXY TCP4 1.2.3.400 1.2.3.4 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n", "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP6 fe80::1%lo ::1 1 2\r\n", "PROXY TCP4 localhost 1.2.3.4 1 2\r\n"})
    all.emplace_back(line);
  all.push_back("PROXY UNKNOWN " + std::string(200, 'x') + "\r\n");
  all.push_back(binary(0x11, 0x11, v4_ends));            // version 1 in bytes
  all.push_back(binary(0x22, 0x11, v4_ends));            // no such command
  all.push_back(binary(0x21, 0x12, v4_ends));            // UDP
  all.push_back(binary(0x21, 0x41, v4_ends));            // no such family
  all.push_back(binary(0x21, 0x11, v4_ends.substr(1)));  // too short
  all.push_back(binary(0x21, 0x21, v4_ends));            // too short for IPv6
  all.push_back(binary(0x21, 0x11, v4_ends, "\x04"));    // a field that is cut off
  all.push_back(binary(0x21, 0x11, v4_ends,
                       std::string("\x04\x00\x09"
                                   "ab",
                                   5)));
  all.push_back(binary(0x21, 0x11, v4_ends, wrong_sum));
  all.push_back(binary(0x21, 0x11, v4_ends + std::string(5000, '\0')));  // proxy_header_bytes
  return all;
}

/// The server answers nothing, and ends the connection.
h::task<> check_refused(std::uint16_t port, std::string bytes) {
  h::connection c = co_await h::open_connection(here, port);
  c.writer.write(bytes);
  std::string told;
  try {
    told = co_await c.reader.read();
  } catch (const std::system_error&) {
    // reset
  }
  EQUAL(told, "");
  c.writer.abort();
}

TEST_P(IO_CONN_PROXY, IO_CONN_22_ABadHeaderEndsItsConnectionAndIsReportedOnce) {
  const auto before = open_descriptors();
  const auto bad = bad_headers();
  run([&bad]() -> h::task<> {
    std::atomic<int> called{0};
    auto starting = h::start_server(telling(called), here, 0, behind_a_proxy());
    h::server s = co_await std::move(starting);
    for (const auto& bytes : bad) co_await check_refused(s.port(), bytes);
    // A proxy asks whether the server lives, and says nothing: no report.
    {
      h::connection c = co_await h::open_connection(here, s.port());
      c.writer.close();
    }
    co_await until([&] { return s.stats().dropped == bad.size() + 1; });
    EQUAL(called.load(), 0);
    s.close();
    co_await s.wait_closed();
  });
  HOLDS(are_closed(before));
  EQUAL(report_count(), bad.size() * reactors().size());
  for (const auto& r : reports()) EQUAL(r.message, "bad PROXY header");
}

TEST_P(IO_CONN_PROXY, IO_CONN_22_AHeaderThatDoesNotComeEndsByItsLimit) {
  run([]() -> h::task<> {
    std::atomic<int> called{0};
    h::server_options o = behind_a_proxy();
    o.proxy_header_limit = 20ms;
    auto starting = h::start_server(telling(called), here, 0, o);
    h::server s = co_await std::move(starting);
    co_await check_refused(s.port(), "PROXY TCP4 1.2.3.4");
    EQUAL(called.load(), 0);
    h::server_options bad = o;
    bad.proxy_header_limit = 0s;
    auto refused = h::start_server(echo, here, 0, bad);
    const std::string how = co_await ending(std::move(refused));
    EQUAL(how, "BadValue");
    s.close();
    co_await s.wait_closed();
  });
  EQUAL(report_count(), reactors().size());
}

TEST_P(IO_CONN_PROXY, IO_CONN_22_TheHeaderStandsBeforeTls) {
  run([]() -> h::task<> {
    std::atomic<int> called{0};
    h::server_options o = behind_a_proxy();
    o.tls = h::tls_context::server(as_localhost());
    o.handshake_limit = patience;
    auto starting = h::start_server(telling(called), here, 0, o);
    h::server s = co_await std::move(starting);
    h::connection c = co_await h::open_connection(here, s.port());
    c.writer.write("PROXY TCP4 203.0.113.7 192.0.2.1 12345 443\r\n");
    auto securing = c.writer.start_tls(h::tls_context::client(trusting()), "localhost");
    co_await std::move(securing);
    const std::string told = co_await c.reader.read_line();
    EQUAL(told, "203.0.113.7:12345 192.0.2.1:443\n");
    c.writer.write("sealed\n");
    const std::string line = co_await c.reader.read_line();
    EQUAL(line, "sealed\n");
    c.writer.close();
    s.close();
    co_await s.wait_closed();
  });
  EQUAL(report_count(), 0u);
}

}  // namespace
