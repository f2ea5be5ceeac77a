// SPDX-License-Identifier: MIT
#include "pieces.h"

#include <heddle/io/http/content_type.h>
#include <heddle/io/http/forwarded.h>
#include <heddle/io/http/json.h>
#include <heddle/io/http/message.h>

#include <cstdint>

namespace shop {

struct address {
  std::string street;
  int number = 0;
};
struct customer {
  std::string name;
  int age = 0;
  std::vector<address> at;
};

inline void from_json(const nlohmann::json& j, address& a) {
  j.at("street").get_to(a.street);
  j.at("number").get_to(a.number);
}
inline void from_json(const nlohmann::json& j, customer& c) {
  j.at("name").get_to(c.name);
  j.at("age").get_to(c.age);
  if (j.contains("at")) j.at("at").get_to(c.at);
}
inline void to_json(nlohmann::json& j, const customer& c) {
  j = nlohmann::json{{"name", c.name}, {"age", c.age}};
}

}  // namespace shop

namespace {

using namespace conformance;

class HTTP_CONTENTS : public cases {};
HEDDLE_AT_LOOPS(HTTP_CONTENTS);

TEST_P(HTTP_CONTENTS, HTTP_CLI_BDN_01_TextOfAnyCharsetBecomesUtf8) {
  const auto type = http::content_type::parse(" Text/Plain ;charset=\"Latin-1\"; x=y");
  HOLDS(type && type->type == "text/plain");
  EQUAL(http::to_utf8("caf\xe9", type->charset()), "caf\xc3\xa9");
  EQUAL(http::to_utf8("\x80\x93", "windows-1252"), "\xe2\x82\xac\xe2\x80\x9c");
  EQUAL(http::to_utf8("\xc3\xa9", ""), "\xc3\xa9");
  EQUAL(http::to_utf8("\xc3\xa9", "nonsense"), "\xc3\xa9");
  EQUAL(http::to_utf8("\xef\xbb\xbfx", "latin-1"), "x");
  EQUAL(http::to_utf8(std::string_view("\xff\xfe\xe9\0\x3d\xd8\x00\xde", 8), ""),
        "\xc3\xa9\xf0\x9f\x98\x80");
  EQUAL(http::to_utf8(std::string_view("\0x\xd8\0", 4), "utf-16be", http::invalid_bytes::replace),
        "x\xef\xbf\xbd");
  const auto refused =
      refused_with<http::payload_error>([] { return http::to_utf8("ab\xff", "utf-8"); });
  HOLDS(has(refused, "byte 2 of the text is no UTF-8"));
  struct row {
    std::string_view bad;
    std::size_t marks;  // how many U+FFFD stand for it
  };
  for (const row& r :
       {row{"\xff", 1}, row{"\xc0\xaf", 2}, row{"\xe2\x82", 1}, row{"\xed\xa0\x80", 3},
        row{"\xf4\x90\x80\x80", 4}, row{"\xf0\x9f\x98", 1}, row{"\xe2\x28\xa1", 2}}) {
    const auto text = http::to_utf8(r.bad, "utf-8", http::invalid_bytes::replace);
    std::size_t marks = 0;
    for (auto at = text.find("\xef\xbf\xbd"); at != std::string::npos;
         at = text.find("\xef\xbf\xbd", at + 3))
      ++marks;
    EQUAL(marks, r.marks);
  }
  THROWS(http::payload_error, http::to_utf8("\x80", "us-ascii"));
  HOLDS(!http::content_type::parse("text") && !http::content_type::parse("/plain"));
}

template <class T>
std::string wrong(std::string_view text) {
  return refused_with<http::payload_error>([&] { return http::read_json<T>(text); });
}

TEST_P(HTTP_CONTENTS, HTTP_CLI_BDN_04_AFieldOfTheWrongTypeIsNamed) {
  const auto c = http::read_json<shop::customer>(
      R"({"name":"Ann","age":7,"at":[{"street":"Elm","number":1}]})");
  HOLDS(c.name == "Ann" && c.age == 7 && c.at.at(0).street == "Elm");
  EQUAL(http::write_json(c), R"({"age":7,"name":"Ann"})");
  HOLDS(has(wrong<shop::customer>(R"({"name":"Ann","age":"old"})"),
            "field /age: type must be number, but is string"));
  HOLDS(has(wrong<shop::customer>(R"({"name":5,"age":7})"),
            "field /name: type must be string, but is number"));
  HOLDS(has(wrong<shop::customer>(
                R"({"name":"x","age":7,"at":[{"street":"a","number":1},{"street":2,"number":3}]})"),
            "field /at/1/street: type must be string, but is number"));
  HOLDS(has(wrong<shop::customer>(R"({"name":null,"age":null})"), "field /name:"));
  HOLDS(has(wrong<shop::customer>(R"({"name":"x"})"), "'age' not found"));
  HOLDS(has(wrong<shop::customer>(R"({"name":"x","age":1,"at":[3]})"), "field /at/0:"));
  HOLDS(has(wrong<std::vector<int>>(R"([1,2,"x",4])"), "field /2:"));
  HOLDS(has(wrong<std::string>("7"), "field /: type must be string"));
  HOLDS(has(wrong<int>("{\n\"x\":}"), "the body is no JSON") &&
        has(wrong<int>("{\n\"x\":}"), "line 2"));
  // In a large value the field is not looked for long.
  std::string large = "[";
  for (int i = 0; i < 50'000; ++i) large += "1,";
  HOLDS(has(wrong<std::vector<int>>(large + "\"x\"]"), "type must be number, but is string"));
  THROWS(h::bad_value, http::write_json(std::string("\xff")));
  const auto nested = [](std::size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  HOLDS(has(wrong<int>(nested(501)), "more than 500 values inside each other"));
  HOLDS(has(wrong<int>(nested(500)), "type must be number, but is array"));
  HOLDS(has(wrong<int>("\"\\\"" + std::string(600, '[') + "\""), "but is string"));
  // A value that was parsed elsewhere is not looked into.
  const auto deep = nlohmann::json::parse(nested(100'000));
  HOLDS(has(refused_with<http::payload_error>([&] { return http::json_to<int>(deep); }),
            "the JSON does not fit: type must be number"));
}

std::string origin(const http::headers& h, std::string_view peer = "10.0.0.1") {
  const http::trusted_proxies ours({"10.0.0.0/8", "2001:db8::/32", "192.0.2.9"});
  const auto o = http::origin_of(peer, h, ours);
  return o.remote + " " + o.scheme + " " + o.host;
}

TEST_P(HTTP_CONTENTS, HTTP_SRV_REQ_09_ProxiesAreBelievedFromTheRightAndOnlyTrustedOnes) {
  const auto with = [](std::string_view name, std::string_view value) {
    http::headers h;
    h.add(name, value);
    return h;
  };
  const auto standard = [&](std::string_view v) { return origin(with("Forwarded", v)); };
  EQUAL(origin({}), "10.0.0.1  ");
  EQUAL(standard("for=6.6.6.6, For=\"[2001:db8::1]:80\";Proto=HTTPS;host=a.b, for=192.0.2.9"),
        "6.6.6.6  ");
  EQUAL(standard("for=6.6.6.6, for=203.0.113.7;proto=https;host=\"a.b:8\";by=_x"),
        "203.0.113.7 https a.b:8");
  EQUAL(standard("for=6.6.6.6, for=_hidden"), "_hidden  ");
  EQUAL(standard("for=\"6.6.6.6, for=203.0.113.7"), "10.0.0.1  ");
  EQUAL(standard("for=6.6.6.6 x, for=203.0.113.7"), "10.0.0.1  ");
  EQUAL(origin(with("Forwarded", "for=6.6.6.6"), "203.0.113.1"), "203.0.113.1  ");
  auto old = with("X-Forwarded-For", "6.6.6.6, 203.0.113.7");
  old.add("X-Forwarded-For", "10.2.3.4");
  old.add("X-Forwarded-Proto", "http, https, http");
  old.add("X-Forwarded-Host", "public.example");
  EQUAL(origin(old), "203.0.113.7 https public.example");
  EQUAL(origin(old, "::ffff:10.0.0.1"), "203.0.113.7 https public.example");
  old.add("Forwarded", "for=\"[2001:db9::1]\"");
  EQUAL(origin(old), "2001:db9::1  ");
  const auto hops = http::parse_forwarded(";for=a,, for=\"\\\"b\" ;host=c");
  HOLDS(!hops.broken && hops.hops.size() == 2 && hops.hops[1].from == "\"b");
  for (const auto* bad : {"x", "10.0.0.0/33", "10.0.0.0/", "::1/129", "10.0.0.0/-1", ""})
    THROWS(h::bad_value, http::trusted_proxies({bad}));
  HOLDS(http::trusted_proxies({"0.0.0.0/0"}).contains("1.2.3.4"));
  HOLDS(!http::trusted_proxies({"0.0.0.0/0"}).contains("::1"));
}

}  // namespace
