// SPDX-License-Identifier: MIT
#include <heddle/io/http/calling/connections.h>

#include <heddle/core/errors.h>
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

void place::give_up() noexcept {
  origin* const of = std::exchange(of_, nullptr);
  if (!of) return;
  pool_->give_back(*of);
  pool_ = {};
}

taken connection_pool::take(const std::string& where) {
  place spare;
  for (;;) {
    taken got = take_once(where);
    if (got.line && !got.line->to.reader.quiet()) {
      got.line->busy = true;  // so that it is reset: what its peer has sent is no answer to anybody
      spare = std::move(got.line->room);
      continue;
    }
    if (!got.line && !got.room) got.room = std::move(spare);
    return got;
  }
}

taken connection_pool::take_once(const std::string& where) {
  after_lock later;
  taken got;
  const std::lock_guard lock(mutex_);
  if (retired_) throw usage_error("a request of a session that has ended");
  take_old(later.old);
  origin& of = origin_of(where);
  if (!take_free(of, got, later)) forget(of);
  return got;
}

task<taken> connection_pool::wait_for_place(std::string where) {
  const heddle::detail::counted_ptr<connection_pool> self = [this] {
    this->ref();
    return heddle::detail::counted_ptr<connection_pool>(this);
  }();
  taken got;
  {
    place_wait mine(*this, where);
    if (mine.waits()) co_await mine.wake;
    got = mine.take();
  }
  if (!got.line || got.line->to.reader.quiet()) co_return got;
  got.line->busy = true;  // what its peer has sent is no answer to anybody
  got.room = std::move(got.line->room);
  got.line.reset();
  co_return got;
}

bool place_wait::waits() const {
  const std::lock_guard lock(of.mutex_);
  return at != nullptr;
}

taken place_wait::take() {
  const std::lock_guard lock(of.mutex_);
  if (failed) throw usage_error("the session has ended while a request waited for a connection");
  return std::exchange(given, {});
}

place_wait::place_wait(connection_pool& pool, const std::string& where) : of(pool) {
  after_lock later;
  std::list<place_wait*> link;
  link.push_back(this);
  told.emplace_back();
  wake = told.front().get_future();
  const std::lock_guard lock(of.mutex_);
  if (of.retired_) throw usage_error("a request of a session that has ended");
  origin& wanted = of.origin_of(where);
  if (of.take_free(wanted, given, later)) return;
  here = link.begin();
  of.waits_.splice(of.waits_.end(), link);
  at = &wanted;
  ++at->waiting;
}

place_wait::~place_wait() {
  taken back;  // above the lock: its end takes the lock to serve those that wait
  const std::lock_guard lock(of.mutex_);
  if (at) {
    of.waits_.erase(here);
    --at->waiting;
    of.forget(*at);
  }
  // A kept connection that was handed over and not taken ends with `back`, and its place goes to
  // the next one. That is rare, and saves a second way for a connection to be kept.
  back = std::move(given);
}

origin& connection_pool::origin_of(const std::string& where) {
  const auto [at, fresh] = origins_.try_emplace(where);
  if (fresh) at->second.name = &at->first;
  return at->second;
}

/// Drops an origin that nobody uses. Under the lock.
void connection_pool::forget(origin& of) noexcept {
  if (of.open == 0 && of.waiting == 0) origins_.erase(origins_.find(*of.name));
}

/// Takes what is free for a request. False: nothing is. Under the lock. A kept connection of
/// another origin is ended, if it stands in the way.
bool connection_pool::take_free(origin& of, taken& into, after_lock& later) {
  if (!of.kept.empty()) {
    const auto latest = of.kept.back();
    of.kept.pop_back();
    into.line = std::move(latest->line);
    all_.erase(latest);
    return true;
  }
  const auto& most = options.pool;
  if (most.per_host != 0 && of.open >= most.per_host) return false;
  if (most.limit != 0 && open_ >= most.limit) {
    if (all_.empty()) return false;
    take_first(later.old);
    place& freed = later.old.back().line->room;
    origin& other = *std::exchange(freed.of_, nullptr);
    --open_;
    --other.open;
    if (&other != &of) forget(other);
  }
  ++open_;
  ++of.open;
  this->ref();
  into.room = place(heddle::detail::counted_ptr<connection_pool>(this), of);
  return true;
}

void connection_pool::give_back(origin& of) noexcept {
  after_lock later;
  const std::lock_guard lock(mutex_);
  --open_;
  --of.open;
  forget(of);
  serve(later);
}

/// Gives what is free to those that wait, the first first. Under the lock.
void connection_pool::serve(after_lock& later) noexcept {
  const auto& most = options.pool;
  for (auto at = waits_.begin(); at != waits_.end();) {
    if (most.limit != 0 && open_ >= most.limit && all_.empty()) return;
    place_wait& w = **at++;
    if (take_free(*w.at, w.given, later)) w.step_out(later);
  }
}

/// Out of the queue, with what it was given or without. Under the lock.
void place_wait::step_out(after_lock& later) noexcept {
  of.waits_.erase(here);
  --at->waiting;
  if (failed) of.forget(*at);
  at = nullptr;
  later.woken.splice(later.woken.end(), told);
}

after_lock::~after_lock() {
  // False: its task is cancelled, and gives back what it got.
  for (auto& p : woken) (void)p.try_set_value();
}

void connection_pool::keep(wire_ptr w) {
  if (options.keep == 0 || options.keep_for <= duration::zero() || options.pool.force_close) return;
  kept_list fresh;
  fresh.push_back({std::move(w), saturating_add(clock::now(), options.keep_for)});
  after_lock later;
  const std::lock_guard lock(mutex_);
  if (retired_) return;
  take_old(later.old);
  origin& of = *fresh.front().line->room.of_;
  if (of.kept.size() >= options.keep) return;
  of.kept.push_back(fresh.begin());
  all_.splice(all_.end(), fresh);
  if (!waits_.empty()) serve(later);
  arm();
}

/// Moves the oldest kept connection to `old`. Under the lock.
void connection_pool::take_first(kept_list& old) {
  all_.front().line->room.of_->kept.pop_front();
  old.splice(old.end(), all_, all_.begin());
}

void connection_pool::take_old(kept_list& old) {
  const auto now = clock::now();
  while (!all_.empty() && all_.front().until <= now) take_first(old);
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
  kept_list old;
  const std::lock_guard lock(mutex_);
  expires_ = time_point::max();
  if (retired_) return;
  take_old(old);
  arm();
}

std::size_t connection_pool::size() {
  kept_list old;
  const std::lock_guard lock(mutex_);
  take_old(old);
  return all_.size();
}

std::size_t connection_pool::open() {
  const std::lock_guard lock(mutex_);
  return open_;
}

void connection_pool::clear() {
  kept_list all;
  const std::lock_guard lock(mutex_);
  for (auto& entry : origins_) entry.second.kept.clear();
  all.swap(all_);
}

void connection_pool::retire() noexcept {
  kept_list all;
  after_lock later;
  callback_handle timer;
  {
    const std::lock_guard lock(mutex_);
    retired_ = true;
    for (auto& entry : origins_) entry.second.kept.clear();
    all.swap(all_);
    std::swap(timer, expiry_);
    while (!waits_.empty()) {
      waits_.front()->failed = true;
      waits_.front()->step_out(later);
    }
  }
  timer.cancel();
}

}  // namespace heddle::http::detail
