// SPDX-License-Identifier: MIT
#include <heddle/io/http/message.h>

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace heddle::http;
using namespace std::string_literals;

std::string listed(const headers& h) {
  std::string s;
  for (const auto f : h) s.append(f.name).append("=").append(f.value).append(";");
  return s;
}

TEST(HttpHeaders, FindNamesWithoutRegardToCase) {
  headers h;
  h.add("Content-Type", "text/plain");
  EXPECT_EQ(h.get("content-type"), "text/plain");
  EXPECT_EQ(h.get("CONTENT-TYPE"), "text/plain");
  EXPECT_EQ(h.get("Content-Typ"), std::nullopt);
  EXPECT_TRUE(h.contains("cOnTeNt-TyPe"));
}

TEST(HttpHeaders, KeepOrderSpellingAndRepetitions) {
  headers h;
  h.add("B", "1");
  h.add("a", "2");
  h.add("b", "3");
  EXPECT_EQ(listed(h), "B=1;a=2;b=3;");
  EXPECT_EQ(h.all("b"), (std::vector<std::string_view>{"1", "3"}));
  EXPECT_EQ(h.get("b"), "1");
  EXPECT_EQ(h.size(), 3u);
}

TEST(HttpHeaders, SetReplacesAllOfThatNameInTheFirstOnesPlace) {
  headers h;
  h.add("a", "1");
  h.add("B", "2");
  h.add("A", "3");
  h.set("A", "new");
  EXPECT_EQ(listed(h), "A=new;B=2;");
  h.set("c", "4");
  EXPECT_EQ(listed(h), "A=new;B=2;c=4;");
}

TEST(HttpHeaders, RemoveTakesAllOfThatName) {
  headers h;
  h.add("a", "1");
  h.add("B", "2");
  h.add("A", "3");
  EXPECT_EQ(h.remove("a"), 2u);
  EXPECT_EQ(h.remove("a"), 0u);
  EXPECT_EQ(listed(h), "B=2;");
}

TEST(HttpHeaders, TakeViewsIntoThemselves) {
  headers h;
  h.add("Name", std::string(40, 'v'));
  for (int i = 0; i < 50; ++i) h.add(h[0].name, h[0].value);
  h.set(h[0].name, h[0].value);
  EXPECT_EQ(listed(h), "Name=" + std::string(40, 'v') + ";");
}

TEST(HttpHeaders, TrimValues) {
  headers h;
  h.add("a", " \t b c \t");
  h.add("b", "  ");
  EXPECT_EQ(listed(h), "a=b c;b=;");
}

TEST(HttpHeaders, RefuseValuesThatWouldEndTheLine) {
  headers h;
  for (const auto& value : {"a\r\nX: y"s, "a\nb"s, "a\rb"s, "a\0b"s, "\x7f"s, "\x01"s}) {
    EXPECT_THROW(h.add("a", value), std::invalid_argument);
    EXPECT_THROW(h.set("a", value), std::invalid_argument);
  }
  EXPECT_TRUE(h.empty());
  h.add("a", "tab\tand \xC3\xA9");
}

TEST(HttpHeaders, RefuseNamesThatAreNoTokens) {
  headers h;
  for (const auto& name : {""s, "a b"s, "a:"s, "a\r\n"s, "\xC3\xA9"s, "a\0"s, "(a)"s}) {
    EXPECT_THROW(h.add(name, "x"), std::invalid_argument) << name;
  }
  EXPECT_TRUE(h.empty());
}

TEST(HttpHeaders, NameTheOffenderInTheError) {
  headers h;
  try {
    h.add("X-Bad", "a\nb");
    FAIL();
  } catch (const std::invalid_argument& e) {
    EXPECT_NE(std::string(e.what()).find("X-Bad"), std::string::npos);
  }
}

TEST(HttpHeaders, FindTokensInLists) {
  headers h;
  h.add("Connection", "Upgrade, keep-alive");
  h.add("Connection", "x");
  EXPECT_TRUE(h.has_token("connection", "Keep-Alive"));
  EXPECT_TRUE(h.has_token("connection", "x"));
  EXPECT_FALSE(h.has_token("connection", "keep"));
  EXPECT_FALSE(h.has_token("upgrade", "x"));
}

TEST(HttpMethod, KnowsTheUsualOnesAndKeepsTheText) {
  EXPECT_EQ(method("DELETE"), method::delete_);
  EXPECT_EQ(method("GET").kind(), method::get);
  EXPECT_EQ(method("BREW").kind(), method::other);
  EXPECT_EQ(method("BREW").text(), "BREW");
  EXPECT_EQ(method("BREW"), method("BREW"));
  EXPECT_FALSE(method("BREW") == method("STEEP"));
  EXPECT_EQ(method("get").kind(), method::other) << "methods are case-sensitive";
  EXPECT_EQ(method(method::patch).text(), "PATCH");
  EXPECT_THROW(method("A B"), std::invalid_argument);
  EXPECT_THROW(method(""), std::invalid_argument);
}

TEST(HttpResponse, HelpersSetTypeAndStatus) {
  EXPECT_EQ(response::text("x").content_type.text(), "text/plain; charset=utf-8");
  EXPECT_EQ(response::json("{}").content_type.text(), "application/json");
  EXPECT_EQ(response::html("<p>", 201).status, 201);
  EXPECT_EQ(response::error(404).body, "404 Not Found\n");
  EXPECT_EQ(response::error(400, "no n").body, "400 Bad Request: no n\n");
}

TEST(HttpRequest, IsEmptyAgainAfterClear) {
  request r;
  r.method = method::post;
  r.target = r.path = "/x?y";
  r.headers.add("a", "b");
  r.body = "body";
  r.keep_alive = false;
  r.clear();
  EXPECT_EQ(r.method, method::get);
  EXPECT_TRUE(r.target.empty() && r.path.empty() && r.headers.empty() && r.body.empty());
  EXPECT_TRUE(r.keep_alive);
}

TEST(HttpReason, IsKnownForWhatTheServerSends) {
  for (const int status :
       {200, 204, 206, 301, 304, 400, 404, 405, 408, 413, 414, 416, 431, 500, 501, 503, 505}) {
    EXPECT_NE(reason_phrase(status), "Unknown") << status;
  }
  EXPECT_EQ(reason_phrase(299), "Unknown");
}

}  // namespace
