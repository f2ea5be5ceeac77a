// SPDX-License-Identifier: MIT
#include "guest.h"

#include "limits.h"
#include "refused.h"

#include <heddle/io/http/json.h>

#include <exception>
#include <string>

namespace board {
namespace {

/// What a page sends.
struct spoken {
  std::string text;
};
void from_json(const nlohmann::json& from, spoken& s) { from.at("text").get_to(s.text); }

std::string text_of(const http::ws_message& m) {
  std::string text;
  try {
    text = http::read_json<spoken>(m.data).text;
  } catch (const http::payload_error& e) { throw refused(400, e.what()); }
  return many_lines(text, limits::text, "the message");
}

/// Passes on what a guest says, until the guest goes.
h::task<> listen(http::websocket& ws, room& here, const std::string& who, counters& count) {
  while (auto heard = co_await ws.receive()) {
    std::string answer;
    try {
      const auto m = new_message(who, text_of(*heard));
      co_await here.say(m);
      ++count.said;
    } catch (const refused& no) { answer = http::json_text({{"refused", no.what()}}); }
    if (!answer.empty()) co_await ws.send_text(answer);
    co_await h::sleep(limits::pace);  // a guest that floods waits, and TCP makes its page wait
  }
}

}  // namespace

h::task<> visit(http::websocket& ws, room_name where, guest_name who,
                std::optional<http::query_param<"after", std::uint64_t>> after,
                http::state<rooms> all, http::state<counters> count) {
  const auto here = all->at(where.text);
  const std::uint64_t seen = after ? after->get() : 0;
  std::exception_ptr failure;
  {
    const auto mine = co_await here->enter(ws, seen);
    co_await here->publish_count();
    try {
      co_await listen(ws, *here, who.text, *count);
    } catch (...) { failure = std::current_exception(); }
  }
  co_await here->publish_count();  // nothing can be awaited inside a catch
  if (failure) std::rethrow_exception(failure);
}

http::ws_options guest_options() {
  http::ws_options o;
  o.max_message = limits::frame;
  o.send_buffer = limits::unsent;
  return o;
}

}  // namespace board
