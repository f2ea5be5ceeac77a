// SPDX-License-Identifier: MIT
// What a handler is spared: WebSockets with typed arguments, parts and forms of its request, errors
// that can be passed on, and places to listen at, as people write them.
#include "http/site.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/extract.h>
#include <heddle/io/http/form_data.h>
#include <heddle/io/http/json.h>
#include <heddle/io/http/part_reader.h>
#include <heddle/io/http/router.h>
#include <heddle/io/http/test_client.h>
#include <heddle/io/http/websocket.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

namespace {

using namespace http_test;

TEST(HttpJson, ThatIsNoneIsToldInAShortTextOfAscii) {
  for (const std::string& body : {std::string("\xff\xfe"), "\"" + std::string(100'000, 'x')}) {
    try {
      (void)http::parse_json(body);
      ADD_FAILURE() << body.size();
    } catch (const http::payload_error& e) {
      const std::string_view text = e.what();
      EXPECT_LT(text.size(), 400U);
      EXPECT_TRUE(std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; })) << text;
    }
  }
}

TEST(HttpSite, IsReadAsPeopleWriteIt) {
  struct {
    const char* text;
    const char* where;
    std::uint16_t port;
  } const fine[] = {{"127.0.0.1:8080", "127.0.0.1", 8080},
                    {"localhost:0", "localhost", 0},
                    {"[::1]:65535", "::1", 65535},
                    {":80", "", 80}};
  for (const auto& f : fine) {
    const auto at = http::listen(f.text);
    EXPECT_FALSE(at.is_unix()) << f.text;
    EXPECT_EQ(at.where(), f.where) << f.text;
    EXPECT_EQ(std::uint16_t(at.port()), f.port) << f.text;
  }
  const auto local = http::site::parse("unix:/run/app.sock");
  EXPECT_TRUE(local.is_unix());
  EXPECT_EQ(local.where(), "/run/app.sock");
  for (const char* wrong : {"", "127.0.0.1", "8080", "host:", "host:65536", "host:-1", "host:80 ",
                            "::1:80", "[::1]", "unix:"}) {
    try {
      (void)http::site::parse(wrong);
      ADD_FAILURE() << wrong;
    } catch (const h::bad_value& e) {
      EXPECT_NE(std::string(e.what()).find("\"" + std::string(wrong) + "\""), std::string::npos);
    }
  }
}

}  // namespace
