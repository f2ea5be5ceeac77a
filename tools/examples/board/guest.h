// SPDX-License-Identifier: MIT
// One guest's WebSocket, from coming to going.
//
//   from the page   {"text": "hello"}
//   to the page     {"history": [message, ...]}   once, at first
//                   {"said": message}             what somebody says
//                   {"guests": 3}                 when somebody comes or goes
//                   {"refused": "why"}            what the page sent was not taken
#pragma once

#include "counters.h"
#include "names.h"
#include "room.h"

#include <heddle/heddle.h>

#include <cstdint>
#include <optional>

namespace board {

/// The handler of WS /rooms/{room}/talk?who=NAME&after=ID.
h::task<> visit(http::websocket& ws, room_name where, guest_name who,
                std::optional<http::query_param<"after", std::uint64_t>> after,
                http::state<rooms> all, http::state<counters> count);

/// How a board's WebSockets are set.
http::ws_options guest_options();

}  // namespace board
