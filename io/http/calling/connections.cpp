// SPDX-License-Identifier: MIT
#include <heddle/io/http/calling/connections.h>

#include <heddle/core/scheduler.h>
#include <heddle/io/reactor/reactor.h>
#include <heddle/sched/runtime.h>

#include <sys/ioctl.h>

#include <linux/sockios.h>

namespace heddle::http::detail {
namespace {

// A timer that is late by so much has been lost with its runtime.
constexpr auto lost_after = std::chrono::seconds(1);

/// Acts on everything that the kernel has reported to any loop. The report that bytes were sent may
/// still lie there unread.
void collect_everywhere() noexcept {
  const unsigned loops = current_runtime().loop_count();
  for (unsigned i = 0; i < loops; ++i)
    (void)static_cast<heddle::detail::reactor&>(heddle::detail::driver_of(i)).collect();
}

}  // namespace

bool wire::all_sent() {
  if (to.writer.buffered() != 0) collect_everywhere();
  if (to.writer.buffered() != 0) return false;
  int unread = 0;
  return ::ioctl(to.writer.native_handle(), SIOCOUTQ, &unread) == 0 && unread == 0;
}

std::optional<wire> connection_pool::take(const std::string& where) {
  for (;;) {
    std::optional<wire> w = take_latest(where);
    if (!w) return w;
    if (w->to.reader.quiet()) return w;
    w->busy = true;  // so that it is reset: what its peer has sent is no answer to anybody
  }
}

std::optional<wire> connection_pool::take_latest(const std::string& where) {
  by_age old;  // above the lock: these connections end when it is free
  std::optional<wire> w;
  const std::lock_guard lock(mutex_);
  take_old(old);
  const auto found = hosts_.find(where);
  if (found == hosts_.end()) return w;
  const auto latest = found->second.back();
  found->second.pop_back();
  if (found->second.empty()) hosts_.erase(found);
  w.emplace(std::move(latest->line));
  all_.erase(latest);
  return w;
}

void connection_pool::keep(const std::string& where, wire w) {
  if (options.keep == 0 || options.keep_for <= duration::zero()) return;
  by_age fresh;
  fresh.push_back({std::move(w), where, saturating_add(clock::now(), options.keep_for)});
  by_age old;
  const std::lock_guard lock(mutex_);
  if (retired_) return;
  take_old(old);
  auto& list = hosts_[where];
  if (list.size() >= options.keep) return;
  list.push_back(fresh.begin());
  all_.splice(all_.end(), fresh);
  arm();
}

void connection_pool::take_old(by_age& old) {
  const auto now = clock::now();
  while (!all_.empty() && all_.front().until <= now) {
    const auto found = hosts_.find(all_.front().where);
    found->second.pop_front();
    if (found->second.empty()) hosts_.erase(found);
    old.splice(old.end(), all_, all_.begin());
  }
}

// Under the lock. If there is no memory for a timer, old connections go when the pool is used next.
void connection_pool::arm() {
  if (all_.empty()) return;
  const auto now = clock::now();
  const std::uint64_t here = heddle::detail::current_runtime_id();
  const bool lost = expires_in_ != here || saturating_add(expires_, lost_after) < now;
  if (expires_ != time_point::max() && !lost) return;
  const auto until = all_.front().until;
  if (until == time_point::max()) return;
  try {
    (void)expiry_.cancel();  // a lost one: its loop has ended, or is very late
    this->ref();
    const heddle::detail::counted_ptr<connection_pool> self(this);
    expiry_ = current_loop().call_at(until, [self] { self->expire(); });
    expires_ = until;
    expires_in_ = here;
  } catch (const std::bad_alloc&) { expires_ = time_point::max(); }
}

void connection_pool::expire() {
  by_age old;
  const std::lock_guard lock(mutex_);
  expires_ = time_point::max();
  if (retired_) return;
  take_old(old);
  arm();
}

std::size_t connection_pool::size() {
  by_age old;
  const std::lock_guard lock(mutex_);
  take_old(old);
  return all_.size();
}

void connection_pool::clear() {
  by_age all;
  const std::lock_guard lock(mutex_);
  hosts_.clear();
  all.swap(all_);
}

void connection_pool::retire() noexcept {
  by_age all;
  callback_handle timer;
  {
    const std::lock_guard lock(mutex_);
    retired_ = true;
    hosts_.clear();
    all.swap(all_);
    std::swap(timer, expiry_);
  }
  timer.cancel();
}

}  // namespace heddle::http::detail
