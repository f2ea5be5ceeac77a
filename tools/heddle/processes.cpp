// SPDX-License-Identifier: MIT
#include "processes.h"

#include <dirent.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>

namespace tool {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

bool is_number(const std::string& text) {
  return !text.empty() && text.size() < 10 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

pid_t to_process(const std::string& digits) {
  pid_t value = 0;
  for (const char c : digits) value = value * 10 + (c - '0');
  return value;
}

/// The last part of the path of the program's file; the system's own name has 15 letters only.
std::string program_of(pid_t process) {
  char target[4096];
  const std::string link = "/proc/" + std::to_string(process) + "/exe";
  const auto n = ::readlink(link.c_str(), target, sizeof target);
  if (n <= 0) return {};
  std::string path(target, static_cast<std::size_t>(n));
  if (const auto at = path.rfind(" (deleted)"); at != std::string::npos && at + 10 == path.size())
    path.resize(at);
  return path.substr(path.rfind('/') + 1);
}

const char* remedy(pid_t process) {
  struct stat about{};
  const std::string folder = "/proc/" + std::to_string(process);
  const bool is_ours = ::stat(folder.c_str(), &about) == 0 && about.st_uid == ::geteuid();
  const std::string scope = first_line("/proc/sys/kernel/yama/ptrace_scope");
  if (!is_ours)
    return "It belongs to another user, or is not dumpable. Run this as root, or as that user.";
  if (!scope.empty() && scope != "0")
    return "The system allows that to parents and root alone (kernel.yama.ptrace_scope). Run this "
           "as root, or start the program with HEDDLE_DUMP=QUIT and send it SIGQUIT.";
  return "A filter of system calls, a namespace or a missing capability (CAP_SYS_PTRACE) forbids "
         "it. Run this from the host, or start the program with HEDDLE_DUMP=QUIT and send it "
         "SIGQUIT.";
}

}  // namespace

std::string command_of(pid_t process) {
  return first_line("/proc/" + std::to_string(process) + "/comm");
}

std::vector<pid_t> all_processes() {
  std::vector<pid_t> all;
  if (DIR* folder = ::opendir("/proc")) {
    while (const dirent* entry = ::readdir(folder))
      if (const std::string name = entry->d_name; is_number(name))
        if (const pid_t p = to_process(name); p != ::getpid()) all.push_back(p);
    ::closedir(folder);
  }
  std::sort(all.begin(), all.end());
  return all;
}

std::vector<pid_t> processes_named(const std::string& text) {
  if (is_number(text)) return {to_process(text)};
  std::vector<pid_t> found;
  for (const pid_t p : all_processes())
    if (command_of(p) == text || program_of(p) == text) found.push_back(p);
  return found;
}

double age_of(pid_t process) {
  std::ifstream in("/proc/" + std::to_string(process) + "/stat");
  std::string all;
  std::getline(in, all);
  const auto name_ends = all.rfind(')');
  if (name_ends == std::string::npos) return 0;
  std::istringstream fields(all.substr(name_ends + 1));
  std::string skipped;
  for (int i = 0; i < 19; ++i) fields >> skipped;
  double ticks = 0;
  timespec now{};
  if (!(fields >> ticks) || ::clock_gettime(CLOCK_BOOTTIME, &now) != 0) return 0;
  const double age =
      static_cast<double>(now.tv_sec) - ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
  return age > 0 ? age : 0;
}

int complain(pid_t process, seeing::opening why, const char* missing) {
  const long number = process;
  switch (why) {
    case seeing::opening::gone:
      std::fprintf(stderr, "heddle: there is no process %ld, or it has just ended\n", number);
      return gone;
    case seeing::opening::refused:
      std::fprintf(stderr, "heddle: process %ld may not be read by this user\n%s\n", number,
                   remedy(process));
      return refused;
    default:
      return complain_of_layout("process " + std::to_string(number), command_of(process), why,
                                missing);
  }
}

int complain_of_layout(const std::string& what, const std::string& command, seeing::opening why,
                       const char* missing) {
  switch (why) {
    case seeing::opening::other_version:
      std::fprintf(stderr,
                   "heddle: %s has a layout of another major version\nUse the tool that was built "
                   "with its library.\n",
                   what.c_str());
      return unreadable;
    case seeing::opening::incomplete:
      std::fprintf(stderr,
                   "heddle: the layout of %s has no row \"%s\"\nUse the tool that was built with "
                   "its library.\n",
                   what.c_str(), missing);
      return unreadable;
    default:
      std::fprintf(stderr, "heddle: there is no heddle in %s (%s)\n", what.c_str(),
                   command.c_str());
      return nothing;
  }
}

}  // namespace tool
