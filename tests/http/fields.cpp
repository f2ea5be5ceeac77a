// SPDX-License-Identifier: MIT
// The grammar that many fields share, and the fields that have no case of their own.
#include <heddle/io/http/content/field_text.h>
#include <heddle/io/http/content/q_value.h>
#include <heddle/io/http/content_type.h>
#include <heddle/io/http/link.h>

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace {

using namespace heddle::http;
using detail::dialect;
using detail::field_scanner;

std::string parameters_of(std::string_view text, dialect how = dialect::strict) {
  field_scanner from(text, how);
  detail::text_pairs found;
  std::string out =
      detail::read_parameters(from, found) ? "" : "malformed at " + std::string(from.rest()) + "|";
  for (const auto& [name, value] : found) out += name + "=" + value + "|";
  return out;
}

TEST(HttpFields, ParametersAreTokensOrQuotedStrings) {
  EXPECT_EQ(parameters_of("; A=b; c = \"d;\\\"e\\x\" ;;f=g;"), "a=b|c=d;\"ex|f=g|");
  EXPECT_EQ(parameters_of("; a=b c"), "a=b|");
  EXPECT_EQ(parameters_of("; a=b; c"), "malformed at ; c|a=b|");
  EXPECT_EQ(parameters_of("; a=\"open"), "malformed at ; a=\"open|");
  EXPECT_EQ(parameters_of("; a=; b=c"), "malformed at ; a=; b=c|");
  EXPECT_EQ(parameters_of("; f=\"C:\\x\\\\y\\\"\"; g=a b ", dialect::uploads),
            "f=C:\\x\\y\"|g=a b|");
}

TEST(HttpFields, TextIsQuotedOnlyIfItMustBe) {
  EXPECT_EQ(detail::token_or_quoted("a-b"), "a-b");
  EXPECT_EQ(detail::token_or_quoted("a \"\\"), "\"a \\\"\\\\\"");
  EXPECT_EQ(detail::token_or_quoted(""), "\"\"");
}

TEST(HttpFields, WeightsAreThousandths) {
  EXPECT_EQ(detail::thousandths("0"), 0);
  EXPECT_EQ(detail::thousandths("1.000"), 1000);
  EXPECT_EQ(detail::thousandths("0.05"), 50);
  EXPECT_EQ(detail::thousandths("0."), 0);
  for (const auto* bad : {"", "1.001", "2", ".5", "0.0001", "0,5", "-1", "1e0"})
    EXPECT_EQ(detail::thousandths(bad), -1) << bad;
}

TEST(HttpFields, LinksAreReadInOrder) {
  const auto links = parse_links(
      "</p/2>; rel=\"next last\"; title=\"a, b>\", <http://x/>; crossorigin; rel=Prev,, </bare>");
  ASSERT_EQ(links.size(), 3u);
  EXPECT_EQ(find_link(links, "LAST")->target, "/p/2");
  EXPECT_EQ(*links[0].find("title"), "a, b>");
  EXPECT_EQ(find_link(links, "prev")->target, "http://x/");
  EXPECT_EQ(*links[1].find("crossorigin"), "");
  EXPECT_EQ(links[2].target, "/bare");
  EXPECT_EQ(find_link(links, "none"), nullptr);
  EXPECT_EQ(parse_links("</a>; rel=x, broken, </b>").size(), 1u);
  EXPECT_TRUE(parse_links("</unclosed").empty());
}

TEST(HttpFields, ContentTypesKeepTheirParameters) {
  const auto t = content_type::parse("application/Problem+JSON;v=1;note=\"a b\"");
  ASSERT_TRUE(t);
  EXPECT_TRUE(t->is_json());
  EXPECT_EQ(t->text(), "application/problem+json; v=1; note=\"a b\"");
  EXPECT_EQ(t->charset(), "");
  EXPECT_FALSE(content_type::parse("text/html")->is_json());
}

}  // namespace
