// SPDX-License-Identifier: MIT
// HTTP-SRV-ETG: conditions of requests (RFC 9110, 13): of files, of handlers that change something,
// and of those that only answer.
#include "../io/file_cases.h"
#include "fields.h"

#include <heddle/io/http/conditions.h>
#include <heddle/io/http/middlewares.h>

namespace {

using namespace conformance;

CASES(HTTP_SRV_ETG);

constexpr const char* before = "Sun, 06 Nov 1994 08:49:36 GMT";
constexpr const char* then = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr const char* after = "Sun, 06 Nov 1994 08:49:38 GMT";
constexpr std::int64_t then_seconds = 784111777;

http::resource_state tagged(std::string tag) {
  http::resource_state now;
  now.etag = std::move(tag);
  now.modified = then_seconds;
  return now;
}

/// "go on", 304 or 412, for a method and fields "Name: value" joined by "|".
std::string judged(http::method m, const std::string& fields, const http::resource_state& now) {
  http::request r;
  r.method = m;
  std::string_view rest = fields;
  while (!rest.empty()) {
    const auto one = rest.substr(0, rest.find('|'));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    const auto colon = one.find(": ");
    r.headers.add(one.substr(0, colon), one.substr(colon + 2));
  }
  switch (http::check_conditions(r, now)) {
    case http::condition::holds: return "go on";
    case http::condition::not_modified: return "304";
    case http::condition::failed: return "412";
  }
  return "";
}

struct judgement {
  http::method::known m;
  std::string fields;
  const char* end;
};

TEST_P(HTTP_SRV_ETG, HTTP_SRV_ETG_02_AChangeIsForTheStateThatWasMeant) {
  const std::string dated = "If-Unmodified-Since: ";
  const std::vector<judgement> all = {
      {http::method::put, "If-Match: \"a\"", "go on"},
      {http::method::put, "If-Match: \"b\"", "412"},
      {http::method::put, "If-Match: \"b\", \"a\"", "go on"},
      {http::method::put, "If-Match: \"b\"|If-Match: \"a\"", "go on"},
      {http::method::put, "If-Match: W/\"a\"", "412"},  // strongly: no weak tag matches
      {http::method::put, "If-Match: *", "go on"},
      {http::method::put, "If-Match: a", "412"},
      {http::method::put, "If-Match: \"x,\"a\"", "412"},
      {http::method::put, dated + before, "412"},
      {http::method::put, dated + then, "go on"},
      {http::method::put, dated + after, "go on"},
      {http::method::put, dated + "yesterday", "go on"},
      {http::method::put, "If-Match: \"a\"|" + dated + before, "go on"},  // the tag decides
      {http::method::put, "If-None-Match: *", "412"},
      {http::method::put, "If-None-Match: \"b\"", "go on"},
      {http::method::put, std::string("If-Modified-Since: ") + after, "go on"}};
  for (const auto& j : all) EQUAL(judged(j.m, j.fields, tagged("\"a\"")), j.end);
  EQUAL(judged(http::method::put, "If-Match: W/\"a\"", tagged("W/\"a\"")), "412");
  http::resource_state none;
  none.exists = false;
  EQUAL(judged(http::method::put, "If-Match: *", none), "412");
  EQUAL(judged(http::method::put, "If-None-Match: *", none), "go on");
  EQUAL(judged(http::method::put, dated + before, none), "go on");
}

TEST_P(HTTP_SRV_ETG, HTTP_SRV_ETG_03_OfTagAndDateTheTagDecides) {
  const std::string since = "If-Modified-Since: ";
  const std::vector<judgement> all = {
      {http::method::get, "If-None-Match: \"a\"", "304"},
      {http::method::head, "If-None-Match: W/\"a\"", "304"},  // weakly
      {http::method::get, "If-None-Match: \"x\", W/\"a\"", "304"},
      {http::method::get, "If-None-Match: \"a,b\", \"c\"", "go on"},
      {http::method::get, "If-None-Match: *", "304"},
      {http::method::get, since + then, "304"},
      {http::method::get, since + after, "304"},
      {http::method::get, since + before, "go on"},
      {http::method::get, since + "rubbish", "go on"},
      {http::method::get, since + then + "|" + since + after, "go on"},
      {http::method::get, "If-None-Match: \"b\"|" + since + after, "go on"},
      {http::method::get, "If-None-Match: \"a\"|" + since + before, "304"},
      {http::method::get, "If-Match: \"b\"|If-None-Match: \"a\"", "412"},  // If-Match is first
      {http::method::get, "If-Match: \"a\"|If-None-Match: \"a\"", "304"}};
  for (const auto& j : all) EQUAL(judged(j.m, j.fields, tagged("\"a\"")), j.end);
  http::resource_state undated;
  undated.etag = "\"a\"";
  EQUAL(judged(http::method::get, since + after, undated), "go on");
}

TEST_P(HTTP_SRV_ETG, HTTP_SRV_ETG_03_FilesAreAskedInThatOrderToo) {
  const fresh_directory top;
  put(top / "a.txt", "text");
  run([&]() -> h::task<> {
    http::router r;
    r.files("/f/", top.path());
    http::test_client c(r);
    auto first = fetch(c, "/f/a.txt", {});
    const http::response now = co_await first;
    const std::string tag = field_of(now, "etag");
    const std::string date = field_of(now, "last-modified");
    EQUAL(co_await status_with(c, "/f/a.txt", "If-None-Match", tag), 304);
    EQUAL(co_await status_with(c, "/f/a.txt", "If-Modified-Since", date), 304);
    EQUAL(co_await status_with(c, "/f/a.txt", "If-Modified-Since", "rubbish"), 200);
    EQUAL(co_await status_with(c, "/f/a.txt", "If-Match", "W/" + tag), 412);
    EQUAL(co_await status_with(c, "/f/a.txt", "If-Unmodified-Since", before), 412);
    auto asking = fetch(c, "/f/a.txt", {{"If-None-Match", "\"x\""}, {"If-Modified-Since", date}});
    const http::response both = co_await asking;
    EQUAL(both.status, 200);
    EQUAL(both.body, "text");
    EQUAL(co_await status_with(c, "/f/none", "If-Match", "*"), 404);  // there is nothing to compare
  });
}

TEST_P(HTTP_SRV_ETG, HTTP_SRV_ETG_02_AHandlerAsksBeforeItChangesAnything) {
  run([]() -> h::task<> {
    std::atomic<int> changed = 0;
    http::router r;
    r.put("/doc", [&](http::request& q) {
      const auto now = tagged("\"v1\"");
      if (auto refused = http::refused_by_condition(q, now)) return std::move(*refused);
      ++changed;
      return http::response::text("changed");
    });
    http::test_client c(r);
    const auto put_if = [&](std::string tag) {
      return asked(c, "PUT", "/doc", fields_of({{"If-Match", std::move(tag)}}), "new");
    };
    EQUAL(co_await put_if("\"v0\""), "412 412 Precondition Failed");
    EQUAL(co_await put_if("W/\"v1\""), "412 412 Precondition Failed");
    EQUAL(changed.load(), 0);
    EQUAL(co_await put_if("\"v1\""), "200 changed");
    EQUAL(changed.load(), 1);
  });
}

TEST_P(HTTP_SRV_ETG, HTTP_SRV_ETG_03_AMiddlewareAsksForHandlersThatOnlyAnswer) {
  run([]() -> h::task<> {
    http::router r;
    r.use(http::conditional());
    const auto doc = [](http::request&) {
      http::response answer = http::response::text("the document");
      answer.etag("v1").last_modified(then_seconds);
      answer.headers.add("Cache-Control", "max-age=60");
      answer.headers.add("Content-Language", "en");
      return answer;
    };
    r.get("/doc", doc).post("/doc", doc);
    r.get("/plain", says("plain"));
    http::test_client c(r);
    auto asking = fetch(c, "/doc", {{"If-None-Match", "\"v1\""}});
    const http::response same = co_await asking;
    EQUAL(same.status, 304);
    EQUAL(same.body, "");
    EQUAL(field_of(same, "etag"), "\"v1\"");
    EQUAL(field_of(same, "cache-control"), "max-age=60");
    EQUAL(field_of(same, "content-language"), "(none)");
    EQUAL(co_await status_with(c, "/doc", "If-None-Match", "\"v0\""), 200);
    EQUAL(co_await status_with(c, "/doc", "If-Modified-Since", after), 304);
    EQUAL(co_await status_with(c, "/doc", "If-Modified-Since", before), 200);
    EQUAL(co_await status_with(c, "/doc", "If-Match", "\"v0\""), 412);
    EQUAL(co_await status_with(c, "/plain", "If-None-Match", "*"), 200);  // it has no state
    auto posting = fetch(c, http::method::post, "/doc", {{"If-None-Match", "\"v1\""}});
    const http::response done = co_await posting;
    EQUAL(done.status, 200);
  });
}

}  // namespace
