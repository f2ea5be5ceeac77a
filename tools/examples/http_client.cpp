// SPDX-License-Identifier: MIT
// A client for applications, against servers of its own: a page by http that redirects to https,
// JSON both ways, a body that streams, and errors.
#include "example_certificate.h"

#include <heddle/heddle.h>

#include <nlohmann/json.hpp>

#include <cstdio>
#include <exception>
#include <string>

namespace h = heddle;
namespace http = heddle::http;
using namespace std::chrono_literals;

std::string base_of(const char* scheme, const http::server& s) {
  return std::string(scheme) + "://localhost:" + std::to_string(s.port()) + "/";
}

void add_routes(http::server& s) {
  s.get("/page", [](http::request&) { return http::response::text("the page, by https"); });
  s.post("/users", [](http::request& r) {
    auto user = nlohmann::json::parse(r.body);
    user["id"] = 7;
    return http::response::json(user.dump(), 201);
  });
  s.get("/large", [](http::request&) {
    http::response r;
    r.stream.write = [](http::body_writer& out) -> h::task<> {
      const std::string piece(64 * 1024, 'x');
      for (int i = 0; i < 64; ++i) {
        h::task<> sent = out.write(piece);
        co_await sent;
      }
    };
    return r;
  });
}

h::task<> ask(std::string plain, std::string secure) {
  h::tls_options trust;
  trust.ca = example_certificate;
  http::session_options options;
  options.base_url = secure;
  options.tls = h::tls_context::client(trust);
  options.timeouts.connect = 5s;
  http::session api(options);

  const auto page = co_await api.at(plain + "old page").get();
  std::printf("%s (%zu redirection)\n", page.text().c_str(), page.history.size());

  nlohmann::json user;
  user["name"] = "Ada";
  const auto made = co_await api.at("users").query("notify", "no").json(user).timeout(10s).post();
  std::printf("%d %s\n", made.status, made.json().dump().c_str());

  auto large = co_await api.at("large").open();
  std::size_t bytes = 0;
  for (;;) {
    auto next = large.body.next_chunk();
    const auto piece = co_await next;
    if (!piece) break;
    bytes += piece->size();
  }
  std::printf("%zu bytes, piece by piece\n", bytes);

  try {
    (void)co_await api.at("nothing").check_status().get();
  } catch (const http::response_error& e) { std::printf("error %d\n", e.status()); }
}

h::task<> serve_and_ask() {
  http::server_options with_tls;
  with_tls.tls = h::tls_context::server(example_certificate, example_key);
  http::server secure(with_tls);
  add_routes(secure);
  co_await secure.start("127.0.0.1", 0);
  http::server plain;
  const std::string page = base_of("https", secure) + "page";
  plain.get("/old page", [&page](http::request&) {
    http::response r;
    r.status = 301;
    r.headers.add("Location", page);
    return r;
  });
  co_await plain.start("127.0.0.1", 0);
  co_await ask(base_of("http", plain), base_of("https", secure));
  co_await plain.stop();
  co_await secure.stop();
}

int main() {
  try {
    h::run(serve_and_ask());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "http_client: %s\n", e.what());
    return 1;
  }
}

// > the page, by https (1 redirection)
// > 201 {"id":7,"name":"Ada"}
// > 4194304 bytes, piece by piece
// > error 404
