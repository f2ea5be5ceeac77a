// SPDX-License-Identifier: MIT
#include <heddle/io/process/process_state.h>

#include <heddle/core/checked.h>
#include <heddle/core/seeing/layout.h>
#include <heddle/io/reactor/reactor.h>
#include <heddle/sched/runtime.h>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <thread>

namespace heddle::detail {
namespace {

constinit atomic<bool> pidfds_forbidden{false};
constexpr int unknown_code = 255;
constexpr int pidfd_kind = 3;              // P_PIDFD of newer headers
constexpr unsigned whole_group = 1u << 2;  // PIDFD_SIGNAL_PROCESS_GROUP of newer headers (6.9)

int open_pidfd(pid_t pid) noexcept {
  if (pidfds_forbidden.load(relaxed)) {
    errno = ENOSYS;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

duration time_of(const timeval& t) noexcept {
  return std::chrono::seconds(t.tv_sec) + std::chrono::microseconds(t.tv_usec);
}

resource_usage usage_of(const rusage& r) noexcept {
  const auto count = [](long n) { return saturated<std::uint64_t>(n); };
  resource_usage u;
  u.user_time = time_of(r.ru_utime);
  u.system_time = time_of(r.ru_stime);
  u.peak_memory = count(r.ru_maxrss) * 1024;
  u.minor_faults = count(r.ru_minflt);
  u.major_faults = count(r.ru_majflt);
  u.blocks_read = count(r.ru_inblock);
  u.blocks_written = count(r.ru_oublock);
  u.voluntary_switches = count(r.ru_nvcsw);
  u.involuntary_switches = count(r.ru_nivcsw);
  return u;
}

/// waitid that also tells what the child used: the C library's does not.
int wait_for_state(bool by_pidfd, int number, siginfo_t& info, rusage& used) noexcept {
  return static_cast<int>(::syscall(SYS_waitid, by_pidfd ? pidfd_kind : static_cast<int>(P_PID),
                                    number, &info, WEXITED | WNOHANG, &used));
}

/// Starts a thread that takes no signals.
template <class F>
void start_quiet_thread(F body) {
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  struct restorer {
    const sigset_t& mask;
    ~restorer() { ::pthread_sigmask(SIG_SETMASK, &mask, nullptr); }
  } at_end{before};
  std::thread(std::move(body)).detach();
}

/// Blocks until the child has ended, and does not reap it.
void wait_until_ended(pid_t pid) noexcept {
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
  }
}

/// For a kernel without pidfds. A thread waits for the end of the child, without reaping it, and
/// then rings the returned bell.
fd bell_of_a_waiting_thread(pid_t pid) {
  fd bell(check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"));
  fd hammer(check(::dup(bell.get()), "dup"));
  start_quiet_thread([pid, own = std::move(hammer)] {
    wait_until_ended(pid);
    const std::uint64_t one = 1;
    const auto n = ::write(own.get(), &one, sizeof one);
    (void)n;  // an eventfd takes a first write always
  });
  return bell;
}

struct report_later final : callback_base {
  explicit report_later(error_context c) : what(std::move(c)) {}
  void run() override {
    if (current_loop_if_any()) current_runtime().report(what);
  }
  error_context what;
};

}  // namespace

void plant_fault_no_pidfd(bool on) noexcept { pidfds_forbidden.store(on, relaxed); }

void kill_and_reap(pid_t pid) noexcept {
  (void)::kill(pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {}
}

void process_state::watch(fd pidfd) {
  try {
    if (!pidfd.valid() || pidfds_forbidden.load(relaxed)) pidfd = fd(open_pidfd(pid_));
    is_pidfd_ = pidfd.valid();
    if (!is_pidfd_ && errno == ESRCH) {  // reaped by foreign code already
      (void)reap();
      return;
    }
    exit_ = is_pidfd_ ? std::move(pidfd) : bell_of_a_waiting_thread(pid_);
    ref();  // for the watch
    watched_ = true;
    auto& source = current_reactor().watch(exit_.get(), this, watched_for::reading);
    // The exit may have been told before source_ was set. Then the watch is ended here.
    ended_.lock();
    source_ = &source;
    const bool over = exited_.load(relaxed);
    ended_.unlock();
    if (over) end_watch();
  } catch (...) {
    if (watched_) unref();
    kill_and_reap(pid_);
    ended_.lock();
    code_ = -SIGKILL;
    // pairs with the load in exited()
    exited_.store(true, release);
    ended_.unlock();
    throw;
  }
}

int process_state::kill_locked(int signal) const noexcept {
  if (is_pidfd_)
    return static_cast<int>(::syscall(SYS_pidfd_send_signal, exit_.get(), signal, nullptr, 0));
  return ::kill(pid_, signal);
}

// The kernel may give the number of a group away once its leader was reaped and all its members
// have ended. A pidfd names the group all the same. Without it a signal goes only to a group whose
// member, our child, was not reaped.
int process_state::kill_group_locked(int signal) const noexcept {
  if (leads_group() && is_pidfd_ && exit_.valid()) {
    const auto done = ::syscall(SYS_pidfd_send_signal, exit_.get(), signal, nullptr, whole_group);
    if (done == 0 || errno != EINVAL) return static_cast<int>(done);
    if (signal < 0 || signal > SIGRTMAX) return -1;  // else the kernel does not know the flag
  }
  if (exited_.load(relaxed)) {
    errno = ESRCH;
    return -1;
  }
  return ::kill(-group_, signal);
}

// The end of the child is told without its code.
void process_state::report_foreign() const noexcept {
  try {
    error_context what;
    what.message = "child process " + std::to_string(pid_) +
                   " was reaped by other code: its exit code is unknown, 255 is told";
    auto later = owned<callback_base>(new report_later(std::move(what)));
    prepare_callback(*later);
    post_callback(runtime_, nullptr, std::move(later));
  } catch (const std::bad_alloc&) {
    // There is no memory for a report, and it is left out.
  }
}

// Reaps the child if it has ended. False: it runs.
bool process_state::reap() noexcept {
  work_list todo;
  ended_.lock();
  if (exited_.load(relaxed)) {
    ended_.unlock();
    return true;
  }
  siginfo_t info{};
  rusage used{};
  int result;
  do result = wait_for_state(is_pidfd_, is_pidfd_ ? exit_.get() : pid_, info, used);
  while (result != 0 && errno == EINTR);
  if (result == 0 && info.si_pid == 0) {
    ended_.unlock();
    return false;
  }
  const bool foreign = result != 0;
  code_ = foreign ? unknown_code : info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
  if (!foreign) usage_ = usage_of(used);
  // pairs with the load in exited()
  exited_.store(true, release);
  while (waiter* w = ended_.claim_first()) todo.schedule(*w->task);
  ended_.unlock();
  todo.settle();
  if (foreign) report_foreign();
  return true;
}

// The child was killed, and no loop is there to tell of its end. So this thread waits for the end,
// which is near: at most five seconds.
void process_state::reap_now() noexcept {
  for (int i = 0; i < 100 && !reap(); ++i) {
    ended_.lock();  // another thread may reap, and close the descriptor
    pollfd end{exit_.get(), POLLIN, 0};
    ended_.unlock();
    (void)::poll(&end, 1, 50);  // -1 was closed: reap() says so next
  }
}

// As reap_now(), for a detached child, which runs on for as long as it likes. A thread waits for
// its end. That thread belongs to no runtime: there is none any more.
void process_state::reap_some_day() noexcept {
  ref();
  try {
    start_quiet_thread([this] {
      wait_until_ended(pid_);
      (void)reap();
      unref();
    });
  } catch (...) { unref(); }  // no thread: the child stays a zombie until this process ends
}

void process_state::settle_orphan() noexcept {
  if (!detached_.load(relaxed))
    reap_now();
  else if (!reap())
    reap_some_day();
}

void process_state::end_watch() noexcept {
  ended_.lock();
  auto* s = std::exchange(source_, nullptr);
  ended_.unlock();
  if (!s) return;
  s->retire();
  fd closed_now;
  ended_.lock();
  if (exited_.load(relaxed) && !(leads_group() && is_pidfd_)) closed_now = std::move(exit_);
  ended_.unlock();
  unref();
}

void process_state::send(int signal) {
  ended_.lock();
  int error = ESRCH;
  if (!exited_.load(relaxed)) error = kill_locked(signal) == 0 ? 0 : errno;
  ended_.unlock();
  if (error == ESRCH)
    throw no_such_process("process " + std::to_string(pid_) + " has ended already");
  if (error != 0) throw_system_error(error, "kill", "process " + std::to_string(pid_));
}

void process_state::send_to_group(int signal) {
  if (group_ == 0)
    throw_usage("process " + std::to_string(pid_) +
                " has no process group of its own: process_options::process_group gives it one");
  ended_.lock();
  const int error = kill_group_locked(signal) == 0 ? 0 : errno;
  ended_.unlock();
  const std::string about = "process group " + std::to_string(group_);
  if (error == ESRCH) throw no_such_process(about + " has ended already");
  if (error != 0) throw_system_error(error, "kill", about);
}

std::optional<resource_usage> process_state::usage() noexcept {
  if (!code()) return std::nullopt;
  return usage_;
}

void process_state::let_go() noexcept {
  // pairs with the look of reactor_gone(): one of the two sees the other, and reaps
  let_go_.store(true, seq_cst);
  if (exited()) return;
  if (reap()) {  // it had ended, and no loop had noticed yet
    end_watch();
    return;
  }
  ended_.lock();
  if (!exited_.load(relaxed) && !detached_.load(relaxed)) (void)kill_locked(SIGKILL);
  ended_.unlock();
  // pairs with the store in reactor_gone()
  if (orphan_.load(seq_cst)) settle_orphan();
}
process_ref::process_ref(const process_ref& other) noexcept : state_(other.state_) {
  if (state_) state_->ref();
}
process_ref::~process_ref() {
  if (state_) state_->unref();
}
process_state& process_ref::use() const {
  if (!state_) detail::throw_usage("this process is empty: it was moved from, or never started");
  return *state_;
}

}  // namespace heddle::detail

namespace heddle::detail {
namespace {
HEDDLE_ROW("heddle_kinds")
constexpr seeing::kind_row process_state_kinds[] = {
    {.type = "N6heddle6detail9exit_waitE", .name = "process"},
};
}  // namespace
}  // namespace heddle::detail
