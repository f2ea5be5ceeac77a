// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/watch.h>

#include <heddle/io/http/serving/engine.h>

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <exception>
#include <string>
#include <vector>

namespace heddle::http::detail {

using heddle::detail::acq_rel;
using heddle::detail::relaxed;
using heddle::detail::seq_cst;

namespace {

// How often a handler that takes long is looked after: whether its client is still there.
constexpr auto look_every = duration(std::chrono::milliseconds(500));
// So many connections are looked at before others get at the lock, and the loop at its other work.
constexpr unsigned most_a_sweep = 256;
// What a stopping server gives a client that lingers, or has asked nothing yet.
constexpr auto parting_time = duration(std::chrono::milliseconds(200));

duration::rep after_now(duration::rep now, duration d) noexcept {
  return saturating_add(time_point(duration(now)), d).time_since_epoch().count();
}
duration::rep now_in_ns() noexcept { return clock::now().time_since_epoch().count(); }

}  // namespace

// --- a connection ---

slot::slot(engine& e, stream_writer& writer) : engine_(e), writer_(writer), task_(current_task()) {
  e.watching.enter(*this);
}

slot::~slot() { engine_.watching.leave(*this); }

// It began to wait when stop() had looked at all, and has the same time as those it found.
bool slot::waits_while_stopping(phase p) {
  if (p == phase::reading && !fresh_.load(relaxed)) return false;
  const auto by = after_now(now_in_ns(), parting_time);
  if (by < deadline_.load(relaxed)) {
    deadline_.store(by, relaxed);
    file_if_earlier(by);
  }
  return true;
}

// A quarter of the time-out is between two looks, so that a client is ended after its time and at
// most a quarter of it more.
void slot::wait_for_room() {
  (void)wait(phase::writing, saturating_add(clock::now(), engine_.options.write_timeout.get() / 4),
             false);
}

void slot::work(bool ends_with_client, time_point now) {
  const auto look = saturating_add(now, look_every).time_since_epoch().count();
  deadline_.store(look, relaxed);
  phase_.store(ends_with_client ? phase::working : phase::finishing, seq_cst);  // protocol EXPIRE
  file_if_earlier(look);
}

/// What the client has still to take, as far as we can see: ours, and what the kernel keeps for it.
std::size_t slot::unsent() const noexcept {
  auto n = writer_.buffered();
  int queued = 0;
  const int descriptor = writer_.native_handle();
  if (descriptor >= 0 && ::ioctl(descriptor, SIOCOUTQ, &queued) == 0 && queued > 0)
    n += static_cast<std::size_t>(queued);
  return n;
}

// --- the heap ---

void watch::set(std::size_t at, entry e) noexcept {
  heap_[at] = e;
  e.who->place_ = static_cast<std::uint32_t>(at);
}

void watch::move_up(std::size_t at, entry e) noexcept {
  while (at > 0) {
    const std::size_t parent = (at - 1) / 2;
    if (heap_[parent].deadline <= e.deadline) break;
    set(at, heap_[parent]);
    at = parent;
  }
  set(at, e);
}

void watch::move_down(std::size_t at, entry e) noexcept {
  for (;;) {
    std::size_t child = 2 * at + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1].deadline < heap_[child].deadline) ++child;
    if (heap_[child].deadline >= e.deadline) break;
    set(at, heap_[child]);
    at = child;
  }
  set(at, e);
}

void watch::put(slot& s, duration::rep deadline) noexcept {
  const bool is_filed = s.filed_.load(relaxed) != slot::none;
  s.filed_.store(deadline, seq_cst);
  if (!is_filed) {
    heap_.push_back({deadline, &s});  // enter() has made room
    s.place_ = heddle::detail::narrow<std::uint32_t>(heap_.size() - 1);
  }
  move_up(s.place_, {deadline, &s});
}

void watch::take_out(slot& s) noexcept {
  const std::size_t at = s.place_;
  const entry last = heap_.back();
  heap_.pop_back();
  s.filed_.store(slot::none, seq_cst);  // protocol EXPIRE
  if (last.who == &s) return;
  if (at > 0 && heap_[(at - 1) / 2].deadline > last.deadline)
    move_up(at, last);
  else
    move_down(at, last);
}

// --- the watch ---

void watch::enter(slot& s) {
  const std::lock_guard lock(mutex_);
  if (heap_.capacity() <= count_) heap_.reserve(2 * count_ + 16);
  s.next_ = first_;
  if (first_ != nullptr) first_->previous_ = &s;
  first_ = &s;
  s.came_as_ = ++count_;
}

void watch::leave(slot& s) noexcept {
  const std::lock_guard lock(mutex_);
  if (s.filed_.load(relaxed) != slot::none) take_out(s);
  (s.previous_ != nullptr ? s.previous_->next_ : first_) = s.next_;
  if (s.next_ != nullptr) s.next_->previous_ = s.previous_;
  --count_;
  if (s.waits_in_stop_) --in_stop_;
}

void watch::file(slot& s, duration::rep deadline) {
  const std::lock_guard lock(mutex_);
  if (deadline >= s.filed_.load(relaxed)) return;
  put(s, deadline);
  arm();
}

// One timer for all connections.
void watch::arm() {
  if (heap_.empty() || heap_.front().deadline >= armed_) return;
  const auto when = heap_.front().deadline;
  timer_.cancel();
  armed_ = slot::none;  // should there be no memory for the next one
  timer_ = current_loop().call_at(time_point(duration(when)), [weak = engine_.weak_from_this()] {
    if (const auto self = weak.lock()) self->watching.sweep();
  });
  armed_ = when;
}

void watch::sweep() {
  // Cancelled once the lock is free: what that settles may run destructors of the user's.
  std::array<any_task, most_a_sweep> lost;
  unsigned lost_count = 0;
  {
    const std::lock_guard lock(mutex_);
    armed_ = slot::none;
    const auto now = now_in_ns();
    for (unsigned n = 0; n < most_a_sweep && !heap_.empty() && heap_.front().deadline <= now; ++n) {
      slot& s = *heap_.front().who;
      take_out(s);
      ++looks_;
      bool client_gone = false;
      const auto next = look_at(s, now, client_gone);
      if (client_gone) lost[lost_count++] = s.task_;
      if (next != slot::none) put(s, next);
    }
    arm();
  }
  for (unsigned i = 0; i < lost_count; ++i) (void)lost[i].cancel();
}

/// Says when to look again, if at all: a connection that waits anew files itself.
duration::rep watch::look_at(slot& s, duration::rep now, bool& client_gone) noexcept {
  const auto p = s.phase_.load(seq_cst);  // protocol EXPIRE
  if (p == phase::busy || p == phase::expired) return slot::none;
  if (p != phase::refused) {
    const auto deadline = s.deadline_.load(relaxed);
    if (deadline > now) return deadline;
  }
  if (p == phase::working || p == phase::finishing) return look_at_work(s, now, client_gone);
  return expire(s, p, now);
}

/// Nobody reads while a handler works, so nobody but the watch sees that its client is gone.
duration::rep watch::look_at_work(slot& s, duration::rep now, bool& client_gone) noexcept {
  if (!s.writer_.is_closing()) return after_now(now, look_every);
  // Looked at once more: with its client gone, the connection begins no other handler, so this one
  // had begun before.
  client_gone = s.phase_.load(seq_cst) == phase::working;
  return slot::none;
}

duration::rep watch::expire(slot& s, phase was, duration::rep now) noexcept {
  auto& writer = s.writer_;
  const auto write_timeout = engine_.options.write_timeout;
  if (was == phase::writing || writer.buffered() > 0) {
    const auto left = s.unsent();
    if (left != s.left_.load(relaxed)) {  // it takes something, or this is the first look
      s.left_.store(left, relaxed);
      s.moved_at_ = now;
    }
    if (now < after_now(s.moved_at_, write_timeout)) return after_now(now, write_timeout.get() / 4);
    if (s.phase_.compare_exchange_strong(was, phase::expired, acq_rel, relaxed)) writer.abort();
    return slot::none;
  }
  if (was == phase::lingering && s.left_.exchange(slot::unknown, relaxed) != slot::unknown)
    return after_now(now, engine_.options.linger_timeout);  // the client has just got the last byte
  if (was == phase::reading && s.partial_.load(relaxed)) return refuse(s, now);
  if (s.phase_.compare_exchange_strong(was, phase::expired, acq_rel, relaxed)) writer.close();
  return slot::none;
}

/// The request takes too long. Its connection waits for the rest, and has to be told: by the end of
/// the client, or when the time for that is over too.
duration::rep watch::refuse(slot& s, duration::rep now) noexcept {
  auto was = phase::reading;
  if (!s.phase_.compare_exchange_strong(was, phase::refused, acq_rel, relaxed)) return slot::none;
  try {
    std::string out;
    reply_to to;
    to.keep_alive = false;
    write_response(out, response::error(408), to);
    engine_.count(1, 1);
    s.writer_.write(out);
    s.writer_.write_eof();
  } catch (const std::exception&) {  // no memory: the client sees the connection end
    s.writer_.close();
  }
  return after_now(now, engine_.options.linger_timeout);
}

void watch::dismiss_idle(duration::rep by) {
  const std::lock_guard lock(mutex_);
  for (slot* s = first_; s != nullptr; s = s->next_) {
    auto was = s->phase_.load(seq_cst);  // protocol EXPIRE
    const bool idle = was == phase::reading && !s->partial_.load(relaxed);
    if (was != phase::lingering && !idle) continue;
    if (was == phase::lingering || s->fresh_.load(relaxed)) {
      if (by >= s->deadline_.load(relaxed)) continue;
      s->deadline_.store(by, relaxed);
      if (by < s->filed_.load(relaxed)) put(*s, by);
    } else if (s->phase_.compare_exchange_strong(was, phase::expired, acq_rel, relaxed)) {
      // It has until the end of the grace to take what it was answered: that the kernel has sent
      // something does not mean that the client has it.
      s->writer_.close();
    }
  }
  arm();
}

void watch::cancel_all() {
  std::vector<any_task> all;
  {
    const std::lock_guard lock(mutex_);
    all.reserve(count_);
    for (slot* s = first_; s != nullptr; s = s->next_)
      if (!s->waits_in_stop_) all.push_back(s->task_);
  }
  for (const auto& t : all) (void)t.cancel();  // no lock is held: see sweep()
}

void watch::stops(bool inside) noexcept {
  const any_task self = current_task();
  const std::lock_guard lock(mutex_);
  for (slot* s = first_; s != nullptr; s = s->next_) {
    if (s->task_ != self || s->waits_in_stop_ == inside) continue;
    s->waits_in_stop_ = inside;
    in_stop_ += inside ? std::size_t{1} : ~std::size_t{0};
  }
}

std::size_t watch::others() const noexcept {
  const std::lock_guard lock(mutex_);
  return count_ - in_stop_;
}

watch::census watch::count() const noexcept {
  census sum;
  const std::lock_guard lock(mutex_);
  for (const slot* s = first_; s != nullptr; s = s->next_) {
    const auto p = s->phase_.load(relaxed);
    sum.open += p != phase::expired;  // those are closed, only their tasks do not know yet
    sum.working += p == phase::busy || p == phase::working || p == phase::finishing;
  }
  return sum;
}

std::uint64_t watch::looks() const noexcept {
  const std::lock_guard lock(mutex_);
  return looks_;
}

}  // namespace heddle::http::detail
