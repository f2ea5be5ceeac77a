// SPDX-License-Identifier: MIT
// Server-sent events: cuts change nothing, and what is written is read again.
#include "fuzzed.h"

#include <heddle/io/http/errors.h>
#include <heddle/io/http/events.h>

#include <heddle/core/errors.h>

namespace {

using namespace fuzzed;

std::string events_in(std::string_view text, std::size_t step) {
  http::event_parser parser(256);
  std::string found;
  try {
    while (!text.empty()) {
      const auto used = parser.feed(text.substr(0, step));
      text.remove_prefix(used);
      while (const auto e = parser.take()) {
        found += e->type + "|" + e->id + "|" + e->data + "|";
        if (e->retry) found += std::to_string(e->retry->count());
      }
    }
    found += "end" + parser.last_id();
  } catch (const http::payload_error&) { found += "refused"; }
  return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const cut_text in(data, size);
  must(events_in(in.text, in.step) == events_in(in.text, in.text.size()), "cuts change nothing");
  http::sse_event e;
  e.data = in.text.substr(0, 200);
  e.type = "t";
  http::event_parser parser;
  std::string text = e.text();
  const auto used = parser.feed(text);
  const auto read = parser.take();
  must(used == text.size() && read && read->type == "t", "an event is read again");
  e.id = in.text.substr(0, 20);
  try {
    (void)e.text();
  } catch (const h::bad_value&) {}
  return 0;
}
