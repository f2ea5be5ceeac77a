// SPDX-License-Identifier: MIT
#include "picture.h"

#include "lateness.h"
#include "threads.h"

#include <heddle/core/seeing/report.h>

#include <time.h>

#include <fstream>
#include <string_view>

namespace tool {

using namespace heddle::detail::seeing;

namespace {

std::uint64_t now() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(t.tv_nsec);
}

/// The processor time of a thread, in nanoseconds; 0: not known.
std::uint64_t time_of(pid_t process, int thread) {
  std::ifstream in("/proc/" + std::to_string(process) + "/task/" + std::to_string(thread) +
                   "/schedstat");
  std::uint64_t ns = 0;
  return in >> ns ? ns : 0;
}

std::uint64_t ticket_of(sight& from, const task_view& task) {
  std::uint64_t ticket = 0;
  const auto at = from.what().at().ticket;
  const std::string_view does = task.waits_in;
  if (task.what == doing::waits && (does.starts_with("queue.put") || does.starts_with("queue.get")))
    (void)from.what().load(from.what().mem(), task.wait, at, ticket);
  return ticket;
}

/// What a group's cpu.stat says. False: there is none, or the group has no quota.
bool read_quota(const std::string& folder, picture& to) {
  std::ifstream in(folder + "/cpu.stat");
  std::string name;
  for (std::uint64_t value = 0; in >> name >> value;) {
    if (name == "nr_periods") to.periods = value;
    if (name == "nr_throttled") to.throttled = value;
    if (name == "throttled_usec") to.throttled_us = value;
    if (name == "throttled_time") to.throttled_us = value / 1000;  // version 1: nanoseconds
  }
  return to.periods != 0;
}

/// The group of `path` under `root`, or the nearest above it that has a quota.
bool read_nearest_quota(const std::string& root, std::string path, picture& to) {
  for (;;) {
    if (read_quota(root + path, to)) return true;
    const auto parent = path.rfind('/');
    if (parent == std::string::npos) return false;
    path.resize(parent);
  }
}

/// Control groups of both versions: a line is "number:controllers:path", and version 2 names none.
void read_throttling(pid_t process, picture& to) {
  std::ifstream groups("/proc/" + std::to_string(process) + "/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool counts =
        controllers.empty() || ("," + controllers + ",").find(",cpu,") != std::string::npos;
    const std::string root = "/sys/fs/cgroup" + (controllers.empty() ? "" : "/" + controllers);
    if (counts && read_nearest_quota(root, line.substr(second + 1), to)) return;
  }
}

}  // namespace

void picture::take(sight& from) {
  *this = {};
  (void)from.look_at_loops();
  for (std::size_t i = 0; i < from.loops().size(); ++i) {
    loops.push_back(from.loops()[i]);
    const auto& l = from.loops()[i];
    // Without a clock, as in a core, it is not known.
    timer_lag.push_back(from.living() != 0 ? overdue_in(from.what(), l.at, now()) : 0);
    const pid_t process = from.living();
    const auto its = thread_of(process, l.thread);
    worked.push_back(process != 0 ? time_of(process, l.thread) : 0);
    blocked.push_back(process != 0 && !its.runs && its.call >= 0);
  }
  if (from.living() != 0) read_throttling(from.living(), *this);
  struct context {
    picture& to;
    sight& from;
  } c{*this, from};
  (void)from.tasks().each(
      [](void* p, const task_view& task) {
        auto& here = *static_cast<context*>(p);
        char text[256];
        short_writer does(text);
        put_doing(does, task, here.from.loops());
        const auto& loops = here.from.loops();
        const bool nowhere = task.what == doing::active && task.strands == 0 &&
                             !loops.runs(task.at) && !loops.find(task.at);
        here.to.tasks[task.at] = {task.number, task.generation, task.word,
                                  task.wait,   task.object,     ticket_of(here.from, task),
                                  text,        nowhere};
        return here.to.tasks.size() < most_tasks;
      },
      &c);
}

bool waits_on(const picture& a, const picture& b, std::uint64_t record) {
  const auto one = a.tasks.find(record), two = b.tasks.find(record);
  return one != a.tasks.end() && two != b.tasks.end() && one->second.wait != 0 &&
         one->second.generation == two->second.generation && one->second.word == two->second.word &&
         one->second.wait == two->second.wait;
}

}  // namespace tool
