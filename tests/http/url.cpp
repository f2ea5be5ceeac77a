// SPDX-License-Identifier: MIT
#include <heddle/io/http/url.h>

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <string_view>

namespace {

using namespace heddle::http;

TEST(Url, TakesAnAddressApart) {
  const auto u = url::parse("HTTP://LocalHost:8080/a%20b?n=1&m=2#top");
  EXPECT_EQ(u.scheme, "http");
  EXPECT_EQ(u.host, "localhost");
  EXPECT_EQ(u.port, 8080);
  EXPECT_EQ(u.target, "/a%20b?n=1&m=2");
  EXPECT_EQ(u.authority(), "localhost:8080");
}

TEST(Url, FillsInPortAndPath) {
  EXPECT_EQ(url::parse("http://h").port, 80);
  EXPECT_EQ(url::parse("https://h").port, 443);
  EXPECT_EQ(url::parse("http://h:").port, 80);
  EXPECT_EQ(url::parse("http://h").target, "/");
  EXPECT_EQ(url::parse("http://h?x").target, "/?x");
  EXPECT_EQ(url::parse("http://h#x").target, "/");
  EXPECT_EQ(url::parse("http://h").authority(), "h");
  EXPECT_EQ(url::parse("https://h:443").authority(), "h");
  EXPECT_EQ(url::parse("https://h:80").authority(), "h:80");
}

TEST(Url, TakesIPv6AddressesInBrackets) {
  const auto u = url::parse("http://[::1]:81/x");
  EXPECT_EQ(u.host, "::1");
  EXPECT_EQ(u.port, 81);
  EXPECT_EQ(u.authority(), "[::1]:81");
  EXPECT_EQ(url::parse("http://[fe80::1]").authority(), "[fe80::1]");
}

TEST(Url, RefusesWhatItCannotUseAndSaysWhy) {
  const auto why = [](std::string_view text) -> std::string {
    try {
      url::parse(text);
    } catch (const std::invalid_argument& e) { return e.what(); }
    return "accepted";
  };
  EXPECT_NE(why("localhost").find("http://"), std::string::npos);
  EXPECT_NE(why("ftp://h").find("only http"), std::string::npos);
  EXPECT_NE(why("http://").find("host is missing"), std::string::npos);
  EXPECT_NE(why("http://:80").find("host is missing"), std::string::npos);
  EXPECT_NE(why("http://h:0").find("port"), std::string::npos);
  EXPECT_NE(why("http://h:65536").find("port"), std::string::npos);
  EXPECT_NE(why("http://h:8x").find("port"), std::string::npos);
  EXPECT_NE(why("http://u:p@h").find("user names"), std::string::npos);
  EXPECT_NE(why("http://[::1").find("bracket"), std::string::npos);
  EXPECT_NE(why("http://[::1]x").find("bracket"), std::string::npos);
  EXPECT_NE(why("http://[evil.com]").find("IPv6"), std::string::npos);
  EXPECT_NE(why("http://a,b/").find("character"), std::string::npos);
}

TEST(Url, RefusesWhatWouldSmuggleASecondRequest) {
  using namespace std::string_view_literals;
  for (const auto text : {"http://h/a b"sv, "http://h/\r\nX: y"sv, "http://h/\0"sv, "http://h\n/"sv,
                          "http://h/\xC3\xA9"sv, "http://h/\x7f"sv}) {
    EXPECT_THROW(url::parse(text), std::invalid_argument) << text;
  }
}

TEST(PercentEncoding, LeavesOnlyUnreservedCharactersInAComponent) {
  EXPECT_EQ(percent_encode("aZ09-._~"), "aZ09-._~");
  EXPECT_EQ(percent_encode("a b/c?d=e&f+\xC3\xA9"), "a%20b%2Fc%3Fd%3De%26f%2B%C3%A9");
}

TEST(PercentEncoding, LeavesSlashesInAPath) {
  EXPECT_EQ(percent_encode("/a b/c?d=1", encode_for::path), "/a%20b/c%3Fd=1");
}

TEST(PercentEncoding, ComesBackForEveryByte) {
  std::string all, decoded;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  EXPECT_TRUE(percent_decode(percent_encode(all), decoded));
  EXPECT_EQ(decoded, all);
  EXPECT_TRUE(percent_decode(percent_encode(all, encode_for::path), decoded));
  EXPECT_EQ(decoded, all);
}

TEST(PercentEncoding, RefusesBrokenEscapes) {
  std::string out;
  for (const auto* text : {"%", "%4", "a%", "%g0", "%0g", "%%41", "%-1"}) {
    EXPECT_FALSE(percent_decode(text, out)) << text;
  }
}

TEST(PercentEncoding, TurnsPlusIntoASpaceOnlyInForms) {
  std::string out;
  EXPECT_TRUE(percent_decode("a+b%2B", out));
  EXPECT_EQ(out, "a+b+");
  EXPECT_TRUE(percent_decode("a+b%2B", out, true));
  EXPECT_EQ(out, "a b+");
}

TEST(Query, FindsTheFirstValueOfAName) {
  EXPECT_EQ(query_value("n=1&n=2&m=3", "n"), "1");
  EXPECT_EQ(query_value("n=1&m=a=b", "m"), "a=b");
  EXPECT_EQ(query_value("flag&n=", "flag"), "");
  EXPECT_EQ(query_value("flag&n=", "n"), "");
  EXPECT_EQ(query_value("nn=1", "n"), std::nullopt);
  EXPECT_EQ(query_value("", "n"), std::nullopt);
  EXPECT_EQ(query_value("&&n=1&", "n"), "1");
  EXPECT_EQ(query_value("a%26b=c%3Dd", "a&b"), "c=d");
}

TEST(Query, PassesOverPairsThatDoNotDecode) {
  EXPECT_EQ(query_value("n=%zz&n=2", "n"), "2");
  const auto pairs = query_pairs("a=1&b=%&c=x+y&=v");
  ASSERT_EQ(pairs.size(), 3u);
  EXPECT_EQ(pairs[1], (std::pair<std::string, std::string>{"c", "x y"}));
  EXPECT_EQ(pairs[2], (std::pair<std::string, std::string>{"", "v"}));
}

}  // namespace
