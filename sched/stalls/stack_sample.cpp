// SPDX-License-Identifier: MIT
#include <heddle/sched/stalls/stack_sample.h>

#include <heddle/core/base/atomic.h>
#include <heddle/core/base/config.h>
#include <heddle/core/base/thread_state.h>
#include <heddle/sched/loop/watch_bell.h>

#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include <cerrno>
#include <exception>

namespace heddle::detail {
namespace {

#if defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 35)
constexpr bool walks = !HEDDLE_TSAN;  // _dl_find_object takes no lock
#else
constexpr bool walks = false;
#endif
#else
constexpr bool walks = false;
#endif

// Protocol SAMPLE, over one word. The asker and the handler each own what stands beside it in turn.
//   free      the asker writes asked_loop, then says `asked`
//   asked     a handler says `taken`, and owns `sample`; or the asker takes it back: `free`
//   taken     the handler says `answered`, and touches nothing any more
//   answered  the asker reads `sample`, and says `free`
enum class phase : std::uint32_t { free, asked, taken, answered };
constinit plain_atomic<phase> sample_phase{phase::free};
constinit const void* asked_loop = nullptr;
constinit bool was_met = false;  // the handler ran where the stack may be walked
constinit stack_sample sample;

constexpr int most_signals = 65;
constinit bool is_ours[most_signals] = {};
constinit struct sigaction former[most_signals] = {};

/// What the walk needs to know of the place that the signal met.
struct walk_state {
  std::uint64_t met_at;
  bool begun;
  std::uint64_t outermost;  // the highest place on the stack that a frame is known to have
};

_Unwind_Reason_Code note_frame(_Unwind_Context* context, void* argument) {
  auto& state = *static_cast<walk_state*>(argument);
  int before = 0;
  const std::uint64_t at = _Unwind_GetIPInfo(context, &before);
  if (!state.begun && at != state.met_at) return _URC_NO_REASON;  // the handler, the trampoline
  state.begun = true;
  if (at == 0 || _Unwind_GetCFA(context) > watched_from ||
      sample.frames == stack_sample::most_frames)
    return _URC_END_OF_STACK;
  sample.at[sample.frames] = before != 0 ? at : at - 1;
  sample.function[sample.frames++] = _Unwind_GetRegionStart(context);
  state.outermost = _Unwind_GetCFA(context);
  return _URC_NO_REASON;
}

/// The registers of the place that was met, as words; returns its stack pointer.
std::uint64_t note_registers(const ucontext_t& met, std::uint64_t& at) noexcept {
#if defined(__x86_64__)
  for (const auto r : met.uc_mcontext.gregs)
    sample.word[sample.words++] = static_cast<std::uint64_t>(r);
  at = static_cast<std::uint64_t>(met.uc_mcontext.gregs[REG_RIP]);
  return static_cast<std::uint64_t>(met.uc_mcontext.gregs[REG_RSP]);
#elif defined(__aarch64__)
  for (const auto r : met.uc_mcontext.regs) sample.word[sample.words++] = r;
  at = met.uc_mcontext.pc;
  return met.uc_mcontext.sp;
#else
  (void)met;
  at = 0;
  return 0;
#endif
}

/// Word by word, and not watched by a sanitizer: between the variables of a function it would see
/// an error. `end` is inside the stack.
[[gnu::no_sanitize_address]] void note_stack(std::uint64_t from, std::uint64_t end) noexcept {
  from = (from + 7) & ~std::uint64_t{7};
  for (; from + 8 <= end && sample.words < stack_sample::most_words; from += 8)
    sample.word[sample.words++] = *reinterpret_cast<const volatile std::uint64_t*>(from);
}

void answer(const ucontext_t& met) noexcept {
  auto& self = self_of_thread;
  was_met = self.loop == asked_loop && std::uncaught_exceptions() == 0;
  if (!was_met) return;
  sample.frames = sample.words = 0;
  sample.task = self.current;
  walk_state state{0, false, 0};
  const std::uint64_t stack = note_registers(met, state.met_at);
  if (state.met_at == 0) return;
  (void)_Unwind_Backtrace(&note_frame, &state);
  note_stack(stack, state.outermost);
}

void wake_asker() noexcept {
  ::syscall(SYS_futex, &sample_phase, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

void on_signal(int, siginfo_t*, void* context) {
  const int before = errno;
  auto expected = phase::asked;
  // pairs with the store in ask()
  if (sample_phase.compare_exchange_strong(expected, phase::taken, acq_rel, relaxed)) {
    answer(*static_cast<const ucontext_t*>(context));
    // pairs with the loads in wait_for_answer()
    sample_phase.store(phase::answered, release);
    wake_asker();
  }
  errno = before;
}

_Unwind_Reason_Code note_nothing(_Unwind_Context*, void*) { return _URC_END_OF_STACK; }

/// False: the program has a handler of its own for the signal, which stays.
bool make_ours(int signal) noexcept {
  if (signal <= 0 || signal >= most_signals) return false;
  struct sigaction now{};
  if (::sigaction(signal, nullptr, &now) != 0) return false;
  const bool is_plain = (now.sa_flags & SA_SIGINFO) == 0;
  if (!is_plain) return is_ours[signal] && now.sa_sigaction == &on_signal;
  if (now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN) return false;
  // The dynamic linker finds the function now, and not within the handler.
  (void)_Unwind_Backtrace(&note_nothing, nullptr);
  struct sigaction ours{};
  ours.sa_sigaction = &on_signal;
  ours.sa_flags = SA_SIGINFO | SA_RESTART;
  sigfillset(&ours.sa_mask);  // it does not nest
  former[signal] = now;
  is_ours[signal] = ::sigaction(signal, &ours, nullptr) == 0;
  return is_ours[signal];
}

/// A timer over the time of a thread, which sends `signal` to it at the next tick that finds it
/// running.
class running_timer {
 public:
  running_timer(int thread, int signal) noexcept {
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = signal;
    event._sigev_un._tid = thread;
    const auto of_thread = static_cast<clockid_t>((~static_cast<unsigned>(thread) << 3) | 6);
    made_ = ::syscall(SYS_timer_create, of_thread, &event, &timer_) == 0;
    itimerspec at_once{};
    at_once.it_value.tv_nsec = 1;
    if (made_) made_ = ::syscall(SYS_timer_settime, timer_, 0, &at_once, nullptr) == 0;
  }
  running_timer(const running_timer&) = delete;
  ~running_timer() {
    if (made_) ::syscall(SYS_timer_delete, timer_);
  }
  [[nodiscard]] bool is_made() const noexcept { return made_; }

 private:
  int timer_ = 0;  // the kernel's kind of number
  bool made_ = false;
};

/// True: a handler has answered. False: none did, and none will.
bool wait_for_answer() noexcept {
  constexpr int most_waits = 10;
  for (int i = 0; i < most_waits; ++i) {
    // pairs with the store in on_signal()
    const auto is = sample_phase.load(acquire);
    if (is == phase::answered) return true;
    const timespec limit{0, 5'000'000};
    ::syscall(SYS_futex, &sample_phase, FUTEX_WAIT_PRIVATE, is, &limit, nullptr, 0);
  }
  auto expected = phase::asked;
  if (sample_phase.compare_exchange_strong(expected, phase::free, acq_rel, relaxed)) return false;
  // A handler is at work: it needs a processor, and nothing else.
  const timespec nap{0, 1'000'000};
  // pairs with the store in on_signal()
  while (sample_phase.load(acquire) != phase::answered) ::nanosleep(&nap, nullptr);
  return true;
}

}  // namespace

sampling sample_stack(int thread, const void* loop, int signal, const stack_sample*& to) noexcept {
  if (!walks || !make_ours(signal)) return sampling::off;
  asked_loop = loop;
  // pairs with the compare-exchange in on_signal()
  sample_phase.store(phase::asked, release);
  bool answered = false;
  {
    const running_timer timer(thread, signal);
    if (!timer.is_made()) {
      auto expected = phase::asked;
      if (sample_phase.compare_exchange_strong(expected, phase::free, acq_rel, relaxed))
        return sampling::off;
    }
    answered = wait_for_answer();
  }
  if (!answered) return sampling::again;
  to = &sample;
  sample_phase.store(phase::free, relaxed);
  return was_met && sample.frames != 0 ? sampling::good : sampling::again;
}

void forget_samples() noexcept { sample_phase.store(phase::free, relaxed); }

void give_signals_back() noexcept {
  for (int s = 1; s < most_signals; ++s) {
    if (!is_ours[s]) continue;
    struct sigaction now{};
    if (::sigaction(s, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) != 0 &&
        now.sa_sigaction == &on_signal)
      ::sigaction(s, &former[s], nullptr);
    is_ours[s] = false;
  }
}

}  // namespace heddle::detail
