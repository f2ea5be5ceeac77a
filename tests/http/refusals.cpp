// SPDX-License-Identifier: MIT
// What the request parser refuses, and with which status.
#include "http/parser_cases.h"

#include <string>
#include <string_view>

namespace {

using namespace parser_test;

TEST(HttpParser, RejectsWordsThatAreNoMethod) {
  EXPECT_EQ(status_of("BR@W / HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(status_of("\x16\x03\x01\x02\x01", {}), 400);  // a TLS client at the wrong port
}

TEST(HttpParser, RejectsMalformedTargets) {
  for (const auto* target :
       {"/%", "/%4", "/%zz", "/a%00b", "/a#b", "a", "*", "//\x80", "/a\tb", "/\x7f"}) {
    EXPECT_EQ(status_of("GET " + std::string(target) + " HTTP/1.1\r\nHost: h\r\n\r\n"), 400)
        << target;
  }
}

TEST(HttpParser, RejectsAMissingHost) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nAccept: */*\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
}

TEST(HttpParser, RejectsARepeatedHostInAnyVersionAndEvenWhenEqual) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: h\r\nhOST: h\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
}

TEST(HttpParser, RejectsAMalformedHost) {
  for (const auto* host : {"a b", "a,b ,c", "a/b", "user@h", "h\\", "a\"b", "<h>"}) {
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n"), 400) << host;
  }
}

TEST(HttpParser, RejectsFoldedFields) {
  EXPECT_EQ(status_of(with_fields("A: b\r\n c\r\n")), 400);
  EXPECT_EQ(status_of(with_fields("A: b\r\n\tc\r\n")), 400);
  EXPECT_EQ(status_of(with_fields("A:\r\n b\r\n")), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n Host: h\r\n\r\n"), 400);
  EXPECT_EQ(status_of(with_fields("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n")), 400);
  EXPECT_EQ(status_of(with_fields("Transfer-Encoding: chunked\r\n", "0\r\nA: b\r\n c\r\n\r\n")),
            400);
}

TEST(HttpParser, RejectsARequestWithBothContentLengthAndTransferEncoding) {
  EXPECT_EQ(
      status_of(with_fields("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
      400);
  EXPECT_EQ(
      status_of(with_fields("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")),
      400);
  EXPECT_EQ(
      status_of(with_fields("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", "0\r\n\r\n")),
      400);
}

TEST(HttpParser, RejectsRepeatedContentLengths) {
  EXPECT_EQ(status_of(with_fields("Content-Length: 5\r\nContent-Length: 6\r\n", "hello")), 400);
  EXPECT_EQ(status_of(with_fields("Content-Length: 5\r\nContent-Length: 5\r\n", "hello")), 400);
  EXPECT_EQ(status_of(with_fields("Content-Length: 5, 5\r\n", "hello")), 400);
}

TEST(HttpParser, RejectsContentLengthsThatAreNoNumbers) {
  for (const auto* value :
       {"", "-1", "+5", "0x5", "5 5", "5a", "1e3", "99999999999999999999999", "\t"}) {
    EXPECT_EQ(status_of(with_fields("Content-Length: " + std::string(value) + "\r\n", "hello")),
              400)
        << value;
  }
}

TEST(HttpParser, RejectsTransferCodingsThatDoNotEndWithChunked) {
  for (const auto* value :
       {"identity", "gzip", "chunked, gzip", "xchunked", "chunked, chunked", "chunke", ""}) {
    EXPECT_EQ(
        status_of(with_fields("Transfer-Encoding: " + std::string(value) + "\r\n", "0\r\n\r\n")),
        400)
        << value;
  }
  EXPECT_EQ(status_of(with_fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                                  "0\r\n\r\n")),
            400);
  EXPECT_EQ(status_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400);
}

TEST(HttpParser, Answers501ToTransferCodingsItDoesNotKnow) {
  EXPECT_EQ(status_of(with_fields("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")), 501);
}

TEST(HttpParser, RejectsBadChunks) {
  for (const auto* body :
       {"5\r\nhelloX\r\n0\r\n\r\n", "g\r\n", "\r\n", "-1\r\n", "0x5\r\nhello\r\n",
        "5 \r\nhello\r\n", "5\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n", "5\rhello", "fffffffffffffffff\r\n", "5; a\r\nhello\r\n",
        "5;a=\"\r\n", "0\r\nA: b\n\r\n"}) {
    EXPECT_EQ(parse(with_fields("Transfer-Encoding: chunked\r\n", body)).error, 400) << body;
  }
}

TEST(HttpParser, RejectsHttp09) {
  EXPECT_EQ(status_of("GET /\r\n"), 400);
  EXPECT_EQ(status_of("GET /\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/0.9\r\nHost: h\r\n\r\n"), 400);
}

TEST(HttpParser, Answers505ToOtherVersions) {
  for (const auto* version : {"1.2", "2.0", "3.0", "0.8", "1.9"}) {
    EXPECT_EQ(status_of("GET / HTTP/" + std::string(version) + "\r\nHost: h\r\n\r\n"), 505)
        << version;
  }
  EXPECT_EQ(status_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
}

TEST(HttpParser, RejectsVersionsThatAreNone) {
  for (const auto* version : {"HTTP/x.1", "HTTP/1", "HTTP/1.", "HTTP/11", "HTTP/1.10", "http/1.1",
                              "HTTP 1.1", "HTTP/1.1 x"}) {
    EXPECT_EQ(status_of("GET / " + std::string(version) + "\r\nHost: h\r\n\r\n"), 400) << version;
  }
}

TEST(HttpParser, RejectsOtherProtocolsOfTheSameShape) {
  EXPECT_EQ(status_of("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET /x RTSP/1.0\r\nCSeq: 1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("SOURCE /x ICE/1.0\r\n\r\n"), 400);
}

TEST(HttpParser, RejectsRepeatedSpacesInTheRequestLine) {
  EXPECT_EQ(status_of("GET  / HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
  // The target's own H stands where that of HTTP would if there were one space.
  EXPECT_EQ(status_of("GET   /H HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(status_of("ODD   /H HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET /  HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1 \r\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(status_of(" GET / HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
}

TEST(HttpParser, RejectsLinesThatEndWithABareLineFeed) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: h\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: h\r\n\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\nHost: h\n\n"), 400);
  EXPECT_EQ(status_of(with_fields("A:\n")), 400);
}

TEST(HttpParser, RejectsBareCarriageReturns) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\rHost: h\r\n\r\n"), 400);
  EXPECT_EQ(status_of(with_fields("A: b\rc\r\n")), 400);
  EXPECT_EQ(status_of(with_fields("A: b\rTransfer-Encoding: chunked\r\n")), 400);  // CVE-2023-30589
  EXPECT_EQ(status_of(with_fields("A:\rb: c\r\n")), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: h\r\n\rX"), 400);
}

TEST(HttpParser, RejectsControlCharactersInValues) {
  using namespace std::string_literals;
  for (const auto& bad : {"\0"s, "\x01"s, "\x7f"s, "\v"s, "\f"s, "\x1b"s}) {
    EXPECT_EQ(status_of(with_fields("A: b" + bad + "c\r\n")), 400) << static_cast<int>(bad[0]);
    EXPECT_EQ(status_of(with_fields("Connection: b" + bad + "c\r\n")), 400)
        << static_cast<int>(bad[0]);
  }
}

TEST(HttpParser, RejectsNamesThatAreNoTokens) {
  for (const auto* field : {"A b: c", "A : c", "Host : h", ": c", "A\t: c", "A(b): c", "\x80: c",
                            "Content-Length : 5", "A", "A@: b"}) {
    EXPECT_EQ(status_of(with_fields(std::string(field) + "\r\n")), 400) << field;
  }
}

}  // namespace
