// SPDX-License-Identifier: MIT
#include <heddle/io/servers/limits.h>

#include <heddle/sched/sleep.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <new>
#include <utility>

namespace heddle::detail {
namespace {

constexpr int looks_a_silence = 4;  // so many looks in one idle_limit

duration or_never(const std::optional<any_duration>& d) noexcept {
  return d ? d->get() : duration::max();
}

/// `t` and then `d`; never, if `d` is.
time_point after(time_point t, duration d) noexcept {
  return d == duration::max() ? time_point::max() : saturating_add(t, d);
}

}  // namespace

limit_keeper::limit_keeper(const server_options& o)
    : first_byte_(or_never(o.first_byte_limit)),
      idle_(or_never(o.idle_limit)),
      whole_(or_never(o.connection_limit)),
      longest_sleep_(std::min(first_byte_, whole_)) {
  if (idle_ != duration::max())
    longest_sleep_ = std::min(longest_sleep_, std::max(idle_ / looks_a_silence, duration(1)));
}

bool limit_keeper::watch(limited& g, stream_traffic seen, bool byte_came) {
  const time_point now = clock::now();
  g.seen = seen;
  g.byte_came = byte_came;
  g.first_byte_due = after(now, first_byte_);
  g.silent_since = now;
  g.whole_due = after(now, whole_);
  limited::schedule one;  // memory is taken without the lock
  one.emplace(next_look(g, now), &g);
  const std::lock_guard hold(lock_);
  if (g.gone) return false;
  g.at = due_.insert(one.extract(one.begin()));
  g.listed = true;
  return !std::exchange(has_task_, true);
}

void limit_keeper::forget(limited& g) noexcept {
  limited::schedule::node_type node;  // freed without the lock
  const std::lock_guard hold(lock_);
  g.gone = true;
  if (std::exchange(g.listed, false)) node = due_.extract(g.at);
}

void limit_keeper::task_is_gone() noexcept {
  const std::lock_guard hold(lock_);
  has_task_ = false;
}

time_point limit_keeper::next_look(const limited& g, time_point now) const noexcept {
  time_point next = g.whole_due;
  if (!g.byte_came) next = std::min(next, g.first_byte_due);
  if (idle_ != duration::max())
    next = std::min({next, after(g.silent_since, idle_), after(now, idle_ / looks_a_silence)});
  return next;
}

/// The limit that `g` has passed; nullptr: none.
const char* limit_keeper::judge(limited& g, time_point now) const noexcept {
  const stream_traffic t = g.core->look_at_traffic();
  if (t.came != g.seen.came) g.byte_came = true;
  if (t != g.seen) g.silent_since = now;
  g.seen = t;
  if (now >= g.whole_due) return "server_options::connection_limit";
  if (!g.byte_came && now >= g.first_byte_due) return "server_options::first_byte_limit";
  if (now >= after(g.silent_since, idle_)) return "server_options::idle_limit";
  return nullptr;
}

/// False: none is due. The entry is taken out while its connection is looked at, so that forget()
/// waits for no look.
bool limit_keeper::look_at_first(time_point now) noexcept {
  limited::schedule::node_type node;
  std::shared_ptr<limited> g;
  {
    const std::lock_guard hold(lock_);
    if (due_.empty() || due_.begin()->first > now) return false;
    node = due_.extract(due_.begin());
    g = node.mapped()->hold();
    g->listed = false;
    g->core->ref();  // the listed connection is not gone, so it has a reference of its own
  }
  const char* const passed = judge(*g, now);
  const time_point next = next_look(*g, now);
  if (passed) {
    timed_out_.fetch_add(1, relaxed);
    g->core->revoke(ETIMEDOUT, passed);
  } else if (next != time_point::max()) {
    node.key() = next;
    const std::lock_guard hold(lock_);
    if (!g->gone) {
      g->at = due_.insert(std::move(node));
      g->listed = true;
    }
  }
  g->core->unref();
  return true;
}

/// The time of the next look. None: no connection is listed, and the task ends.
std::optional<time_point> limit_keeper::next_or_rest() noexcept {
  const std::lock_guard hold(lock_);
  if (!due_.empty()) return due_.begin()->first;
  has_task_ = false;
  return std::nullopt;
}

task<> limit_keeper::run() {
  for (;;) {
    while (look_at_first(clock::now())) {}
    const auto next = next_or_rest();
    if (!next) co_return;
    bool slept = false;
    try {
      // A connection that comes meanwhile is due no earlier than longest_sleep_ from now.
      co_await sleep(std::min(time_left(*next, clock::now()), longest_sleep_));
      slept = true;
    } catch (const std::bad_alloc&) {
      // There is no memory for a timer.
    }
    if (!slept) co_await yield_now();
  }
}

}  // namespace heddle::detail
