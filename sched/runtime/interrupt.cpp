// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/interrupt.h>

#include <heddle/core/base/spin_lock.h>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>

namespace heddle::detail {
namespace {

// One at a time: only the main thread has one, while it is inside runtime::run.
constinit atomic<bell*> told{nullptr};
constinit atomic<unsigned> came{0};
constinit atomic<int> inside{0};
constinit atomic<pid_t> owner{0};  // a forked child has the action, but not the program

void on_interrupt(int signal) {
  const int saved = errno;
  inside.fetch_add(1, seq_cst);  // pairs with ~interrupt_watch
  bell* b = told.load(seq_cst);
  if (b && owner.load(acquire) == ::getpid()) {
    came.fetch_add(1, seq_cst);
    b->ring();
  } else {  // left over: as if we had never been here
    (void)std::signal(signal, SIG_DFL);
    (void)std::raise(signal);
  }
  inside.fetch_sub(1, seq_cst);
  errno = saved;
}

long futex(const void* word, int operation, std::uint32_t value,
           const timespec* limit = nullptr) noexcept {
  return ::syscall(SYS_futex, word, operation, value, limit, nullptr, 0);
}

}  // namespace

void bell::sleep(std::uint32_t seen) noexcept {
  if constexpr (HEDDLE_TSAN) {
    // ThreadSanitizer keeps a handler back until its thread calls something that it knows, which a
    // bare system call is not: the thread that signals are left to would sleep on, and no handler
    // would ever run.
    const timespec slice{0, 10'000'000};
    (void)futex(&rings_, FUTEX_WAIT_PRIVATE, seen, &slice);
    ::usleep(1);
  } else {
    (void)futex(&rings_, FUTEX_WAIT_PRIVATE, seen);
  }
}

void bell::ring() noexcept {
  rings_.fetch_add(1, seq_cst);
  if (listeners_.load(seq_cst) != 0) (void)futex(&rings_, FUTEX_WAKE_PRIVATE, 0x7fffffff);
}

interrupt_watch::interrupt_watch(bell& b, bool wanted) noexcept {
  if (!wanted) return;
  if (::gettid() != ::getpid() || told.load(relaxed)) return;
  struct sigaction now{};
  if (::sigaction(SIGINT, nullptr, &now) != 0 || (now.sa_flags & SA_SIGINFO) != 0 ||
      now.sa_handler != SIG_DFL)
    return;
  came.store(0, relaxed);
  // A forked child inherits the count of handlers that ran in threads that it does not have: nobody
  // would ever count them down.
  if (owner.load(relaxed) != ::getpid()) inside.store(0, relaxed);
  owner.store(::getpid(), release);  // pairs with on_interrupt()
  told.store(&b, seq_cst);
  struct sigaction ours{};
  ours.sa_handler = on_interrupt;
  ours.sa_flags = SA_RESTART;
  ::sigfillset(&ours.sa_mask);
  armed_ = ::sigaction(SIGINT, &ours, nullptr) == 0;
  if (!armed_) told.store(nullptr, seq_cst);
}

interrupt_watch::~interrupt_watch() {
  if (!armed_) return;
  struct sigaction now{};
  if (::sigaction(SIGINT, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 &&
      now.sa_handler == on_interrupt)
    (void)std::signal(SIGINT, SIG_DFL);
  told.store(nullptr, seq_cst);  // pairs with on_interrupt()
  backoff pause;
  while (inside.load(seq_cst) != 0) pause.pause();
}

unsigned interrupt_watch::count() const noexcept { return armed_ ? came.load(seq_cst) : 0; }

}  // namespace heddle::detail
