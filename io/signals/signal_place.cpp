// SPDX-License-Identifier: MIT
#include <heddle/io/signals/signal_place.h>

#include <heddle/core/base/spin_lock.h>
#include <heddle/core/errors.h>
#include <heddle/core/record/task_record.h>

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <mutex>
#include <string>
#include <utility>

namespace heddle::detail {

/// All that the signal handler may look at: one line a place. It takes no lock.
///
/// Danger     A place closes its bell while a handler on another thread is about to write to it.
///            The write would hit the next file with that number.
/// Prevented  The place clears `wanted`, then waits until no handler is inside. Both sides are
///            seq_cst: a handler that the wait does not see finds `wanted` cleared. A handler that
///            interrupts the waiting thread itself returns before the wait goes on.
/// Costs      Two locked operations a signal.
struct signal_line {
  atomic<std::uint64_t> wanted{0};  // bit n-1: signal n
  atomic<std::uint64_t> came{0};
  atomic<int> bell{-1};
};

namespace {

constexpr int signal_count = 64;
constexpr std::size_t most_places = 32;

constinit signal_line lines[most_places];
constinit atomic<int> inside{0};
constinit atomic<pid_t> owner{0};  // a forked child inherits the handlers, but not the loops

constinit std::mutex registry;  // guards what follows, and the taking of lines
unsigned users[signal_count + 1];
struct sigaction before[signal_count + 1];

std::uint64_t bit(int signal) noexcept { return std::uint64_t{1} << (signal - 1); }

void on_signal(int signal) {
  const int saved = errno;
  // pairs with the wait in ~signal_place
  inside.fetch_add(1, seq_cst);
  if (owner.load(acquire) == ::getpid()) {
    for (auto& l : lines)
      // pairs with the clearing in ~signal_place
      if (l.wanted.load(seq_cst) & bit(signal)) {
        // pairs with the load in take()
        l.came.fetch_or(bit(signal), release);
        const std::uint64_t one = 1;
        // pairs with the store in the constructor
        const auto n = ::write(l.bell.load(acquire), &one, sizeof one);
        (void)n;  // the count is never read, so the write would fail after 2^64 signals: never
      }
  }
  // pairs with the wait in ~signal_place: after it this handler touches no line
  inside.fetch_sub(1, seq_cst);
  errno = saved;
}

/// In a forked child: the loops and the bells are those of the parent, so the child forgets them.
/// It gets the former actions back, as if this library had never been there.
void forget_the_parents() noexcept {
  for (auto& l : lines) {
    l.wanted.store(0, relaxed);
    l.came.store(0, relaxed);
    l.bell.store(-1, relaxed);
  }
  inside.store(0, relaxed);
  for (int s = 1; s <= signal_count; ++s)
    if (std::exchange(users[s], 0u) != 0) {
      struct sigaction now{};
      if (::sigaction(s, nullptr, &now) == 0 && now.sa_handler == on_signal)
        ::sigaction(s, &before[s], nullptr);
    }
}

void care_for_forked_signals() {
  static const int once = ::pthread_atfork([] { registry.lock(); }, [] { registry.unlock(); },
                                           [] {
                                             if (owner.load(relaxed) != 0) forget_the_parents();
                                             registry.unlock();
                                           });
  (void)once;
}

}  // namespace

void check_signal(int number, bool to_catch) {
  if (number < 1 || number > signal_count)
    throw bad_value("no signal has the number " + std::to_string(number));
  if (to_catch && (number == SIGKILL || number == SIGSTOP))
    throw_usage("SIGKILL and SIGSTOP cannot be caught");
}

signal_place::signal_place() : bell_(check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
  care_for_forked_signals();
  const std::lock_guard lock(registry);
  for (auto& l : lines)
    if (l.bell.load(relaxed) < 0) {
      line_ = &l;
      break;
    }
  if (!line_) throw_usage("more than 32 signal sets and runtimes with handlers live at once");
  // pairs with the load in on_signal()
  owner.store(::getpid(), release);
  line_->came.store(0, relaxed);
  // pairs with the load in on_signal()
  line_->bell.store(bell_.get(), release);
}

signal_place::~signal_place() {
  for (int s = 1; s <= signal_count; ++s) unwant(s);
  const std::lock_guard lock(registry);
  // pairs with the load in on_signal()
  line_->wanted.store(0, seq_cst);
  backoff pause;
  while (inside.load(seq_cst) != 0) pause.pause();
  line_->bell.store(-1, relaxed);
}

void signal_place::want(int s) {
  check_signal(s);
  const std::lock_guard lock(registry);
  if (mask_ & bit(s)) return;
  // pairs with the load in on_signal()
  line_->wanted.fetch_or(bit(s), seq_cst);
  if (users[s] == 0) {
    struct sigaction action{};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    ::sigfillset(&action.sa_mask);
    if (::sigaction(s, &action, &before[s]) != 0) {
      // pairs with the load in on_signal()
      line_->wanted.fetch_and(~bit(s), seq_cst);
      throw_usage("signal " + std::to_string(s) + " cannot be caught");
    }
  }
  ++users[s];
  mask_ |= bit(s);
}

void signal_place::unwant(int s) noexcept {
  const std::lock_guard lock(registry);
  if (!(mask_ & bit(s))) return;
  mask_ &= ~bit(s);
  if (--users[s] == 0) {
    // Other code may have set an action of its own since: that one stays.
    struct sigaction now{};
    if (::sigaction(s, nullptr, &now) == 0 && now.sa_handler == on_signal)
      ::sigaction(s, &before[s], nullptr);
  }
  // pairs with the load in on_signal()
  line_->wanted.fetch_and(~bit(s), seq_cst);
}

void signal_place::put_back(int s) noexcept {
  // pairs with the load in take()
  line_->came.fetch_or(bit(s), release);
  const std::uint64_t one = 1;
  const auto n = ::write(bell_.get(), &one, sizeof one);
  (void)n;  // as in on_signal()
}

int signal_place::take() noexcept {
  // pairs with the exchanges in on_signal() and put_back()
  auto bits = line_->came.load(acquire);
  while (bits != 0) {
    const auto lowest = bits & (~bits + 1);
    if (line_->came.compare_exchange_weak(bits, bits & ~lowest, acq_rel, acquire))
      return __builtin_ctzll(lowest) + 1;
  }
  return 0;
}

}  // namespace heddle::detail
