// SPDX-License-Identifier: MIT
#include "threads.h"

#include "numbers.h"

#include <dirent.h>
#include <sys/syscall.h>

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

/// The calls that a thread is likely to be blocked in.
constexpr struct {
  long number;
  const char* name;
} calls[] = {
    {SYS_read, "read"},
    {SYS_write, "write"},
    {SYS_ppoll, "ppoll"},
    {SYS_pselect6, "select"},
    {SYS_futex, "futex"},
    {SYS_epoll_pwait, "epoll_pwait"},
    {SYS_io_uring_enter, "io_uring_enter"},
    {SYS_clock_nanosleep, "clock_nanosleep"},
    {SYS_nanosleep, "nanosleep"},
    {SYS_recvfrom, "recvfrom"},
    {SYS_recvmsg, "recvmsg"},
    {SYS_sendto, "sendto"},
    {SYS_sendmsg, "sendmsg"},
    {SYS_accept4, "accept"},
    {SYS_connect, "connect"},
    {SYS_wait4, "wait4"},
    {SYS_waitid, "waitid"},
    {SYS_flock, "flock"},
    {SYS_fsync, "fsync"},
    {SYS_fdatasync, "fdatasync"},
    {SYS_pread64, "pread"},
    {SYS_pwrite64, "pwrite"},
    {SYS_openat, "open"},
    {SYS_restart_syscall, "a call that a signal has interrupted"},
#ifdef SYS_poll
    {SYS_poll, "poll"},
    {SYS_select, "select"},
    {SYS_epoll_wait, "epoll_wait"},
    {SYS_pause, "pause"},
    {SYS_open, "open"},
#endif
};

}  // namespace

// "running", or the number of the call, six arguments, the stack pointer and the place.
thread thread_of(pid_t process, pid_t number) {
  const std::string folder = "/proc/" + std::to_string(process) + "/task/" + std::to_string(number);
  thread t;
  t.number = process != 0 ? number : 0;
  t.name = first_line(folder + "/comm");
  const std::string said = first_line(folder + "/syscall");
  t.runs = said.rfind("running", 0) == 0;
  if (t.runs || said.empty()) return t;
  std::istringstream in(said);
  std::string part;
  in >> t.call;
  const int skipped = t.call < 0 ? 0 : 6;
  for (int i = 0; i < skipped; ++i) in >> part;
  if (in >> part) t.stack = number_at(part, 16);
  return t;
}

std::vector<thread> threads_of(pid_t process) {
  std::vector<thread> all;
  const std::string folder = "/proc/" + std::to_string(process) + "/task";
  if (DIR* d = ::opendir(folder.c_str())) {
    while (const dirent* entry = ::readdir(d))
      if (const auto number = number_at(entry->d_name, 10); number > 0)
        all.push_back(thread_of(process, static_cast<pid_t>(number)));
    ::closedir(d);
  }
  return all;
}

std::string doing_of(const thread& t) {
  if (t.number == 0) return "was there";
  if (t.runs) return "computes";
  if (t.call < 0) return "is blocked";
  for (const auto& c : calls)
    if (c.number == t.call) return std::string("is blocked in ") + c.name;
  return "is blocked in system call " + std::to_string(t.call);
}

}  // namespace tool
