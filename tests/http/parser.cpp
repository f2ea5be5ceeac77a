// SPDX-License-Identifier: MIT
#include <heddle/io/http/message/parser.h>

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace heddle::http;

/// What became of a stream of bytes: the messages, a line each, and what ended it.
struct outcome {
  std::vector<std::string> messages;
  int error = 0;
  bool unfinished = false;

  friend bool operator==(const outcome&, const outcome&) = default;
};

std::ostream& operator<<(std::ostream& out, const outcome& o) {
  for (const auto& m : o.messages) out << "[" << m << "] ";
  return out << "error " << o.error << (o.unfinished ? " unfinished" : "");
}

std::string describe(const request& r) {
  std::string s(r.method.text());
  s += " " + r.target + " (" + r.path + ") " + (r.version == version::http_1_1 ? "1.1" : "1.0");
  for (const auto f : r.headers) s += " " + std::string(f.name) + "=<" + std::string(f.value) + ">";
  return s + " body=<" + r.body + ">" + (r.keep_alive ? "" : " close");
}

std::string describe(const response_parser& p) {
  const auto& r = p.message();
  std::string s = std::to_string(r.status);
  for (const auto f : r.headers) s += " " + std::string(f.name) + "=<" + std::string(f.value) + ">";
  return s + " body=<" + r.body + ">" + (p.keep_alive() ? "" : " close");
}

/// Feeds `text` in pieces of at most `step` bytes, as a server would.
outcome parse_in_steps(std::string_view text, std::size_t step, const limits& l = {}) {
  request_parser parser(l);
  outcome o;
  while (!text.empty()) {
    auto piece = text.substr(0, step);
    text.remove_prefix(piece.size());
    while (!piece.empty()) {
      const auto used = parser.feed(piece);
      if (parser.failed()) {
        o.error = parser.error().status;
        EXPECT_FALSE(parser.error().reason.empty());
        return o;
      }
      EXPECT_TRUE(used == piece.size() || parser.done());
      piece.remove_prefix(used);
      if (parser.done()) {
        o.messages.push_back(describe(parser.message()));
        parser.next();
      }
    }
  }
  o.unfinished = !parser.idle();
  return o;
}

/// The outcome in one piece. It must be the same byte by byte, and in pieces of some sizes between.
outcome parse(std::string_view text, const limits& l = {}) {
  const auto whole = parse_in_steps(text, text.size() + 1, l);
  for (const std::size_t step : {1u, 2u, 3u, 5u, 7u, 16u, 61u}) {
    EXPECT_EQ(parse_in_steps(text, step, l), whole) << "in pieces of " << step << ":\n" << text;
  }
  return whole;
}

int status_of(std::string_view text, const limits& l = {}) {
  const auto o = parse(text, l);
  EXPECT_TRUE(o.messages.empty()) << o;
  return o.error;
}

/// A request with these fields besides Host.
std::string with_fields(std::string_view fields, std::string_view body = {}) {
  return "POST / HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + "\r\n" + std::string(body);
}

outcome one(std::string message) { return {{std::move(message)}, 0, false}; }

std::string repeated(std::string_view text, int times) {
  std::string s;
  for (int i = 0; i < times; ++i) s += text;
  return s;
}

TEST(HttpParser, ReadsAPlainGet) {
  EXPECT_EQ(parse("GET /plaintext HTTP/1.1\r\nHost: localhost:8080\r\nAccept: */*\r\n\r\n"),
            one("GET /plaintext (/plaintext) 1.1 Host=<localhost:8080> Accept=<*/*> body=<>"));
}

TEST(HttpParser, ReadsABodyOfAKnownLength) {
  EXPECT_EQ(parse(with_fields("Content-Length: 5\r\n", "hello")),
            one("POST / (/) 1.1 Host=<h> Content-Length=<5> body=<hello>"));
}

TEST(HttpParser, ReadsAChunkedBodyWithExtensionsAndForgetsItsTrailers) {
  EXPECT_EQ(
      parse(with_fields("Transfer-Encoding: chunked\r\n",
                        "5;name=value\r\nhello\r\n6;q=\"x\"\r\n world\r\n0\r\nX-Late: 1\r\n\r\n")),
      one("POST / (/) 1.1 Host=<h> Transfer-Encoding=<chunked> body=<hello world>"));
}

TEST(HttpParser, StopsBehindEachPipelinedRequest) {
  const std::string two =
      "GET /a HTTP/1.1\r\nHost: h\r\n\r\nPOST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
      "GET /c HTTP/1.1\r\nHost: h\r\n\r\n";
  const auto o = parse(two);
  ASSERT_EQ(o.messages.size(), 3u) << o;
  EXPECT_EQ(o.messages[1], "POST /b (/b) 1.1 Host=<h> Content-Length=<2> body=<hi>");
  EXPECT_EQ(o.messages[2], "GET /c (/c) 1.1 Host=<h> body=<>");
}

TEST(HttpParser, ConsumesNothingBehindACompleteMessageUntilNext) {
  request_parser parser;
  const std::string_view text = "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b";
  const auto used = parser.feed(text);
  EXPECT_EQ(text.substr(used), "GET /b");
  EXPECT_TRUE(parser.done());
  EXPECT_EQ(parser.feed(text.substr(used)), 0u);
  parser.next();
  EXPECT_EQ(parser.feed(text.substr(used)), 6u);
  EXPECT_FALSE(parser.done());
  EXPECT_FALSE(parser.idle());
}

TEST(HttpParser, SaysThatARequestIsUnfinished) {
  EXPECT_TRUE(parse("GET / HTTP/1.1\r\nHost: h\r\n").unfinished);
  EXPECT_TRUE(parse(with_fields("Content-Length: 5\r\n", "hell")).unfinished);
  EXPECT_TRUE(
      parse(with_fields("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n")).unfinished);
}

TEST(HttpParser, SkipsAFewEmptyLinesBeforeTheRequestLineButNotMany) {
  EXPECT_EQ(parse("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
            one("GET / (/) 1.1 Host=<h> body=<>"));
  EXPECT_FALSE(parse("\r\n").unfinished);
  EXPECT_EQ(status_of(repeated("\r\n", 100)), 400);
}

TEST(HttpParser, TrimsWhiteSpaceAroundValues) {
  EXPECT_EQ(parse("GET / HTTP/1.1\r\nHost: \t h \t\r\nA:b\r\nEmpty:\r\nBlank:  \r\n\r\n"),
            one("GET / (/) 1.1 Host=<h> A=<b> Empty=<> Blank=<> body=<>"));
}

TEST(HttpParser, KeepsUncommonMethodsAsText) {
  EXPECT_EQ(parse("PROPFIND / HTTP/1.1\r\nHost: h\r\n\r\n"),
            one("PROPFIND / (/) 1.1 Host=<h> body=<>"));
  EXPECT_EQ(parse("M-SEARCH / HTTP/1.1\r\nHost: h\r\n\r\n"),
            one("M-SEARCH / (/) 1.1 Host=<h> body=<>"));
}

TEST(HttpParser, RejectsWordsThatAreNoMethod) {
  EXPECT_EQ(status_of("BR@W / HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(status_of("\x16\x03\x01\x02\x01", {}), 400);  // a TLS client at the wrong port
}

TEST(HttpParser, DecodesThePathAndLeavesTheQuery) {
  request_parser parser;
  parser.feed("GET /a%20b/%C3%A9?n=1%262&m=x+y HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(parser.done());
  EXPECT_EQ(parser.message().path, "/a b/\xC3\xA9");
  EXPECT_EQ(parser.message().raw_query(), "n=1%262&m=x+y");
  EXPECT_EQ(parser.message().query("n"), "1&2");
  EXPECT_EQ(parser.message().query("m"), "x y");
  EXPECT_EQ(parser.message().query("k"), std::nullopt);
}

TEST(HttpParser, TakesTargetsInAbsoluteFormAndTheAsteriskOfOptions) {
  EXPECT_EQ(parse("GET http://h:80/x?y HTTP/1.1\r\nHost: h\r\n\r\n"),
            one("GET http://h:80/x?y (/x) 1.1 Host=<h> body=<>"));
  EXPECT_EQ(parse("GET http://h?y HTTP/1.1\r\nHost: h\r\n\r\n"),
            one("GET http://h?y (/) 1.1 Host=<h> body=<>"));
  EXPECT_EQ(parse("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"),
            one("OPTIONS * (*) 1.1 Host=<h> body=<>"));
}

TEST(HttpParser, RejectsMalformedTargets) {
  for (const auto* target :
       {"/%", "/%4", "/%zz", "/a%00b", "/a#b", "a", "*", "//\x80", "/a\tb", "/\x7f"}) {
    EXPECT_EQ(status_of("GET " + std::string(target) + " HTTP/1.1\r\nHost: h\r\n\r\n"), 400)
        << target;
  }
}

TEST(HttpParser, KeepsTheConnectionByVersionAndConnectionField) {
  const auto closes = [](std::string_view version, std::string_view field) {
    const auto o = parse("GET / HTTP/" + std::string(version) + "\r\nHost: h\r\n" +
                         std::string(field) + "\r\n");
    EXPECT_EQ(o.messages.size(), 1u) << o;
    return !o.messages.empty() && o.messages[0].ends_with(" close");
  };
  EXPECT_FALSE(closes("1.1", ""));
  EXPECT_TRUE(closes("1.1", "Connection: close\r\n"));
  EXPECT_TRUE(closes("1.1", "Connection: x, Close\r\n"));
  EXPECT_TRUE(closes("1.0", ""));
  EXPECT_FALSE(closes("1.0", "Connection: Keep-Alive\r\n"));
  EXPECT_TRUE(closes("1.0", "Connection: keep-alive, close\r\n"));
}

TEST(HttpParser, DeclinesOffersToSwitchProtocolsByGoingOn) {
  const auto o = parse(
      "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
      "HTTP2-Settings: AA\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_EQ(o.messages.size(), 2u) << o;
  EXPECT_EQ(o.messages[1], "GET /next (/next) 1.1 Host=<h> body=<>");
}

TEST(HttpParser, RejectsAMissingHost) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nAccept: */*\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
}

TEST(HttpParser, AcceptsHttp10WithoutAHost) {
  EXPECT_EQ(parse("GET / HTTP/1.0\r\n\r\n"), one("GET / (/) 1.0 body=<> close"));
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

TEST(HttpParser, AcceptsAddressesPortsAndNothingAsHost) {
  for (const auto* host : {"[::1]:8080", "127.0.0.1", "h:80", ""}) {
    EXPECT_EQ(parse("GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n").messages.size(),
              1u)
        << host;
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

TEST(HttpParser, AcceptsBytesAbove127InValuesAsTheyAre) {
  EXPECT_EQ(parse("GET / HTTP/1.1\r\nHost: h\r\nA: \xC3\xA9\r\n\r\n"),
            one("GET / (/) 1.1 Host=<h> A=<\xC3\xA9> body=<>"));
}

TEST(HttpParser, LimitsTheTarget) {
  limits l;
  l.target_bytes = 10;
  EXPECT_EQ(parse("GET /234567890 HTTP/1.1\r\nHost: h\r\n\r\n", l).messages.size(), 1u);
  EXPECT_EQ(status_of("GET /234567890a HTTP/1.1\r\nHost: h\r\n\r\n", l), 414);
  EXPECT_EQ(status_of("GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n"), 414);
}

TEST(HttpParser, LimitsTheBytesOfTheHead) {
  limits l;
  l.header_bytes = 60;
  const auto request = [](std::size_t size) {
    const std::string_view frame = "GET / HTTP/1.1\r\nHost: h\r\nA: \r\n\r\n";
    return "GET / HTTP/1.1\r\nHost: h\r\nA: " + std::string(size - frame.size(), 'x') + "\r\n\r\n";
  };
  EXPECT_EQ(parse(request(60), l).messages.size(), 1u);
  EXPECT_EQ(parse(request(60) + request(60), l).messages.size(), 2u)
      << "the limit is one of each message";
  EXPECT_EQ(status_of(request(61), l), 431);
  EXPECT_EQ(status_of(request(70'000)), 431);
}

TEST(HttpParser, LimitsTheNumberOfFields) {
  EXPECT_EQ(
      parse("GET / HTTP/1.1\r\nHost: h\r\n" + repeated("A: b\r\n", 99) + "\r\n").messages.size(),
      1u);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: h\r\n" + repeated("A: b\r\n", 100) + "\r\n"), 431);
}

TEST(HttpParser, LimitsBodiesOfAKnownLengthBeforeTheyCome) {
  limits l;
  l.body_bytes = 4;
  EXPECT_EQ(parse(with_fields("Content-Length: 4\r\n", "four"), l).messages.size(), 1u);
  EXPECT_EQ(status_of(with_fields("Content-Length: 5\r\n"), l), 413);
  EXPECT_EQ(status_of(with_fields("Content-Length: 18446744073709551615\r\n")), 413);
}

TEST(HttpParser, LimitsChunkedBodiesByTheirSum) {
  limits l;
  l.body_bytes = 4;
  const auto request = [](std::string_view chunks) {
    return with_fields("Transfer-Encoding: chunked\r\n", chunks);
  };
  EXPECT_EQ(parse(request("2\r\nfo\r\n2\r\nur\r\n0\r\n\r\n"), l).messages.size(), 1u);
  EXPECT_EQ(status_of(request("2\r\nfo\r\n3\r\nurs\r\n0\r\n\r\n"), l), 413);
  EXPECT_EQ(status_of(request("ffffffffffffffff\r\n"), l), 413);
}

TEST(HttpParser, LimitsTrailersAndChunkExtensions) {
  limits l;
  l.header_bytes = 100;
  const auto request = [](std::string_view chunks) {
    return with_fields("Transfer-Encoding: chunked\r\n", chunks);
  };
  EXPECT_EQ(status_of(request("0\r\nA: " + std::string(200, 'x') + "\r\n\r\n"), l), 431);
  EXPECT_EQ(status_of(request("1;" + std::string(1000, 'x')), l), 400);
  EXPECT_EQ(status_of(request(std::string(1000, '0')), l), 400);
}

TEST(HttpParser, SaysThatAClientWaitsForContinue) {
  request_parser parser;
  parser.feed("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n");
  EXPECT_FALSE(parser.expects_continue());
  parser.feed("\r\n");
  EXPECT_TRUE(parser.head_done());
  EXPECT_TRUE(parser.expects_continue());
  EXPECT_EQ(parser.message().headers.get("content-length"), "2");
  parser.feed("hi");
  EXPECT_TRUE(parser.done());
  EXPECT_FALSE(parser.expects_continue());
}

TEST(HttpParser, KeepsItsMemoryForTheNextMessage) {
  request_parser parser;
  const std::string text = "GET /" + std::string(100, 'a') + " HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n";
  parser.feed(text);
  const auto* before = parser.message().target.data();
  const auto* field = parser.message().headers[0].name.data();
  parser.next();
  parser.feed(text);
  ASSERT_TRUE(parser.done());
  EXPECT_EQ(parser.message().target.data(), before);
  EXPECT_EQ(parser.message().headers[0].name.data(), field);
}

TEST(HttpParser, GivesBackWhatASingleLargeMessageTook) {
  request_parser parser;
  parser.feed(with_fields("Content-Length: 500000\r\n", std::string(500'000, 'x')));
  ASSERT_TRUE(parser.done());
  parser.next();
  EXPECT_LT(parser.message().body.capacity(), 1024u);
}

TEST(HttpParser, StaysRefusedUntilNext) {
  request_parser parser;
  parser.feed("GET\r\n");
  ASSERT_TRUE(parser.failed());
  const std::string_view good = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  EXPECT_EQ(parser.feed(good), 0u);
  EXPECT_TRUE(parser.failed());
  parser.next();
  EXPECT_EQ(parser.feed(good), good.size());
  EXPECT_TRUE(parser.done());
}

TEST(HttpParser, ComesToTheSameVerdictOnMutatedRequestsHoweverTheyAreCut) {
  const std::vector<std::string> seeds = {
      "GET /plaintext?x=1 HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n",
      "POST /a%20b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.0\r\n\r\n",
      "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: "
      "x\r\n\r\n",
  };
  const std::string_view spice = "\r\n \t:;,/%?#0159aAzZ\x7f\x80\xff";
  constexpr std::uint64_t seed = 20260722;
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  limits tight;
  tight.header_bytes = 120;
  tight.target_bytes = 24;
  tight.header_count = 4;
  tight.body_bytes = 8;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = seeds[below(seeds.size())];
    for (auto edits = 1 + below(4); edits > 0; --edits) {
      const auto at = below(text.size());
      switch (below(5)) {
        case 0: text[at] = static_cast<char>(random()); break;
        case 1: text[at] = spice[below(spice.size())]; break;
        case 2: text.insert(at, 1, spice[below(spice.size())]); break;
        case 3: text.erase(at, 1 + below(3)); break;
        default: text.insert(at, text.substr(below(text.size()), below(20))); break;
      }
      if (text.empty()) text = "\r";
    }
    const auto& l = round % 2 == 0 ? limits{} : tight;
    const auto whole = parse_in_steps(text, text.size() + 1, l);
    ASSERT_EQ(parse_in_steps(text, 1, l), whole)
        << "round " << round << ": " << testing::PrintToString(text);
    ASSERT_EQ(parse_in_steps(text, 1 + below(30), l), whole)
        << "round " << round << ": " << testing::PrintToString(text);
  }
}

// ---- responses

struct reply {
  std::string text;  // described, if complete
  bool failed = false;
  std::size_t left = 0;

  friend bool operator==(const reply&, const reply&) = default;
};

std::ostream& operator<<(std::ostream& out, const reply& r) {
  return out << r.text << (r.failed ? " failed" : "") << " left " << r.left;
}

reply receive(std::string_view text, method asked = method::get, bool ends = true) {
  reply whole;
  for (const std::size_t step : {text.size() + 1, std::size_t{1}, std::size_t{2}, std::size_t{7}}) {
    response_parser parser;
    parser.expect(asked);
    auto rest = text;
    while (!rest.empty() && !parser.done() && !parser.failed()) {
      rest.remove_prefix(parser.feed(rest.substr(0, step)));
    }
    if (ends) parser.finish();
    reply r{parser.done() ? describe(parser) : "", parser.failed(),
            parser.failed() ? 0 : rest.size()};
    if (step > text.size()) whole = r;
    EXPECT_EQ(r, whole) << "in pieces of " << step << ":\n" << text;
  }
  return whole;
}

TEST(HttpResponseParser, ReadsABodyOfAKnownLengthAndLeavesTheRest) {
  EXPECT_EQ(receive("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1"),
            (reply{"200 Content-Length=<2> body=<hi>", false, 8}));
}

TEST(HttpResponseParser, ReadsAChunkedBody) {
  EXPECT_EQ(receive("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
            (reply{"200 Transfer-Encoding=<chunked> body=<hi>", false, 0}));
}

TEST(HttpResponseParser, ReadsABodyThatLastsUntilTheConnectionEnds) {
  EXPECT_EQ(receive("HTTP/1.1 200 OK\r\n\r\nall of it"),
            (reply{"200 body=<all of it> close", false, 0}));
  // It must not come out as a raw body: nobody could know what it is.
  EXPECT_TRUE(receive("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nzz").failed);
}

TEST(HttpResponseParser, IsNotDoneBeforeTheConnectionEndsIfTheBodyLastsUntilThen) {
  EXPECT_EQ(receive("HTTP/1.1 200 OK\r\n\r\nall of", method::get, false), (reply{"", false, 0}));
}

TEST(HttpResponseParser, FailsIfTheConnectionEndsInsideAMessage) {
  EXPECT_TRUE(receive("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi").failed);
  EXPECT_TRUE(receive("HTTP/1.1 200 OK\r\nContent-Le").failed);
  EXPECT_TRUE(
      receive("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n").failed);
  EXPECT_FALSE(receive("").failed);
}

TEST(HttpResponseParser, ExpectsNoBodyBehindHeadNorFor204And304) {
  EXPECT_EQ(receive("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP", method::head),
            (reply{"200 Content-Length=<5> body=<>", false, 4}));
  EXPECT_EQ(receive("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nHTTP", method::head).left,
            4u);
  EXPECT_EQ(receive("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nHTTP").left, 4u);
  EXPECT_EQ(receive("HTTP/1.1 204 No Content\r\n\r\nHTTP").left, 4u);
}

TEST(HttpResponseParser, SkipsInterimResponses) {
  EXPECT_EQ(receive("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            (reply{"200 Content-Length=<0> body=<>", false, 0}));
}

TEST(HttpResponseParser, SkipsInterimResponsesBeforeTheAnswerToHead) {
  EXPECT_EQ(receive("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
                    method::head),
            (reply{"200 Content-Length=<9> body=<>", false, 0}));
}

TEST(HttpResponseParser, KnowsWhetherTheConnectionStays) {
  const auto closes = [](std::string_view head) {
    return receive(std::string(head) + "Content-Length: 0\r\n\r\n").text.ends_with(" close");
  };
  EXPECT_FALSE(closes("HTTP/1.1 200 OK\r\n"));
  EXPECT_TRUE(closes("HTTP/1.1 200 OK\r\nConnection: close\r\n"));
  EXPECT_TRUE(closes("HTTP/1.0 200 OK\r\n"));
  EXPECT_FALSE(closes("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"));
}

TEST(HttpResponseParser, TakesAnyReasonPhraseOrNone) {
  EXPECT_EQ(receive("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n").text,
            "200 Content-Length=<0> body=<>");
  EXPECT_EQ(receive("HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n").text,
            "404 Content-Length=<0> body=<>");
}

TEST(HttpResponseParser, RefusesWhatIsNoResponse) {
  for (const auto* text :
       {"GET / HTTP/1.1\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n", "SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\nA: b\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"}) {
    EXPECT_TRUE(receive(text).failed) << text;
  }
}

}  // namespace
