// SPDX-License-Identifier: MIT
#include "options.h"

#include "processes.h"

#include <heddle/core/checked.h>

#include <cstdio>
#include <string_view>

namespace tool {
namespace {

constexpr char help[] = R"(usage: heddle COMMAND [OPTION...] [PROCESS]

Shows what the tasks of a running program do, from outside: nothing of the program runs or stops,
and it may be stripped, busy or stuck. PROCESS is a number, the name of a program, or the core of
a process that has ended: a file, or "-" for one that comes through a pipe; packed by zstd or not.

commands
  ps       the tasks: what each waits in, where, and where it was made. Without PROCESS: the
           programs of this machine that have a heddle
  pstree   the same tasks, each under the one that awaits it
  trace    what the loops did in the last seconds, as a file for a viewer of timelines; of a core
           too, and of what HEDDLE_TRACE_ON=stall,rest makes a program write
  loops    the loops: what each does just now, and how much is left for it to do
  bt       PROCESS TASK: the frames of one task, by its id or its name, from the innermost on
  leaks    tasks that nobody can wake any more, tasks that have ended and are kept, and coroutines
           that nobody has awaited. With --watch 5s: where tasks become more
  gdb      starts gdb on PROCESS with the commands "heddle tasks", "heddle bt" and others
  stalls   the steps that have kept a loop for too long: how often, how long, and where
  top      what each loop does: its load, its steps, and the task that it runs. Without PROCESS: of
           all programs of this machine that have a heddle. Wants a living process
  why      heddle why [PROCESS] TASK: what keeps a task from going on, and who does; TASK is an id
           or a name. Without TASK: the deadlocks of PROCESS. "close": what close() of a runtime,
           or the end of run(), waits for; "run": what run() waits for
  doctor   what is wrong with the program, with evidence and advice. Looks for a second at a
           process, once at a core

options of ps
  --all-frames    also functions of the library, and the whole chain of awaits of each task
  --all           each task a line; else more than 1,000 are put together by what they have in common
  --stacks        also where running tasks are: stops the thread of each for less than a millisecond
  --json          the same as JSON; also of why and doctor
  --name TEXT     only tasks whose name holds TEXT
  --waiting TEXT  only tasks that wait in TEXT ("mutex"), or do it ("running", "ready")
  --at TEXT       only tasks that wait or were made at FILE:LINE, or with TEXT in the name of a
                  function of their chain
  --loop N        only tasks that run, or last ran, on loop N
  --older TIME    only tasks whose last step is so long ago: 500ms, 5s, 3min, 2h, 1d

options of trace
  --last TIME     so much of what was recorded: 10s (default), 500ms, 2m, 1h
  --all           every step instead, from now on: for 2s, or --for TIME. It writes one word into the
                  process, which has an end in it; no other command writes anything
  -o FILE         where to; .json and .html choose the form
  --json          for chrome://tracing; else Perfetto's protobuf, for ui.perfetto.dev
  --html          one page with its own viewer, which needs no network

options of leaks
  --watch TIME    looks again after "5s" or "500ms", and tells only where tasks became more

options for cores
  --exe FILE      the program's file, where it is not at its old place; "none": go without it

options of stalls
  --all-frames    also functions of the library
  --lines         below each stack its functions with file and line, as addr2line tells them
  --folded        a line for each stack, the outermost function first, with its milliseconds
  --json          all of it as JSON

options of top
  --once          one look, and no more
  --memory        in place of the loops: the memory of frames, by function; of a core too, where
                  "heddle loops" takes the place of the rest
  --interval TIME the time that a look is about: 1s, 250ms

other options
  --reader IN,OUT, --thread N, --words HEX,...   for debuggers; gdb/heddle.py is one that uses them
  --help

exit status
  0  it was shown           1  there is nothing to show      2  tasks wait in a circle
                               doctor: something is wrong
  3  not permitted          4  the process has ended         5  built with another version, or the
                                                                file or the core does not fit
  64 wrong usage
)";

bool looks_at_one_task(const std::string& command) { return command == "bt" || command == "why"; }

int wrong(const std::string& what) {
  std::fprintf(stderr, "heddle: %s\nheddle --help tells more.\n", what.c_str());
  return usage;
}

/// "5s" in nanoseconds. False: it is no time.
bool read_time(const std::string& text, std::uint64_t& to) {
  constexpr struct {
    std::string_view name;
    double nanoseconds;
  } units[] = {{"ms", 1e6}, {"s", 1e9}, {"", 1e9}, {"min", 60e9}, {"h", 3600e9}, {"d", 86400e9}};
  const auto end = text.find_first_not_of("0123456789.");
  const std::string unit = end == std::string::npos ? "" : text.substr(end);
  double number = 0;
  if (!heddle::detail::parse_number(text.substr(0, end), number, 1e6)) return false;
  for (const auto& u : units)
    if (u.name == unit) {
      to = static_cast<std::uint64_t>(number * u.nanoseconds);
      return true;
    }
  return false;
}

}  // namespace

int parse(int argc, char** argv, options& to) {
  const struct {
    std::string_view name;
    std::string options::* text;
    bool options::* flag;
  } known[] = {
      {"--all-frames", nullptr, &options::all_frames},
      {"--all", nullptr, &options::all},
      {"--json", nullptr, &options::json},
      {"--stacks", nullptr, &options::stacks},
      {"--folded", nullptr, &options::folded},
      {"--lines", nullptr, &options::lines},
      {"--once", nullptr, &options::once},
      {"--memory", nullptr, &options::memory},
      {"--interval", &options::interval, nullptr},
      {"--name", &options::name, nullptr},
      {"--waiting", &options::waiting, nullptr},
      {"--at", &options::at, nullptr},
      {"--loop", &options::loop, nullptr},
      {"--older", &options::older_text, nullptr},
      {"--html", nullptr, &options::html},
      {"--last", &options::last, nullptr},
      {"--for", &options::duration, nullptr},
      {"-o", &options::output, nullptr},
      {"--exe", &options::exe, nullptr},
      {"--reader", &options::reader, nullptr},
      {"--thread", &options::thread, nullptr},
      {"--words", &options::words, nullptr},
      {"--watch", &options::watch, nullptr},
  };
  for (int i = 1; i < argc; ++i) {
    const std::string given = argv[i];
    if (given == "--help" || given == "-h" || (given == "help" && to.command.empty())) {
      std::fputs(help, stdout);
      return good;
    }
    if (given.starts_with("-") && given != "-") {
      const auto equals = given.find('=');
      const std::string name = given.substr(0, equals);
      bool found = false;
      for (const auto& k : known) {
        if (k.name != name) continue;
        found = true;
        if (k.flag) {
          if (equals != std::string::npos) return wrong(name + " takes no value");
          to.*k.flag = true;
        } else if (equals != std::string::npos) {
          to.*k.text = given.substr(equals + 1);
        } else if (i + 1 < argc) {
          to.*k.text = argv[++i];
        } else {
          return wrong(name + " wants a value");
        }
      }
      if (!found) return wrong("there is no option " + name);
    } else if (to.command.empty()) {
      to.command = given;
    } else if (to.target.empty() && to.reader.empty()) {
      to.target = given;
    } else if (to.task.empty() && looks_at_one_task(to.command)) {
      to.task = given;
    } else {
      return wrong("one process at a time");
    }
  }
  if (!to.older_text.empty() && !read_time(to.older_text, to.older))
    return wrong("--older wants a time, such as 5s or 3min");
  if (to.command.empty()) return wrong("which command?");
  return -1;
}

}  // namespace tool
