// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/stalls.h>

#include <heddle/core/seeing/report.h>

#include <sys/syscall.h>

#include <cstring>

namespace heddle::detail::seeing {
namespace {

/// Names, one after the other; the same one again is only counted: a recursion.
class chain_writer {
 public:
  chain_writer(short_writer& to, symbols& names, bool all) noexcept
      : to_(&to), names_(&names), all_(all) {}

  void put(address at, const char* between) noexcept {
    const char* name = names_->function(at);
    if (!all_ && is_of_library(name)) {
      hidden_ = at;
      return;
    }
    if (any_ && std::strcmp(name, last_) == 0) {
      ++again_;
      return;
    }
    end_run();
    if (any_) to_->put(between);
    any_ = true;
    short_writer kept(last_);
    kept.put(name);
    to_->put(last_);
  }
  /// After the last one. If only the library was there, its outermost function is told.
  void end() noexcept {
    end_run();
    if (!any_ && hidden_ != 0) to_->put(names_->function(hidden_));
    hidden_ = 0;
  }

 private:
  void end_run() noexcept {
    if (again_ != 0) {
      to_->put(" x ");
      to_->number(again_ + 1);
    }
    again_ = 0;
  }

  short_writer* to_;
  symbols* names_;
  bool all_;
  bool any_ = false;
  std::uint64_t again_ = 0;
  address hidden_ = 0;
  char last_[160] = "";
};

constexpr struct {
  std::uint32_t number;
  const char* name;
} calls[] = {
    {SYS_read, "read"},
    {SYS_write, "write"},
    {SYS_pread64, "pread"},
    {SYS_pwrite64, "pwrite"},
    {SYS_readv, "readv"},
    {SYS_writev, "writev"},
    {SYS_openat, "openat"},
    {SYS_close, "close"},
    {SYS_fsync, "fsync"},
    {SYS_fdatasync, "fdatasync"},
    {SYS_flock, "flock"},
    {SYS_fcntl, "fcntl"},
    {SYS_ioctl, "ioctl"},
    {SYS_futex, "futex"},
    {SYS_nanosleep, "nanosleep"},
    {SYS_clock_nanosleep, "clock_nanosleep"},
    {SYS_ppoll, "ppoll"},
    {SYS_pselect6, "pselect"},
    {SYS_epoll_pwait, "epoll_pwait"},
    {SYS_connect, "connect"},
    {SYS_accept, "accept"},
    {SYS_accept4, "accept4"},
    {SYS_recvfrom, "recvfrom"},
    {SYS_recvmsg, "recvmsg"},
    {SYS_sendto, "sendto"},
    {SYS_sendmsg, "sendmsg"},
    {SYS_sendfile, "sendfile"},
    {SYS_splice, "splice"},
    {SYS_wait4, "wait4"},
    {SYS_waitid, "waitid"},
    {SYS_mmap, "mmap"},
    {SYS_munmap, "munmap"},
    {SYS_madvise, "madvise"},
    {SYS_getdents64, "getdents"},
    {SYS_unlinkat, "unlinkat"},
    {SYS_rt_sigtimedwait, "sigtimedwait"},
    {SYS_io_uring_enter, "io_uring_enter"},
    {SYS_statx, "statx"},
#ifdef SYS_poll  // not on processors whose Linux is younger than ppoll
    {SYS_poll, "poll"},
    {SYS_select, "select"},
    {SYS_epoll_wait, "epoll_wait"},
    {SYS_open, "open"},
    {SYS_stat, "stat"},
    {SYS_pause, "pause"},
#endif
};

}  // namespace

bool stalls_view::load(const program& of) noexcept {
  const auto& at = of.at();
  constexpr int most_tries = 8;
  is_known_ = false;
  if (of.stalls() == 0 || at.stalls.size != sizeof(stall_table) ||
      at.stall.size != sizeof(stall_entry))
    return false;
  for (int i = 0; i < most_tries; ++i) {
    std::uint32_t before = 0, after = 0;
    if (!of.mem().get(of.stalls(), before) ||
        !of.mem().read(of.stalls(), static_cast<void*>(&table_), sizeof table_) ||
        !of.mem().get(of.stalls(), after))
      return false;
    if (before == after && before % 2 == 0) break;  // else what was read last is told
  }
  for (auto& e : table_.entries) {  // nothing that was read is trusted
    if (e.frame_count > stall_entry::most_frames) e.frame_count = 0;
    if (e.chain_count > stall_entry::most_chain) e.chain_count = 0;
    e.task[sizeof e.task - 1] = 0;
    e.made_file[sizeof e.made_file - 1] = 0;
  }
  is_known_ = true;
  return true;
}

const stall_entry* stalls_view::lasting(address loop) const noexcept {
  if (!is_known_) return nullptr;
  for (const auto& e : table_.entries)
    if (e.key != 0 && e.loop == loop) return &e;
  return nullptr;
}

const char* system_call_name(std::uint32_t number) noexcept {
  for (const auto& c : calls)
    if (c.number == number) return c.name;
  return nullptr;
}

void put_stalled(short_writer& to, const stall_entry& s) noexcept {
  if (s.number == 0 && s.made_line != 0) {
    to.put("the loop itself, which serves timers and I/O of the hogged loop ");
    return to.number(s.made_line - 1);
  }
  if (s.number == 0) return to.put("a callback, or the loop itself");
  to.put("task ");
  put_id(to, s.number, s.generation);
  if (s.task[0] != 0) {
    to.put(' ');
    to.put(s.task);
  } else if (s.made_line != 0) {
    const char* slash = std::strrchr(s.made_file, '/');
    to.put(", made at ");
    to.put(slash ? slash + 1 : s.made_file);
    to.put(':');
    to.number(s.made_line);
  }
}

void put_stack(short_writer& to, const stall_entry& s, symbols& names, bool all) noexcept {
  if (s.call != 0) {
    to.put("in ");
    if (const char* name = system_call_name(s.call - 1)) {
      to.put(name);
    } else {
      to.put("system call ");
      to.number(s.call - 1);
    }
    if (s.frame_count + s.chain_count != 0) to.put(": ");
  }
  chain_writer chain(to, names, all);
  for (std::uint32_t i = 0; i < s.frame_count; ++i) chain.put(s.frames[i], " < ");
  // The task's innermost coroutine runs: it stands among the functions of the thread already.
  for (std::uint32_t i = s.frame_count != 0 ? 1 : 0; i < s.chain_count; ++i)
    chain.put(s.chain[i], " <~ ");
  chain.end();
}

void put_length(short_writer& to, std::uint64_t nanoseconds) noexcept {
  if (nanoseconds >= 999'500'000) return put_time(to, nanoseconds);
  to.number((nanoseconds + 500'000) / 1'000'000);
  to.put(" ms");
}

}  // namespace heddle::detail::seeing
