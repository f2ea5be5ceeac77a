// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/report.h>

#include <heddle/core/record/eventual.h>

#include <cstring>

namespace heddle::detail::seeing {
namespace {

constexpr std::size_t name_column = 10;
constexpr std::size_t doing_column = 26;
constexpr std::size_t since_column = 62;
constexpr std::size_t place_column = 74;
constexpr std::size_t line_column = 94;
constexpr std::size_t made_column = 110;

void put_ordinal(short_writer& to, std::uint64_t n) noexcept {
  to.number(n);
  const auto tens = n / 10 % 10;
  to.put(tens == 1 ? "th" : n % 10 == 1 ? "st" : n % 10 == 2 ? "nd" : n % 10 == 3 ? "rd" : "th");
}

void put_loop(short_writer& to, const loop_view& l, const loops_view& all) noexcept {
  to.put("loop ");
  if (all.runtimes() > 1) {
    to.number(l.runtime);
    to.put('/');
  }
  to.number(l.number);
}

void put_queued(short_writer& to, const queued& q, const loops_view& loops) noexcept {
  switch (q.where) {
    case queue_kind::next_slot: to.put("ready, next on "); break;
    case queue_kind::inbox: to.put("ready, in the inbox of "); break;
    default:
      to.put("ready, ");
      put_ordinal(to, q.place);
      to.put(" on ");
      break;
  }
  put_loop(to, loops[q.loop], loops);
}

void put_target(short_writer& to, const task_view& task) noexcept {
  if (task.target_number != 0) {
    to.put(' ');
    put_id(to, task.target_number, task.target_generation);
  } else if (task.target != 0 && std::strcmp(task.waits_in, "await") == 0) {
    to.put(task.target_kind == static_cast<std::uint8_t>(kind::future)      ? " a future"
           : task.target_kind == static_cast<std::uint8_t>(kind::gathering) ? " a gather"
                                                                            : "");
  }
}

// Of a lock: which task holds it.
void put_owner(short_writer& to, const task_view& task) noexcept {
  if (!task.is_locked) return;
  if (task.owner_number == 0) return to.put(", held outside of tasks");
  if (task.owner == task.at && !task.owner_ended) return to.put(", held by itself");
  to.put(task.owner_ended ? ", left locked by " : ", held by ");
  if (task.owner_name[0] != 0)
    to.put(task.owner_name);
  else
    put_id(to, task.owner_number, task.owner_generation);
  if (task.owner_ended) to.put(", which has ended");
}

void put_active(short_writer& to, const task_view& task, const loops_view& loops) noexcept {
  if (const auto* l = loops.runs(task.at)) {
    to.put("running on ");
    put_loop(to, *l, loops);
    if (l->thread != 0) {
      to.put(" (thread ");
      to.number(static_cast<std::uint64_t>(l->thread));
      to.put(')');
    }
  } else if (const auto* q = loops.find(task.at)) {
    put_queued(to, *q, loops);
  } else if (task.strands != 0) {
    to.put("waits for ");
    to.number(task.strands);
    to.put(task.strands == 1 ? " strand" : " strands");
  } else {
    to.put("ready or running");
  }
}

// The record learns only at its first wait that the task has begun. A task that forks in its first
// step may never wait itself.
void put_unstarted(short_writer& to, const task_view& task, const loops_view& loops) noexcept {
  if (const auto* q = loops.find(task.at)) {
    to.put("not started: ");
    put_queued(to, *q, loops);
  } else if (loops.runs(task.at) || task.strands != 0) {
    put_active(to, task, loops);
  } else {
    to.put("not started, or in its first step");
  }
}

}  // namespace

void put_id(short_writer& to, std::uint64_t number, std::uint32_t generation) noexcept {
  to.put('#');
  to.number(number);
  to.put('.');
  to.number(generation);
}

void put_doing(short_writer& to, const task_view& task, const loops_view& loops) noexcept {
  switch (task.what) {
    case doing::waits:
      to.put(task.waits_in);
      put_target(to, task);
      put_owner(to, task);
      break;
    case doing::active: put_active(to, task, loops); break;
    case doing::not_started: put_unstarted(to, task, loops); break;
    case doing::moving: to.put("moving"); break;
  }
  put_cancellation(to, task);
}

// requests counts what was asked for. `must`: not delivered yet. `interrupted`: a wait was claimed,
// and the cancellation is thrown at the next step. Frozen or forwarding: it was passed on to what
// the task awaits.
void put_cancellation(short_writer& to, const task_view& task) noexcept {
  const auto requests = word::requests(task.word);
  const auto state = task.state();
  if ((task.word & word::must) != 0)
    to.put(", cancel asked");
  else if ((task.word & word::interrupted) != 0)
    to.put(", being cancelled");
  else if (requests == 0)
    return;
  else if (state == task_state::forwarding || state == task_state::frozen)
    to.put(", cancel passed on");
  else
    to.put(", cancelled and cleaning up");
  if (requests == 2) to.put(" twice");
  if (requests > 2) {
    to.put(' ');
    to.number(requests);
    to.put(" times");
  }
  if (task.message[0] != 0) {
    to.put(": ");
    to.put(task.message);
  }
}

bool is_of_library(const char* function) noexcept {
  return std::strncmp(function, "heddle::", 8) == 0;
}

const frame_run* frame_of(const task_view& task, symbols& names, bool all) noexcept {
  for (std::size_t i = 0; i < task.runs && !all; ++i)
    if (!is_of_library(names.function(task.frames[i]))) return &task.frames[i];
  return task.runs != 0 ? &task.frames[0] : nullptr;
}

const char* place_of(const task_view& task, symbols& names, bool all) noexcept {
  const auto* f = frame_of(task, names, all);
  return f ? names.frame(*f) : "";
}

void put_made(short_writer& to, const task_view& task) noexcept {
  if (task.made_line != 0) {
    const char* slash = std::strrchr(task.made_file, '/');
    to.put(slash ? slash + 1 : task.made_file);
    to.put(':');
    to.number(task.made_line);
  } else if (task.by_number == 0) {
    to.put('-');
  }
  if (task.by_number == 0) return;
  to.put(task.made_line != 0 ? " by " : "by ");
  put_id(to, task.by_number, task.by_generation);
}

void put_chain(output& to, const task_view& task, symbols& names, bool all) noexcept {
  bool first = true;
  for (std::size_t i = 0; i < task.runs; ++i) {
    if (!all && is_of_library(names.function(task.frames[i]))) continue;
    if (!first) to.put(" < ");
    first = false;
    if (task.more_runs && i + 1 == task.runs) to.put("... < ");
    to.escaped(names.frame(task.frames[i]), 200);
    if (task.frames[i].count > 1) {
      to.put(" x ");
      to.number(task.frames[i].count);
    }
  }
  if (first && task.runs != 0) to.escaped(names.frame(task.frames[0]), 200);
}

void put_table_head(output& to) noexcept {
  to.put("ID");
  to.column(name_column);
  to.put("NAME");
  to.column(doing_column);
  to.put("WAITS IN");
  to.column(since_column);
  to.put("SINCE");
  to.column(place_column);
  to.put("AT");
  to.column(made_column);
  to.put("MADE\n");
}

void put_task(output& to, const task_view& task, sight& from, bool all) noexcept {
  char text[256];
  short_writer id(text);
  put_id(id, task.number, task.generation);
  to.put(id.text());
  to.column(name_column);
  if (task.is_strand)
    to.put("(strand)");
  else if (task.name[0] == 0)
    to.put('-');
  else
    to.escaped(task.name, 60);
  to.column(doing_column);
  short_writer what(text);
  put_doing(what, task, from.loops());
  to.escaped(what.text(), 200);
  to.column(since_column);
  short_writer age(text);
  if (task.since_known) put_age(age, task.since);
  to.put(task.since_known ? age.text() : "-");
  to.column(place_column);
  if (const auto* f = frame_of(task, from.names(), all)) {
    to.escaped(from.names().function(*f), 120);
    if (const auto* p = from.names().place(*f)) {
      to.column(line_column);
      to.escaped(p->short_file(), 60);
      to.put(':');
      to.number(p->line);
    }
  } else {
    to.put('-');
  }
  to.column(made_column);
  short_writer made(text);
  put_made(made, task);
  to.escaped(made.text(), 120);
  to.put('\n');
}

bool put_everything(output& to, sight& from) noexcept {
  to.put("heddle: process ");
  to.number(static_cast<std::uint64_t>(from.process()));
  if (!from.look_at_loops()) to.put(", whose loops cannot be read");
  const auto& loops = from.loops();
  to.put(loops.size() == 0 ? ", no loop" : "");
  to.put(from.what().notes_places() ? "\n" : ", built with HEDDLE_SEEING=OFF: no places\n");
  for (std::size_t i = 0; i < loops.size(); ++i) {
    const auto& l = loops[i];
    char text[64];
    short_writer name(text);
    put_loop(name, l, loops);
    to.put(name.text());
    to.put(" (thread ");
    to.number(static_cast<std::uint64_t>(l.thread));
    to.put(", ");
    to.put(l.driver);
    to.put(l.parked ? "): parked, " : l.current != 0 ? "): runs a task, " : "): awake, ");
    to.number(l.steps);
    to.put(" steps, ");
    to.number(l.ready);
    to.put(" ready, ");
    to.number(l.timers);
    to.put(" timers\n");
  }
  put_table_head(to);
  struct context {
    output& to;
    sight& from;
    std::uint64_t count = 0;
  } all{to, from};
  const bool whole = from.tasks().each(
      [](void* c, const task_view& task) {
        auto& here = *static_cast<context*>(c);
        ++here.count;
        put_task(here.to, task, here.from, false);
        if (task.runs == 0) return true;
        here.to.put("          at ");
        put_chain(here.to, task, here.from.names(), true);
        here.to.put('\n');
        return here.to.good();
      },
      &all);
  to.number(all.count);
  to.put(all.count == 1 ? " task\n" : " tasks\n");
  if (!whole) to.put("heddle: the list of records is damaged, or could not be read to its end\n");
  to.flush();
  return whole;
}

}  // namespace heddle::detail::seeing
