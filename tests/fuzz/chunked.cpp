// SPDX-License-Identifier: MIT
// A chunked body, whole and in pieces that are taken out while it comes: the same bytes.
#include "fuzzed.h"

#include <heddle/io/http/message/parser.h>

namespace {

using namespace fuzzed;

constexpr std::string_view head =
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

std::string body(std::string_view text, std::size_t step, bool in_pieces) {
  http::request_parser parser;
  parser.set_in_pieces(in_pieces);
  must(parser.feed(head) == head.size() && !parser.failed(), "the head is fine");
  std::string found;
  std::string piece;
  while (!text.empty() && !parser.failed() && !parser.done()) {
    const auto used = parser.feed(text.substr(0, step));
    text.remove_prefix(used);
    if (in_pieces) {
      parser.take_body(piece);
      found += piece;
    }
    must(used != 0 || parser.failed() || parser.done(), "the parser takes bytes until it is done");
  }
  if (parser.failed()) return "refused " + std::to_string(parser.error().status);
  if (!in_pieces && parser.done()) found = parser.message().body;
  return parser.done() ? "whole " + found : "unfinished";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const cut_text in(data, size);
  const auto whole = body(in.text, in.text.size(), false);
  must(whole == body(in.text, in.step, false), "cuts change no verdict");
  must(whole == body(in.text, in.step, true), "taking the body out changes nothing");
  return 0;
}
