// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime.h>
#include <heddle/sched/runtime/runtime_state.h>

#include <algorithm>
#include <memory>

namespace heddle::detail {

// Protocol STANDSTILL. stop() sends each loop a callback in which it stands still: so what was
// ready there has run before, and what that added has not. A standstill has a number and is lifted
// by it, perhaps before its callbacks have had their turn: they then let the loop pass. Nobody
// stands still while a task from outside has not ended, since some thread may wait for that: its
// starter counts it, then looks whether they stand; who asks them to stand says so, then looks at
// the count (both seq_cst, so one sees the other).

void runtime_state::fatal(std::exception_ptr error) noexcept {
  const uninterrupted alone;
  std::exception_ptr before;  // destroyed after the unlock: it is the user's
  std::lock_guard hold(wait_lock_);
  if (fatal_ && fatals_ != fatals_told_) return;  // the first one counts
  before = std::exchange(fatal_, std::move(error));
  ++fatals_;
  waiters_.notify_all();
  changed.ring();
}

std::exception_ptr runtime_state::fatal_since(std::uint64_t told) {
  std::lock_guard hold(wait_lock_);
  if (fatals_ == told) return nullptr;
  fatals_told_ = fatals_;
  return fatal_;
}

std::uint64_t runtime_state::fatals_told() {
  std::lock_guard hold(wait_lock_);
  return fatals_told_;
}

std::uint64_t runtime_state::begin_run() noexcept {
  const uninterrupted alone;
  std::lock_guard hold(wait_lock_);
  ++runs_;
  lifted_ = std::max(lifted_, standstills_);
  standing_still_.store(false, seq_cst);
  waiters_.notify_all();
  return run_stops_;
}

void runtime_state::end_run() noexcept {
  const uninterrupted alone;
  std::lock_guard hold(wait_lock_);
  --runs_;
}

void runtime_state::wait_until(const run_wait& w) {
  wait([&] { return is_over(w); }, when_stuck::throws);
}

void runtime_state::let_pass_end(const run_wait& w) {
  std::uint64_t number;
  {
    const uninterrupted alone;
    std::lock_guard hold(wait_lock_);
    if (run_stops_ == w.stops) return;
    number = standstills_;
  }
  const auto over = [&] {
    return w.ended.load(acquire) || fatals_ != w.told || lifted_ >= number ||
           standing_ >= workers.size();
  };
  wait(over, when_stuck::throws);
}

void runtime_state::enter(const char* what) {
  std::lock_guard hold(wait_lock_);
  if (closing_) throw_usage(std::string(what) + " on a closed runtime");
  ++callers_;
}

void runtime_state::leave() noexcept {
  std::lock_guard hold(wait_lock_);
  --callers_;
}

// Lock held. The number to post, or 0: they stand already, or may not.
std::uint64_t runtime_state::ask_to_stand(bool runs_end) noexcept {
  if (closing_ || (runs_ != 0 && !runs_end)) return 0;
  standing_still_.store(true, seq_cst);
  if (from_outside_.load(seq_cst) != 0) {  // pairs with starts_from_outside()
    standing_still_.store(lifted_ < standstills_, seq_cst);
    return 0;
  }
  standing_ = 0;
  return ++standstills_;
}

void runtime_state::post_standstill(std::uint64_t number) noexcept {
  struct standstill final : callback {
    standstill(runtime_state& s, worker& w, std::uint64_t n) noexcept
        : state(&s), loop(&w), number(n) {}
    void invoke() override { state->stand(*loop, number); }
    void release() noexcept override {}
    runtime_state* state;
    worker* loop;
    std::uint64_t number;
  };
  for (auto& w : workers) {
    try {
      w->deliver(work(*new standstill(*this, *w, number)));
    } catch (const std::bad_alloc&) {  // then this one goes on, and nobody waits for it
      std::lock_guard hold(wait_lock_);
      ++standing_;
    }
  }
}

void runtime_state::stand(worker& w, std::uint64_t number) noexcept {
  {
    const uninterrupted alone;
    std::lock_guard hold(wait_lock_);
    if (lifted_ >= number) return;
    if (number == standstills_) ++standing_;
    waiters_.notify_all();
  }
  w.stands_still(true);
  wait([&] { return lifted_ >= number; }, when_stuck::abandoned);
  w.stands_still(false);
}

void runtime_state::go_on() noexcept {
  const uninterrupted alone;
  std::lock_guard hold(wait_lock_);
  lifted_ = std::max(lifted_, standstills_);
  standing_still_.store(false, seq_cst);
  waiters_.notify_all();
}

void runtime_state::run_forever() {
  const caller inside(*this, "run_forever");
  std::uint64_t told, seen, before, number = 0;
  bool one_pass;
  {
    const uninterrupted alone;
    std::lock_guard hold(wait_lock_);
    told = fatals_told_;
    seen = stops_;
    before = standstills_;
    const auto early = std::exchange(early_stop_, early_stop::none);
    one_pass = early != early_stop::none;
    if (early == early_stop::outside) {
      number = ask_to_stand(false);
    } else if (early == early_stop::inside) {
      before = 0;
    } else {
      ++forever_;
    }
  }
  if (number != 0) post_standstill(number);
  {  // they go on, in a single pass to the next standstill
    const uninterrupted alone;
    std::lock_guard hold(wait_lock_);
    lifted_ = std::max(lifted_, before);
    standing_still_.store(lifted_ < standstills_, seq_cst);
    waiters_.notify_all();
  }
  try {
    if (!one_pass) wait([&] { return stops_ != seen || fatals_ != told; }, when_stuck::throws);
  } catch (...) {
    std::lock_guard hold(wait_lock_);
    --forever_;
    throw;
  }
  {
    std::lock_guard hold(wait_lock_);
    if (!one_pass) --forever_;
    if (number == 0) number = standstills_;
  }
  wait([&] { return lifted_ >= number || standing_ >= workers.size() || fatals_ != told; },
       when_stuck::throws);
  if (auto fatal = fatal_since(told)) std::rethrow_exception(std::move(fatal));
}

void runtime_state::stop() noexcept {
  std::uint64_t number = 0;
  {
    const uninterrupted alone;
    std::lock_guard hold(wait_lock_);
    ++stops_;
    const bool ends_runs = forever_ == 0 && runs_ != 0;
    if (ends_runs)
      ++run_stops_;
    else if (forever_ == 0 && early_stop_ == early_stop::none)
      early_stop_ = this_runtime() == this ? early_stop::inside : early_stop::outside;
    if (lifted_ >= standstills_) number = ask_to_stand(ends_runs);
    waiters_.notify_all();
    changed.ring();
  }
  if (number != 0) post_standstill(number);
}

}  // namespace heddle::detail
