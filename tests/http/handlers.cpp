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

}  // namespace
