// SPDX-License-Identifier: MIT
// HTTP-SRV-RTE and HTTP-SRV-URL: which route a request takes, and the way back from a name to a
// path.
#include "app.h"

#include <heddle/core/errors.h>

namespace {

using namespace conformance;

CASES(HTTP_SRV_RTE);
CASES(HTTP_SRV_URL);

/// A handler that says its route, and the values of its pattern.
auto tells(std::string route, std::vector<std::string> names) {
  return [route = std::move(route), names = std::move(names)](http::request& r) {
    std::string text = route;
    for (const auto& name : names)
      text += " " + name + "=" + std::string(r.path_value(name).value_or("(none)"));
    return http::response::text(std::move(text));
  };
}

TEST_P(HTTP_SRV_RTE, HTTP_SRV_RTE_01_FixedTextGoesBeforeParametersWhateverTheOrderOfAdding) {
  run([]() -> h::task<> {
    http::router r;
    r.get("/a/{x*}", tells("rest", {"x"}));
    r.get("/a/{x}", tells("dynamic", {"x"}));
    r.get("/a/b", says("exact"));
    r.get("/{y}/q", tells("first", {"y"}));
    r.post("/a/{other}", tells("post", {"other"}));
    http::test_client c(r);
    EQUAL(co_await got(c, "/a/b"), "200 exact");
    EQUAL(co_await got(c, "/a/c"), "200 dynamic x=c");
    EQUAL(co_await got(c, "/a/c/d"), "200 rest x=c/d");
    EQUAL(co_await got(c, "/a/"), "200 rest x=");
    EQUAL(co_await got(c, "/a/q"), "200 dynamic x=q");
    EQUAL(co_await got(c, "/b/q"), "200 first y=b");
    EQUAL(co_await asked(c, "POST", "/a/b"), "200 post other=b");
    EQUAL(co_await got(c, "/a"), "404 404 Not Found");
  });
}

TEST_P(HTTP_SRV_RTE, HTTP_SRV_RTE_02_AParameterIsOneSegmentDecodedOnce) {
  run([]() -> h::task<> {
    http::router r;
    r.get("/u/{id}", tells("u", {"id"}));
    r.get("/n/{n:int}", tells("n", {"n"}));
    r.get("/x/{hex:[a-f]{2,4}}", tells("x", {"hex"}));
    http::test_client c(r);
    EQUAL(co_await got(c, "/u/7"), "200 u id=7");
    EQUAL(co_await got(c, "/u/"), "404 404 Not Found");
    EQUAL(co_await got(c, "/u/7/"), "404 404 Not Found");
    EQUAL(co_await got(c, "/u/a%2Fb"), "200 u id=a/b");
    EQUAL(co_await got(c, "/u/a+b"), "200 u id=a+b");
    EQUAL(co_await got(c, "/u/%25x"), "200 u id=%x");
    EQUAL(co_await got(c, "/u/%252F"), "200 u id=%2F");
    EQUAL(co_await got(c, "/u/7?q=/8"), "200 u id=7");
    EQUAL(co_await got(c, "/n/-12"), "200 n n=-12");
    EQUAL(co_await got(c, "/n/12x"), "404 404 Not Found");
    EQUAL(co_await got(c, "/n/99999999999999999999"), "404 404 Not Found");
    EQUAL(co_await got(c, "/x/abc"), "200 x hex=abc");
    EQUAL(co_await got(c, "/x/abcde"), "404 404 Not Found");
    EQUAL(co_await got(c, "/x/" + std::string(8000, 'a')), "404 404 Not Found");
  });
}

TEST_P(HTTP_SRV_RTE, HTTP_SRV_RTE_03_PartsOfASegmentAreSplitAtTheLastSeparator) {
  run([]() -> h::task<> {
    http::router r;
    r.get("/f/{name}.{ext}", tells("f", {"name", "ext"}));
    r.get("/v{major:int}/x", tells("v", {"major"}));
    r.get("/{a}-{b}-{c}.txt", tells("three", {"a", "b", "c"}));
    http::test_client c(r);
    EQUAL(co_await got(c, "/f/a.b.c"), "200 f name=a.b ext=c");
    EQUAL(co_await got(c, "/f/.c"), "404 404 Not Found");
    EQUAL(co_await got(c, "/f/a."), "404 404 Not Found");
    EQUAL(co_await got(c, "/v2/x"), "200 v major=2");
    EQUAL(co_await got(c, "/vx/x"), "404 404 Not Found");
    EQUAL(co_await got(c, "/1-2-3-4.txt"), "200 three a=1-2 b=3 c=4");
    // Many ways to split, none of which fits: the answer comes all the same.
    EQUAL(co_await got(c, "/" + std::string(7000, '-')), "404 404 Not Found");
  });
}

TEST_P(HTTP_SRV_RTE, HTTP_SRV_RTE_05_WhatCanNeverBeAskedIsRefusedWhereItIsAdded) {
  http::router r;
  for (const char* bad : {"/a{", "/a}", "/{a}/{a}", "a/b", "", "/{a:[}", "/{}", "/{a}{b}",
                          "/{a*}/b", "/x{a*}", "/{a b}", "/{a:}"})
    THROWS(h::bad_value, r.get(bad, says("x")));
  r.get("/u/{id}", says("1"));
  r.put("/u/{name}", says("2"));
  r.any("/any", says("3"));
  try {
    r.get("/u/{other}", says("4"));
    ADD_FAILURE() << "the second GET /u/{} was taken";
  } catch (const h::usage_error& e) {
    const std::string text = e.what();
    HOLDS(text.find("/u/{other}") != std::string::npos);
    HOLDS(text.find("/u/{id}") != std::string::npos);
  }
  THROWS(h::usage_error, r.get("/any", says("5")));
  THROWS(h::usage_error, r.any("/any", says("6")));
  r.get("/u/{id:int}", says("7"));  // another shape
  THROWS(h::bad_value, r.nest("/x/", http::router()));
  THROWS(h::bad_value, r.nest("x", http::router()));
  THROWS(h::bad_value, r.domain("a/b", http::router()));
}

TEST_P(HTTP_SRV_RTE, HTTP_SRV_RTE_06_WhatMatchesNothingIs404OrTheFallbacks) {
  run([]() -> h::task<> {
    http::router r;
    r.get("/a", says("a"));
    http::test_client plain(r);
    EQUAL(co_await got(plain, "/b"), "404 404 Not Found");
    EQUAL(co_await asked(plain, "DELETE", "/b"), "404 404 Not Found");
    http::router f;
    f.get("/a", says("a"));
    f.fallback([](http::request& q) {
      return http::response::text(std::string(q.method.text()) + " " + q.path + "?" + q.body);
    });
    f.use([](http::request& q, http::next go_on) -> h::task<http::response> {
      auto work = go_on(q);
      http::response answer = co_await work;
      answer.body += " (seen)";
      co_return answer;
    });
    http::test_client c(f);
    EQUAL(co_await got(c, "/b"), "200 GET /b? (seen)");
    EQUAL(co_await asked(c, "POST", "/c", http::headers(), "body"), "200 POST /c?body (seen)");
    EQUAL(co_await asked(c, "POST", "/a"), "405 405 Method Not Allowed\n (seen), Allow=GET, HEAD");
  });
}

TEST_P(HTTP_SRV_RTE, HTTP_SRV_RTE_07_AllowNamesTheMethodsOfAllRoutesThatHaveThePath) {
  run([]() -> h::task<> {
    http::router r;
    r.get("/a/{x}", says("1")).post("/a/b", says("2")).delete_("/a/{x*}", says("3"));
    http::test_client c(r);
    EQUAL(co_await asked(c, "PUT", "/a/b"),
          "405 405 Method Not Allowed, Allow=DELETE, GET, HEAD, POST");
    EQUAL(co_await asked(c, "PUT", "/a/c"), "405 405 Method Not Allowed, Allow=DELETE, GET, HEAD");
    EQUAL(co_await asked(c, "DELETE", "/a/b"), "200 3");
  });
}

TEST_P(HTTP_SRV_RTE, HTTP_SRV_RTE_08_HeadIsGetWithoutItsBodyUnlessTheRouteSaysOtherwise) {
  run([]() -> h::task<> {
    http::router r;
    r.get("/get", says("12345"));
    r.get("/off", says("12345")).head(false);
    r.get("/own", says("12345"));
    r.route(http::method::head, "/own", [](http::request&) {
      http::response own;
      own.headers.add("X-Own", "1");
      return own;
    });
    http::test_client c(r);
    auto asking = c.send(http::method::head, "/get", http::headers(), "");
    const http::response get = co_await asking;
    EQUAL(get.status, 200);
    EQUAL(get.headers.get("content-length").value_or(""), "5");
    EQUAL(get.body, "");
    auto asking_off = c.send(http::method::head, "/off", http::headers(), "");
    const http::response off = co_await asking_off;
    EQUAL(off.status, 405);
    EQUAL(off.headers.get("allow").value_or(""), "GET");
    auto asking_own = c.send(http::method::head, "/own", http::headers(), "");
    const http::response own = co_await asking_own;
    EQUAL(own.headers.get("x-own").value_or(""), "1");
  });
}

TEST_P(HTTP_SRV_RTE, HTTP_SRV_RTE_09_OptionsIsAnsweredWhereNoRouteTakesIt) {
  run([]() -> h::task<> {
    http::router r;
    r.get("/a", says("1")).put("/b", says("2"));
    r.route(http::method::options, "/c", says("own"));
    http::test_client c(r);
    EQUAL(co_await asked(c, "OPTIONS", "/a"), "204 , Allow=GET, HEAD, OPTIONS");
    EQUAL(co_await asked(c, "OPTIONS", "*"), "204 , Allow=GET, HEAD, OPTIONS, PUT");
    EQUAL(co_await asked(c, "OPTIONS", "/c"), "200 own");
    EQUAL(co_await asked(c, "OPTIONS", "/x"), "404 404 Not Found");
  });
}

http::router named() {
  http::router sub;
  sub.get("/i/{n:int}", says("item")).name("item");
  http::router r;
  r.get("/u/{id}", [](http::request& q) {
     std::string all;
     const auto put = [&](const char* name, const std::vector<std::string>& values) {
       try {
         all += q.url_for(name, values) + " ";
       } catch (const h::bad_value&) { all += "bad "; }
     };
     put("u", {"a/b c"});
     put("item", {"12"});
     put("item", {"twelve"});
     put("u", {});
     put("u", {"1", "2"});
     put("nobody", {});
     return http::response::text(all);
   }).name("u");
  r.nest("/sub", sub);
  return r;
}

TEST_P(HTTP_SRV_URL, HTTP_SRV_URL_01_ANameGivesThePathBackWithItsValuesEncoded) {
  run([]() -> h::task<> {
    http::test_client c(named());
    EQUAL(co_await got(c, "/u/1"), "200 /u/a%2Fb%20c /sub/i/12 bad bad bad bad ");
  });
}

TEST_P(HTTP_SRV_URL, HTTP_SRV_URL_02_ANameBelongsToOneRouteOfTheApplication) {
  http::router r;
  r.get("/a", says("a")).name("n");
  auto b = r.get("/b", says("b"));
  THROWS(h::bad_value, b.name("n"));
  THROWS(h::bad_value, b.name(""));
  run([]() -> h::task<> {
    http::router below;
    below.get("/x", says("x")).name("n");
    http::router top;
    top.get("/a", says("a")).name("n");
    top.nest("/sub", below);
    http::test_client c(top);
    EQUAL(co_await ending(c.start()), "BadValue");
  });
}

}  // namespace
