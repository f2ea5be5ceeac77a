// SPDX-License-Identifier: MIT
// What a client does with odd answers: interim ones without end, folded fields, unknown codings.
// And what its errors show.
#include <heddle/core/errors.h>
#include <heddle/io/http/message/parser.h>
#include <heddle/io/http/url.h>

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace {

namespace http = heddle::http;

/// Feeds `text` in pieces of `size`, and its end.
void feed(http::response_parser& p, std::string_view text, std::size_t size) {
  while (!text.empty() && !p.done() && !p.failed()) {
    const auto piece = text.substr(0, size);
    const auto used = p.feed(piece);
    text.remove_prefix(used);
    if (used == 0) break;
  }
  if (!p.done() && !p.failed()) p.finish();
}

constexpr std::size_t cuts[] = {1, 2, 3, 7, 100'000};

std::string interim(std::size_t n) {
  std::string text;
  for (std::size_t i = 0; i < n; ++i) text += "HTTP/1.1 102 Processing\r\nX: y\r\n\r\n";
  return text;
}
constexpr std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

TEST(HttpAnswers, AsManyInterimAnswersAreSkippedAsTheLimitSaysAndNotOneMore) {
  for (const auto cut : cuts) {
    http::limits l;
    l.interim_answers = 3;
    http::response_parser p(l);
    for (int again = 0; again < 2; ++again) {  // the count begins anew with the next answer
      feed(p, interim(3) + std::string(answer), cut);
      ASSERT_TRUE(p.done());
      EXPECT_EQ(p.message().body, "hi");
      p.next();
    }
    feed(p, interim(4) + std::string(answer), cut);
    ASSERT_TRUE(p.failed());
    EXPECT_NE(p.error().reason.find("interim_answers"), std::string_view::npos);
  }
}

TEST(HttpAnswers, EndlessInterimAnswersAreRefusedByDefaultAfterAHundred) {
  http::response_parser p;
  feed(p, interim(101), 100'000);
  EXPECT_TRUE(p.failed());
}

TEST(HttpAnswers, FoldedFieldsAreUnfolded) {
  for (const auto cut : cuts) {
    http::response_parser p;
    feed(p,
         "HTTP/1.1 200 OK\r\nX-Long: one\r\n two\r\n\t three  \r\nX-Empty:\r\n \r\nX-Late:\r\n "
         "value\r\nContent-Length: 2\r\n\r\nhi",
         cut);
    ASSERT_TRUE(p.done()) << p.error().reason << " " << cut;
    const auto& h = p.message().headers;
    EXPECT_EQ(h.get("x-long"), "one   two  \t three");
    EXPECT_EQ(h.get("x-empty"), "");
    EXPECT_EQ(h.get("x-late"), "value");
    EXPECT_EQ(p.message().body, "hi");
    EXPECT_FALSE(p.keep_alive());
  }
}

TEST(HttpAnswers, AFoldBeforeTheFirstFieldOrInAFieldThatFramesTheBodyIsRefused) {
  for (const auto cut : cuts) {
    for (const char* text :
         {"HTTP/1.1 200 OK\r\n X: y\r\nContent-Length: 0\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n 0\r\n\r\n0123456789",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked,\r\n gzip\r\n\r\n0\r\n\r\n"}) {
      http::response_parser p;
      feed(p, text, cut);
      EXPECT_TRUE(p.failed()) << text << " " << cut;
    }
  }
}

TEST(HttpAnswers, AStatusHasThreeDigits) {
  for (const auto cut : cuts) {
    for (const char* status : {"2", "20", "020", "0200", "00200", "2000", " 200", "2 00", "20x"}) {
      http::response_parser p;
      feed(p, "HTTP/1.1 " + std::string(status) + " OK\r\nContent-Length: 0\r\n\r\n", cut);
      EXPECT_TRUE(p.failed()) << status << " " << cut;
    }
    for (const char* line : {"200 OK", "200 ", "200"}) {
      http::response_parser p;
      feed(p, "HTTP/1.1 " + std::string(line) + "\r\nContent-Length: 0\r\n\r\n", cut);
      EXPECT_TRUE(p.done()) << line << " " << cut;
    }
  }
}

TEST(HttpAnswers, FoldedTrailersAreSkipped) {
  for (const auto cut : cuts) {
    http::response_parser p;
    feed(p,
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: a\r\n b\r\n\r\n",
         cut);
    ASSERT_TRUE(p.done()) << p.error().reason << " " << cut;
    EXPECT_EQ(p.message().body, "hi");
  }
}

TEST(HttpAnswers, AnUnknownTransferCodingIsAnErrorAndNoBody) {
  for (const auto cut : cuts) {
    for (const char* coding :
         {"gzip", "gzip, chunked", "chunked, gzip", "identity", "", "chunked, chunked",
          "chunked;q=1", "x\r\nTransfer-Encoding: chunked"}) {
      http::response_parser p;
      feed(p,
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + std::string(coding) +
               "\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
           cut);
      EXPECT_TRUE(p.failed()) << coding << " " << cut;
    }
    for (const char* coding : {"chunked", "Chunked", " chunked "}) {
      http::response_parser p;
      feed(p,
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + std::string(coding) +
               "\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
           cut);
      ASSERT_TRUE(p.done()) << coding << " " << p.error().reason;
      EXPECT_EQ(p.message().body, "hi");
      EXPECT_TRUE(p.keep_alive());
    }
  }
}

TEST(HttpAnswers, ChunksInHttp10AreReadAndTheConnectionIsNotKept) {
  http::response_parser p;
  feed(p,
       "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: "
       "chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
       100'000);
  ASSERT_TRUE(p.done()) << p.error().reason;
  EXPECT_EQ(p.message().body, "hi");
  EXPECT_FALSE(p.keep_alive());
}

TEST(HttpAnswers, AUrlsPasswordNeverShowsInAnError) {
  for (const char* text :
       {"http://user:secret@host/", "https://user:secret@host", "http://user:secret@host/a b",
        "http://user:sec/secret@host/", "http://user:sec?secret@host/",
        "http://user:sec#secret@host", "http://a@user:secret@host/", "user:secret@host/",
        "ftp://user:secret@host/", "http:/user:secret@host/", "http://user:secret@host:99999/",
        "http://user:se\ncret@host/", "http://user:secret@[::1/", "user:x://secret@host"}) {
    std::string shown;
    try {
      (void)http::url::parse(text);
    } catch (const heddle::bad_value& e) { shown = e.what(); }
    EXPECT_NE(shown.find("not a usable URL"), std::string::npos) << text;
    EXPECT_EQ(shown.find("cret"), std::string::npos) << shown;
    EXPECT_EQ(shown.find("user:"), std::string::npos) << shown;
    EXPECT_NE(shown.find("***@"), std::string::npos) << shown;
  }
}

}  // namespace
