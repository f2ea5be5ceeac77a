// SPDX-License-Identifier: MIT
// The verdict on requests does not depend on how their bytes were cut.
#include "fuzzed.h"

#include <heddle/io/http/message/parser.h>

namespace {

using namespace fuzzed;

std::string verdict(std::string_view text, std::size_t step) {
  http::request_parser parser;
  std::string found;
  while (!text.empty() && !parser.failed()) {
    const auto used = parser.feed(text.substr(0, step));
    text.remove_prefix(used);
    if (parser.done()) {
      const auto& m = parser.message();
      found.append(m.method.text()).append(" ").append(m.path).append(" ");
      found += std::to_string(m.headers.size()) + " " + m.body + "\n";
      parser.next();
    } else {
      must(used != 0 || parser.failed(), "the parser takes bytes until it is done");
    }
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
