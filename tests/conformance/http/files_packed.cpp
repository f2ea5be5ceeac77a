// SPDX-License-Identifier: MIT
// HTTP-SRV-FIL-07: files that lie packed beside the plain ones.
#include "../io/file_cases.h"
#include "fields.h"
#include "file_routes.h"

#include <heddle/io/http/files_options.h>

namespace {

using namespace conformance;
namespace fs = std::filesystem;

CASES(HTTP_SRV_FIL_PACKED);

struct packed_wish {
  const char* target;
  const char* accept;
  const char* coding;
  const char* body;  // nullptr: that of the plain file
};
constexpr packed_wish packed_wishes[] = {{"/f/x.js", "br, gzip", "br", "brotli"},
                                         {"/f/x.js", "gzip", "gzip", "gzipped"},
                                         {"/f/x.js", "br;q=0.1, gzip;q=0.9", "gzip", "gzipped"},
                                         {"/f/x.js", "*", "br", "brotli"},
                                         {"/f/x.js", "br;q=0, gzip;q=0", "(none)", nullptr},
                                         {"/f/x.js", "zstd", "(none)", nullptr},
                                         {"/f/x.js", "gzip;q=0.5, identity", "(none)", nullptr},
                                         {"/f/x.js", "", "(none)", nullptr},
                                         {"/f/y.js", "br, gzip", "(none)", nullptr},
                                         {"/f/w.js", "zstd, gzip;q=0.1", "zstd", "zstandard"}};

TEST_P(HTTP_SRV_FIL_PACKED, HTTP_SRV_FIL_07_APackedFileBesideThePlainOneIsSent) {
  const fresh_directory top;
  const std::string plain(1000, 'p');
  put(top / "x.js", plain);
  put(top / "x.js.br", "brotli");
  put(top / "x.js.gz", "gzipped");
  put(top / "y.js", plain);
  put(top / "w.js", plain);
  put(top / "w.js.zst", "zstandard");
  put(top / "z.png", plain);
  put(top / "z.png.gz", "never");
  put(top / "only.css.gz", "no plain one");
  run([&]() -> h::task<> {
    http::test_client c(serving(top.path()));
    for (const auto& w : packed_wishes) {
      pairs list;
      if (*w.accept != '\0') list.emplace_back("Accept-Encoding", w.accept);
      auto asking = fetch(c, w.target, list);
      const http::response answer = co_await asking;
      EQUAL(answer.status, 200);
      EQUAL(answer.body, w.body == nullptr ? plain : std::string(w.body));
      EQUAL(field_of(answer, "content-encoding"), w.coding);
      EQUAL(field_of(answer, "vary"), "Accept-Encoding");
      EQUAL(field_of(answer, "content-type"), "text/javascript; charset=utf-8");
    }
    auto image = fetch(c, "/f/z.png", {{"Accept-Encoding", "gzip"}});
    const http::response packed_already = co_await image;
    EQUAL(packed_already.body, plain);
    EQUAL(field_of(packed_already, "vary"), "(none)");
    EQUAL(co_await status_with(c, "/f/only.css", "Accept-Encoding", "gzip"), 404);
    http::files_options off;
    off.precompressed = false;
    http::test_client without(serving(top.path(), off));
    auto asking = fetch(without, "/f/x.js", {{"Accept-Encoding", "br"}});
    const http::response answer = co_await asking;
    EQUAL(answer.body, plain);
    EQUAL(field_of(answer, "vary"), "(none)");
  });
}

TEST_P(HTTP_SRV_FIL_PACKED, HTTP_SRV_FIL_07_EachCodingHasATagOfItsOwn) {
  const fresh_directory top;
  put(top / "x.css", "plain text");
  put(top / "x.css.br", "br bytes..");  // as long, and made as old
  put(top / "x.css.gz", "gz bytes..");
  const auto same = fs::last_write_time(top / "x.css");
  fs::last_write_time(top / "x.css.br", same);
  fs::last_write_time(top / "x.css.gz", same);
  run([&]() -> h::task<> {
    http::test_client c(serving(top.path()));
    std::vector<std::string> tags;
    for (const char* accept : {"identity", "br", "gzip"}) {
      auto asking = fetch(c, "/f/x.css", {{"Accept-Encoding", accept}});
      const http::response answer = co_await asking;
      tags.push_back(field_of(answer, "etag"));
      HOLDS(tags.back().starts_with('"') && tags.back().ends_with('"'));
      auto again =
          fetch(c, "/f/x.css", {{"Accept-Encoding", accept}, {"If-None-Match", tags.back()}});
      const http::response unchanged = co_await again;
      EQUAL(unchanged.status, 304);
      EQUAL(field_of(unchanged, "etag"), tags.back());
      EQUAL(field_of(unchanged, "vary"), "Accept-Encoding");
    }
    HOLDS(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2]);
    auto other = fetch(c, "/f/x.css", {{"Accept-Encoding", "br"}, {"If-None-Match", tags[2]}});
    const http::response full = co_await other;
    EQUAL(full.status, 200);
    auto part = fetch(c, "/f/x.css", {{"Accept-Encoding", "br"}, {"Range", "bytes=0-1"}});
    const http::response two = co_await part;
    EQUAL(two.status, 206);
    EQUAL(two.body, "br");
    EQUAL(field_of(two, "content-encoding"), "br");
  });
}

}  // namespace
