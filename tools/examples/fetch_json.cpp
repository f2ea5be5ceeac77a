// SPDX-License-Identifier: MIT
// The second program of a newcomer to aiohttp: JSON by https. In Python it is
//
//   async with aiohttp.ClientSession() as session:
//       async with session.get("https://api.github.com/events") as response:
//           events = await response.json()
//           print(len(events), events[0]["type"])
//       async with session.post(url, json={"test": "object"}) as response:
//           print(await response.json())
//
// "fetch_json URL" asks another server, for a list of objects that have a "type".
#include "example_certificate.h"

#include <heddle/heddle.h>

#include <nlohmann/json.hpp>

#include <cstdio>
#include <exception>
#include <string>

namespace h = heddle;
namespace http = heddle::http;

h::task<> fetch(http::session& session, std::string url) {
  const auto response = co_await session.get(url);
  const auto events = response.json();
  std::printf("%zu %s\n", events.size(), events[0]["type"].get<std::string>().c_str());
}

h::task<> send(http::session& session, std::string url) {
  nlohmann::json object;
  object["test"] = "object";
  const auto response = co_await session.at(url).json(object).post();
  std::printf("%s\n", response.json().dump().c_str());
}

h::task<> fetch_from(std::string url) {
  http::session session;
  co_await fetch(session, url);
}

// What follows is the server.

h::task<> serve_and_fetch() {
  http::server_options with_tls;
  with_tls.tls = h::tls_context::server(example_certificate, example_key);
  http::server server(with_tls);
  server.get("/events", [](http::request&) {
    return http::response::json(R"([{"type": "PushEvent"}, {"type": "WatchEvent"}])");
  });
  server.post("/post", [](http::request& r) { return http::response::json(r.body); });
  co_await server.start("127.0.0.1", 0);

  h::tls_options trust;
  trust.ca = example_certificate;
  http::session_options options;
  options.tls = h::tls_context::client(trust);
  http::session session(options);
  const std::string base = "https://localhost:" + std::to_string(server.port());
  co_await fetch(session, base + "/events");
  co_await send(session, base + "/post");
  co_await server.stop();
}

int main(int count, char** arguments) {
  try {
    h::run(count > 1 ? fetch_from(arguments[1]) : serve_and_fetch());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "fetch_json: %s\n", e.what());
    return 1;
  }
}

// > 2 PushEvent
// > {"test":"object"}
