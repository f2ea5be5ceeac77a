// SPDX-License-Identifier: MIT
// The page that shows the demonstration, and what it asks for.
#pragma once

#include "crew.h"
#include "demonstration.h"
#include "work.h"

#include <heddle/heddle.h>

#include <string>

namespace cluster_render {

/// What the page is about. `processes` is null without a cluster.
struct shown {
  const work& items;
  const demonstration& run;
  crew* processes;
  heddle::time_point last_asked{};  // when a page asked for the state
};

/// "/", "/state" (JSON), "/tiles/FROM" (pixels of the tiles that were finished from the FROMth on),
/// and POST "/kill/worker", "/kill/server". `s` outlives the router.
[[nodiscard]] heddle::http::router make_page(shown& s);

}  // namespace cluster_render
