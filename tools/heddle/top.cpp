// SPDX-License-Identifier: MIT
#include "top.h"

#include "core_file.h"
#include "frames.h"
#include "lateness.h"
#include "processes.h"

#include <heddle/core/checked.h>
#include <heddle/core/seeing/report.h>
#include <heddle/core/seeing/stalls.h>

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tool {
namespace {

using seeing::loop_view;
using seeing::output;
using seeing::sight;

std::uint64_t now() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(t.tv_nsec);
}

void sleep_for(std::uint64_t ns) {
  timespec t{static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
  while (::nanosleep(&t, &t) != 0) {}
}

/// Nanoseconds; 0: it is no time. Without a unit: seconds.
std::uint64_t to_interval(std::string_view text) {
  double unit = 1e9, number = 0;
  if (text.ends_with("ms")) {
    text.remove_suffix(2);
    unit = 1e6;
  } else if (text.ends_with('s')) {
    text.remove_suffix(1);
  }
  if (!heddle::detail::parse_number(text, number, 1e6)) return 0;
  return static_cast<std::uint64_t>(number * unit);
}

/// A program that is looked at again and again.
struct watched {
  pid_t process;
  std::unique_ptr<sight> from;
  std::unique_ptr<seeing::stalls_view> stalls = std::make_unique<seeing::stalls_view>();
  std::vector<loop_view> before = {};
  std::vector<lateness> late = {};  // of these
  std::uint64_t at = 0;             // when `before` was seen

  /// What the loops have done so far is what the next look counts from.
  void keep() {
    before.clear();
    late.clear();
    for (std::size_t i = 0; i < from->loops().size(); ++i) {
      before.push_back(from->loops()[i]);
      late.push_back(lateness::of(from->what(), before.back().at));
    }
  }
  /// The place of that loop in `before`; the size of that: it is not there.
  [[nodiscard]] std::size_t known(seeing::address loop) const {
    std::size_t i = 0;
    while (i < before.size() && before[i].at != loop) ++i;
    return i;
  }
};

/// "12 345": digits in groups of three.
std::string grouped(std::uint64_t value) {
  std::string text = std::to_string(value);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ' ');
  return text;
}

void put_right(output& to, const std::string& text, std::size_t width) {
  to.put(std::string(text.size() < width ? width - text.size() : 0, ' '));
  to.put(text);
}

std::uint64_t busy_until(const loop_view& l, std::uint64_t t) {
  return l.busy + (l.woke_at != 0 && t > l.woke_at ? t - l.woke_at : 0);
}

/// Percent of the time between two looks in which the loop was not parked.
std::uint64_t load_of(const loop_view& l, const loop_view& was, std::uint64_t from,
                      std::uint64_t until) {
  const auto before = busy_until(was, from), after = busy_until(l, until);
  if (after <= before || until <= from) return 0;
  return std::min<std::uint64_t>(((after - before) * 100 + (until - from) / 2) / (until - from),
                                 100);
}

void put_time(output& to, std::uint64_t ns) {
  char text[32];
  seeing::short_writer length(text);
  seeing::put_length(length, ns);
  to.put(length.text());
}

/// The innermost function of a stall that is not the library's, or "".
std::string place_in(const seeing::stall_entry& s, seeing::symbols& names) {
  for (std::uint32_t i = 0; i < s.frame_count; ++i)
    if (const char* name = names.function(s.frames[i]); !seeing::is_of_library(name)) return name;
  for (std::uint32_t i = 0; i < s.chain_count; ++i)
    if (const char* name = names.function(s.chain[i]); !seeing::is_of_library(name)) return name;
  return {};
}

void put_task(output& to, watched& w, const loop_view& l) {
  const auto task = std::make_unique<seeing::task_view>();
  if (l.current == 0) return to.put("a callback");
  if (!w.from->tasks().look_at(l.current, *task)) return to.put("a task");
  char text[64];
  seeing::short_writer id(text);
  seeing::put_id(id, task->number, task->generation);
  to.put("task ");
  to.put(id.text());
  if (task->name[0] != 0) {
    to.put(' ');
    to.escaped(task->name, 40);
  }
}

/// What a loop does just now. A loop that is awake and has run no step since the last look may be
/// hogged.
void put_now(output& to, watched& w, const loop_view& l, const loop_view& was, std::uint64_t t) {
  if (l.parked) return to.put("parked");
  const bool stands = !was.parked && was.steps == l.steps;
  if (!stands) {
    if (l.current == 0) return to.put("awake");
    return put_task(to, w, l);
  }
  const auto* stall = w.stalls->lasting(l.at);
  const std::string place = stall ? place_in(*stall, w.from->names()) : std::string();
  if (!place.empty()) {
    to.escaped(place, 60);
    to.put(' ');
  }
  if (stall) {
    to.put("for ");
    put_time(to, t > stall->began ? t - stall->began : 0);
  } else {
    to.put("for more than ");
    put_time(to, t - w.at);
  }
  to.put(", ");
  put_task(to, w, l);
  // Without the watch's word it may be the machine that lets the loop's thread stand.
  if (stall || w.stalls->table().limit == 0) to.put("  ! hogged");
}

/// How late timers were since the last look, or how late the first one is that has not fired yet.
std::string late_of(const watched& w, std::size_t place, std::uint64_t t) {
  const auto loop = w.before[place].at;
  std::uint64_t late = 0;
  const auto overdue = overdue_in(w.from->what(), loop, t);
  const bool any = lateness::of(w.from->what(), loop).p99_since(w.late[place], late);
  late = std::max(late, overdue);
  if (!any && overdue < 1'000'000) return "-";  // a loop may be on its way to fire it
  if (late >= 10'000'000 || late == 0) {
    char text[32];
    seeing::short_writer length(text);
    seeing::put_length(length, late);
    return std::string(length.text());
  }
  const auto tenths = (late + 50'000) / 100'000;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " ms";
}

void put_row(output& to, watched& w, const loop_view& l, std::size_t place, std::uint64_t t) {
  const loop_view& was = w.before[place];
  const std::uint64_t length = std::max<std::uint64_t>(t - w.at, 1);
  const auto rate = [&](std::uint64_t is, std::uint64_t before) {
    const double n = is > before ? static_cast<double>(is - before) : 0;
    return grouped(static_cast<std::uint64_t>(n * 1e9 / static_cast<double>(length) + 0.5));
  };
  const std::string name = w.from->loops().runtimes() > 1
                               ? std::to_string(l.runtime) + "/" + std::to_string(l.number)
                               : std::to_string(l.number);
  to.put(name);
  to.column(5);
  put_right(to, std::to_string(load_of(l, was, w.at, t)) + " %", 5);
  put_right(to, rate(l.steps, was.steps), 13);
  put_right(to, rate(l.stolen, was.stolen), 11);
  put_right(to, rate(l.polls, was.polls), 10);
  put_right(to, rate(l.io_events, was.io_events), 10);
  put_right(to, grouped(l.ready), 8);
  put_right(to, grouped(l.timers), 9);
  put_right(to, late_of(w, place, t), 10);
  to.put("  ");
  put_now(to, w, l, was, t);
  to.put('\n');
}

void put_rows(output& to, watched& w, std::uint64_t t) {
  to.put("process ");
  to.number(static_cast<std::uint64_t>(w.process));
  to.put("  ");
  to.escaped(command_of(w.process), 15);
  to.put(
      "\nLOOP   BUSY      STEPS/s   STOLEN/s   POLLS/s      IO/s   QUEUE   TIMERS  LATE p99  "
      "NOW\n");
  for (std::size_t i = 0; i < w.from->loops().size(); ++i) {
    const auto& l = w.from->loops()[i];
    if (const auto place = w.known(l.at); place < w.before.size()) put_row(to, w, l, place, t);
  }
}

/// Opens what was asked for. Those that cannot be read are told of, unless all were asked for.
std::vector<watched> opened(const options& o, int& status) {
  std::vector<watched> all;
  const auto processes = o.target.empty() ? all_processes() : processes_named(o.target);
  if (processes.empty() && !o.target.empty()) {
    std::fprintf(stderr, "heddle: no program is called %s\n", o.target.c_str());
    status = gone;
  }
  for (const pid_t p : processes) {
    auto s = std::make_unique<sight>(p);
    const auto how = s->open();
    if (how == seeing::opening::good)
      all.push_back({p, std::move(s)});
    else if (!o.target.empty())
      status = complain(p, how, s->missing());
  }
  return all;
}

/// False: the process has ended.
bool look(watched& w) {
  if (command_of(w.process).empty() || !w.from->look_at_loops()) return false;
  (void)w.stalls->load(w.from->what());
  return true;
}

}  // namespace

int top(const options& o) {
  if (o.memory) return frames(o);
  if (!o.reader.empty() || means_core(o.target)) {
    const char* what = o.reader.empty() ? o.target.c_str() : "this program";
    std::fprintf(stderr,
                 "heddle: top compares two looks at a living process, and %s stands still\nheddle "
                 "loops tells what each loop was at, heddle top --memory whose frames fill the "
                 "memory.\n",
                 what);
    return usage;
  }
  const std::uint64_t interval = o.interval.empty() ? 1'000'000'000 : to_interval(o.interval);
  if (interval == 0) {
    std::fprintf(stderr, "heddle: --interval %s is no time\nheddle --help tells more.\n",
                 o.interval.c_str());
    return usage;
  }
  int status = nothing;
  auto all = opened(o, status);
  const bool draws = !o.once && ::isatty(STDOUT_FILENO) != 0;
  const auto see = [&](watched& w) {
    w.at = now();
    const bool lives = look(w);
    if (lives) w.keep();
    return lives;
  };
  std::erase_if(all, [&](watched& w) { return !see(w); });
  if (all.empty() && status == nothing)
    std::fputs("heddle: no process that may be read has a heddle\n", stderr);
  for (pid_t last = 0; !all.empty();) {
    sleep_for(interval);
    output to(STDOUT_FILENO);
    if (draws) to.put("\x1b[H\x1b[2J");
    std::erase_if(all, [&](watched& w) {
      const auto t = now();
      last = w.process;
      if (!look(w)) return true;
      put_rows(to, w, t);
      w.keep();
      w.at = t;
      status = good;
      return false;
    });
    to.flush();
    if (all.empty() && status != good) return complain(last, seeing::opening::gone, "");
    if (o.once || !to.good()) break;
  }
  return status;
}

}  // namespace tool
