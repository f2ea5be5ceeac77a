// SPDX-License-Identifier: MIT
// The client's half of http_peer: it asks a server that has the routes of http_peer.cpp.
#include "http_peer.h"

#include <heddle/heddle.h>

#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace h = heddle;
namespace http = heddle::http;
using nlohmann::json;

namespace peer {
namespace {

constexpr std::size_t large = 1'500'007;

void need(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

h::async_generator<std::string> pieces_of_pattern() {
  constexpr std::size_t step = 70'001;
  for (std::size_t at = 0; at < large; at += step) {
    std::string piece = pattern(at, std::min(step, large - at));
    co_yield std::move(piece);
  }
}

h::task<> short_ones(http::session& s) {
  for (int i = 0; i < 20; ++i) {
    h::task<http::client_response> asking = s.get("hello");
    const auto a = co_await asking;
    need(a.status == 200 && a.body == "hello", "GET: " + std::to_string(a.status) + " " + a.body);
  }
  need(s.open_connections() <= 1, "20 GETs took more than a connection");
  h::task<http::client_response> heading = s.head("hello");
  const auto head = co_await heading;
  need(head.status == 200 && head.body.empty(), "HEAD has a body");
  need(head.headers.get("Content-Length") == "5", "HEAD says no length");
  h::task<http::client_response> asking = s.get("teapot");
  const auto tea = co_await asking;
  need(tea.status == 418, "the status is " + std::to_string(tea.status));
}

h::task<> values(http::session& s) {
  json sent = json::object();
  sent["text"] = "gr\xc3\xbc\xc3\x9f";
  sent["list"] = json::array({1, 2.5, nullptr});
  auto wanted = sent;
  wanted["seen"] = true;
  h::task<http::client_response> posting = s.at("json").json(sent).post();
  const auto posted = co_await posting;
  need(posted.status == 200 && posted.json() == wanted, "JSON: " + posted.body);
  http::multipart parts;
  parts.text("field", "a value");
  http::part_options file;
  file.file_name = "p\xc3\xa4t tern.bin";
  parts.bytes("file", pattern(0, 100'000), file);
  h::task<http::client_response> uploading = s.at("form").multipart(std::move(parts)).post();
  const auto form = co_await uploading;
  adler sum;
  sum.add(pattern(0, 100'000));
  need(form.status == 200, "multipart: " + std::to_string(form.status) + " " + form.body);
  const auto found = form.json();
  need(found["field"] == "a value", "a field: " + form.body);
  need(found["file"]["file"] == "p\xc3\xa4t tern.bin" && found["file"]["sum"] == sum.text(),
       "a file: " + form.body);
}

h::task<> bodies(http::session& s) {
  adler all;
  all.add(pattern(0, large));
  for (const bool with_length : {false, true}) {
    auto up = with_length ? http::upload::again(pieces_of_pattern, large)
                          : http::upload::again(pieces_of_pattern);
    h::task<http::client_response> posting = s.at("count").body(std::move(up)).post();
    const auto counted = co_await posting;
    need(counted.body == all.text(),
         "an upload: " + std::to_string(counted.status) + " " + counted.body);
  }
  h::task<http::client_response> waiting =
      s.at("count").body(pattern(0, large)).expect_continue().post();
  const auto counted = co_await waiting;
  need(counted.body == all.text(), "after 100 Continue: " + counted.body);
  for (const auto* length : {"", "&length=1"}) {
    const std::string url = "big?n=" + std::to_string(large) + length;
    h::task<http::client_stream> opening = s.at(url).open();
    auto down = co_await opening;
    adler got;
    for (;;) {
      auto next = down.body.next_chunk();
      const auto piece = co_await next;
      if (!piece) break;
      got.add(*piece);
    }
    need(down.status == 200 && got.text() == all.text(), "a download: " + got.text());
  }
  h::task<http::client_response> asking = s.at("text").get();
  const auto text = co_await asking;
  need(text.body == prose(), "a compressed text is another one");
}

h::task<> redirections(http::session& s) {
  for (const int status : {301, 302, 303, 307, 308}) {
    const std::string url = "moved/" + std::to_string(status);
    h::task<http::client_response> posting = s.at(url).text("body").post();
    const auto a = co_await posting;
    const bool keeps = status >= 307;
    need(a.status == 200 && a.history.size() == 1, url + ": " + std::to_string(a.status));
    need(a.json()["method"] == (keeps ? "POST" : "GET"), url + " became " + a.body);
  }
  for (int i = 0; i < 2; ++i) {
    h::task<http::client_response> asking = s.get("cookies");
    const auto a = co_await asking;
    need(a.json().contains("taste") == (i == 1), "cookies: " + a.body);
  }
}

h::task<> call(http::session& s) {
  h::task<> first = short_ones(s);
  co_await first;
  h::task<> second = values(s);
  co_await second;
  h::task<> third = bodies(s);
  co_await third;
  h::task<> fourth = redirections(s);
  co_await fourth;
}

}  // namespace

h::task<> call_and_tell(std::string base, std::string ca, std::string proxy) {
  http::session_options o;
  o.base_url = base;
  o.cookies = http::cookie_jar();
  if (ca != "-") {
    h::tls_options trust;
    trust.ca = ca;
    o.tls = h::tls_context::client(trust);
  }
  if (proxy != "-") {
    o.proxy = http::proxy(proxy);
    // tinyproxy ends each connection and does not say so before. A POST that meets the end is not
    // repeated, so no connection is kept. A tunnel is the server's: it is kept.
    o.pool.force_close = base.starts_with("http:");
  }
  http::session s(o);
  std::string found = "fine";
  try {
    h::task<> calling = call(s);
    co_await calling;
  } catch (const std::exception& e) { found = e.what(); }
  std::printf("%s\n", found.c_str());
}

}  // namespace peer
