// SPDX-License-Identifier: MIT
// CLU-CON-08: the parser of what a server sends.
#include "conformance.h"

#include <heddle/io/cluster/nats_parser.h>

#include <string>
#include <vector>

namespace {

using namespace conformance;
namespace cd = heddle::cluster::detail;

CASES(CLU_CON_PARSER);

const std::string sent =
    "INFO {\"version\":\"2.9.10\"}\r\nPING\r\n+OK\r\nMSG a.b 7 5\r\nhello\r\n"
    "MSG a.b 7 re.ply 0\r\n\r\nHMSG c 9 in 12 14\r\nNATS/1.0\r\n\r\nxy\r\n"
    "-ERR 'Authorization Violation'\r\nPONG\r\nmsg  q\t1  2\r\n\r\n\r\n";

std::string shown(const cd::nats_event& e) {
  return std::to_string(static_cast<int>(e.op)) + "|" + std::to_string(e.sid) + "|" + e.subject +
         "|" + e.reply + "|" + e.headers + "|" + e.payload;
}

std::vector<std::string> events_of(cd::nats_parser& p) {
  std::vector<std::string> all;
  cd::nats_event e;
  while (p.next(e)) all.push_back(shown(e));
  return all;
}

TEST_P(CLU_CON_PARSER, CLU_CON_08_BytesInAnyPiecesAreTheSameEvents) {
  cd::nats_parser whole;
  whole.feed(sent);
  const auto wanted = events_of(whole);
  EQUAL(wanted.size(), 9u);
  EQUAL(wanted[3], "1|7|a.b|||hello");
  EQUAL(wanted[5], "1|9|c|in|NATS/1.0\r\n\r\n|xy");
  EQUAL(wanted[6], "5|0||||Authorization Violation");
  EQUAL(whole.buffered(), 0u);
  for (std::size_t cut = 0; cut <= sent.size(); ++cut) {
    cd::nats_parser p;
    p.feed(std::string_view(sent).substr(0, cut));
    auto got = events_of(p);
    p.feed(std::string_view(sent).substr(cut));
    const auto rest = events_of(p);
    got.insert(got.end(), rest.begin(), rest.end());
    HOLDS(got == wanted);
  }
  cd::nats_parser bytewise;
  std::vector<std::string> got;
  for (const char c : sent) {
    bytewise.feed(std::string_view(&c, 1));
    const auto more = events_of(bytewise);
    got.insert(got.end(), more.begin(), more.end());
  }
  HOLDS(got == wanted);
}

TEST_P(CLU_CON_PARSER, CLU_CON_08_GarbageIsRefusedAndMemoryIsBounded) {
  for (const std::string bad :
       {"HTTP/1.1 400 Bad Request\r\n", "MSG a 1\r\n", "MSG a x 5\r\n", "MSG a 1 r 5 6\r\n",
        "MSG a 1 2147483648\r\n", "MSG a 1 -1\r\n", "MSG a 1 99999999999999999999\r\n",
        "HMSG a 1 20 10\r\n", "MSG a 1 2\r\nabcd", "\r\n"}) {
    cd::nats_parser p;
    p.feed(bad);
    cd::nats_event e;
    THROWS(cd::protocol_error, p.next(e));
  }
  cd::nats_parser endless;
  const std::string piece(4096, 'I');
  std::size_t fed = 0;
  bool refused = false;
  while (!refused && fed < 16 * cd::most_nats_line) {
    endless.feed(piece);
    fed += piece.size();
    cd::nats_event e;
    try {
      HOLDS(!endless.next(e));
    } catch (const cd::protocol_error&) { refused = true; }
  }
  HOLDS(refused);
  HOLDS(fed <= cd::most_nats_line + 2 * piece.size());
}

}  // namespace
