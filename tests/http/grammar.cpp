// SPDX-License-Identifier: MIT
// The grammar of requests where llhttp alone is too strict or too lenient, however the bytes are
// cut.
#include <heddle/io/http/message/parser.h>

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace heddle::http;

/// What became of one request: a line, or the status of its refusal.
std::string parse_in_steps(std::string_view text, std::size_t step) {
  request_parser parser;
  while (!text.empty() && !parser.done() && !parser.failed()) {
    const auto piece = text.substr(0, step);
    text.remove_prefix(parser.feed(piece));
  }
  if (parser.failed()) return std::to_string(parser.error().status);
  if (!parser.done()) return "unfinished";
  const auto& r = parser.message();
  std::string line(r.method.text());
  line += " " + r.path + " host=<" + std::string(r.headers.get("host").value_or("none")) + ">";
  if (r.headers.all("host").size() > 1) line += " more than one host";
  return line + " body=<" + r.body + ">" + (text.empty() ? "" : " left");
}

std::string parse(const std::string& text) {
  const auto whole = parse_in_steps(text, text.size());
  for (const std::size_t step : {1u, 2u, 3u, 5u, 7u, 16u, 61u})
    EXPECT_EQ(parse_in_steps(text, step), whole) << "in pieces of " << step << ":\n" << text;
  return whole;
}

std::string with_host(std::string_view host, std::string_view target = "/") {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n";
}

std::string post(std::string_view fields, std::string_view body) {
  return "POST / HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + "\r\n" + std::string(body);
}

TEST(HttpGrammar, TakesAnyTokenAsAMethodAndLeavesItToTheRoutes) {
  for (const std::string name : {"BREW", "get", "GETX", "POSTAL", "PRI", "DESCRIBE", "SOURCE", "x",
                                 "DELETE", "OPTIONS", "TRACE", "PATCH", "HEAD", "PUT", "M-SEARCH"})
    EXPECT_EQ(parse(name + " /a HTTP/1.1\r\nHost: h\r\n\r\n"), name + " /a host=<h> body=<>");
  EXPECT_EQ(parse(post("X: y\r\n", "").replace(0, 4, "BREW")), "BREW / host=<h> body=<>");
  EXPECT_EQ(parse(post("Content-Length: 2\r\n", "hi").replace(0, 4, "BREW")),
            "BREW / host=<h> body=<hi>");
}

TEST(HttpGrammar, Answers501ToAMethodLongerThanAny) {
  const auto request = [](std::size_t n) {
    return std::string(n, 'M') + " / HTTP/1.1\r\nHost: h\r\n\r\n";
  };
  EXPECT_EQ(parse(request(64)), std::string(64, 'M') + " / host=<h> body=<>");
  EXPECT_EQ(parse(request(65)), "501");
  EXPECT_EQ(parse(request(5000)), "501");
  EXPECT_EQ(parse(std::string(5000, 'M')), "501");
}

TEST(HttpGrammar, RejectsATrailerFieldWithoutAName) {
  const auto with_trailers = [](std::string_view trailers) {
    return parse(
        post("Transfer-Encoding: chunked\r\n", "1\r\nx\r\n0\r\n" + std::string(trailers) + "\r\n"));
  };
  EXPECT_EQ(with_trailers("T: x\r\nU:\r\n"), "POST / host=<h> body=<x>");
  for (const char* bad : {": x\r\n", ":T x\r\n", ":\r\n", "T: x\r\n: y\r\n"})
    EXPECT_EQ(with_trailers(bad), "400") << bad;
}

TEST(HttpGrammar, RejectsALineThatBeginsWithoutAMethod) {
  for (const std::string start : {" ", "\t", "@", "G@T ", "GET\t", ":", "\x01"})
    EXPECT_EQ(parse(start + "/ HTTP/1.1\r\nHost: h\r\n\r\n"), "400") << start;
  EXPECT_EQ(parse("BREW\r\n\r\n"), "400");
}

TEST(HttpGrammar, TakesTheHostOfAnAbsoluteTargetInPlaceOfTheField) {
  EXPECT_EQ(parse(with_host("other", "http://real/x")), "GET /x host=<real> body=<>");
  EXPECT_EQ(parse(with_host("other", "http://real:8080/x?y")), "GET /x host=<real:8080> body=<>");
  EXPECT_EQ(parse(with_host("other", "http://real:80")), "GET / host=<real> body=<>");
  EXPECT_EQ(parse(with_host("other", "http://real:")), "GET / host=<real> body=<>");
  EXPECT_EQ(parse(with_host("other", "https://real:443/")), "GET / host=<real> body=<>");
  EXPECT_EQ(parse(with_host("other", "https://real:80/")), "GET / host=<real:80> body=<>");
  EXPECT_EQ(parse(with_host("other", "http://[::1]/")), "GET / host=<[::1]> body=<>");
  EXPECT_EQ(parse("GET http://real/x HTTP/1.0\r\n\r\n"), "GET /x host=<real> body=<>");
  EXPECT_EQ(parse(with_host("h", "/x?http://real/")), "GET /x host=<h> body=<>");
  EXPECT_EQ(parse(with_host("h", "//real/x")), "GET //real/x host=<h> body=<>");
}

TEST(HttpGrammar, RejectsAnAbsoluteTargetWithoutARealHost) {
  for (const auto* target : {"http://real:abc/", "http://:80/", "http:///x", "http://u@real/",
                             "http://%zz/", "http://[::1/", "http://real:99999/"})
    EXPECT_EQ(parse(with_host("h", target)), "400") << target;
}

TEST(HttpGrammar, RejectsHostsThatAreNone) {
  for (const auto* host : {"h:abc", "::1",     "[::1",
                           "::1]",  "[::1]x",  "[h]",
                           "[]",    "[::g]",   "%zz",
                           "%4",    "%",       "h:80:80",
                           "h:-1",  "h:65536", "h:99999999999999999999",
                           "a b",   "user@h",  "h/",
                           "h\\",   "[::1]:x", "[::1%25eth0]",
                           "h\x80"})
    EXPECT_EQ(parse(with_host(host)), "400") << host;
}

TEST(HttpGrammar, TakesHostsOfEveryLegalForm) {
  for (const std::string host : {"h", "h:80", "h:", "", "127.0.0.1:65535", "[::1]", "[::1]:8080",
                                 "[::ffff:1.2.3.4]", "a%20b", "h_1.example", "a,b", "~!$&'()*+;="})
    EXPECT_EQ(parse(with_host(host)), "GET / host=<" + host + "> body=<>");
}

// A parser remembers the last host that was well-formed, so that it need not judge it again.
TEST(HttpGrammar, JudgesAHostAlsoBehindOneThatWasGood) {
  const std::string longer(60, 'h');
  request_parser parser;
  for (const auto& [host, good] : std::vector<std::pair<std::string, bool>>{
           {"h.example", true},
           {"h.exampl@", false},
           {"h.example", true},
           {"h.example:x", false},
           {"h.exampl", true},
           {"h.exampl ", true},  // white space behind a value is no part of it
           {"h example", false},
           {"", true},
           {longer, true},
           {longer + "@", false},
           {longer, true},
           {"h example", false},
           {"h.example", true}}) {
    parser.feed(with_host(host));
    EXPECT_EQ(parser.done(), good) << host;
    if (!good) EXPECT_EQ(parser.error().status, 400) << host;
    parser.next();
  }
}

TEST(HttpGrammar, TakesTabsAroundTheValuesOfFramingFields) {
  EXPECT_EQ(parse(post("Content-Length:\t5\t \t\r\n", "hello")), "POST / host=<h> body=<hello>");
  EXPECT_EQ(parse(post("Transfer-Encoding: \tchunked\t\r\n", "2\r\nhi\r\n0\r\n\r\n")),
            "POST / host=<h> body=<hi>");
  EXPECT_EQ(parse(post("A: x\ty\r\nContent-Length: 2 \t\r\n", "hi")), "POST / host=<h> body=<hi>");
}

// A parser looks for tabs about as far as its heads have reached of late.
TEST(HttpGrammar, FindsTabsInPipelinedHeadsWhoseLengthsVary) {
  std::string all;
  std::size_t sent = 0;
  for (const std::size_t size :
       {0u, 3000u, 5u, 5u, 5u, 5u, 5u, 5u, 5u, 5u, 40u, 70u, 900u, 1u, 2000u}) {
    const std::string filling = size == 0 ? "" : "A: " + std::string(size, 'a') + "\r\n";
    all += post(filling + "Content-Length:\t2\t\r\n", "hi");
    ++sent;
  }
  request_parser parser;
  std::size_t taken = 0;
  for (std::string_view rest = all; !rest.empty(); parser.next()) {
    rest.remove_prefix(parser.feed(rest));
    ASSERT_TRUE(parser.done()) << "request " << taken << ": " << parser.error().reason;
    EXPECT_EQ(parser.message().body, "hi");
    ++taken;
  }
  EXPECT_EQ(taken, sent);
}

TEST(HttpGrammar, RejectsTabsWhereTheyMeanSomethingElse) {
  EXPECT_EQ(parse(post("Content-Length: 5\t5\r\n", "hello")), "400");
  EXPECT_EQ(parse(post("Content-Length\t: 5\r\n", "hello")), "400");
  EXPECT_EQ(parse(post("A: b\r\n\tc\r\n", "")), "400");
  for (const auto* line :
       {"GET\t/ HTTP/1.1", "GET /\tHTTP/1.1", "GET / HTTP/1.1\t", "GET /\t HTTP/1.1"})
    EXPECT_EQ(parse(std::string(line) + "\r\nHost: h\r\nA: \t\r\n\r\n"), "400") << line;
}

TEST(HttpGrammar, KeepsTheTabsInsideOtherValues) {
  request_parser parser;
  parser.feed(post("A: x\ty\t\r\n", ""));
  ASSERT_TRUE(parser.done());
  EXPECT_EQ(parser.message().headers.get("a"), "x\ty");
}

TEST(HttpGrammar, TakesQuotedPairsInChunkExtensions) {
  const auto chunk = [](std::string_view extension) {
    return post("Transfer-Encoding: chunked\r\n",
                "2" + std::string(extension) + "\r\nhi\r\n0\r\n\r\n");
  };
  for (const auto* extension :
       {";a=\"x\\\"y\"", ";a=\"\\\\\"", ";a=\"\\\"\";b=c", ";a=b;c=\"d e\t\"", ";a", ";a;b=\"\"",
        ";a=b", ";a=\";\\\";\";b=\"\\;\""})
    EXPECT_EQ(parse(chunk(extension)), "POST / host=<h> body=<hi>") << extension;
  for (const auto* extension : {";a=\"x", ";a=\"x\"y", ";a=\"x\\\"", ";a=b c", ";a=(",
                                ";a=\"\x01\"", ";a=\"x\" ", "; a", ";a=b\"c\""})
    EXPECT_EQ(parse(chunk(extension)), "400") << extension;
}

TEST(HttpGrammar, TakesAnEncodedSlashForAPartOfAName) {
  EXPECT_EQ(parse(with_host("h", "/a%2Fb")), "GET /a%2Fb host=<h> body=<>");
  EXPECT_EQ(parse(with_host("h", "/a%2fb%20c/%41")), "GET /a%2Fb c/A host=<h> body=<>");
  EXPECT_EQ(parse(with_host("h", "/..%2f..%2fetc")), "GET /..%2F..%2Fetc host=<h> body=<>");
  EXPECT_EQ(parse(with_host("h", "/a%2")), "400");
  EXPECT_EQ(parse(with_host("h", "/a%2Fb?n=1%2F2")), "GET /a%2Fb host=<h> body=<>");
}

TEST(HttpGrammar, CountsEmptyLinesAlsoOverAParserThatWasPutAway) {
  request_parser first;
  EXPECT_EQ(first.feed("\r\n\r\n"), 4u);
  EXPECT_EQ(first.empty_bytes(), 4u);
  request_parser second;
  second.set_empty_bytes(first.empty_bytes());
  second.feed("\r\n\r\n\r\n\r\n\r\n\r\n");
  EXPECT_TRUE(second.idle());
  second.feed("\n");
  EXPECT_TRUE(second.failed());
}

TEST(HttpGrammar, PrintsWhatAStrangerSentWithoutItsControlCharacters) {
  EXPECT_EQ(printable("/plain ~text"), "/plain ~text");
  EXPECT_EQ(printable("/a\r\nforged: line\x1b[0m\x7f\\"),
            "/a\\x0d\\x0aforged: line\\x1b[0m\\x7f\\x5c");
  EXPECT_EQ(printable("\xc2\x85"), "\\xc2\\x85");
  EXPECT_EQ(printable(std::string(201, 'a')), std::string(200, 'a') + "...");
}

}  // namespace
