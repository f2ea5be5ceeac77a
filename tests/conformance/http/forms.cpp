// SPDX-License-Identifier: MIT
#include "pieces.h"

#include <heddle/io/file.h>
#include <heddle/io/http/form_data.h>

#include <support/streams.h>

#include <filesystem>

#include <unistd.h>

namespace {

using namespace conformance;

class HTTP_FORMS : public cases {};
HEDDLE_AT_LOOPS(HTTP_FORMS);

constexpr auto form_b = "multipart/form-data; boundary=b";

std::string field_text(std::string_view name, std::string_view content) {
  return "--b\r\nContent-Disposition: form-data; name=" + std::string(name) + "\r\n\r\n" +
         std::string(content) + "\r\n";
}
std::string file_text(std::string_view name, std::string_view filename, std::string_view content) {
  return field_text(std::string(name) + "; filename=\"" + std::string(filename) + "\"", content);
}

/// The status of the error that reading this form ends with; 0: none.
h::task<int> status_of(std::string text, std::string type, http::form_limits limits) {
  int status = 0;
  auto body = in_pieces(std::move(text), 1000);
  try {
    h::task<http::form_data> reading = http::read_form(std::move(body), type, limits);
    (void)co_await reading;
  } catch (const http::part_error& e) { status = e.status(); }
  co_return status;
}

TEST_P(HTTP_FORMS, HTTP_SRV_REQ_07_LargeFilesLieOnDiskAndAreGoneWithTheForm) {
  run([]() -> h::task<> {  // what a process opens once for all is open before the count
    auto f = co_await h::temporary_file();
    co_await f.close();
  });
  const auto before = support::open_descriptors();
  run([]() -> h::task<> {
    const std::string large(3 << 20, 'x');
    const std::string text = field_text("title", "t\xc3\xa4") +
                             file_text("f", "../a.txt", "small") + file_text("f", "b.bin", large) +
                             file_text("none", "", "") + "--b--";
    auto body = in_pieces(text, 50'000);
    h::task<http::form_data> reading = http::read_form(std::move(body), form_b);
    const http::form_data form = co_await reading;
    HOLDS(form.fields.size() == 1 && form.fields.get("title") == "t\xc3\xa4");
    EQUAL(form.files.size(), 2u);
    const http::uploaded_file small = *form.file("f");
    const http::uploaded_file& big = form.files[1];
    HOLDS(small.in_memory() && small.filename() == "a.txt" && small.raw_filename() == "../a.txt");
    HOLDS(!big.in_memory() && big.size() == large.size() && !form.file("none"));
    for (int i = 0; i < 2; ++i) {  // each body begins anew
      http::body_reader bytes = big.body();
      h::task<std::string> all = bytes.read_all();
      const std::string found = co_await all;
      HOLDS(found == large);
    }
    const std::string path =
        (std::filesystem::temp_directory_path() / ("heddle-form-" + std::to_string(::getpid())))
            .string();
    const std::uint64_t n = co_await small.save_to(path);
    EQUAL(n, 5u);
    const std::string saved = co_await h::read_file(path);
    EQUAL(saved, "small");
    std::filesystem::remove(path);
  });
  EQUAL(support::open_descriptors(), before);
}

TEST_P(HTTP_FORMS, HTTP_SRV_REQ_07_EveryCostOfAFormHasALimit) {
  run([]() -> h::task<> {
    http::form_limits limits;
    limits.field_bytes = 10;
    limits.spool_bytes = 10;
    limits.files_on_disk = 1;
    limits.parts.parts = 3;
    const std::string end = "--b--";
    const std::string large(11, 'x');
    const auto ask = [&](std::string text) { return status_of(std::move(text), form_b, limits); };
    const int field = co_await ask(field_text("a", large) + end);
    EQUAL(field, 413);
    const int one = co_await ask(file_text("a", "f", large) + end);
    EQUAL(one, 0);
    const int two = co_await ask(file_text("a", "f", large) + file_text("b", "f", large) + end);
    EQUAL(two, 413);
    const std::string part = field_text("a", "");
    const int parts = co_await ask(part + part + part + part + end);
    EQUAL(parts, 413);
    const int cut = co_await ask(part);
    EQUAL(cut, 400);
    limits.memory_bytes = 12;
    const int memory = co_await ask(field_text("a", "1234567") + field_text("b", "123456") + end);
    EQUAL(memory, 413);
    const int spooled =
        co_await ask(field_text("a", "1234567") + file_text("b", "f", "123456") + end);
    EQUAL(spooled, 0);
    const int type = co_await status_of("", "text/plain", limits);
    EQUAL(type, 415);
    const int pairs = co_await status_of("a&b&c&d", "application/x-www-form-urlencoded", limits);
    EQUAL(pairs, 413);
    const int bytes =
        co_await status_of("a=0123456789012", http::form::content_type.data(), limits);
    EQUAL(bytes, 413);
  });
}

TEST_P(HTTP_FORMS, HTTP_SRV_REQ_07_AFormOfPairsIsReadByTheSameCall) {
  run([]() -> h::task<> {
    auto body = in_pieces("a=b+c&d=%C3%A9&a=2", 4);
    h::task<http::form_data> reading =
        http::read_form(std::move(body), "application/x-www-form-urlencoded; charset=utf-8");
    const http::form_data form = co_await reading;
    HOLDS(form.fields.get("a") == "b c" && form.fields.get("d") == "\xc3\xa9");
    EQUAL(form.fields.all("a").size(), 2u);
  });
}

}  // namespace
