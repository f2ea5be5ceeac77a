// SPDX-License-Identifier: MIT
#include <heddle/io/process.h>

#include <heddle/core/scheduler.h>
#include <heddle/io/process/spawn_child.h>
#include <heddle/io/reactor/reactor.h>
#include <heddle/io/streams/stream_core.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/runtime.h>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

namespace heddle {
namespace detail {
namespace {

constinit atomic<bool> pidfds_forbidden{false};
constexpr int unknown_code = 255;

int open_pidfd(pid_t pid) noexcept {
  if (pidfds_forbidden.load(relaxed)) {
    errno = ENOSYS;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

/// For a kernel without pidfds. A thread waits for the end of the child, without reaping it, and
/// then rings the returned bell.
fd bell_of_a_waiting_thread(pid_t pid) {
  fd bell(check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"));
  fd hammer(check(::dup(bell.get()), "dup"));
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  struct restorer {
    const sigset_t& mask;
    ~restorer() { ::pthread_sigmask(SIG_SETMASK, &mask, nullptr); }
  } at_end{before};
  std::thread([pid, own = std::move(hammer)] {
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0 &&
           errno == EINTR) {}
    const std::uint64_t one = 1;
    const auto n = ::write(own.get(), &one, sizeof one);
    (void)n;  // an eventfd takes a first write always
  }).detach();
  return bell;
}

/// For a child that nobody else knows of.
void kill_and_reap(pid_t pid) noexcept {
  (void)::kill(pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {}
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

/// A child. The handle holds one reference, and the watch another, until the child was reaped.
///
/// Danger     When a child was reaped, the kernel may give its number to another process. A signal
///            sent then would hit that process. And a child must be reaped once, whichever thread
///            finds the exit.
/// Prevented  Reaping is done under the lock of ended_, once, by the thread that finds the exit.
///            Signals are sent under the same lock, and only before that. (Foreign code that reaps
///            children of others can still break this.)
/// Costs      A system call under a spin lock, once a signal and once an exit.
//
//   exited_, code_, source_  under the lock of ended_; exited_ is also read without
//   exit_                    tells of the exit; taken out under that lock, after the reaping
//   orphan_, let_go_         Each is stored by one side, which then looks at the other: seq_cst.
class process_state final : public source_owner {
 public:
  explicit process_state(pid_t pid) noexcept : pid_(pid), runtime_(current_runtime_id()) {}

  /// Watches the child. If it throws, the child was killed and reaped.
  void watch() {
    try {
      fd pidfd(open_pidfd(pid_));
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

  void ref() noexcept { refs_.fetch_add(1, relaxed); }
  void unref() noexcept {
    // pairs with itself: the holder of the last reference sees what the others did
    if (refs_.fetch_sub(1, acq_rel) == 1) delete this;
  }

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] bool exited() const noexcept {
    // pairs with the store in reap()
    return exited_.load(acquire);
  }
  [[nodiscard]] std::optional<int> code() noexcept {
    // The runtime has ended, so no loop looks for the exit any more. Pairs with reactor_gone().
    if (!exited() && orphan_.load(acquire)) (void)reap();
    if (!exited()) return std::nullopt;
    return code_;
  }
  void send(int signal);
  /// The handle goes: kills the child if it runs, and arranges that it is reaped.
  void let_go() noexcept;

  wait_queue ended_;

 private:
  friend class exit_wait;

  ~process_state() = default;

  // source_owner
  void hold() noexcept override { ref(); }
  void drop() noexcept override { unref(); }
  [[nodiscard]] bool wants_readable() const noexcept override { return true; }
  void readable() noexcept override {
    if (reap()) end_watch();
  }
  void reactor_gone() noexcept override {
    // pairs with the look of let_go(): one of the two sees the other, and reaps
    orphan_.store(true, seq_cst);
    if (let_go_.load(seq_cst)) reap_now();
    end_watch();
  }

  [[nodiscard]] bool reap() noexcept;
  void reap_now() noexcept;
  void end_watch() noexcept;
  [[nodiscard]] int kill_locked(int signal) const noexcept {
    if (is_pidfd_)
      return static_cast<int>(::syscall(SYS_pidfd_send_signal, exit_.get(), signal, nullptr, 0));
    return ::kill(pid_, signal);
  }

  atomic<std::uint32_t> refs_{1};
  const pid_t pid_;
  const runtime_number runtime_;
  bool is_pidfd_ = false;
  bool watched_ = false;
  fd exit_;
  io_source* source_ = nullptr;
  atomic<bool> exited_{false};
  atomic<bool> orphan_{false};
  atomic<bool> let_go_{false};
  int code_ = 0;
};

// Reaps the child if it has ended. False: it runs.
bool process_state::reap() noexcept {
  work_list todo;
  ended_.lock();
  if (exited_.load(relaxed)) {
    ended_.unlock();
    return true;
  }
  siginfo_t info{};
  int result;
  do {
    result = is_pidfd_ ? ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(exit_.get()),
                                  &info, WEXITED | WNOHANG)
                       : ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG);
  } while (result != 0 && errno == EINTR);
  if (result == 0 && info.si_pid == 0) {
    ended_.unlock();
    return false;
  }
  const bool foreign = result != 0;
  code_ = foreign ? unknown_code : info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
  // pairs with the load in exited()
  exited_.store(true, release);
  while (waiter* w = ended_.claim_first()) todo.schedule(*w->task);
  ended_.unlock();
  todo.settle();
  if (foreign) {
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

void process_state::end_watch() noexcept {
  ended_.lock();
  auto* s = std::exchange(source_, nullptr);
  ended_.unlock();
  if (!s) return;
  s->retire();
  fd closed_now;
  ended_.lock();
  if (exited_.load(relaxed)) closed_now = std::move(exit_);
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

void process_state::let_go() noexcept {
  // pairs with the look of reactor_gone(): one of the two sees the other, and reaps
  let_go_.store(true, seq_cst);
  if (exited()) return;
  if (reap()) {  // it had ended, and no loop had noticed yet
    end_watch();
    return;
  }
  ended_.lock();
  if (!exited_.load(relaxed)) (void)kill_locked(SIGKILL);
  ended_.unlock();
  // pairs with the store in reactor_gone()
  if (orphan_.load(seq_cst)) reap_now();
}

/// Waits for the end of the child.
class exit_wait final : public queue_waiter {
 public:
  explicit exit_wait(process_state& s) noexcept : queue_waiter(s.ended_), state_(s) {}

  [[nodiscard]] bool await_ready() const noexcept { return state_.exited(); }
  template <heddle_promise P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> h) {
    return suspend(h.promise().suspending(h));
  }
  void await_resume() {
    if (cancelled_at_resume(*this)) throw_cancelled(*task);
  }
  const char* name() const noexcept override { return "process"; }

 private:
  HEDDLE_NOINLINE bool suspend(task_record& t) noexcept {
    state_.ended_.lock();
    const bool waits = !state_.exited_.load(relaxed) && state_.ended_.suspend(*this, t);
    state_.ended_.unlock();
    return waits;
  }

  process_state& state_;
};

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

namespace {

task<int> wait_for_exit(process_ref state) {
  exit_wait end(state.use());
  co_await end;
  const auto code = state.use().code();
  co_return *code;
}

task<> feed(stream_writer& in, std::optional<std::string> text) {
  if (!in.valid()) co_return;
  try {
    if (text) in.write(*text);
    co_await in.drain();
  } catch (const std::system_error&) {
    // The child does not read all of its input, which is no error.
  } catch (const std::exception&) {
    in.close();  // a child that waits for more input would never end
    throw;
  }
  in.close();
}

task<std::optional<std::string>> take_all(stream_reader& from) {
  std::optional<std::string> text;
  if (from.valid()) {
    std::string all = co_await from.read();
    text = std::move(all);
  }
  co_return text;
}

// The three tasks use `p`. So those that began must end before this one does, also when a later one
// cannot begin.
task<process_output> talk(process& p, std::optional<std::string> input) {
  task_handle<> fed;
  task_handle<std::optional<std::string>> out, error;
  std::exception_ptr cut;
  try {
    fed = create_task(feed(p.stdin, std::move(input)));
    out = create_task(take_all(p.stdout));
    error = create_task(take_all(p.stderr));
    auto all = gather_settled(fed, out, error);
    (void)co_await std::move(all);
  } catch (...) { cut = std::current_exception(); }
  if (cut) {
    if (fed.valid()) (void)fed.cancel();
    if (out.valid()) (void)out.cancel();
    if (error.valid()) (void)error.cancel();
    // `cut` is the error that is thrown. Errors of the three, and further cancellations, are
    // dropped.
    while (fed.valid() && !fed.done()) try {
        co_await fed;
      } catch (...) {}
    while (out.valid() && !out.done()) try {
        (void)co_await out;
      } catch (...) {}
    while (error.valid() && !error.done()) try {
        (void)co_await error;
      } catch (...) {}
    std::rethrow_exception(cut);
  }
  process_output result;
  co_await fed;
  auto& text = co_await out;
  result.stdout = std::move(text);
  auto& errors = co_await error;
  result.stderr = std::move(errors);
  auto ended = p.wait();
  (void)co_await std::move(ended);
  co_return result;
}

}  // namespace
}  // namespace detail

struct process_access {
  static process make(detail::spawned_child child, std::size_t limit) {
    process p;
    detail::process_state* state;
    try {
      state = new detail::process_state(child.pid);
    } catch (const std::bad_alloc&) {
      detail::kill_and_reap(child.pid);
      throw;
    }
    p.state_ = detail::process_ref(state);
    state->watch();
    auto& home = detail::current_reactor();
    using detail::watched_for;
    const auto open = [&](detail::fd& end, watched_for purpose) {
      return detail::make_connection(
          detail::stream_core::open_pipe(std::move(end), home, purpose, limit));
    };
    if (child.in.valid()) p.stdin = open(child.in, watched_for::writing).writer;
    const auto open_output = [&](detail::fd& end, stream_reader& reader, stream_writer& closer) {
      if (!end.valid()) return;
      connection c = open(end, watched_for::reading);
      reader = std::move(c.reader);
      closer = std::move(c.writer);
    };
    open_output(child.out, p.stdout, p.closers_[0]);
    open_output(child.error, p.stderr, p.closers_[1]);
    return p;
  }
};

process& process::operator=(process&& other) noexcept {
  if (this != &other) {
    close();
    stdin = std::move(other.stdin);
    stdout = std::move(other.stdout);
    stderr = std::move(other.stderr);
    state_ = std::move(other.state_);
    closers_[0] = std::move(other.closers_[0]);
    closers_[1] = std::move(other.closers_[1]);
  }
  return *this;
}

process::~process() { close(); }

void process::close() noexcept {
  stdin.close();
  for (auto& c : closers_) c.close();
  if (auto* s = state_.get()) s->let_go();
}

pid_t process::pid() const { return state_.use().pid(); }
std::optional<int> process::returncode() const { return state_.use().code(); }
void process::send_signal(int number) { state_.use().send(number); }

task<int> process::wait() const {
  (void)state_.use();
  return detail::wait_for_exit(state_);
}

task<process_output> process::communicate(std::string input) {
  (void)state_.use();
  return detail::talk(*this, std::optional<std::string>(std::move(input)));
}

task<process_output> process::communicate() {
  (void)state_.use();
  return detail::talk(*this, std::nullopt);
}

task<process> create_subprocess_exec(std::vector<std::string> command, process_options options) {
  detail::check_limit(options.limit);
  process p = process_access::make(detail::spawn_child(command, options), options.limit);
  co_return p;
}

task<process> create_subprocess_shell(std::string command, process_options options) {
  std::vector<std::string> words;
  words.emplace_back("/bin/sh");
  words.emplace_back("-c");
  words.push_back(std::move(command));
  return create_subprocess_exec(std::move(words), std::move(options));
}

task<process> create_subprocess_exec(std::vector<std::string> command) {
  return create_subprocess_exec(std::move(command), process_options());
}

task<process> create_subprocess_shell(std::string command) {
  return create_subprocess_shell(std::move(command), process_options());
}

task<process> detail::exec_words(std::string* words, std::size_t count, process_options options) {
  return create_subprocess_exec(std::vector<std::string>(std::make_move_iterator(words),
                                                         std::make_move_iterator(words + count)),
                                std::move(options));
}

task<process> detail::exec_words(std::string* words, std::size_t count) {
  return exec_words(words, count, process_options());
}

}  // namespace heddle
