// SPDX-License-Identifier: MIT
// Numbers at the ends of their types, where io takes them from a program or a peer.
#include <heddle/core/errors.h>
#include <heddle/io/address.h>
#include <heddle/io/http/message/parser.h>
#include <heddle/io/http/server.h>
#include <heddle/io/http/session.h>
#include <heddle/io/http/url.h>
#include <heddle/io/server.h>
#include <heddle/io/stream.h>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;
using seconds = std::chrono::duration<double>;
constexpr seconds nan{std::numeric_limits<double>::quiet_NaN()};

TEST(IoNumbers, APortOutsideOfSixteenBitsIsRefusedByEveryVerb) {
  for (const int port : {65536, 65536 + 80, -1}) {
    EXPECT_THROW((void)h::address::ip("127.0.0.1", port), h::bad_value) << port;
    EXPECT_THROW((void)h::open_connection("127.0.0.1", port), h::bad_value) << port;
    const auto handler = [](h::connection) -> h::task<> { co_return; };
    EXPECT_THROW((void)h::start_server(handler, "127.0.0.1", port), h::bad_value) << port;
    h::http::server s{h::http::server_options()};
    EXPECT_THROW((void)s.start("127.0.0.1", port), h::bad_value) << port;
  }
  EXPECT_EQ(h::address::ip("127.0.0.1", 65535).port(), 65535);
  EXPECT_THROW((void)h::http::url::parse("http://h:65536/"), h::bad_value);
  EXPECT_THROW((void)h::http::url::parse("http://h:18446744073709551617/"), h::bad_value);
  EXPECT_THROW((void)h::http::url::parse("http://h:+80/"), h::bad_value);
  EXPECT_EQ(h::http::url::parse("http://h:65535/").port, 65535);
}

TEST(IoNumbers, AnOptionThatIsADurationTakesAnyAndRefusesANaN) {
  h::http::server_options o;
  EXPECT_THROW(o.idle_timeout = nan, h::bad_value);
  EXPECT_THROW(o.header_timeout = nan, h::bad_value);
  o.body_timeout = std::chrono::hours::max();
  EXPECT_EQ(o.body_timeout, h::duration::max());
  o.write_timeout = seconds(0.25);
  EXPECT_EQ(o.write_timeout, 250ms);
  h::http::session_options s;
  EXPECT_THROW(s.timeout = nan, h::bad_value);
  s.keep_for = std::chrono::hours::min();
  EXPECT_EQ(s.keep_for, h::duration::min());
  h::http::server server(o);
  EXPECT_THROW((void)server.stop(nan), h::bad_value);
}

/// What the parser makes of a chunked request under these limits: its body, or the status.
std::string body_of(const h::http::limits& l) {
  h::http::request_parser parser(l);
  std::string text = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 5; ++i) text += "2\r\nab\r\n";
  text += "0\r\n\r\n";
  (void)parser.feed(text);
  if (parser.failed()) return std::to_string(parser.error().status);
  return parser.message().body;
}

TEST(IoNumbers, ALimitMayBeTheLargestNumberThereIs) {
  h::http::limits l;
  l.header_bytes = SIZE_MAX;
  l.header_count = SIZE_MAX;
  l.target_bytes = SIZE_MAX;
  l.body_bytes = SIZE_MAX;
  EXPECT_EQ(body_of(l), "ababababab");
  l.body_bytes = 9;
  EXPECT_EQ(body_of(l), "413");
}

TEST(IoNumbers, ALengthBeyondItsTypeIsABadRequest) {
  for (const char* length : {"18446744073709551616", "18446744073709551615", "-1", "+1", "0x10"}) {
    h::http::request_parser parser;
    (void)parser.feed("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::string(length) +
                      "\r\n\r\n");
    EXPECT_TRUE(parser.failed()) << length;
  }
  for (const char* size : {"10000000000000000", "ffffffffffffffff", "-1", "0x1"}) {
    h::http::request_parser parser;
    (void)parser.feed("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" +
                      std::string(size) + "\r\n");
    EXPECT_TRUE(parser.failed()) << size;
  }
}

}  // namespace
