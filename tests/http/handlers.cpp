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

class HttpHandlers : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, HttpHandlers, testing::ValuesIn(all_setups()), name_of);

struct greeting {
  std::string text;
};

h::task<> greet(http::websocket& ws, http::path<int> room, http::state<greeting> said,
                std::optional<http::query_param<"name">> name) {
  const std::string who = name ? name->get() : "nobody";
  co_await ws.send_text(said->text + " " + who + " in " + std::to_string(room.get()));
}

h::task<std::string> hear(const http::server& s, std::string target) {
  auto opening =
      http::connect_websocket("ws://127.0.0.1:" + std::to_string(s.port()) + std::move(target));
  http::websocket ws = co_await std::move(opening);
  const auto heard = co_await ws.receive_text();
  co_await ws.close();
  co_return heard.value_or("nothing");
}

TEST_P(HttpHandlers, OfWebSocketsGetTypedArguments) {
  run([]() -> h::task<> {
    http::router r;
    r.state(std::make_shared<greeting>(greeting{"hello"}));
    r.websocket("/rooms/{room}", greet).name("room");
    const std::string mark = "?";
    r.websocket("/lambda/{room}", [mark](http::websocket& ws, http::path<int> n) -> h::task<> {
      co_await ws.send_text(std::to_string(n.get()) + mark);
    });
    r.websocket("/plain", [](http::websocket& ws, http::request& asked) -> h::task<> {
      co_await ws.send_text(asked.path);
    });
    http::server s(r);
    co_await s.start("127.0.0.1", 0);
    const std::string named = co_await hear(s, "/rooms/7?name=ann");
    EXPECT_EQ(named, "hello ann in 7");
    const std::string unnamed = co_await hear(s, "/rooms/8");
    EXPECT_EQ(unnamed, "hello nobody in 8");
    const std::string lambda = co_await hear(s, "/lambda/9");
    EXPECT_EQ(lambda, "9?");
    const std::string plain = co_await hear(s, "/plain");
    EXPECT_EQ(plain, "/plain");
    int status = 0;
    try {
      (void)co_await hear(s, "/rooms/seven");
    } catch (const http::handshake_error& e) { status = e.status(); }
    EXPECT_EQ(status, 400);
    co_await s.stop();
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

h::task<http::response> list_parts(http::request& r) {
  http::part_limits limits;
  limits.parts = 2;
  limits.header_bytes = 100;
  http::part_reader parts(r, limits);
  std::string all;
  for (;;) {
    auto next = parts.next_part();
    auto part = co_await next;
    if (!part) break;
    auto reading = part->body.read_all();
    const std::string content = co_await reading;
    all += part->name() + "=" + content + ";";
  }
  co_return http::response::text(all);
}

h::task<std::string> list_form(http::request& r) {
  auto reading = http::read_form(r);
  const http::form_data form = co_await reading;
  std::string all;
  for (const auto& [name, value] : form.fields.fields()) all += name + "=" + value + ";";
  for (const auto& file : form.files) all += file.name() + ":" + std::to_string(file.size()) + ";";
  co_return all;
}

std::string part_of(std::string_view fields, std::string_view content) {
  return "--b\r\nContent-Disposition: form-data; " + std::string(fields) + "\r\n\r\n" +
         std::string(content) + "\r\n";
}

h::task<std::string> post(http::test_client& c, std::string target, std::string type,
                          std::string body) {
  http::headers fields;
  if (!type.empty()) fields.add("Content-Type", type);
  auto asking = c.send(http::method::post, std::move(target), std::move(fields), std::move(body));
  const http::response answer = co_await asking;
  co_return answer.status == 200 ? answer.body : std::to_string(answer.status);
}

TEST_P(HttpHandlers, ReadThePartsOfTheirRequestAndRefuseItAsThePartsSay) {
  run([]() -> h::task<> {
    http::router r;
    r.post("/stream", list_parts).body(http::body_mode::stream);
    r.post("/whole", list_parts);
    http::test_client c(r);
    const std::string type = "multipart/form-data; boundary=b";
    const std::string end = "--b--";
    const std::string one = part_of("name=a", "1");
    for (const std::string target : {"/stream", "/whole"}) {
      const std::string two = co_await post(c, target, type, one + one + end);
      EXPECT_EQ(two, "a=1;a=1;");
      const std::string three = co_await post(c, target, type, one + one + one + end);
      EXPECT_EQ(three, "413");
      const std::string cut = co_await post(c, target, type, one);
      EXPECT_EQ(cut, "400");
      const std::string text = co_await post(c, target, "text/plain", one + end);
      EXPECT_EQ(text, "415");
      const std::string untyped = co_await post(c, target, "", one + end);
      EXPECT_EQ(untyped, "415");
      const std::string unbounded = co_await post(c, target, "multipart/form-data", one + end);
      EXPECT_EQ(unbounded, "400");
      const std::string long_name = part_of("name=" + std::string(200, 'n'), "1") + end;
      const std::string large = co_await post(c, target, type, long_name);
      EXPECT_EQ(large, "431");
    }
    co_await c.stop();
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

TEST_P(HttpHandlers, ReadTheFormOfTheirRequest) {
  run([]() -> h::task<> {
    http::router r;
    r.post("/form", list_form).body(http::body_mode::stream);
    http::test_client c(r);
    const std::string parts =
        part_of("name=a", "1") + part_of("name=f; filename=x", "four") + "--b--";
    const std::string multi = co_await post(c, "/form", "multipart/form-data; boundary=b", parts);
    EXPECT_EQ(multi, "a=1;f:4;");
    const std::string pairs =
        co_await post(c, "/form", "application/x-www-form-urlencoded", "a=b+c&d=%26");
    EXPECT_EQ(pairs, "a=b c;d=&;");
    const std::string json = co_await post(c, "/form", "application/json", "{}");
    EXPECT_EQ(json, "415");
    co_await c.stop();
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

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
