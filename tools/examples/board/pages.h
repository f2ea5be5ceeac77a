// SPDX-License-Identifier: MIT
// The page in the browser: four files that are built into the program.
#pragma once

#include <heddle/heddle.h>

namespace board {

/// Adds "/", "/board.css", "/board.js" and "/board.svg".
void add_pages(heddle::http::router& to);

}  // namespace board
