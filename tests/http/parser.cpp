// SPDX-License-Identifier: MIT
// What the request parser reads, its limits, and that its verdict does not depend on the cuts.
#include "http/parser_cases.h"

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace parser_test;

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

TEST(HttpParser, AcceptsHttp10WithoutAHost) {
  EXPECT_EQ(parse("GET / HTTP/1.0\r\n\r\n"), one("GET / (/) 1.0 body=<> close"));
}

TEST(HttpParser, AcceptsAddressesPortsAndNothingAsHost) {
  for (const auto* host : {"[::1]:8080", "127.0.0.1", "h:80", ""}) {
    EXPECT_EQ(parse("GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n").messages.size(),
              1u)
        << host;
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

}  // namespace
