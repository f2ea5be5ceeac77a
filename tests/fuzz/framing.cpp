// SPDX-License-Identifier: MIT
// Requests as heddle reads them, and as h11 does: an independent parser, written in Python.
//
// Who stands between a client and heddle may read requests in another way. If heddle then takes for
// a request what was the body of another one, a client can smuggle. So what heddle accepts must be
// accepted by h11, too, with the same end, fields and body. What heddle refuses is no danger: it
// answers 400 and closes.
#include "second_parser.h"

#include <heddle/io/http/message/parser.h>

namespace {

using namespace fuzzed;

verdict judge(std::string_view text) {
  verdict v;
  http::request_parser parser;
  std::size_t at = 0;
  while (at < text.size() && !parser.failed()) {
    at += parser.feed(text.substr(at));
    if (!parser.done()) continue;
    const auto& m = parser.message();
    v.messages += "request " + std::to_string(at);
    add_hex(v.messages, m.method.text());
    add_hex(v.messages, m.target);
    add_hex(v.messages, fields_of(m.headers));
    add_hex(v.messages, m.body);
    v.messages += '\n';
    parser.next();
  }
  v.rest = parser.failed() ? "refused" : parser.idle() ? "idle" : "unfinished";
  return v;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const second_parser h11("requests");
  const cut_text in(data, size);
  const verdict ours = judge(in.text);
  if (ours.messages.empty() && ours.rest == "refused") return 0;
  const std::string theirs = h11.ask(in.text);
  agree(theirs.starts_with(ours.messages), ours, theirs,
        "what is accepted is what another parser accepts");
  const auto rest = std::string_view(theirs).substr(ours.messages.size());
  agree(ours.rest == "refused" || rest.starts_with(ours.rest), ours, theirs,
        "what is waited for is what another parser waits for");
  return 0;
}
