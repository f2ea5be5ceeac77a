// SPDX-License-Identifier: MIT
// HTTP with other programs.
//
//   http_peer serve REACTOR [CERTIFICATE KEY]   a server. It prints its ports and ends with its
//     input. Plain; https, or 0 without a certificate; one of plain TCP behind a PROXY header
//   http_peer call REACTOR BASE CA PROXY        a client. It asks a server that has the same
//     routes, and prints what was wrong, or "fine". "-": no CA, no proxy
//   http_peer inspected REACTOR                 a server with an inspector, and a deadlock to be
//     found by it. It prints its port and ends with its input
#include "http_peer.h"

#include <heddle/heddle.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace h = heddle;
namespace http = heddle::http;
using nlohmann::json;

namespace {

constexpr std::size_t piece_size = std::size_t{48} * 1024;  // no divisor of buffers
constexpr std::size_t most_upload = std::size_t{64} << 20;

h::task<http::response> count(http::request& r) {
  peer::adler sum;
  http::body_reader body = r.body_stream();
  for (;;) {
    h::task<std::optional<std::string_view>> next = body.next_chunk();
    const auto piece = co_await next;
    if (!piece) break;
    sum.add(*piece);
  }
  co_return http::response::text(sum.text());
}

/// Text of n bytes, with a length or in chunks. Its bytes are those of peer::pattern().
http::response big(http::request& r) {
  const std::size_t n = std::stoul(r.query("n").value_or("0"));
  http::response answer;
  if (r.query("length")) answer.stream.length = n;
  answer.stream.write = [n](http::body_writer& out) -> h::task<> {
    for (std::size_t at = 0; at < n; at += piece_size) {
      const std::string piece = peer::pattern(at, std::min(piece_size, n - at));
      h::task<> sent = out.write(piece);
      co_await sent;
    }
  };
  return answer;
}

h::task<http::response> form(http::request& r) {
  std::string type(r.headers.get("Content-Type").value_or(""));
  h::task<http::form_data> reading = http::read_form(r.body_stream(), std::move(type));
  const http::form_data all = co_await reading;
  json found = json::object();
  for (const auto& [name, value] : all.fields.fields()) found[name] = value;
  for (const auto& f : all.files) {
    http::body_reader body = f.body();
    h::task<std::string> reading_file = body.read_all();
    const std::string bytes = co_await reading_file;
    peer::adler sum;
    sum.add(bytes);
    found[f.name()] = json{{"file", f.filename()}, {"sum", sum.text()}};
  }
  co_return http::response::json(found.dump());
}

http::response who(http::request& r) {
  json all = json::object();
  for (const auto& [name, value] : r.headers) all["fields"][std::string(name)] = std::string(value);
  all["method"] = std::string(r.method.text());
  all["remote"] = r.remote();
  all["scheme"] = r.scheme();
  all["host"] = r.host();
  return http::response::json(all.dump());
}

http::response cookies(http::request& r) {
  json all = json::object();
  for (const auto& [name, value] : r.cookies()) all[name] = value;
  auto answer = http::response::json(all.dump());
  http::cookie c;
  c.name = "taste";
  c.value = "sweet";
  c.path = "/";
  answer.set_cookie(c);
  return answer;
}

http::router routes() {
  http::router r;
  r.use(http::compress());
  r.get("/hello", [](http::request&) { return http::response::text("hello"); });
  r.post("/json", [](http::request& asked) {
    json got = json::parse(asked.body);
    got["seen"] = true;
    return http::response::json(got.dump());
  });
  r.post("/count", count).body(http::body_mode::stream).body_limit(most_upload);
  r.put("/echo", [](http::request& asked) { return http::response::text(asked.body); });
  r.get("/big", big);
  r.get("/text", [](http::request&) { return http::response::text(peer::prose()); });
  r.post("/form", form).body(http::body_mode::stream).body_limit(most_upload);
  r.any("/who", who);
  r.get("/cookies", cookies);
  r.any("/moved/{status:int}", [](http::request& asked) {
    http::response answer;
    answer.status = std::stoi(std::string(asked.path_value("status").value_or("302")));
    answer.headers.add("Location", asked.query("to").value_or("/who"));
    return answer;
  });
  r.get("/teapot", [](http::request&) { return http::response::error(418, "no coffee"); });
  return r;
}

/// Tells who has connected, as a PROXY header has it. One line a connection.
h::task<> tell_peer(h::connection c) {
  h::task<std::string> reading = c.reader.read_line();
  (void)co_await reading;
  c.writer.write(c.writer.peer_address().to_string() + "\n");
  co_await c.writer.drain();
}

h::task<> serve(std::string certificate, std::string key) {
  http::server_options o;
  o.trusted_proxies = {"127.0.0.1"};
  http::server server(routes(), o);
  std::vector<http::site> sites{http::listen("127.0.0.1", 0)};
  if (!certificate.empty()) {
    h::tls_server_options t;
    t.alpn = {"http/1.1", "http/1.0"};
    t.certificate = certificate;
    t.key = key;
    sites.push_back(http::listen("127.0.0.1", 0).tls(h::tls_context::server(t)));
  }
  h::task<> starting = server.start(std::move(sites));
  co_await starting;
  h::server_options behind;
  behind.proxy_header = true;
  h::task<h::server> opening = h::start_server(tell_peer, "127.0.0.1", 0, behind);
  h::server told = co_await opening;
  const auto all = server.addresses();
  std::printf("%u %u %u\n", static_cast<unsigned>(all[0].port()),
              all.size() > 1 ? static_cast<unsigned>(all[1].port()) : 0U,
              static_cast<unsigned>(told.port()));
  std::fflush(stdout);
  co_await h::to_thread([] {
    while (std::getchar() != EOF) {}
  });
  told.close();
  h::task<> stopping = server.stop();
  co_await stopping;
}

}  // namespace

int main(int count, char** words) {
  const std::string_view what = count > 2 ? words[1] : "";
  if (count > 2) ::setenv("HEDDLE_REACTOR", words[2], 1);
  if (what == "serve") {
    h::run(serve(count > 4 ? words[3] : "", count > 4 ? words[4] : ""));
  } else if (what == "call" && count > 5) {
    h::run(peer::call_and_tell(words[3], words[4], words[5]));
  } else if (what == "inspected") {
    h::run(peer::be_inspected(), {.loops = 2});
  } else {
    std::fprintf(stderr,
                 "usage: http_peer serve REACTOR [CERTIFICATE KEY]\n"
                 "       http_peer call REACTOR BASE CA PROXY\n"
                 "       http_peer inspected REACTOR\n");
    return 2;
  }
}
