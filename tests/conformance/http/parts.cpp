// SPDX-License-Identifier: MIT
#include "pieces.h"

#include <heddle/io/file.h>
#include <heddle/io/http/codings.h>
#include <heddle/io/http/content/base64.h>
#include <heddle/io/http/form.h>
#include <heddle/io/http/multipart.h>
#include <heddle/io/http/part_reader.h>

#include <nlohmann/json.hpp>

#include <filesystem>

#include <unistd.h>

namespace {

using namespace conformance;

class HTTP_PARTS : public cases {};
HEDDLE_AT_LOOPS(HTTP_PARTS);

constexpr auto form_b = "multipart/form-data; boundary=b";
constexpr auto mixed_b = "multipart/mixed; boundary=\"b\"";

h::task<std::string> sent(http::multipart_body body) {
  std::string all;
  auto pieces = body.pieces();
  while (std::string* piece = co_await pieces.next()) {
    HOLDS(!piece->empty());
    all += *piece;
  }
  if (body.length) EQUAL(all.size(), *body.length);
  co_return all;
}

/// All parts, each as "name/file/content;", or the error's status and text.
h::task<std::string> parts_in(std::string text, std::size_t n, std::string type) {
  std::string found;
  try {
    http::part_reader parts(in_pieces(std::move(text), n), type);
    for (;;) {
      h::task<std::optional<http::part>> next = parts.next_part();
      auto p = co_await next;
      if (!p) break;
      h::task<std::string> reading = p->body.read_all();
      const std::string content = co_await reading;
      found += p->name() + "/" + p->filename() + "/" + content + ";";
    }
  } catch (const http::part_error& e) {
    found += std::to_string(e.status()) + " " + e.what();
  } catch (const http::payload_error& e) { found += std::string("payload_error: ") + e.what(); }
  co_return found;
}

h::async_generator<std::string> three_pieces() {
  co_yield "one ";
  co_yield "";
  co_await h::yield_now();
  co_yield "two";
}

TEST_P(HTTP_PARTS, HTTP_MP_WR_01_PartsOfEveryKind) {
  const std::string path = (std::filesystem::temp_directory_path() /
                            ("heddle-part-" + std::to_string(::getpid()) + ".html"))
                               .string();
  run([path]() -> h::task<> {
    co_await h::write_file(path, "<p>");
    http::multipart m("b");
    http::part_options typed;
    typed.file_name = "x.bin";
    typed.content_type = "application/x-thing";
    m.text("t", "text").bytes("raw", std::string("\0\r\n", 3), typed).file("f", path);
    m.json("j", nlohmann::json{{"n", 1}}).stream("s", three_pieces, 7);
    auto making = m.ready();
    const http::multipart_body body = co_await making;
    EQUAL(body.content_type, "multipart/form-data; boundary=b");
    HOLDS(body.length);
    const std::string text = co_await sent(body);
    const auto begin = "--b\r\nContent-Disposition: form-data; name=\"";
    const std::string name = path.substr(path.rfind('/') + 1);
    const std::string wanted =
        std::string(begin) + "t\"\r\n\r\ntext\r\n" + begin +
        "raw\"; filename=\"x.bin\"\r\nContent-Type: application/x-thing\r\n\r\n" +
        std::string("\0\r\n", 3) + "\r\n" + begin + "f\"; filename=\"" + name +
        "\"\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>\r\n" + begin +
        "j\"\r\nContent-Type: application/json\r\n\r\n{\"n\":1}\r\n" + begin +
        "s\"\r\nContent-Type: application/octet-stream\r\n\r\none two\r\n--b--\r\n";
    EQUAL(text, wanted);
    const std::string again = co_await sent(body);
    EQUAL(again, wanted);
    const std::string read = co_await parts_in(text, 9, form_b);
    EQUAL(read, "t//text;raw/x.bin/" + std::string("\0\r\n", 3) + ";f/" + name +
                    "/<p>;j//{\"n\":1};s//one two;");
    std::filesystem::remove(path);
    bool missing = false;
    try {
      (void)co_await m.ready();
    } catch (const std::system_error&) { missing = true; }
    HOLDS(missing);
  });
  HOLDS(http::multipart().content_type() != http::multipart().content_type());
  HOLDS(http::multipart().content_type().size() > 32 + 30);
  EQUAL(http::multipart("a b").content_type(), "multipart/form-data; boundary=\"a b\"");
  THROWS(h::bad_value, http::multipart(""));
  THROWS(h::bad_value, http::multipart("a\r\n"));
}

TEST_P(HTTP_PARTS, HTTP_MP_WR_02_TheLengthIsExactOrUnknown) {
  run([]() -> h::task<> {
    http::multipart m("b");
    auto empty = m.ready();
    const http::multipart_body nothing = co_await empty;
    const std::string none = co_await sent(nothing);
    EQUAL(none, "--b--\r\n");
    m.text("a", "x").stream("s", three_pieces);
    auto making = m.ready();
    const http::multipart_body body = co_await making;
    HOLDS(!body.length);
    const std::string text = co_await sent(body);
    HOLDS(has(text, "\r\n\r\none two\r\n--b--") && !has(text, "Content-Length"));
    for (const std::uint64_t wrong : {6, 8}) {
      http::multipart lies("b");
      lies.stream("s", three_pieces, wrong);
      auto preparing = lies.ready();
      const http::multipart_body lie = co_await preparing;
      bool refused = false;
      try {
        (void)co_await sent(lie);
      } catch (const h::usage_error&) { refused = true; }
      HOLDS(refused);
    }
  });
}

TEST_P(HTTP_PARTS, HTTP_MP_WR_03_NamesGoOutAsBrowsersSendThem) {
  run([]() -> h::task<> {
    http::multipart m("b");
    http::part_options file;
    file.file_name = "\xc3\xa4\\\"\r\n%22 '.txt";
    m.bytes("files[]", "x", file);
    auto making = m.ready();
    const http::multipart_body body = co_await making;
    const std::string text = co_await sent(body);
    HOLDS(has(text, "name=\"files[]\"; filename=\"\xc3\xa4\\%22%0D%0A%22 '.txt\"\r\n"));
    HOLDS(!has(text, "filename*"));
  });
}

TEST_P(HTTP_PARTS, HTTP_MP_WR_04_ControlCharactersAreRefused) {
  http::multipart m;
  http::part_options bad;
  bad.content_type = "text/plain\r\nX: y";
  THROWS(h::bad_value, m.text(std::string("a\0b", 3), "x"));
  THROWS(h::bad_value, m.text("a\x7f", "x"));
  THROWS(h::bad_value, m.bytes("a", "x", bad));
  bad = {};
  bad.file_name = "a\x01";
  THROWS(h::bad_value, m.bytes("a", "x", bad));
  THROWS(h::bad_value, m.json("a", nlohmann::json("\xff")));
}

std::string part_text(std::string_view name, std::string_view content) {
  return "--b\r\nContent-Disposition: form-data; name=" + std::string(name) + "\r\n\r\n" +
         std::string(content) + "\r\n";
}

TEST_P(HTTP_PARTS, HTTP_MP_RD_01_PartsAreFoundWhereverTheBytesAreCut) {
  run([]() -> h::task<> {
    const std::string text = part_text("a", "") + part_text("b", "1") +
                             part_text("c", "\r\n--\r\n--a\r\r\n") + "--b--\r\n";
    for (std::size_t n = 1; n <= text.size(); ++n) {
      const std::string found = co_await parts_in(text, n, form_b);
      EQUAL(found, "a//;b//1;c//\r\n--\r\n--a\r\r\n;");
    }
    // The empty line may be the beginning of the next delimiter.
    const std::string bare = co_await parts_in("--b\r\nX: y\r\n\r\n--b\r\n\r\n--b--", 1, form_b);
    EQUAL(bare, "//;//;");
    const std::string large(300'000, 'x');
    http::part_reader parts(in_pieces(part_text("a", large) + "--b--", 1000), form_b);
    auto p = co_await parts.next_part();
    std::size_t sum = 0;
    for (;;) {
      const auto piece = co_await p->body.next_chunk();
      if (!piece) break;
      HOLDS(piece->size() <= 1010);
      sum += piece->size();
    }
    EQUAL(sum, large.size());
  });
}

TEST_P(HTTP_PARTS, HTTP_MP_RD_02_WhatStandsAroundThePartsIsSkipped) {
  run([]() -> h::task<> {
    const std::string one = part_text("a", "1");
    for (const auto& text : std::vector<std::string>{
             "preamble\r\n" + one + "--b--\r\nepilogue --b\r\n--b\r\n", "\r\n" + one + "--b--",
             "--b \t\r\n" + one.substr(5) + "--b-- \t\r\n"}) {
      for (const std::size_t n : {std::size_t{1}, std::size_t{7}, text.size()}) {
        const std::string found = co_await parts_in(text, n, form_b);
        EQUAL(found, "a//1;");
      }
    }
    std::string lf = one + "--b--\r\n";
    std::erase(lf, '\r');
    const std::string refused = co_await parts_in(lf, 5, form_b);
    HOLDS(has(refused, "400 the body holds no boundary"));
  });
}

TEST_P(HTTP_PARTS, HTTP_MP_RD_03_WhatOnlyLooksLikeABoundaryIsContent) {
  run([]() -> h::task<> {
    const std::string content = "x\r\n--bX\r\n--b-\r\n--b--y\r\n-- b\r\n\r\n\r\n--";
    const std::string text = part_text("a", content) + "--b--\r\n";
    for (std::size_t n = 1; n < 20; ++n) {
      const std::string found = co_await parts_in(text, n, form_b);
      EQUAL(found, "a//" + content + ";");
    }
  });
}

TEST_P(HTTP_PARTS, HTTP_MP_RD_04_AMalformedBodyNeverLooksWhole) {
  run([]() -> h::task<> {
    for (const auto* type :
         {"multipart/form-data", "multipart/form-data; boundary=", "text/plain; boundary=b", ""}) {
      const std::string found = co_await parts_in("", 1, type);
      HOLDS(has(found, "400 "));
    }
    const std::string long_one = "multipart/mixed; boundary=" + std::string(71, 'b');
    const std::string found = co_await parts_in("", 1, long_one);
    HOLDS(has(found, "400 the type of the body has no boundary of 1 to 70 characters"));
    const std::string text = part_text("a", "1") + "--b--";
    for (std::size_t n = 0; n < text.size(); ++n) {
      const std::string cut = co_await parts_in(text.substr(0, n), 3, form_b);
      HOLDS(has(cut, "400 the body") && !has(cut, "a//1;"));
    }
    const std::string fields = "--b\r\nno field\r\n\r\n\r\n--b--";
    const std::string bad = co_await parts_in(fields, 4, form_b);
    HOLDS(has(bad, "400 \"no field\" is no field of a part"));
  });
}

TEST_P(HTTP_PARTS, HTTP_MP_RD_05_EveryCostHasALimit) {
  run([]() -> h::task<> {
    std::string many = "--b\r\n";
    for (int i = 0; i < 1000; ++i) many += "X: y\r\n";
    const std::string count = co_await parts_in(many + "\r\n\r\n--b--", 500, form_b);
    HOLDS(has(count, "431 a part has more than 50 fields"));
    const std::string line = "--b\r\nX: " + std::string(1 << 20, 'y') + "\r\n\r\n\r\n--b--";
    const std::string bytes = co_await parts_in(line, 1000, form_b);
    HOLDS(has(bytes, "431 the fields of a part have more than 16384 bytes"));
    std::string parts;
    for (int i = 0; i < 1001; ++i) parts += "--b\r\n\r\n\r\n";
    const std::string sum = co_await parts_in(parts + "--b--", 999, form_b);
    HOLDS(has(sum, "413 the body has more than 1000 parts"));
    HOLDS(has(sum, "//;//;"));
  });
}

TEST_P(HTTP_PARTS, HTTP_MP_RD_06_GoingOnSkipsTheRestOfAPart) {
  run([]() -> h::task<> {
    http::part_reader parts(
        in_pieces(part_text("a", "0123456789") + part_text("b", "next") + "--b--", 12), form_b);
    auto a = co_await parts.next_part();
    const std::string begin = co_await a->body.read_exactly(3);
    EQUAL(begin, "012");
    auto b = co_await parts.next_part();
    EQUAL(b->name(), "b");
    bool refused = false;
    try {
      (void)co_await a->body.read_all();
    } catch (const h::usage_error&) { refused = true; }
    HOLDS(refused);
    const std::string rest = co_await b->body.read_all();
    EQUAL(rest, "next");
    const auto none = co_await parts.next_part();
    HOLDS(!none);
    const auto still = co_await parts.next_part();
    HOLDS(!still);
  });
}

TEST_P(HTTP_PARTS, HTTP_MP_RD_08_AFileNameHasNoPath) {
  run([]() -> h::task<> {
    struct row {
      std::string sent, raw, safe;
    };
    const std::vector<row> rows = {
        {"\"../../etc/passwd\"", "../../etc/passwd", "passwd"},
        {"\"C:\\x\\y.txt\"", "C:\\x\\y.txt", "y.txt"},
        {std::string("\"a\0b\"", 5), std::string("a\0b", 3), "ab"},
        {"\"..\"", "..", ""},
        {"\"x/\"", "x/", ""},
        {"\"a\\\"b%22\"", "a\"b%22", "a\"b%22"},
        {"plain name.txt", "plain name.txt", "plain name.txt"},
        {"\"x\"; filename*=UTF-8''%c3%a4.txt", "\xc3\xa4.txt", "\xc3\xa4.txt"},
    };
    for (const row& r : rows) {
      const std::string text = part_text("\"n\"; filename=" + r.sent, "x") + "--b--";
      http::part_reader parts(in_pieces(text, 10), form_b);
      const auto p = co_await parts.next_part();
      EQUAL(p->name(), "n");
      HOLDS(p->raw_filename() == r.raw);
      EQUAL(p->filename(), r.safe);
    }
  });
}

TEST_P(HTTP_PARTS, HTTP_MP_RD_09_EncodingsAreUndoneOutsideOfForms) {
  run([]() -> h::task<> {
    const auto with = [](std::string_view fields, std::string_view content) {
      return "--b\r\n" + std::string(fields) + "\r\n\r\n" + std::string(content) + "\r\n--b--";
    };
    const std::string words = "any carnal pleas";
    const auto base64 =
        with("Content-Transfer-Encoding: BASE64", http::detail::base64(words).insert(7, "\r\n"));
    const auto quoted =
        with("Content-Transfer-Encoding: quoted-printable", "a=3D=c3=A4 b=\r\nc=\nd =x=");
    for (std::size_t n = 1; n < 12; ++n) {
      const std::string a = co_await parts_in(base64, n, mixed_b);
      EQUAL(a, "//" + words + ";");
      const std::string q =
          co_await parts_in(quoted.substr(0, quoted.find("=\r\n--b")) + "\r\n--b--", n, mixed_b);
      EQUAL(q, "//a=\xc3\xa4 bcd =x;");
      const std::string as_is = co_await parts_in(base64, n, form_b);
      HOLDS(!has(as_is, words));
    }
    const auto gzip = with("Content-Encoding: gzip",
                           http::encoded(http::coding::gzip, std::string(1 << 20, 'x')));
    const std::string big = co_await parts_in(gzip, 100, mixed_b);
    EQUAL(big.size(), (std::size_t{1} << 20) + 3);
    const std::string bad =
        co_await parts_in(with("Content-Transfer-Encoding: base64", "QUJ!"), 3, mixed_b);
    HOLDS(has(bad, "payload_error: the base64 data is broken"));
  });
}

TEST_P(HTTP_PARTS, HTTP_MP_RD_11_APartMayHaveParts) {
  run([]() -> h::task<> {
    const std::string inner = "--i\r\n\r\none\r\n--i\r\n\r\ntwo\r\n--i--\r\n";
    const std::string text =
        "--b\r\nContent-Disposition: form-data; name=files\r\n"
        "Content-Type: multipart/mixed;\r\n boundary=i\r\n\r\n" +
        inner + "\r\n" + part_text("after", "x") + "--b--";
    http::part_reader parts(in_pieces(text, 11), form_b);
    auto outer = co_await parts.next_part();
    const std::string type(outer->content_type());
    http::part_reader nested(std::move(outer->body), type);
    std::string found;
    for (;;) {
      auto p = co_await nested.next_part();
      if (!p) break;
      found += co_await p->body.read_all();
      found += ";";
    }
    EQUAL(found, "one;two;");
    const auto after = co_await parts.next_part();
    EQUAL(after->name(), "after");
  });
}

TEST_P(HTTP_PARTS, HTTP_CLI_BUP_02_FormsAreEncodedAsBrowsersDo) {
  http::form f;
  f.add("n", "a b&=+\xc3\xa9").add("n", "2").add("*-._~", "");
  EQUAL(f.text(), "n=a+b%26%3D%2B%C3%A9&n=2&*-._%7E=");
  const auto read = http::form::parse(f.text());
  HOLDS(read.fields() == f.fields());
  EQUAL(read.all("n").size(), 2u);
  HOLDS(!read.get("m") && http::form::parse("").empty());
  HOLDS(has(refused_with<http::payload_error>([] { return http::form::parse("a&b&c", 2); }),
            "more than 2 fields"));
}

}  // namespace
