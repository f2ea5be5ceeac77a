// SPDX-License-Identifier: MIT
// What the cases of processes share: children that are shells.
#pragma once

#include "reactor_cases.h"

#include <heddle/io/process.h>

#include <cerrno>
#include <csignal>
#include <fstream>

#include <sys/wait.h>

namespace conformance {

inline h::process_options piped(bool in, bool out, bool error = false) {
  h::process_options o;
  if (in) o.stdin = h::stdio::pipe;
  if (out) o.stdout = h::stdio::pipe;
  if (error) o.stderr = h::stdio::pipe;
  return o;
}

inline h::process_options plain() { return {}; }

inline h::task<h::process> start(h::process_options o, std::vector<std::string> command) {
  return h::create_subprocess_exec(std::move(command), std::move(o));
}
inline h::task<h::process> shell(h::process_options o, std::string script) {
  return h::create_subprocess_shell(std::move(script), std::move(o));
}

/// What a shell with these options writes to its stdout.
inline h::task<std::string> said(h::process_options o, std::string script) {
  o.stdout = h::stdio::pipe;
  auto started = shell(std::move(o), std::move(script));
  h::process p = co_await std::move(started);
  auto talk = p.communicate();
  auto all = co_await std::move(talk);
  co_return std::move(all.stdout).value_or("");
}

/// Such a process exists, perhaps as a zombie.
inline bool exists(pid_t pid) { return ::kill(pid, 0) == 0 || errno != ESRCH; }

/// The state of a process as /proc has it, such as 'Z'; '-': there is none.
inline char state_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return '-';
  const auto at = line.rfind(')');
  return at == std::string::npos || at + 2 >= line.size() ? '-' : line[at + 2];
}

/// It has ended. A zombie that belongs to another parent counts, since an init that reaps nobody is
/// none of ours.
inline bool is_over(pid_t pid) {
  const char state = state_of(pid);
  return state == '-' || state == 'Z' || state == 'X';
}

/// No child of ours is left, not even as a zombie.
inline bool no_child_left() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
}

}  // namespace conformance
