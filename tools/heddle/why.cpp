// SPDX-License-Identifier: MIT
#include "why.h"

#include "circles.h"
#include "endings.h"
#include "likely.h"
#include "processes.h"
#include "reasons.h"
#include "target.h"

#include <heddle/core/seeing/json.h>
#include <heddle/core/seeing/report.h>

#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace tool {
namespace {

using seeing::output;
using seeing::sight;
using seeing::task_view;

/// The tasks that `text` names: by id ("#132.4", "132.4", "#132") or by name.
std::vector<std::uint64_t> tasks_named(sight& from, const std::string& text) {
  struct context {
    std::string wanted;
    std::vector<std::uint64_t> found = {};
  } c{text};
  (void)from.tasks().each(
      [](void* to, const task_view& task) {
        auto& here = *static_cast<context*>(to);
        const std::string id = id_of(task);
        const bool by_id = here.wanted == id || "#" + here.wanted == id ||
                           here.wanted == id.substr(0, id.find('.'));
        if (by_id || (!task.is_strand && task.name[0] != 0 && here.wanted == task.name))
          here.found.push_back(task.at);
        return true;
      },
      &c);
  return c.found;
}

void put_circles(output& to, sight& from, circles& all) {
  for (const auto& c : all.all()) seeing::put_circle(to, from, all.graph(), c.number);
}

void put_json(output& to, sight& from, circles& all, const std::vector<std::uint64_t>& tasks) {
  to.put("{\"schema\": ");
  to.number(seeing::json_schema);
  to.put(", \"process\": ");
  to.number(static_cast<std::uint64_t>(from.process()));
  to.put(",\n \"circles\": [");
  for (std::size_t i = 0; i < all.all().size(); ++i) {
    const auto& c = all.all()[i];
    to.put(i == 0 ? "\n  {\"exact\": " : ",\n  {\"exact\": ");
    to.put(c.likely ? "false" : "true");
    to.put(", \"deadlock\": ");
    to.put(c.likely || c.ends ? "false" : "true");
    to.put(", \"tasks\": [");
    for (std::size_t k = 0; k < c.records.size(); ++k) {
      task_view task;
      if (k != 0) to.put(", ");
      to.json(from.tasks().look_at(c.records[k], task) ? id_of(task) : "");
    }
    to.put("]}");
  }
  to.put("],\n \"tasks\": [");
  bool first = true;
  for (const auto record : tasks) {
    task_view task;
    if (!from.tasks().look_at(record, task)) continue;
    seeing::put_json_task(to, task, from, first);
    first = false;
  }
  to.put("],\n \"waits_for\": [");
  first = true;
  for (const auto record : tasks) put_json_edges(to, from, all.graph(), record, first);
  to.put("]}\n");
}

/// What holds the end of a runtime up, task by task.
void put_endings(output& to, sight& from, reasons& printer, const std::vector<ending>& all) {
  for (const auto& e : all) {
    to.put(headline(e));
    to.put('\n');
    if (e.is_ending && e.tasks.empty()) printer.put_threads(1);
    for (const auto record : e.tasks) {
      printer.put(record);
      task_view task;
      if (!e.is_ending || !from.tasks().look_at(record, task)) continue;
      to.put("  ");
      to.put(progress_of(task));
      to.put('\n');
    }
  }
}

int explain(const options& o, sight& from, const core_file* core,
            const std::vector<std::uint64_t>& tasks, const std::vector<ending>& ends = {}) {
  (void)from.look_at_loops();
  circles all;
  if (!all.load(from) && from.living() != 0)
    return complain(from.process(), seeing::opening::gone, "");
  likely likely_ones;
  likely_ones.load(from, core);
  likely_ones.add_to(all);
  all.find(from, true);
  output to(STDOUT_FILENO);
  if (o.json) {
    put_json(to, from, all, tasks);
  } else if (!ends.empty()) {
    reasons printer(to, from, all, likely_ones, o.all_frames);
    put_endings(to, from, printer, ends);
  } else if (tasks.empty()) {
    put_circles(to, from, all);
    if (all.all().empty()) to.put("no task of this program waits in a circle\n");
  } else {
    reasons printer(to, from, all, likely_ones, o.all_frames);
    for (const auto record : tasks) printer.put(record);
  }
  to.flush();
  if (all.tasks_in_deadlocks() != 0 && (tasks.empty() || leads_to_deadlock(all, tasks)))
    return circle;
  return tasks.empty() && ends.empty() && all.all().empty() ? nothing : good;
}

/// `heddle why close`, `why run`: -1, if no runtime of the program ends, or none is waited for.
int explain_ending(const options& o, sight& from, const core_file* core, const std::string& what) {
  const auto ends = endings_of(from, what == "run");
  if (ends.empty()) return -1;
  std::vector<std::uint64_t> tasks;
  for (const auto& e : ends) tasks.insert(tasks.end(), e.tasks.begin(), e.tasks.end());
  return explain(o, from, core, tasks, ends);
}

int no_task(const std::string& name) {
  if (means_ending(name)) {
    std::fprintf(stderr, name == "close" ? "heddle: no runtime is being closed\n"
                                         : "heddle: nobody waits in run for a task\n");
    return nothing;
  }
  std::fprintf(stderr, "heddle: no task is called %s\nheddle ps lists them.\n", name.c_str());
  return nothing;
}

/// `heddle why TASK`: in whichever process has such a task.
int search_all(const options& o) {
  for (const pid_t p : all_processes()) {
    const auto s = std::make_unique<sight>(p);
    if (s->open() != seeing::opening::good) continue;
    if (const auto tasks = tasks_named(*s, o.target); !tasks.empty())
      return explain(o, *s, nullptr, tasks);
  }
  return no_task(o.target);
}

/// Of a core, or through a debugger.
int explain_target(const options& o, target& t) {
  std::vector<std::uint64_t> tasks;
  if (!o.task.empty()) tasks = tasks_named(t.see(), o.task);
  if (!o.task.empty() && tasks.empty()) {
    const int r = means_ending(o.task) ? explain_ending(o, t.see(), t.core(), o.task) : -1;
    return r >= 0 ? r : no_task(o.task);
  }
  return explain(o, t.see(), t.core(), tasks);
}

}  // namespace

int why(const options& o) {
  if (!o.reader.empty() || means_core(o.target)) return for_each_target(o, &explain_target);
  if (o.target.empty()) {
    std::fputs("heddle: why of which task?\nheddle why [PROCESS] TASK; heddle ps lists them.\n",
               stderr);
    return usage;
  }
  const auto processes = processes_named(o.target);
  if (processes.empty() && o.task.empty()) return search_all(o);
  if (processes.empty()) {
    std::fprintf(stderr, "heddle: no program is called %s\n", o.target.c_str());
    return gone;
  }
  int result = nothing;
  bool found = o.task.empty();
  for (const pid_t p : processes) {
    const auto s = std::make_unique<sight>(p);
    if (const auto how = s->open(); how != seeing::opening::good) {
      const int status = complain(p, how, s->missing());
      if (processes.size() == 1) return status;
      continue;
    }
    std::vector<std::uint64_t> tasks;
    if (!o.task.empty()) {
      tasks = tasks_named(*s, o.task);
      if (tasks.empty() && !means_ending(o.task)) continue;
    }
    const int status = tasks.empty() && !o.task.empty() ? explain_ending(o, *s, nullptr, o.task)
                                                        : explain(o, *s, nullptr, tasks);
    if (status < 0) continue;
    found = true;
    if (result != circle) result = status;
  }
  return found ? result : no_task(o.task);
}

}  // namespace tool
