// SPDX-License-Identifier: MIT
// What the board does, once a second, as server-sent events.
#pragma once

#include "counters.h"
#include "room.h"

#include <heddle/heddle.h>

namespace board {

/// The handler of GET /api/stats. The stream ends when the browser goes, and when the server
/// stops.
http::response statistics(http::state<rooms> all, http::state<counters> count);

}  // namespace board
