// SPDX-License-Identifier: MIT
#include <heddle/sched/stalls/watch.h>

#include <heddle/core/base/config.h>
#include <heddle/core/seeing/short_writer.h>
#include <heddle/sched/loop/trace_ring.h>
#include <heddle/sched/loop/watch_bell.h>
#include <heddle/sched/loop/worker.h>
#include <heddle/sched/stalls/forked.h>
#include <heddle/sched/stalls/ledger.h>

#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace heddle::detail {
namespace {

using namespace std::chrono_literals;

constexpr duration plain_nap = 20ms;
constexpr duration shortest_nap = 1ms;
constexpr duration closer_nap = 5ms;        // while a loop stands in one step
constexpr duration closely = 1s;            // for so long; a longer stall is followed by plain naps
constexpr unsigned quiet_before_sleep = 2;  // looks
constexpr duration standstill = 250ms;      // a look that comes so late

// Some looks in vain at a thread that computes: it waits for a processor, or throws exceptions.
constexpr unsigned most_tries = 10;

// Little is used of it. But the user's handler may run on it, and printf alone takes some KiB.
constexpr std::size_t watch_stack_bytes = HEDDLE_ASAN || HEDDLE_TSAN ? 1024 * 1024 : 256 * 1024;

/// The kernel's clock, whatever clock the program runs on.
duration kernel_now() noexcept {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

/// Waits while the bell says `is`, at most `limit`; negative: for ever.
void wait_in_bell(watch_state is, duration limit) noexcept {
  const auto whole = std::chrono::seconds(limit.count() / 1'000'000'000);
  const timespec relative{whole.count(), (limit - whole).count()};
  ::syscall(SYS_futex, &watch_bell, FUTEX_WAIT_PRIVATE, is,
            limit < duration::zero() ? nullptr : &relative, nullptr, 0);
}

template <class T>
union immortal {
  constexpr immortal() noexcept : value() {}
  ~immortal() {}
  T value;
};
constinit immortal<stall_watch> the_watch;

}  // namespace

stall_watch& watch_of_process() noexcept { return the_watch.value; }

// --------------------------------------------------------- what is watched

void stall_watch::add(loop_group& g, const watch_options& how) noexcept {
  const std::lock_guard changing(change_lock_);
  try {
    watched fresh{&g, how, {}};
    for (worker* w : g.workers) fresh.loops.push_back({w, {}});
    const std::lock_guard hold(lock_);
    all_.push_back(std::move(fresh));
  } catch (const std::bad_alloc&) { return; }
  adapt();
}

void stall_watch::change_limit(loop_group& g, duration limit) noexcept {
  const std::lock_guard changing(change_lock_);
  {
    const std::lock_guard hold(lock_);
    for (auto& w : all_) {
      if (w.group != &g) continue;
      w.how.limit = limit;
      if (limit <= duration::zero()) let_go(w);
    }
  }
  adapt();
}

void stall_watch::remove(loop_group& g) noexcept {
  const std::lock_guard changing(change_lock_);
  {
    const std::lock_guard hold(lock_);
    const auto at =
        std::find_if(all_.begin(), all_.end(), [&](const watched& w) { return w.group == &g; });
    if (at == all_.end()) return;
    let_go(*at);
    all_.erase(at);
  }
  adapt();
}

/// Stalls that go on are told as over: nobody will see their end.
void stall_watch::let_go(watched& w) noexcept {
  for (auto& l : w.loops)
    if (const auto place = std::exchange(l.entry, none); place != none)
      stall_lasts(place, reinterpret_cast<std::uintptr_t>(l.loop), l.judge.charged(), true);
}

/// Begins or ends the thread, as what is watched needs it. Under change_lock_.
void stall_watch::adapt() noexcept {
  duration least{};
  {
    const std::lock_guard hold(lock_);
    for (const auto& w : all_)
      if (w.how.limit > duration::zero() && (least == duration::zero() || w.how.limit < least))
        least = w.how.limit;
    nap_ = std::clamp(least / 5, shortest_nap, plain_nap);
    note_stall_limit(least);
  }
  if (least == duration::zero()) return end();
  if (runs_) return wake_watch();
  start();
}

void stall_watch::start() noexcept {
  watch_bell.store(watch_state::awake, seq_cst);
  last_look_ = kernel_now();
  quiet_looks_ = 0;
  pthread_attr_t how;
  if (::pthread_attr_init(&how) != 0) return;
  ::pthread_attr_setstacksize(&how, watch_stack_bytes);
  // No signal is for this thread: the program's handlers run elsewhere.
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  runs_ = ::pthread_create(&thread_, &how, &run_thread, this) == 0;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::pthread_attr_destroy(&how);
}

void stall_watch::end() noexcept {
  if (!runs_) return;
  watch_bell.store(watch_state::ends, seq_cst);
  ::syscall(SYS_futex, &watch_bell, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  ::pthread_join(thread_, nullptr);
  runs_ = false;
  give_signals_back();
}

void stall_watch::with_ledger(void (*f)(void*), void* context) noexcept {
  const std::lock_guard hold(lock_);
  f(context);
}

void forget_watch() noexcept {
  // Anew, since its locks may be held by a thread that is gone.
  ::new (static_cast<void*>(&the_watch.value)) stall_watch;
  watch_bell.store(watch_state::awake, seq_cst);
  forget_samples();
  forget_ledger();
}

// ------------------------------------------------------------- its thread

void* stall_watch::run_thread(void* self) noexcept {
  ::pthread_setname_np(::pthread_self(), "heddle-watch");
  static_cast<stall_watch*>(self)->run();
  return nullptr;
}

void stall_watch::run() noexcept {
  do {
    note_trace_clocks();
    look(kernel_now());
    tell();
  } while (wait());
}

/// Until the next look. False: the thread ends.
bool stall_watch::wait() noexcept {
  duration nap;
  bool is_quiet;
  {
    const std::lock_guard hold(lock_);
    nap = saw_standing_ ? std::min(nap_, closer_nap) : nap_;
    is_quiet = quiet_looks_ >= quiet_before_sleep;
  }
  if (is_quiet)
    sleep();
  else
    wait_in_bell(watch_state::awake, nap);
  return watch_bell.load(seq_cst) != watch_state::ends;
}

void stall_watch::sleep() noexcept {
  auto expected = watch_state::awake;
  // WATCH-BELL: pairs with ring_watch_bell()
  if (!watch_bell.compare_exchange_strong(expected, watch_state::asleep, seq_cst, relaxed)) return;
  if (all_parked()) {
    while (watch_bell.load(seq_cst) == watch_state::asleep)
      wait_in_bell(watch_state::asleep, duration(-1));
  } else {
    expected = watch_state::asleep;
    (void)watch_bell.compare_exchange_strong(expected, watch_state::awake, seq_cst, relaxed);
  }
  const std::lock_guard hold(lock_);
  quiet_looks_ = 0;
  last_look_ = kernel_now();
}

bool stall_watch::all_parked() noexcept {
  const std::lock_guard hold(lock_);
  for (const auto& w : all_)
    for (const auto& l : w.loops)
      if (const auto seen = l.loop->feel(); !seen.is_parked && w.how.limit > duration::zero())
        return false;
  return true;
}

// ---------------------------------------------------------------- a look

void stall_watch::look(duration now) noexcept {
  const std::lock_guard hold(lock_);
  const duration gap = now - last_look_;
  last_look_ = now;
  if (gap > nap_ + standstill) note_standstill(gap);
  saw_standing_ = saw_moving_ = false;
  for (auto& w : all_)
    for (auto& l : w.loops)
      if (w.how.limit > duration::zero()) look_at(w, l, gap, now);
  quiet_looks_ = saw_moving_ ? 0 : quiet_looks_ + 1;
}

void stall_watch::look_at(watched& w, loop_state& l, duration gap, duration now) noexcept {
  auto seen = l.loop->feel();
  if (seen.thread == 0) seen.is_awake = false;  // it has not begun
  if (!l.judge.is_same_step(seen.steps, seen.is_awake)) {
    if (l.entry != none) ends(w, l, now);
    l.tries = 0;
    l.sleeps = false;
    if (!seen.is_parked || seen.steps != l.judge.steps()) saw_moving_ = true;
    l.judge.begin(seen.steps, seen.is_awake,
                  seen.is_awake ? time_used_by(seen.thread) : duration::zero());
    return;
  }
  saw_moving_ = true;
  if (l.judge.charged() < closely) saw_standing_ = true;
  l.judge.add(gap, time_used_by(seen.thread));
  if (l.judge.must_ask(w.how.limit)) {
    const char state = state_of_thread(seen.thread);
    l.sleeps = state == 'S' || state == 'D';
    l.judge.state(state);
  }
  if (l.entry != none)
    stall_lasts(l.entry, reinterpret_cast<std::uintptr_t>(l.loop), l.judge.charged(), false);
  else if (l.judge.charged() >= w.how.limit && news_count_ < most_news)
    begins(w, l, now);
}

void stall_watch::begins(watched& w, loop_state& l, duration now) noexcept {
  kept_loop what{l.loop, l.judge.charged()};
  const int number = l.loop->feel().thread;
  blocked_call call;
  if (l.sleeps) l.sleeps = look_at_call(number, call);  // it may have woken up meanwhile
  if (l.sleeps) {
    what.call = &call;
  } else if (w.how.signal != 0) {
    const auto* loop = static_cast<const executor*>(static_cast<const class loop*>(l.loop));
    const auto how = sample_stack(number, loop, w.how.signal, what.sample);
    if (how != sampling::good) what.sample = nullptr;
    if (how == sampling::again && ++l.tries < most_tries) return;
  }
  auto& fresh = news_[news_count_];
  (void)describe_stall(what, fresh.entry, fresh.text);
  l.entry = note_stall(fresh.entry);
  l.is_told = note(w, l, false, now);
}

void stall_watch::ends(watched& w, loop_state& l, duration now) noexcept {
  note_stall(l.loop->index(), static_cast<std::uint64_t>(l.judge.charged().count()));
  stall_lasts(l.entry, reinterpret_cast<std::uintptr_t>(l.loop), l.judge.charged(), true);
  if (l.is_told && news_count_ < most_news) {
    auto& fresh = news_[news_count_];
    fresh.entry = stall_ledger().entries[l.entry];
    fresh.entry.loop_number = l.loop->index();
    describe_end(fresh.entry, l.judge.charged(), fresh.text);
    (void)note(w, l, true, now);
  }
  l.entry = none;
}

/// What news_[news_count_] has is told. False: too much was told lately.
bool stall_watch::note(watched& w, loop_state& l, bool over, duration now) noexcept {
  auto& fresh = news_[news_count_];
  if (!w.how.has_handler) {
    if (!stderr_budget_.take(now)) return false;
    if (const auto more = stderr_budget_.held_back(); more != 0) {
      const auto length = std::strlen(fresh.text.message);
      seeing::short_writer to(fresh.text.message + length, sizeof fresh.text.message - length);
      to.put(" (and ");
      to.number(more);
      to.put(" more lines that were held back)");
    }
  }
  fresh.group = w.group;
  fresh.loop = l.loop;
  fresh.over = over;
  fresh.entry.lasted = static_cast<std::uint64_t>(l.judge.charged().count());
  w.group->guests.fetch_add(1, seq_cst);  // the runtime stays until it is told
  ++news_count_;
  return true;
}

void stall_watch::tell() noexcept {
  // Only this thread writes news_, so it reads them without the lock.
  for (std::size_t i = 0; i < news_count_; ++i) {
    auto& n = news_[i];
    n.group->loop_was_kept({n.loop, n.text.message, n.entry.task,
                            duration(static_cast<std::int64_t>(n.entry.lasted)), n.over});
    n.group->guests.fetch_sub(1, seq_cst);
  }
  const std::lock_guard hold(lock_);
  news_count_ = 0;
}

}  // namespace heddle::detail
