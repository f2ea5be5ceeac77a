// SPDX-License-Identifier: MIT
// The verdict on responses does not depend on how their bytes were cut.
#include "fuzzed.h"

#include <heddle/io/http/message/parser.h>

namespace {

using namespace fuzzed;

std::string verdict(std::string_view text, std::size_t step) {
  http::response_parser parser;
  std::string found;
  const auto note = [&] {
    const auto& m = parser.message();
    found += std::to_string(m.status) + " " + std::to_string(m.headers.size()) + " " + m.body;
    found += parser.keep_alive() ? " kept\n" : " closed\n";
  };
  while (!text.empty() && !parser.failed()) {
    const auto used = parser.feed(text.substr(0, step));
    text.remove_prefix(used);
    if (parser.done()) {
      note();
      parser.next();
    } else {
      must(used != 0 || parser.failed(), "the parser takes bytes until it is done");
    }
  }
  if (!parser.failed() && !parser.idle()) {
    parser.finish();
    if (parser.done()) note();
  }
  if (parser.failed()) found += "refused " + std::to_string(parser.error().status);
  return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const cut_text in(data, size);
  must(verdict(in.text, in.step) == verdict(in.text, in.text.size()), "cuts change no verdict");
  return 0;
}
