// SPDX-License-Identifier: MIT
// What the response parser reads and refuses.
#include <heddle/io/http/message/parser.h>

#include <gtest/gtest.h>

#include <cstddef>
#include <ostream>
#include <string>
#include <string_view>

namespace {

using namespace heddle::http;

std::string describe(const response_parser& p) {
  const auto& r = p.message();
  std::string s = std::to_string(r.status);
  for (const auto f : r.headers) s += " " + std::string(f.name) + "=<" + std::string(f.value) + ">";
  return s + " body=<" + r.body + ">" + (p.keep_alive() ? "" : " close");
}

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
