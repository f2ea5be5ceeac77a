// SPDX-License-Identifier: MIT
// Runs in the child, in the memory of the parent: child_side.h says what that forbids. This file is
// compiled without sanitizers: two processes would write their notes on one thread.
#include <heddle/io/process/child_side.h>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace heddle::detail {
namespace {

constexpr int highest_signal = 64;
constexpr std::size_t signal_set_bytes = highest_signal / 8;

[[noreturn]] void end_child() noexcept {
  for (;;) ::syscall(SYS_exit_group, 127);
}

[[noreturn]] void give_up(child_plan& p, const char* call, int number = -1) noexcept {
  p.error = errno;
  p.failed_number = number;
  p.failed_call = call;
  end_child();
}

/// The child's program ignores what this program ignores, as it would after a fork. But it expects
/// to be ended by SIGPIPE and SIGXFSZ. A handler of this program must not run in the child.
void take_off_handlers() noexcept {
  for (long signal = 1; signal <= highest_signal; ++signal) {
    // The kernel's struct sigaction. The handler is its first word; all zero is SIG_DFL.
    unsigned long action[8] = {};
    if (::syscall(SYS_rt_sigaction, signal, nullptr, action, signal_set_bytes) != 0) continue;
    const bool ignored = action[0] == reinterpret_cast<unsigned long>(SIG_IGN);
    if (action[0] == 0 || (ignored && signal != SIGPIPE && signal != SIGXFSZ)) continue;
    const unsigned long standard[8] = {};
    ::syscall(SYS_rt_sigaction, signal, standard, nullptr, signal_set_bytes);
  }
}

void find_place_among_processes(child_plan& p) noexcept {
  if (p.leads_session && ::syscall(SYS_setsid) < 0) give_up(p, "setsid");
  if (p.joins_group && ::syscall(SYS_setpgid, 0L, static_cast<long>(p.group)) != 0)
    give_up(p, "setpgid");
  if (p.terminal >= 0 && ::syscall(SYS_ioctl, static_cast<long>(p.terminal), TIOCSCTTY, 0L) != 0)
    give_up(p, "ioctl TIOCSCTTY", p.terminal);
}

void place_descriptors(child_plan& p) noexcept {
  for (std::size_t i = 0; i < p.move_count; ++i) {
    const auto [from, to] = p.moves[i];
    const bool stays = from == to;
    const long done =
        stays ? ::syscall(SYS_fcntl, static_cast<long>(from), static_cast<long>(F_SETFD), 0L)
              : ::syscall(SYS_dup3, static_cast<long>(from), static_cast<long>(to), 0L);
    if (done < 0) give_up(p, stays ? "fcntl F_SETFD" : "dup3", to);
  }
}

void set_bounds(child_plan& p) noexcept {
  if (p.sets_nice && ::syscall(SYS_setpriority, static_cast<long>(PRIO_PROCESS), 0L,
                               static_cast<long>(p.nice)) != 0)
    give_up(p, "setpriority");
  for (std::size_t i = 0; i < p.limit_count; ++i)
    if (::syscall(SYS_prlimit64, 0L, static_cast<long>(p.limits[i].resource), &p.limits[i].values,
                  nullptr) != 0)
      give_up(p, "setrlimit", p.limits[i].resource);
  if (p.sets_mask) ::syscall(SYS_umask, static_cast<long>(p.mask));
  if (p.directory && ::syscall(SYS_chdir, p.directory) != 0) give_up(p, "chdir");
}

// The functions of the C library would tell all threads of the process, and those are the parent's.
void change_user(child_plan& p) noexcept {
  if (p.sets_groups && ::syscall(SYS_setgroups, p.group_count, p.groups) != 0)
    give_up(p, "setgroups");
  const long g = p.group_id, u = p.user_id;
  if (p.sets_group_id && ::syscall(SYS_setresgid, g, g, g) != 0) give_up(p, "setresgid");
  if (p.sets_user_id && ::syscall(SYS_setresuid, u, u, u) != 0) give_up(p, "setresuid");
}

/// The number that `text` begins with, or -1.
int number_in(const char* text) noexcept {
  int number = -1;
  for (; *text >= '0' && *text <= '9'; ++text)
    number = (number < 0 ? 0 : number * 10) + *text - '0';
  return number;
}

/// For a kernel without close_range (before 5.9). False: the descriptors cannot be listed.
bool close_listed(const child_plan::gap& g) noexcept {
  const long list = ::syscall(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY, 0L);
  if (list < 0) return false;
  alignas(8) char entries[4096];
  for (;;) {
    const long n = ::syscall(SYS_getdents64, list, entries, sizeof entries);
    if (n <= 0) break;
    // An entry: two words of 8 bytes, its length in 2 bytes, a type in 1 byte, the name.
    for (long at = 0; at < n;) {
      const auto* entry = reinterpret_cast<const unsigned char*>(entries) + at;
      const int number = number_in(reinterpret_cast<const char*>(entry) + 19);
      if (number >= 0 && number != list && static_cast<unsigned>(number) >= g.first &&
          static_cast<unsigned>(number) <= g.last)
        ::syscall(SYS_close, static_cast<long>(number));
      at += entry[16] | entry[17] << 8;
    }
  }
  ::syscall(SYS_close, list);
  return true;
}

void close_the_rest(child_plan& p) noexcept {
  for (std::size_t i = 0; i < p.gap_count; ++i) {
    const long first = p.gaps[i].first, last = p.gaps[i].last;
    if (::syscall(SYS_close_range, first, last, 0L) == 0) continue;
    const int error = errno;
    if (close_listed(p.gaps[i])) continue;
    errno = error;
    give_up(p, "close_range");
  }
}

// Comes after the change of the user, which would take the signal back.
void die_with_parent(child_plan& p) noexcept {
  if (p.death_signal == 0) return;
  const long signal = p.death_signal;
  if (::syscall(SYS_prctl, static_cast<long>(PR_SET_PDEATHSIG), signal, 0L, 0L, 0L) != 0)
    give_up(p, "prctl PR_SET_PDEATHSIG");
  // The parent may have ended before the call. Then the signal will not come, so it is sent here.
  if (::syscall(SYS_getppid) != p.parent) ::syscall(SYS_kill, ::syscall(SYS_getpid), signal);
}

[[noreturn]] void become_program(child_plan& p) noexcept {
  int error = ENOENT;
  for (const char* const* place = p.places; *place; ++place) {
    ::syscall(SYS_execve, *place, p.command, p.environment);
    const int now = errno;
    if (error == ENOENT || now == EACCES) error = now;  // "forbidden" tells more than "not there"
    if (now != ENOENT && now != ENOTDIR && now != EACCES) break;
  }
  errno = error;
  give_up(p, "execve");
}

}  // namespace

int run_child(void* plan) noexcept {
  auto& p = *static_cast<child_plan*>(plan);
  take_off_handlers();
  find_place_among_processes(p);
  place_descriptors(p);
  set_bounds(p);
  change_user(p);
  close_the_rest(p);
  die_with_parent(p);
  // The starting thread may block signals (a loop blocks SIGPIPE). The program must not inherit
  // that.
  const unsigned long none[signal_set_bytes / sizeof(unsigned long)] = {};
  ::syscall(SYS_rt_sigprocmask, static_cast<long>(SIG_SETMASK), none, nullptr, signal_set_bytes);
  become_program(p);
}

}  // namespace heddle::detail
