// SPDX-License-Identifier: MIT
#include "ps.h"

#include "chosen.h"
#include "circles.h"
#include "groups.h"
#include "processes.h"
#include "stacks.h"
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

void put_age(output& to, double seconds) {
  char text[32];
  seeing::short_writer age(text);
  seeing::put_time(age, static_cast<std::uint64_t>(seconds * 1e9));
  to.put(age.text());
}

std::uint64_t count_tasks(sight& s) {
  std::uint64_t n = 0;
  (void)s.tasks().each(
      [](void* c, const task_view& t) {
        if (!t.is_strand) ++*static_cast<std::uint64_t*>(c);
        return true;
      },
      &n);
  return n;
}

/// A line for each program of this machine that has a heddle.
int list_programs() {
  output to(STDOUT_FILENO);
  bool any = false;
  std::size_t refusals = 0;
  for (const pid_t p : all_processes()) {
    const auto s = std::make_unique<sight>(p);
    const auto how = s->open();
    if (how == seeing::opening::refused) ++refusals;
    if (how != seeing::opening::good) continue;
    (void)s->look_at_loops();
    if (!any) to.put("PID       COMMAND          LOOPS  TASKS  UP\n");
    any = true;
    to.number(static_cast<std::uint64_t>(p));
    to.column(10);
    to.escaped(command_of(p), 15);
    to.column(27);
    to.number(s->loops().size());
    to.column(34);
    to.number(count_tasks(*s));
    to.column(41);
    put_age(to, age_of(p));
    to.put('\n');
  }
  to.flush();
  if (!any) std::fputs("heddle: no process that may be read has a heddle\n", stderr);
  if (refusals != 0)
    std::fprintf(stderr, "heddle: of %zu processes this user may not look inside\n", refusals);
  return any ? good : nothing;
}

/// "! 2 tasks in a deadlock: ...". Of very many tasks it is left to `why` and `doctor`.
std::string deadlocks_of(sight& s) {
  constexpr std::uint64_t most = 200000;
  circles all;
  if (circles::records_of(s) > most || !all.load(s)) return {};
  all.find(s, false);
  return headline(all);
}

void put_head(output& to, const target& t, sight& s) {
  to.put(t.title());
  to.put("  ");
  to.escaped(t.command(), 15);
  if (t.which() != 0) {
    to.put(", heddle ");
    to.number(t.which() + 1);
    to.put(" of it");
  }
  to.put("  ");
  to.number(s.loops().size());
  to.put(s.loops().size() == 1 ? " loop" : " loops");
  if (s.loops().size() != 0 && s.loops()[0].driver[0] != 0) {
    to.put(" (");
    to.put(s.loops()[0].driver);
    to.put(")");
  }
  if (const double age = t.age(); age > 0) {
    to.put("  up ");
    put_age(to, age);
  }
  if (const auto trouble = deadlocks_of(s); !trouble.empty()) {
    to.put("     ");
    to.escaped(trouble, 150);
  }
  to.put('\n');
}

/// What `ps` has seen so far. The first tasks are kept as they are; once they are too many, only
/// groups are told.
struct listing {
  static constexpr std::size_t most_single = 1000;
  const options& o;
  output& to;
  sight& from;
  const target& of;
  std::uint64_t shown = 0;
  std::vector<task_view> first = {};
  groups all = {};
  task_view room = {};
};

void put_one(listing& l, const task_view& t) {
  seeing::put_task(l.to, t, l.from, l.o.all_frames);
  if (!l.o.all_frames || t.runs == 0) return;
  l.to.put("          at ");
  seeing::put_chain(l.to, t, l.from.names(), true);
  l.to.put('\n');
}

/// The task with the chain of the coroutine that its thread is in; as it is, if that is not known.
const task_view& with_running_chain(listing& l, const task_view& t, task_view& room) {
  const auto* loop = l.from.loops().runs(t.at);
  if (!loop || loop->thread == 0 || t.what == seeing::doing::waits) return t;
  seeing::native_stack stack;
  if (l.from.living() != 0) {
    const looked_at_thread thread(l.from.living(), loop->thread, l.o.stacks);
    if (!thread.known()) return t;
    stack = thread.stack();
  } else if (!l.of.stack_of(loop->thread, stack)) {
    return t;
  }
  std::uint64_t owner = 0;
  const auto frame = seeing::running_frame(l.from.what(), stack, t.at, owner);
  room = t;
  return frame != 0 && l.from.tasks().look_at_running(frame, owner, room) ? room : t;
}

bool see(void* context, const task_view& seen) {
  auto& l = *static_cast<listing*>(context);
  const task_view& t = with_running_chain(l, seen, l.room);
  if (!is_chosen(l.o, t, l.from)) return true;
  ++l.shown;
  if (l.o.json) {
    seeing::put_json_task(l.to, t, l.from, l.shown == 1);
  } else if (l.o.all) {
    put_one(l, t);
  } else {
    if (l.shown <= listing::most_single) l.first.push_back(t);
    l.all.add(t, l.from);
  }
  return l.to.good();
}

int list_tasks(const options& o, target& t) {
  sight& s = t.see();
  output to(STDOUT_FILENO);
  listing l{o, to, s, t};
  if (o.json) {
    seeing::put_json_head(to, s, t.command());
  } else {
    put_head(to, t, s);
    if (o.all) seeing::put_table_head(to);
  }
  const bool whole = s.tasks().each(&see, &l);
  if (o.json) {
    seeing::put_json_end(to);
  } else if (!o.all && l.shown > listing::most_single) {
    l.all.put(to);
    to.number(l.shown);
    to.put(" tasks; --all tells each\n");
  } else if (!o.all && l.shown != 0) {
    seeing::put_table_head(to);
    for (const auto& one : l.first) put_one(l, one);
  }
  to.flush();
  if (!whole)
    if (const int r = t.broke_off(); r != good) return r;
  return l.shown != 0 ? good : nothing;
}

}  // namespace

int ps(const options& o) {
  if (o.target.empty() && o.reader.empty()) return list_programs();
  return for_each_target(o, &list_tasks);
}

}  // namespace tool
