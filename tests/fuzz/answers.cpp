// SPDX-License-Identifier: MIT
// Responses as heddle's client reads them, and as h11 does.
//
// A client that takes the end of a body for a response shows to one request what answers another,
// or what an attacker has put into a page. So what heddle accepts must be accepted by h11, too,
// with the same end, status, fields and body. Behind a response that does not keep the connection
// heddle reads nothing.
#include "second_parser.h"

#include <heddle/io/http/message/parser.h>

namespace {

using namespace fuzzed;

verdict judge(std::string_view text, const http::method& asked) {
  verdict v;
  http::response_parser parser;
  for (std::size_t at = 0;;) {
    parser.expect(asked);
    at += parser.feed(text.substr(at));
    if (!parser.done() && !parser.failed() && !parser.idle()) parser.finish();
    if (!parser.done()) break;
    const auto& m = parser.message();
    // 101: what follows is no HTTP.
    if (m.status == 101) break;
    v.messages += "response " + std::to_string(at) + " " + std::to_string(m.status);
    add_hex(v.messages, fields_of(m.headers));
    add_hex(v.messages, m.body);
    v.messages += '\n';
    if (!parser.keep_alive()) break;
    parser.next();
  }
  v.rest = parser.failed() ? "refused" : "idle";
  return v;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const second_parser to_get("responses");
  static const second_parser to_head("responses-to-head");
  const cut_text in(data, size);
  const bool head = in.step % 2 == 0;
  const verdict ours = judge(in.text, head ? http::method::head : http::method::get);
  if (ours.messages.empty()) return 0;
  const std::string theirs = (head ? to_head : to_get).ask(in.text);
  // A message that is left out of the comparison ends it.
  if (const auto end = theirs.find("left out"); end != std::string::npos) {
    const auto before = std::string_view(theirs).substr(0, end);
    agree(ours.messages.starts_with(before) || before.starts_with(ours.messages), ours, theirs,
          "what stands before a message that is left out is the same");
    return 0;
  }
  agree(theirs.starts_with(ours.messages), ours, theirs,
        "what is accepted is what another parser accepts");
  return 0;
}
