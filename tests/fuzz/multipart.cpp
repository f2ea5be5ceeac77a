// SPDX-License-Identifier: MIT
// Parts are the same however the body was cut, and what was written is read again.
#include "fuzzed.h"

#include <heddle/io/http/multipart.h>
#include <heddle/io/http/part_reader.h>

#include <heddle/core/errors.h>

#include <optional>

namespace {

using namespace fuzzed;

h::task<std::string> parts_in(std::string_view text, std::size_t step, std::string_view type) {
  std::string found;
  http::part_reader parts(cut_body(text, step), type);
  try {
    for (;;) {
      h::task<std::optional<http::part>> next = parts.next_part();
      auto part = co_await next;
      if (!part) break;
      must(part->filename().find_first_of("/\\") == std::string::npos, "a file name has no path");
      found += part->name() + "\n" + part->filename() + "\n";
      h::task<std::string> reading = part->body.read_all();
      found += co_await reading;
    }
    found += "end";
  } catch (const http::payload_error&) { found += "refused"; }
  co_return found;
}

h::task<std::string> written(std::string name, std::string content) {
  http::multipart m("b");
  http::part_options file;
  file.file_name = name;
  try {
    m.bytes(name, content, file);
  } catch (const h::bad_value&) { co_return ""; }
  h::task<http::multipart_body> making = m.ready();
  const http::multipart_body body = co_await making;
  std::string all;
  auto pieces = body.pieces();
  while (std::string* piece = co_await pieces.next()) all += *piece;
  must(all.size() == body.length, "the length is exact");
  co_return all;
}

h::task<> tried(cut_text in) {
  const std::size_t whole = in.text.size() + 1;
  for (const auto* type : {"multipart/form-data; boundary=b", "multipart/mixed; boundary=b"}) {
    h::task<std::string> cut = parts_in(in.text, in.step, type);
    const std::string found = co_await cut;
    h::task<std::string> uncut = parts_in(in.text, whole, type);
    const std::string wanted = co_await uncut;
    must(found == wanted, "cuts change no parts");
  }
  const std::string name(in.text.substr(0, in.text.find('\n')));
  const std::string content(in.text.substr(name.size()));
  if (content.find("--b") != std::string::npos) co_return;
  h::task<std::string> writing = written(name, content);
  const std::string text = co_await writing;
  if (text.empty()) co_return;
  h::task<std::string> reading = parts_in(text, in.step, "multipart/form-data; boundary=b");
  const std::string read = co_await reading;
  must(read.ends_with(content + "end"), "what was written is read again");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  finished(tried(cut_text(data, size)));
  return 0;
}
