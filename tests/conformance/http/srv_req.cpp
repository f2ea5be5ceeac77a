// SPDX-License-Identifier: MIT
// HTTP-SRV-REQ: targets in all their forms, and what a handler reads of them. Parts of a body, as a
// request gives them out.
#include "app.h"

#include <heddle/io/http/middlewares.h>
#include <heddle/io/http/part_reader.h>

#include <string>
#include <string_view>

namespace {

using namespace conformance;

CASES(HTTP_SRV_REQ_TARGET);

/// All that a request says of its target.
http::response describe(http::request& r) {
  std::string all = r.path + " " + r.target + " " + std::string(*r.headers.get("host")) + " [";
  for (const auto& [name, value] : r.query_params()) all += name + "=" + value + ";";
  return http::response::text(all + "]");
}

http::router describing() {
  http::router r;
  r.any("/p q", describe).any("/x", describe).any("/", describe);
  return r;
}

/// The status, and the body of a good answer.
h::task<std::string> asked_raw(http::test_client& c, std::string line, std::string host) {
  h::connection peer = c.connect();
  peer.writer.write(line + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n");
  const std::string all = co_await read_to_end(peer);
  peer.writer.close();
  const std::string status = all.substr(9, 3);
  co_return status == "200" ? all.substr(all.find("\r\n\r\n") + 4) : status;
}

TEST_P(HTTP_SRV_REQ_TARGET, HTTP_SRV_REQ_01_PathAndQueryAreDecodedAndTheTargetIsKept) {
  run([]() -> h::task<> {
    http::test_client c(describing());
    auto starting = c.start();
    co_await starting;
    const std::string target = "/p%20q?a=1&a=2&b&c=%zz+x&d=%26+%C3%A9";
    EQUAL(co_await asked_raw(c, "GET " + target, "h"),
          "/p q " + target + " h [a=1;a=2;b=;d=& \xC3\xA9;]");
    // A path with a broken escape names nothing.
    EQUAL(co_await asked_raw(c, "GET /p%zzq", "h"), "400");
    // By option, a query with one does not either.
    http::router strict = describing();
    strict.use(http::strict_query());
    http::test_client other(strict);
    auto starting_other = other.start();
    co_await starting_other;
    EQUAL(co_await asked_raw(other, "GET " + target, "h"), "400");
    EQUAL(co_await asked_raw(other, "GET /x?a=%2", "h"), "400");
    EQUAL(co_await asked_raw(other, "GET /x?a=%25", "h"), "/x /x?a=%25 h [a=%;]");
  });
}

TEST_P(HTTP_SRV_REQ_TARGET, HTTP_SRV_REQ_02_EachFormOfATargetIsForItsMethods) {
  run([]() -> h::task<> {
    http::test_client c(describing());
    auto starting = c.start();
    co_await starting;
    // The host in the target counts, and not the field.
    EQUAL(co_await asked_raw(c, "GET http://h/x?y=1", "other"), "/x http://h/x?y=1 h [y=1;]");
    EQUAL(co_await asked_raw(c, "GET http://h:81", "other"), "/ http://h:81 h:81 []");
    EQUAL(co_await asked_raw(c, "GET http://h:80/x", "other"), "/x http://h:80/x h []");
    EQUAL(co_await asked_raw(c, "GET http:///x", "h"), "400");
    EQUAL(co_await asked_raw(c, "GET http://user@h/x", "h"), "400");
    EQUAL(co_await asked_raw(c, "OPTIONS *", "h"), "204");
    EQUAL(co_await asked_raw(c, "GET *", "h"), "400");
    EQUAL(co_await asked_raw(c, "GET h:80", "h"), "400");
    EQUAL(co_await asked_raw(c, "GET h", "h"), "400");
    // The authority form is that of CONNECT, which a server that is no proxy supports for nothing.
    EQUAL(co_await asked_raw(c, "CONNECT h:80", "h:80"), "501");
    EQUAL(co_await asked_raw(c, "CONNECT /x", "h"), "400");
  });
}

/// The names and the bytes of all parts.
h::task<http::response> list_parts(http::request& r) {
  http::part_reader parts = r.parts();
  std::string all;
  for (;;) {
    auto asking = parts.next_part();
    auto part = co_await asking;
    if (!part) break;
    auto reading = part->body.read_all();
    all += part->name() + "=" + co_await reading + ";";
  }
  co_return http::response::text(all);
}

TEST_P(HTTP_SRV_REQ_TARGET, HTTP_SRV_REQ_05_PartsAreReadWholeOrWhileTheyArriveAndWithinTheLimit) {
  run([]() -> h::task<> {
    http::router r;
    r.post("/whole", list_parts).body_limit(300);
    r.post("/stream", list_parts).body_limit(300).body(http::body_mode::stream);
    http::test_client c(r);
    const auto post = [&c](std::string path, std::string type, std::string value) {
      http::headers fields;
      fields.add("Content-Type", type);
      return asked(
          c, "POST", std::move(path), fields,
          "--b\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n" + value + "\r\n--b--\r\n");
    };
    for (const std::string path : {"/whole", "/stream"}) {
      const std::string good = co_await post(path, "multipart/form-data; boundary=b", "v");
      EQUAL(good, "200 n=v;");
      const std::string large =
          co_await post(path, "multipart/form-data; boundary=b", std::string(400, 'x'));
      EQUAL(large.substr(0, 4), "413 ");
      const std::string other = co_await post(path, "text/plain", "v");
      EQUAL(other.substr(0, 4), "415 ");
      const std::string unbound = co_await post(path, "multipart/form-data", "v");
      EQUAL(unbound.substr(0, 4), "400 ");
      const std::string broken = co_await post(path, "multipart/form-data; boundary=c", "v");
      EQUAL(broken.substr(0, 4), "400 ");
    }
  });
  EQUAL(report_count(), 0u);
}

}  // namespace
