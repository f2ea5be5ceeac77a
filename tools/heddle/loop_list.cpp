// SPDX-License-Identifier: MIT
#include "loop_list.h"

#include "target.h"

#include <heddle/core/seeing/report.h>

#include <unistd.h>

#include <memory>

namespace tool {
namespace {

using seeing::output;

/// "parked", "runs lobby>games #64.1", "awake".
void put_now(output& to, const seeing::loop_view& l, seeing::sight& from) {
  const auto task = std::make_unique<seeing::task_view>();
  if (l.current == 0 || !from.tasks().look_at(l.current, *task))
    return to.put(l.parked ? "parked" : "awake");
  to.put("runs ");
  if (task->name[0] != 0) to.escaped(task->name, 60), to.put(' ');
  char text[40];
  seeing::short_writer id(text);
  seeing::put_id(id, task->number, task->generation);
  to.put(id.text());
}

int list_loops(const options&, target& t) {
  seeing::sight& s = t.see();
  const auto& loops = s.loops();
  output to(STDOUT_FILENO);
  to.put("LOOP    THREAD    REACTOR    STEPS          READY    TIMERS    NOW\n");
  for (std::size_t i = 0; i < loops.size(); ++i) {
    const auto& l = loops[i];
    if (loops.runtimes() > 1) {
      to.number(l.runtime);
      to.put('/');
    }
    to.number(l.number);
    to.column(8);
    to.number(static_cast<std::uint64_t>(l.thread));
    to.column(18);
    to.put(l.driver);
    to.column(29);
    to.number(l.steps);
    to.column(44);
    to.number(l.ready);
    to.column(53);
    to.number(l.timers);
    to.column(63);
    put_now(to, l, s);
    to.put('\n');
  }
  return loops.size() != 0 ? good : nothing;
}

}  // namespace

int loops(const options& o) { return for_each_target(o, &list_loops); }

}  // namespace tool
