// SPDX-License-Identifier: MIT
//
// A page for each row: each does one thing more than /plaintext.
#include <heddle/io/http/typed.h>

#include "common/heddle_server.h"

namespace {

namespace http = heddle::http;

struct greeting {
  std::string message;
};
void to_json(nlohmann::json& j, const greeting& g) { j["message"] = g.message; }

// A hundred patterns, of which the load asks for one in the middle.
void add_routes(http::server& server) {
  for (int i = 0; i < 100; ++i) {
    server.get("/api/v1/r" + std::to_string(i) + "/users/{user}/posts/{post:int}",
               [](http::request& r) {
                 std::string text(r.path_value("user").value());
                 text += ' ';
                 text += r.path_value("post").value();
                 return http::response::text(std::move(text));
               });
  }
}

heddle::task<> serve(bench::server_settings with) {
  http::server server;
  server.get("/plaintext", [](http::request&) { return http::response::text("Hello, World!"); });
  server.get("/json", [](http::request&) { return greeting{"Hello, World!"}; });
  server.post("/upload",
              [](http::request& r) { return http::response::text(std::to_string(r.body.size())); });
  add_routes(server);
  if (!with.files.empty()) server.files("/files", with.files);
  co_await server.start("127.0.0.1", with.port);
  co_await server.serve_forever();
}

}  // namespace

int main(int argc, char** argv) {
  return bench::serve_on_heddle(argc, argv, {"http", "heddle"}, serve);
}
