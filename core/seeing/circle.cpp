// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/circle.h>

#include <heddle/core/seeing/report.h>

namespace heddle::detail::seeing {
namespace {

constexpr std::size_t most_told = 50;

void put_head(output& to, bool likely, bool ends, std::size_t tasks) noexcept {
  to.put(ends ? "CIRCLE of " : likely ? "LIKELY DEADLOCK of " : "DEADLOCK of ");
  to.number(tasks);
  to.put(tasks == 1 ? " task\n" : " tasks\n");
}

/// The earliest time-out around a task of the circle: it ends the circle.
struct way_out {
  std::uint64_t in = 0;
  std::uint64_t number = 0;
  std::uint32_t generation = 0;
};

void put_end(output& to, const way_out& out, bool all_hold) noexcept {
  to.put("  ");
  if (all_hold) to.put("They lock in opposite order. ");
  if (out.in == 0) return to.put("No timeout is around any of them.\n");
  char text[64];
  short_writer some(text);
  put_id(some, out.number, out.generation);
  some.put(" gives up in ");
  put_time(some, out.in);
  to.put(some.text());
  to.put(", when its timeout ends.\n");
}

}  // namespace

const char* relation(because why) noexcept {
  switch (why) {
    case because::holds: return "held by ";
    case because::awaited: return "the end of ";
    case because::member: return "among them ";
    case because::strand: return "its strand ";
    case because::mentions: break;
  }
  return "likely in the hands of ";
}

void put_id_and_name(output& to, const task_view& task) noexcept {
  char text[40];
  short_writer id(text);
  put_id(id, task.number, task.generation);
  to.put(id.text());
  to.put(' ');
  if (task.is_strand)
    to.put("(strand)");
  else
    to.escaped(task.name[0] != 0 ? task.name : "-", 60);
}

void put_wait(output& to, const task_view& task, sight& from) noexcept {
  char text[160];
  short_writer does(text);
  if (task.what == doing::waits) to.put("waits in ");
  if (task.what == doing::waits && task.object != 0) {
    does.put(task.waits_in);
    does.put(' ');
    does.hexadecimal(task.object);
    put_cancellation(does, task);
  } else {
    put_doing(does, task, from.loops());
  }
  to.escaped(does.text(), 150);
  if (task.runs == 0) return;
  to.put(" at ");
  put_chain(to, task, from.names(), false);
}

void put_circle(output& to, sight& from, wait_graph& graph, std::size_t number) noexcept {
  std::uint32_t way[most_told];
  const auto n = graph.way_round(number, way, most_told);
  if (n == 0) return;
  way_out out;
  bool all_hold = n == 2;
  task_view task;
  for (std::size_t i = 0; i < n; ++i) {
    if (from.tasks().look_at(graph.at(way[i]).record, task) && task.gives_up_in != 0 &&
        (out.in == 0 || task.gives_up_in < out.in))
      out = {task.gives_up_in, task.number, task.generation};
    const auto* e = graph.between(way[i], way[(i + 1) % n]);
    all_hold = all_hold && e && e->why == because::holds;
  }
  put_head(to, number > graph.exact_circles(), out.in != 0, n);
  because before = because::holds;
  for (std::size_t i = 0; i <= n; ++i) {
    if (!from.tasks().look_at(graph.at(way[i % n]).record, task))
      return to.put("  ... which has ended by now\n");
    to.put(i == 0 ? "  " : "      ");
    if (i != 0) to.put(relation(before));
    if (i == n && n == 1)
      to.put("itself");
    else
      put_id_and_name(to, task);
    if (i == n) break;
    to.put(i == 0 ? "  " : ", which ");
    put_wait(to, task, from);
    to.put('\n');
    const auto* e = graph.between(way[i], way[(i + 1) % n]);
    before = e ? e->why : because::mentions;
  }
  to.put("  <- the circle closes\n");
  put_end(to, out, all_hold);
}

}  // namespace heddle::detail::seeing
