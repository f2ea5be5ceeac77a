// SPDX-License-Identifier: MIT
// What the system keeps from the program: descriptors, processor time, io_uring.
#include "findings.h"

#include <dirent.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace tool {

using namespace heddle::detail::seeing;

namespace {

std::size_t count_descriptors(pid_t process) {
  std::size_t n = 0;
  if (DIR* folder = ::opendir(("/proc/" + std::to_string(process) + "/fd").c_str())) {
    while (const dirent* entry = ::readdir(folder)) n += entry->d_name[0] != '.' ? 1 : 0;
    ::closedir(folder);
  }
  return n;
}

/// 0: there is none, or it is not known.
std::size_t most_descriptors(pid_t process) {
  constexpr char name[] = "Max open files";
  std::ifstream in("/proc/" + std::to_string(process) + "/limits");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(name, 0) != 0) continue;
    std::istringstream fields(line.substr(sizeof name - 1));
    std::size_t limit = 0;
    return fields >> limit ? limit : 0;
  }
  return 0;
}

void find_few_descriptors(examined& e) {
  const auto open = count_descriptors(e.from.living()), most = most_descriptors(e.from.living());
  if (most == 0 || open < most - most / 10) return;
  e.found.push_back({std::to_string(open) + " descriptors are open, of " + std::to_string(most) +
                         " that the process may have (RLIMIT_NOFILE)",
                     {"the next accept, connect or open will fail with EMFILE"},
                     "raise the limit (ulimit -n, LimitNOFILE=), or bound max_connections"});
}

void find_throttling(examined& e) {
  const auto throttled = e.now.throttled - e.before.throttled;
  if (e.now.throttled <= e.before.throttled) return;
  e.found.push_back({"the process was throttled by its cgroup in " + std::to_string(throttled) +
                         " of " + std::to_string(e.now.periods - e.before.periods) +
                         " periods (cpu.max, cpu.cfs_quota_us)",
                     {"it stood still for " +
                      std::to_string((e.now.throttled_us - e.before.throttled_us) / 1000) +
                      " ms in the last second"},
                     "a larger quota, or fewer loops (options.loops)"});
}

// The note says why the reactor that was wished for could not be had.
void find_fallback(examined& e) {
  const auto& at = e.from.what().at();
  auto& mem = e.from.what().mem();
  std::uint64_t group = 0;
  if (at.reactor_note.size == 0 || e.from.what().runtimes() == 0 ||
      !mem.get(e.from.what().runtimes(), group))
    return;
  for (int i = 0; group != 0 && i < 64; ++i) {
    struct {
      std::uint64_t text;
      std::uint64_t length;
    } note{};
    char text[300] = "";
    if (mem.get(group + at.reactor_note.at, note) && note.length != 0 &&
        mem.text(note.text, text, std::min<std::uint64_t>(note.length + 1, sizeof text)))
      e.found.push_back({"the runtime fell back to another reactor",
                         {text},
                         "allow io_uring (kernel.io_uring_disabled, seccomp), or choose epoll: "
                         "options.reactor"});
    if (!e.from.what().load(mem, group, at.group_next, group)) return;
  }
}

}  // namespace

void look_at_system(examined& e) {
  if (e.from.living() != 0) {
    find_few_descriptors(e);
    find_throttling(e);
  }
  find_fallback(e);
}

}  // namespace tool
