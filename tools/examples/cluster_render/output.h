// SPDX-License-Identifier: MIT
// What a run leaves: a report, and the file that the user asked for.
#pragma once

#include "crew.h"
#include "demonstration.h"
#include "settings.h"
#include "work.h"

#include <string>

namespace cluster_render {

/// Writes the picture or the list. Throws std::system_error that names the file.
void write_output(const std::string& file, const work& w, const demonstration& run);

/// Says how it went: the result, which does not depend on workers and their deaths, on standard
/// output; all else on standard error. `processes` is null without a cluster. Yields the exit
/// status.
[[nodiscard]] int report(const work& w, const demonstration& run, const crew* processes);

}  // namespace cluster_render
