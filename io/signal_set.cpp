// SPDX-License-Identifier: MIT
#include <heddle/io/signal_set.h>

#include <heddle/io/fd.h>
#include <heddle/io/reactor.h>

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <mutex>
#include <string>

namespace heddle {
namespace detail {
namespace {

constexpr int signal_count = 64;
constexpr std::size_t most_sets = 32;

/// What the signal handler may look at: one line a set, and it takes no lock.
///
/// A set leaves by clearing `wanted` and waiting until no handler is inside, so that no handler
/// writes to a descriptor that was closed. A handler that interrupts the leaving thread has
/// returned before that goes on.
struct place {
  atomic<std::uint64_t> wanted{0};  // bit n-1: signal n
  atomic<std::uint64_t> came{0};
  atomic<int> bell{-1};
};

constinit place places[most_sets];
constinit atomic<int> inside{0};
constinit atomic<pid_t> owner{0};  // a forked child inherits the handlers but not the loops

constinit std::mutex registry;  // guards what follows, and who may take a place
unsigned users[signal_count + 1];
struct sigaction before[signal_count + 1];

std::uint64_t bit(int signal) noexcept { return std::uint64_t{1} << (signal - 1); }

void on_signal(int signal) {
  const int saved = errno;
  inside.fetch_add(1, seq_cst);  // pairs with leave()
  if (owner.load(acquire) == ::getpid()) {
    for (auto& p : places)
      if (p.wanted.load(seq_cst) & bit(signal)) {  // pairs with leave()
        p.came.fetch_or(bit(signal), release);     // pairs with take()
        const std::uint64_t one = 1;
        const auto n = ::write(p.bell.load(acquire), &one, sizeof one);
        (void)n;  // the count is never read, so it never blocks before 2^64 signals
      }
  }
  inside.fetch_sub(1, seq_cst);
  errno = saved;
}

}  // namespace

class signal_state {
 public:
  explicit signal_state(std::initializer_list<int> signals)
      : bell_(check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
    for (const int s : signals) {
      if (s < 1 || s > signal_count)
        throw bad_value("no signal has the number " + std::to_string(s));
      if (s == SIGKILL || s == SIGSTOP) throw usage_error("SIGKILL and SIGSTOP cannot be caught");
      mask_ |= bit(s);
    }
    source_ = &current_reactor().watch(bell_.get(), nullptr, watched_for::reading);
    name_ = source_->name();
    const std::lock_guard lock(registry);
    for (auto& p : places)
      if (p.bell.load(relaxed) < 0) {
        place_ = &p;
        break;
      }
    if (!place_) {
      (void)source_->retire();
      throw usage_error("more than 32 signal sets live at once");
    }
    owner.store(::getpid(), release);  // pairs with on_signal()
    place_->came.store(0, relaxed);
    place_->bell.store(bell_.get(), release);  // pairs with on_signal()
    place_->wanted.store(mask_, seq_cst);
    for (int s = 1; s <= signal_count; ++s)
      if (mask_ & bit(s)) install(s);
  }
  signal_state(const signal_state&) = delete;
  ~signal_state() {
    const std::lock_guard lock(registry);
    for (int s = 1; s <= signal_count; ++s)
      if ((mask_ & bit(s)) && --users[s] == 0) ::sigaction(s, &before[s], nullptr);
    place_->wanted.store(0, seq_cst);  // pairs with on_signal()
    backoff pause;
    while (inside.load(seq_cst) != 0) pause.pause();
    place_->bell.store(-1, relaxed);
    (void)source_->retire();
  }

  /// A signal that came, or 0.
  int take() noexcept {
    auto bits = place_->came.load(acquire);  // pairs with on_signal()
    while (bits != 0) {
      const auto lowest = bits & (~bits + 1);
      if (place_->came.compare_exchange_weak(bits, bits & ~lowest, acq_rel, acquire))
        return __builtin_ctzll(lowest) + 1;
    }
    return 0;
  }

  task<int> wait() {
    for (;;) {
      const auto seen = source_->edges();
      if (const int s = take()) co_return s;
      readable_wait next(*source_, name_, seen, "signal");
      co_await next;
    }
  }

 private:
  static void install(int s) {
    if (users[s]++ != 0) return;
    struct sigaction action{};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    ::sigfillset(&action.sa_mask);
    ::sigaction(s, &action, &before[s]);
  }

  fd bell_;
  std::uint64_t mask_ = 0;
  io_source* source_ = nullptr;
  source_name name_;
  place* place_ = nullptr;
};

}  // namespace detail

signal_set::signal_set(std::initializer_list<int> signals)
    : state_(new detail::signal_state(signals)) {}
signal_set::signal_set(signal_set&&) noexcept = default;
signal_set& signal_set::operator=(signal_set&&) noexcept = default;
signal_set::~signal_set() = default;

task<int> signal_set::wait() {
  if (!state_) throw usage_error("this signal set was moved from");
  return state_->wait();
}

}  // namespace heddle
