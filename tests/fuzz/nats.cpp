// SPDX-License-Identifier: MIT
// What a NATS server sends: cut anywhere, it is the same events; memory is bounded; headers are
// read as they were written; a subject that acknowledges is read or refused.
#include "fuzzed.h"

#include <heddle/io/cluster/nats_headers.h>
#include <heddle/io/cluster/nats_parser.h>
#include <heddle/io/cluster/wire.h>

#include <vector>

namespace {

using namespace fuzzed;
using heddle::cluster::detail::nats_event;
using heddle::cluster::detail::nats_headers;
using heddle::cluster::detail::nats_parser;
using heddle::cluster::detail::protocol_error;

struct parsed {
  std::vector<std::string> events;
  bool refused = false;
};

void take(nats_parser& p, parsed& to) {
  try {
    nats_event e;
    while (p.next(e)) {
      to.events.push_back(std::to_string(static_cast<int>(e.op)) + "|" + std::to_string(e.sid) +
                          "|" + e.subject + "|" + e.reply + "|" + e.headers + "|" + e.payload);
      const auto h = nats_headers::parse(e.headers);
      (void)heddle::cluster::detail::job_of(h, e.payload);
      (void)heddle::cluster::detail::outcome_of(h, e.payload);
      heddle::cluster::detail::delivery d;
      (void)heddle::cluster::detail::read_ack_subject(e.reply, d);
    }
  } catch (const protocol_error&) { to.refused = true; }
}

}  // namespace

/// The first byte says how long the pieces are.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = 1 + data[0] % 16;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  constexpr std::size_t limit = 4096;
  parsed whole, cut;
  nats_parser once;
  once.set_limit(limit);
  once.feed(text);
  take(once, whole);
  nats_parser pieces;
  pieces.set_limit(limit);
  for (std::size_t at = 0; at < text.size() && !cut.refused; at += piece) {
    pieces.feed(text.substr(at, piece));
    take(pieces, cut);
    must(
        cut.refused || pieces.buffered() <= heddle::cluster::detail::most_nats_line + limit + piece,
        "the parser holds no more than a line or a message");
  }
  must(whole.refused == cut.refused && whole.events == cut.events,
       "bytes in pieces are the same events");
  nats_headers h;
  h.add("Name", text);
  const auto again = nats_headers::parse(std::move(h).block());
  must(again.status() == 0, "a block that was written has no status");
  (void)heddle::cluster::detail::time_of(text);
  return 0;
}
