// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/standstill.h>

#include <heddle/core/errors.h>
#include <heddle/sched/loop/worker.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

namespace heddle::detail {
namespace {

/// The loop that the calling thread is belongs to `g`.
bool is_inside(const loop_group& g) noexcept {
  const worker* here = this_worker();
  return here && &here->group() == &g;
}

}  // namespace

std::uint64_t standstill::begin_run() noexcept {
  const uninterrupted guard;
  std::lock_guard hold(waits_->lock());
  ++runs_;
  lift(standstills_);
  return run_stops_;
}

void standstill::end_run() noexcept {
  const uninterrupted guard;
  std::lock_guard hold(waits_->lock());
  --runs_;
}

void standstill::wait_until(const run_wait& w) {
  waits_->wait([&] { return is_over(w); }, when_stuck::throws);
}

void standstill::let_pass_end(const run_wait& w) {
  std::uint64_t number;
  {
    const uninterrupted guard;
    std::lock_guard hold(waits_->lock());
    if (run_stops_ == w.stops) return;
    number = standstills_;
  }
  waits_->wait(
      [&] { return w.ended.load(acquire) || fatal_->any_since(w.told) || has_passed(number); },
      when_stuck::throws);
}

void standstill::begin_call(const char* what) {
  std::lock_guard hold(waits_->lock());
  if (closing_) throw_usage(std::string(what) + " on a closed runtime");
  ++callers_;
}

void standstill::end_call() noexcept {
  std::lock_guard hold(waits_->lock());
  --callers_;
}

void standstill::close() {
  std::lock_guard hold(waits_->lock());
  if (callers_ != 0) throw_usage("close of a runtime while a thread is in its run or run_forever");
  closing_ = true;
}

void standstill::end_locked() noexcept {
  closing_ = true;
  lift(std::numeric_limits<std::uint64_t>::max());
}

// Lock held.
void standstill::lift(std::uint64_t up_to) noexcept {
  lifted_ = std::max(lifted_, up_to);
  standing_still_.store(lifted_ < standstills_, seq_cst);
  waits_->look_again();
}

// Lock held. The number to post, or 0: they stand already, or may not.
std::uint64_t standstill::ask_to_stand(bool runs_end) noexcept {
  if (closing_ || (runs_ != 0 && !runs_end)) return 0;
  standing_still_.store(true, seq_cst);
  if (from_outside_.load(seq_cst) != 0) {  // pairs with starts_from_outside()
    standing_still_.store(lifted_ < standstills_, seq_cst);
    return 0;
  }
  standing_ = 0;
  return ++standstills_;
}

void standstill::post_standstill(std::uint64_t number) noexcept {
  struct standing final : callback {
    standing(standstill& s, worker& w, std::uint64_t n) noexcept : all(&s), loop(&w), number(n) {}
    void invoke() override { all->stand(*loop, number); }
    void release() noexcept override {}
    standstill* all;
    worker* loop;
    std::uint64_t number;
  };
  for (worker* w : loops_->workers) {
    try {
      w->deliver(work(*new standing(*this, *w, number)));
    } catch (const std::bad_alloc&) {  // then this loop goes on, and no thread waits for it
      std::lock_guard hold(waits_->lock());
      ++standing_;
      waits_->look_again();
    }
  }
}

void standstill::stand(worker& w, std::uint64_t number) noexcept {
  {
    const uninterrupted guard;
    std::lock_guard hold(waits_->lock());
    if (lifted_ >= number) return;
    if (number == standstills_) ++standing_;
    waits_->look_again();
  }
  w.stands_still(true);
  waits_->wait([&] { return lifted_ >= number; }, when_stuck::abandoned);
  w.stands_still(false);
}

void standstill::go_on() noexcept {
  const uninterrupted guard;
  std::lock_guard hold(waits_->lock());
  lift(standstills_);
}

// Returns the number of the standstill that the stop has asked for.
std::uint64_t standstill::wait_for_stop(std::uint64_t stops, std::uint64_t told) {
  try {
    waits_->wait([&] { return stops_ != stops || fatal_->any_since(told); }, when_stuck::throws);
  } catch (...) {  // a simulated program is stuck
    std::lock_guard hold(waits_->lock());
    --forever_;
    throw;
  }
  std::lock_guard hold(waits_->lock());
  --forever_;
  return standstills_;
}

void standstill::run_forever() {
  std::uint64_t told, seen, before, number = 0;
  bool one_pass;
  {
    const uninterrupted guard;
    std::lock_guard hold(waits_->lock());
    told = fatal_->told_locked();
    seen = stops_;
    before = standstills_;
    const auto early = std::exchange(early_stop_, early_stop::none);
    one_pass = early != early_stop::none;
    if (early == early_stop::outside)
      number = ask_to_stand(false);
    else if (early == early_stop::inside)
      before = 0;
    else
      ++forever_;
  }
  if (number != 0) post_standstill(number);
  {  // the loops go on, in a single pass to the next standstill
    const uninterrupted guard;
    std::lock_guard hold(waits_->lock());
    lift(before);
  }
  if (!one_pass) {
    number = wait_for_stop(seen, told);
  } else if (number == 0) {
    std::lock_guard hold(waits_->lock());
    number = standstills_;
  }
  waits_->wait([&] { return has_passed(number) || fatal_->any_since(told); }, when_stuck::throws);
  if (auto fatal = fatal_->since(told)) std::rethrow_exception(std::move(fatal));
}

void standstill::stop() noexcept {
  std::uint64_t number = 0;
  {
    const uninterrupted guard;
    std::lock_guard hold(waits_->lock());
    ++stops_;
    const bool ends_runs = forever_ == 0 && runs_ != 0;
    if (ends_runs)
      ++run_stops_;
    else if (forever_ == 0 && early_stop_ == early_stop::none)
      early_stop_ = is_inside(*loops_) ? early_stop::inside : early_stop::outside;
    if (lifted_ >= standstills_) number = ask_to_stand(ends_runs);
    waits_->ring();
  }
  if (number != 0) post_standstill(number);
}

}  // namespace heddle::detail
