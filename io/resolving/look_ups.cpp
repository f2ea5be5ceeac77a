// SPDX-License-Identifier: MIT
#include <heddle/io/resolving/look_ups.h>

#include <heddle/core/errors.h>
#include <heddle/io/resolving/rotation.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/runtime/runtime_state.h>
#include <heddle/sched/shield.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

namespace heddle::detail {
namespace {

// When the look-ups end, an idle thread ends within this time. A thread that is looking a name up
// is left to itself.
constexpr auto end_within = std::chrono::milliseconds(20);

}  // namespace

look_ups& look_ups::here() {
  auto* runtime = this_runtime();
  if (!runtime) throw no_running_loop();
  return runtime->services.get<look_ups>(service_name::resolver);
}

void look_ups::replace(back_end by, const resolver_options& options) {
  std::map<name_query, std::shared_ptr<looking>> old_under_way;
  std::map<name_query, kept> old_cache;
  const std::lock_guard hold(lock_);
  // The former ones are destroyed when the lock is free: they are the user's.
  std::swap(by_.by_tasks, by.by_tasks);
  std::swap(by_.by_calls, by.by_calls);
  options_ = options;
  ++epoch_;
  under_way_.swap(old_under_way);
  cache_.swap(old_cache);
}

// If there is no memory for the answer, the tasks that wait get that error. They must get
// something.
void look_ups::give(looking& to, name_answer a, std::exception_ptr error) noexcept {
  if (!error) {
    try {
      return to.given.set_value(std::move(a));
    } catch (...) { error = std::current_exception(); }
  }
  (void)to.given.state().fail(std::move(error));  // false: the look-up was cancelled meanwhile
}

/// The part of a task that looks a name up. If the task is cancelled, before its first step or
/// later, the destructor cancels the look-up: the tasks that wait for it must get something.
class look_ups::giver {
 public:
  explicit giver(std::shared_ptr<looking> to) noexcept : to_(std::move(to)) {}
  giver(giver&&) noexcept = default;
  ~giver() {
    if (to_) (void)to_->given.cancel();
  }
  void give(name_answer a, std::exception_ptr error) noexcept {
    look_ups::give(*to_, std::move(a), std::move(error));
  }

 private:
  std::shared_ptr<looking> to_;
};

task<> look_ups::work_for(giver to, std::shared_ptr<resolver> by, name_query q) {
  name_answer a;
  std::exception_ptr error;
  try {
    task<name_answer> looking_up = by->look_up(std::move(q));
    a = co_await looking_up;
  } catch (const cancelled_error&) { throw; } catch (...) {
    error = std::current_exception();
  }
  to.give(std::move(a), std::move(error));
}

void look_ups::begin(const std::shared_ptr<looking>& look, const back_end& by, const name_query& q,
                     heddle::thread_pool& threads) {
  if (by.by_tasks) {
    look->work = create_task(work_for(giver(look), by.by_tasks, q));
    return;
  }
  // The job may outlive the look-ups, so it uses nothing of them.
  (void)threads.submit([look, call = by.by_calls, q] {
    if (look->given.done()) return;  // no task waits any more
    std::exception_ptr error;
    name_answer a;
    try {
      a = call ? (*call)(q) : system_look_up(q);
    } catch (...) { error = std::current_exception(); }
    give(*look, std::move(a), error);
  });
}

/// One task's part in a look-up. The constructor joins the look-up, or begins it; the destructor
/// takes the task's part back. The last part that goes cancels the look-up.
class look_ups::asker {
 public:
  asker(look_ups& all, const name_query& q) : all_(all), query_(q) {
    bool first = false;
    back_end by;
    {
      const std::lock_guard hold(all.lock_);
      auto& at = all.under_way_[q];
      first = !at || at->answered.done();  // an old answer may be out of date
      if (first) at = std::make_shared<looking>(all.epoch_);
      mine_ = at;
      ++mine_->waiting;
      if (first) by = all.by_;
    }
    if (!first) return;
    try {
      begin(mine_, by, q, all.threads_);
    } catch (...) { give(*mine_, {}, std::current_exception()); }
  }
  asker(const asker&) = delete;
  ~asker() {
    bool last = false;
    {
      const std::lock_guard hold(all_.lock_);
      last = --mine_->waiting == 0;
      const auto at = last ? all_.under_way_.find(query_) : all_.under_way_.end();
      if (at != all_.under_way_.end() && at->second == mine_) all_.under_way_.erase(at);
    }
    if (!last) return;
    (void)mine_->given.cancel();
    if (mine_->work.valid()) (void)mine_->work.cancel();
  }
  [[nodiscard]] const looking& joined() const noexcept { return *mine_; }

 private:
  look_ups& all_;
  const name_query& query_;
  std::shared_ptr<looking> mine_;
};

task<name_answer> look_ups::look_up(name_query q) {
  name_answer a;
  if (!q.fresh && find_kept(q, a)) co_return a;
  const asker here(*this, q);
  // Other tasks may wait for it: ours may be cancelled.
  auto answered = shield(here.joined().answered);
  a = co_await answered;
  keep(q, a, here.joined().epoch);
  co_return a;
}

bool look_ups::find_kept(const name_query& q, name_answer& out) {
  const std::lock_guard hold(lock_);
  if (cache_.empty()) return false;
  const auto at = cache_.find(q);
  if (at == cache_.end()) return false;
  if (at->second.until <= clock::now()) {
    cache_.erase(at);
    return false;
  }
  out = at->second.answer;
  out.kept = true;
  rotate_equals(out.addresses, at->second.given++);
  return true;
}

void look_ups::keep(name_query q, const name_answer& a, std::uint64_t epoch) {
  const std::lock_guard hold(lock_);
  const duration longest = options_.cache_for;
  if (longest <= duration::zero() || options_.cache_most == 0) return;
  if (epoch != epoch_ || a.addresses.empty()) return;
  const duration holds = a.holds ? std::min(longest, a.holds->get()) : longest;
  if (holds <= duration::zero()) return;
  const time_point now = clock::now();
  q.fresh = false;  // it is for those that take a kept answer
  if (cache_.find(q) == cache_.end() && cache_.size() >= options_.cache_most) {
    auto goes = cache_.begin();
    for (auto at = cache_.begin(); at != cache_.end(); ++at)
      if (at->second.until < goes->second.until) goes = at;
    cache_.erase(goes);
  }
  cache_.insert_or_assign(std::move(q), kept{a, saturating_add(now, holds)});
}

void look_ups::end() noexcept { (void)threads_.shutdown(end_within); }

}  // namespace heddle::detail
