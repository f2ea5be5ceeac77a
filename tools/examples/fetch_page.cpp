// SPDX-License-Identifier: MIT
// The first program of a newcomer to aiohttp: a page by http, whose server redirects to https. In
// Python it is
//
//   async with aiohttp.ClientSession() as session:
//       async with session.get("http://python.org") as response:
//           print("Status:", response.status)
//           print("Content-type:", response.headers["content-type"])
//           html = await response.text()
//           print("Body:", html[:15], "...")
//
// "fetch_page URL" asks another server.
#include "example_certificate.h"

#include <heddle/heddle.h>

#include <cstdio>
#include <exception>
#include <string>

namespace h = heddle;
namespace http = heddle::http;

h::task<> fetch(http::session_options options, std::string url) {
  http::session session(options);
  auto response = co_await session.at(url).open();
  std::printf("Status: %d\n", response.status);
  std::printf("Content-type: %s\n", std::string(*response.headers.get("content-type")).c_str());
  auto reading = response.text();
  const std::string html = co_await reading;
  std::printf("Body: %s ...\n", html.substr(0, 15).c_str());
}

// What follows are the two servers.

h::task<> serve_and_fetch() {
  http::server_options with_tls;
  with_tls.tls = h::tls_context::server(example_certificate, example_key);
  http::server secure(with_tls);
  secure.get("/", [](http::request&) {
    http::response page = http::response::text("<!doctype html>\n<title>heddle</title>");
    page.headers.set("Content-Type", "text/html; charset=utf-8");
    return page;
  });
  co_await secure.start("127.0.0.1", 0);

  http::server plain;
  const std::string there = "https://localhost:" + std::to_string(secure.port()) + "/";
  plain.get("/", [&there](http::request&) {
    http::response moved;
    moved.status = 301;
    moved.headers.add("Location", there);
    return moved;
  });
  co_await plain.start("127.0.0.1", 0);

  h::tls_options trust;
  trust.ca = example_certificate;
  http::session_options options;
  options.tls = h::tls_context::client(trust);
  co_await fetch(options, "http://localhost:" + std::to_string(plain.port()));
  co_await plain.stop();
  co_await secure.stop();
}

int main(int count, char** arguments) {
  try {
    h::run(count > 1 ? fetch({}, arguments[1]) : serve_and_fetch());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "fetch_page: %s\n", e.what());
    return 1;
  }
}

// > Status: 200
// > Content-type: text/html; charset=utf-8
// > Body: <!doctype html> ...
