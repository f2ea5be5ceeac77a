// SPDX-License-Identifier: MIT
// The application: its routes, and what they share.
#pragma once

#include "upstreams.h"

#include <heddle/heddle.h>

#include <string>
#include <vector>

namespace board {

struct settings {
  std::string directory = "board-data";  // all that the board keeps
  std::vector<upstream> upstreams;
};

/// Throws bad_value for settings that make no sense.
http::router make_board(const settings& s);

}  // namespace board
