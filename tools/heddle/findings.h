// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: what `doctor` looks for. Each finding comes with its evidence, and
// with what helps.
//
// To add a finding: a function in one of the findings_*.cpp, called from look_at_tasks,
// look_at_loops or look_at_system there, and a program that has it in tests/inside/ailments.cpp.
#pragma once

#include "circles.h"
#include "likely.h"
#include "picture.h"

#include <string>
#include <vector>

namespace tool {

struct finding {
  std::string what;                   // one line
  std::vector<std::string> evidence;  // some lines more
  std::string advice;
};

/// Two looks at a program, a second apart, and what was found in between. Of what stands still (a
/// core, what a debugger has stopped) both are the same one.
struct examined {
  seeing::sight& from;
  const picture& before;
  const picture& now;
  circles& all;
  likely& likely_ones;
  bool stands_still;
  std::vector<finding> found = {};
};

void look_at_tasks(examined& e);
void look_at_loops(examined& e);
void look_at_system(examined& e);

/// "#64.1 lobby>games".
[[nodiscard]] std::string name_of(const seeing::task_view& task);
/// "copy_line < forward, made at chat.cpp:58".
[[nodiscard]] std::string place_of(const seeing::task_view& task, seeing::sight& from);

}  // namespace tool
