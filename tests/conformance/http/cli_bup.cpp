// SPDX-License-Identifier: MIT
// Bodies that a client sends: generators, files, promised lengths, and what goes wrong with them.
#include "client_cases.h"

#include "../io/descriptor_count.h"

#include <heddle/core/errors.h>
#include <heddle/io/file.h>
#include <heddle/io/http/server.h>
#include <heddle/sched/async_generator.h>

#include <nlohmann/json.hpp>

#include <fstream>

namespace conformance {
namespace {

REACTOR_CASES(HTTP_CLI_BUP);

std::string echo_back(const http::request& r, int) {
  std::string framing;
  if (const auto n = r.headers.get("content-length")) framing = "length " + std::string(*n);
  if (r.headers.contains("transfer-encoding")) framing += "chunked";
  return ok(framing + ":" + r.body);
}

TEST_P(HTTP_CLI_BUP, HTTP_CLI_BUP_01_JsonIsUtf8AndABadValueFailsBeforeConnecting) {
  run([]() -> h::task<> {
    peer p(echo_back);
    co_await p.start();
    http::session client;
    const nlohmann::json value = {{"k", "\xC3\xA9"}};
    const auto r = co_await client.at(p.url("/")).json(value).post();
    EQUAL(r.body, "length 10:{\"k\":\"\xC3\xA9\"}");
    const nlohmann::json bad = "\xFF";
    auto asked = client.at(p.url("/"));
    THROWS(h::bad_value, asked.json(bad));
    EQUAL(p.connections(), 1);
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_BUP, HTTP_CLI_BUP_02_FormsAreEncodedInOrder) {
  run([]() -> h::task<> {
    peer p(echo_back);
    co_await p.start();
    http::session client;
    http::form fields;
    fields.add("k", "a b&=+\xC3\xA9").add("k", "%20").add("", "");
    const auto r = co_await client.at(p.url("/")).form(fields).post();
    HOLDS(r.body.ends_with(":k=a+b%26%3D%2B%C3%A9&k=%2520&="));
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_BUP, HTTP_CLI_BUP_03_AFileGoesOutFromWhereItStandsWithItsLength) {
  const std::string path = fresh_path("upload");
  const std::size_t size = sized(1 << 20, std::size_t{1} << 30);
  {
    std::ofstream out(path);
    const std::string block(1 << 20, 'f');
    for (std::size_t n = 0; n < size; n += block.size()) out << block;
  }
  run(
      [](std::string name, std::size_t bytes) -> h::task<> {
        peer p([](const http::request& r, int) {
          return ok(std::string(*r.headers.get("content-length")) + " " +
                    std::to_string(r.body.size()));
        });
        co_await p.start();
        http::session client;
        h::file f = co_await h::file::open(name);
        (void)co_await f.seek(10);
        auto asked = client.at(p.url("/"));
        asked.body(http::upload(std::move(f)));
        const auto rest = co_await asked.put();
        const std::string n = std::to_string(bytes - 10);
        EQUAL(rest.body, n + " " + n);
        auto whole = client.at(p.url("/"));
        whole.body(http::upload::path(name));
        const auto all = co_await whole.put();
        EQUAL(all.body, std::to_string(bytes) + " " + std::to_string(bytes));
        auto none = client.at(p.url("/"));
        none.body(http::upload::path(name + "-not-there"));
        const auto error = co_await error_of(none.put());
        EQUAL(code_of(error), ENOENT);
        co_await p.stop();
      },
      path, size);
  std::filesystem::remove(path);
}

h::async_generator<std::string> with_an_empty_piece() {
  co_yield std::string("one");
  co_yield std::string();
  co_yield std::string("two");
}

TEST_P(HTTP_CLI_BUP, HTTP_CLI_BUP_04_AnEmptyPieceDoesNotEndTheBody) {
  run([]() -> h::task<> {
    peer p(echo_back);
    co_await p.start();
    http::session client;
    auto asked = client.at(p.url("/"));
    asked.body(http::upload(with_an_empty_piece()));
    const auto r = co_await asked.post();
    EQUAL(r.body, "chunked:onetwo");
    EQUAL(client.kept_connections(), 1u);
    auto counted = client.at(p.url("/"));
    counted.body(http::upload(with_an_empty_piece(), 6));
    const auto known = co_await counted.post();
    EQUAL(known.body, "length 6:onetwo");
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_BUP, HTTP_CLI_BUP_05_ASourceThatBreaksItsPromiseBreaksTheRequest) {
  run([]() -> h::task<> {
    peer p(echo_back);
    co_await p.start();
    http::session client;
    for (const std::uint64_t promised : {5u, 7u}) {
      auto asked = client.at(p.url("/"));
      asked.body(http::upload(with_an_empty_piece(), promised));
      const auto error = co_await error_of(asked.post());
      HOLDS(is_a<h::usage_error>(error));
      EQUAL(client.open_connections(), 0u);
    }
    EQUAL(p.seen(), "");  // no complete request came
    co_await p.stop();
  });
}

TEST_P(HTTP_CLI_BUP, HTTP_CLI_BUP_06_TheBodyOfAnAnswerStreamsThroughAsTheBodyOfARequest) {
  run([]() -> h::task<> {
    const std::size_t size = sized(4 << 20, std::size_t{1} << 30);
    http::server from;
    from.get("/", [size](http::request&) {
      http::response r;
      r.stream.write = [size](http::body_writer& out) -> h::task<> {
        const std::string piece(64 * 1024, 'x');
        for (std::size_t n = 0; n < size; n += piece.size()) {
          h::task<> sent = out.write(piece);
          co_await sent;
        }
      };
      return r;
    });
    co_await from.start("127.0.0.1", 0);
    peer to([](const http::request& r, int) { return ok(std::to_string(r.body.size())); });
    co_await to.start();
    http::session client;
    auto source = co_await client.at("http://127.0.0.1:" + std::to_string(from.port())).open();
    auto asked = client.at(to.url("/"));
    asked.body(http::upload(std::move(source.body)));
    const auto r = co_await asked.put();
    EQUAL(r.body, std::to_string(size));
    EQUAL(client.kept_connections(), 2u);
    co_await to.stop();
    client.close_kept();
    co_await from.stop();
  });
}

TEST_P(HTTP_CLI_BUP, HTTP_CLI_BUP_08_AResetAmidTheUploadTellsHowMuchWasSent) {
  run([]() -> h::task<> {
    auto take = [](h::connection c) -> h::task<> {
      (void)co_await c.reader.read_exactly(200'000);
      c.writer.abort();
    };
    auto starting = h::start_server(take, "127.0.0.1", 0);
    h::server s = co_await starting;
    http::session client;
    auto asked = client.at("http://127.0.0.1:" + std::to_string(s.port()) + "/");
    asked.body(http::upload::text(std::string(32 << 20, 'x')));
    const auto error = co_await error_of(asked.post());
    HOLDS(is_a<http::connection_lost>(error));
    HOLDS(what_of(error).find("bytes of the body were sent") != std::string::npos);
    const auto sent = told<http::http_error>(error, [](const auto& e) {
      return std::string(e.sent() == http::sent_part::part ? "part" : "?");
    });
    EQUAL(sent, "part");
    s.close();
    co_await s.wait_closed();
  });
}

h::async_generator<std::string> failing() {
  for (const char* piece : {"a", "b", "c"}) co_yield std::string(piece);
  throw error_e();
}

TEST_P(HTTP_CLI_BUP, HTTP_CLI_BUP_09_TheErrorOfASourceIsTheErrorOfTheRequest) {
  run([]() -> h::task<> {
    peer p(echo_back);
    co_await p.start();
    http::session client;
    auto asked = client.at(p.url("/"));
    asked.body(http::upload(failing()));
    const auto error = co_await error_of(asked.post());
    EQUAL(name_of(error), "E");
    EQUAL(p.seen(), "");
    EQUAL(client.open_connections(), 0u);
    co_await p.stop();
  });
}

}  // namespace
}  // namespace conformance
