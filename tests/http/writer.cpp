// SPDX-License-Identifier: MIT
#include <heddle/io/http/message/parser.h>
#include <heddle/io/http/message/writer.h>

#include <gtest/gtest.h>

#include <ctime>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

using namespace heddle::http;

/// The text without its Date, which no test can know.
std::string undated(std::string text) {
  const auto at = text.find("Date: ");
  if (at == std::string::npos) return text + " (no Date)";
  return text.erase(at, text.find("\r\n", at) + 2 - at);
}

std::string written(const response& r, const reply_to& to = {}) {
  std::string out;
  write_response(out, r, to);
  return undated(out);
}

reply_to answering(version v, bool keep_alive, bool head = false) {
  reply_to to;
  to.version = v;
  to.keep_alive = keep_alive;
  to.head = head;
  return to;
}

TEST(HttpWriter, WritesStatusTypeLengthAndBody) {
  EXPECT_EQ(
      written(response::text("Hello, World!")),
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\n\r\n"
      "Hello, World!");
  EXPECT_EQ(written(response::error(404)),
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "
            "14\r\n\r\n"
            "404 Not Found\n");
}

TEST(HttpWriter, AppendsSoThatPipelinedAnswersLeaveTogether) {
  std::string out;
  write_response(out, response::text("a"), {});
  const auto first = out.size();
  write_response(out, response::text("b"), {});
  EXPECT_EQ(out.size(), 2 * first);
  EXPECT_TRUE(out.ends_with("\r\n\r\nb"));
}

TEST(HttpWriter, DatesEveryResponseWithTheTimeOfNow) {
  std::string out;
  const auto before = std::time(nullptr);
  write_response(out, response::text(""), {});
  const auto after = std::time(nullptr);
  const auto at = out.find("\r\nDate: ") + 8;
  const auto date = parse_http_date(std::string_view(out).substr(at, out.find("\r\n", at) - at));
  ASSERT_TRUE(date);
  EXPECT_GE(*date, before - 1);  // the coarse clock may be a tick behind
  EXPECT_LE(*date, after);
}

TEST(HttpWriter, LeavesAHandlersOwnDateAndType) {
  auto r = response::text("x");
  r.headers.add("date", "Sun, 06 Nov 1994 08:49:37 GMT");
  r.headers.add("content-type", "text/x");
  std::string out;
  write_response(out, r, {});
  EXPECT_EQ(out,
            "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-type: text/x\r\n"
            "Content-Length: 1\r\n\r\nx");
}

TEST(HttpWriter, FramesTheBodyItselfWhateverTheHandlerSays) {
  response r;
  r.body = "four";
  r.headers.add("Content-Length", "400");
  r.headers.add("Transfer-Encoding", "chunked");
  r.headers.add("Connection", "keep-alive");
  r.headers.add("X", "y");
  EXPECT_EQ(written(r), "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 4\r\n\r\nfour");
}

TEST(HttpWriter, SaysWhenTheConnectionCloses) {
  const auto r = response::text("x");
  const std::string_view close = "\r\nConnection: close\r\n",
                         keep = "\r\nConnection: keep-alive\r\n";
  EXPECT_NE(written(r, answering(version::http_1_1, false)).find(close), std::string::npos);
  EXPECT_EQ(written(r, answering(version::http_1_1, true)).find("Connection"), std::string::npos);
  EXPECT_NE(written(r, answering(version::http_1_0, true)).find(keep), std::string::npos);
  EXPECT_NE(written(r, answering(version::http_1_0, false)).find(close), std::string::npos);
}

TEST(HttpWriter, ClosesWhenTheHandlerAsksForIt) {
  auto r = response::text("x");
  r.headers.add("connection", "Close");
  EXPECT_FALSE(keeps_alive(r, {}));
  EXPECT_NE(written(r).find("\r\nConnection: close\r\n"), std::string::npos);
}

TEST(HttpWriter, AnswersHeadLikeGetButWithoutTheBody) {
  EXPECT_EQ(
      written(response::text("four"), answering(version::http_1_1, true, true)),
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\n\r\n");
  response large;
  large.headers.add("Content-Length", "123456");
  EXPECT_EQ(written(large, answering(version::http_1_1, true, true)),
            "HTTP/1.1 200 OK\r\nContent-Length: 123456\r\n\r\n");
}

TEST(HttpWriter, SendsNoBodyAndNoLengthWith204And304) {
  EXPECT_EQ(written(response::text("x", 204)), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(written(response::text("x", 304)), "HTTP/1.1 304 Not Modified\r\n\r\n");
}

TEST(HttpWriter, RefusesAStatusThatIsNone) {
  std::string out;
  EXPECT_THROW(write_response(out, response::text("x", 20), {}), std::invalid_argument);
  EXPECT_THROW(write_response(out, response::text("x", 2000), {}), std::invalid_argument);
}

TEST(HttpWriter, StreamsInChunksToHttp11) {
  std::string out;
  EXPECT_EQ(write_head(out, response::text(""), {}, std::nullopt), body_framing::chunked);
  write_chunk(out, "hello");
  write_chunk(out, "");  // an empty chunk would be the end
  write_chunk(out, std::string(26, 'x'));
  write_last_chunk(out);
  EXPECT_NE(out.find("\r\nTransfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_EQ(out.find("Content-Length"), std::string::npos);
  response_parser parser;
  EXPECT_EQ(parser.feed(out), out.size());
  ASSERT_TRUE(parser.done());
  EXPECT_EQ(parser.message().body, "hello" + std::string(26, 'x'));
}

TEST(HttpWriter, StreamsToHttp10UntilTheConnectionCloses) {
  std::string out;
  EXPECT_EQ(write_head(out, response::text(""), answering(version::http_1_0, true), std::nullopt),
            body_framing::until_close);
  EXPECT_NE(out.find("\r\nConnection: close\r\n"), std::string::npos);
  EXPECT_EQ(out.find("chunked"), std::string::npos);
}

TEST(HttpWriter, StreamsAKnownLengthAsItIs) {
  std::string out;
  EXPECT_EQ(write_head(out, response::text(""), {}, 5'000'000'000), body_framing::length);
  EXPECT_NE(out.find("\r\nContent-Length: 5000000000\r\n"), std::string::npos);
  EXPECT_EQ(write_head(out, response::text(""), answering(version::http_1_1, true, true), 5),
            body_framing::none);
}

TEST(HttpWriter, WritesRequestsThatItsParserReads) {
  headers extra;
  extra.add("Accept", "*/*");
  extra.add("Content-Length", "99");
  std::string out;
  write_request(out, method::post, "/x?y=1", "h:81", extra, "body");
  EXPECT_EQ(out,
            "POST /x?y=1 HTTP/1.1\r\nHost: h:81\r\nAccept: */*\r\nContent-Length: 4\r\n\r\nbody");
  request_parser parser;
  EXPECT_EQ(parser.feed(out), out.size());
  ASSERT_TRUE(parser.done());
  EXPECT_EQ(parser.message().body, "body");
}

TEST(HttpWriter, GivesAnEmptyPostALengthAndAGetNone) {
  std::string out;
  write_request(out, method::post, "/", "h", {}, "");
  EXPECT_NE(out.find("Content-Length: 0"), std::string::npos);
  out.clear();
  write_request(out, method::get, "/", "h", {}, "");
  EXPECT_EQ(out, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
}

TEST(HttpWriter, RefusesTargetsThatWouldSmuggleASecondRequest) {
  std::string out;
  for (const auto* target : {"", "/a b", "/\r\nX: y", "/\n", "/\xC3\xA9"}) {
    EXPECT_THROW(write_request(out, method::get, target, "h", {}, ""), std::invalid_argument);
    EXPECT_THROW(write_request(out, method::get, "/", target, {}, ""), std::invalid_argument);
  }
}

TEST(HttpDate, IsWrittenAsRfc9110Says) {
  EXPECT_EQ(format_http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(format_http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(format_http_date(951782400), "Tue, 29 Feb 2000 00:00:00 GMT");
}

TEST(HttpDate, IsReadInAllThreeForms) {
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
  EXPECT_EQ(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
  EXPECT_EQ(parse_http_date("Sun Nov  6 08:49:37 1994"), 784111777);
  EXPECT_EQ(parse_http_date("Wed Nov 16 08:49:37 1994"), 784111777 + 10 * 86400);
}

TEST(HttpDate, IsRefusedWhenMalformed) {
  for (const auto* text : {"", "x", ",", "Sun, 06 Nov 1994", "Sun, 06 Nov 1994 08:49:37",
                           "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
                           "Sun, 06 Nov 1994 08:49:37 GMT+1", "Sun, 06 XXX 1994 08:49:37 GMT",
                           "Sun Nov", "1994-11-06T08:49:37Z", "Sun, "}) {
    EXPECT_EQ(parse_http_date(text), std::nullopt) << text;
  }
}

TEST(HttpDate, ComesBackOverManyYears) {
  for (std::time_t t = 0; t < 4'000'000'000; t += 12'345'678) {
    EXPECT_EQ(parse_http_date(format_http_date(t)), t);
  }
}

}  // namespace
