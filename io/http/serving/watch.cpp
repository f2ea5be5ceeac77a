// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/watch.h>

#include <heddle/core/checked.h>
#include <heddle/io/http/message/writer.h>
#include <heddle/io/tls/end_output.h>

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <exception>
#include <string>

namespace heddle::http::detail {

using heddle::detail::acq_rel;
using heddle::detail::relaxed;
using heddle::detail::seq_cst;

namespace {

// A handler that takes long is looked after so often: is its client still there?
constexpr auto look_every = duration(std::chrono::milliseconds(500));
// So many connections are looked at in one sweep. Then others get the lock, and the loop does its
// other work.
constexpr unsigned most_a_sweep = 256;
// What a stopping server gives a client that lingers, or that has asked nothing yet: its first
// request may be under way.
constexpr auto parting_time = duration(std::chrono::milliseconds(200));

duration::rep after_now(duration::rep now, duration d) noexcept {
  return saturating_add(time_point(duration(now)), d).time_since_epoch().count();
}
duration::rep now_in_ns() noexcept { return clock::now().time_since_epoch().count(); }

}  // namespace

// --- a connection ---

watched::watched(watch& by, stream_writer& writer)
    : watch_(by), writer_(writer), task_(current_task()) {
  watch_.add(*this);
}

watched::~watched() { watch_.remove(*this); }

// This connection began to wait after stop() had looked at all of them. It gets the same time as
// those that stop() found.
bool watched::waits_while_stopping(phase p) {
  if (p == phase::reading && !fresh_.load(relaxed)) return false;
  const auto by = after_now(now_in_ns(), parting_time);
  if (by < deadline_.load(relaxed)) {
    deadline_.store(by, relaxed);
    file_if_earlier(by);
  }
  return true;
}

// A look may have begun before the phase was busy. It ends with the lock.
void watched::leave() noexcept {
  (void)back();
  const std::lock_guard lock(watch_.mutex_);
  has_left_ = true;
}

// Two looks are a quarter of the time-out apart. So a client is ended after its time, and at most a
// quarter of it later.
void watched::wait_for_room() {
  (void)wait(phase::writing, saturating_add(clock::now(), watch_.options_.write_timeout.get() / 4),
             false);
}

void watched::work(bool ends_with_client, time_point now) {
  const auto look = saturating_add(now, look_every).time_since_epoch().count();
  deadline_.store(look, relaxed);
  // pairs with look_at(): protocol EXPIRE
  phase_.store(ends_with_client ? phase::working : phase::finishing, seq_cst);
  file_if_earlier(look);
}

/// What the client has still to take, as far as can be seen: what the writer holds, and what the
/// kernel holds.
std::size_t watched::unsent() const noexcept {
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
  e.whose->place_ = static_cast<std::uint32_t>(at);
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

void watch::put(watched& c, duration::rep deadline) noexcept {
  const bool is_filed = c.filed_.load(relaxed) != watched::none;
  c.filed_.store(deadline, seq_cst);
  if (!is_filed) {
    heap_.push_back({deadline, &c});  // add() has made room
    c.place_ = heddle::detail::narrow<std::uint32_t>(heap_.size() - 1);
  }
  move_up(c.place_, {deadline, &c});
}

void watch::take_out(watched& c) noexcept {
  const std::size_t at = c.place_;
  const entry last = heap_.back();
  heap_.pop_back();
  // pairs with file_if_earlier(): protocol EXPIRE
  c.filed_.store(watched::none, seq_cst);
  if (last.whose == &c) return;
  if (at > 0 && heap_[(at - 1) / 2].deadline > last.deadline)
    move_up(at, last);
  else
    move_down(at, last);
}

// --- the watch ---

void watch::add(watched& c) {
  const std::lock_guard lock(mutex_);
  if (heap_.capacity() <= count_) heap_.reserve(2 * count_ + 16);
  c.next_ = first_;
  if (first_ != nullptr) first_->previous_ = &c;
  first_ = &c;
  c.came_as_ = ++count_;
}

void watch::remove(watched& c) noexcept {
  const std::lock_guard lock(mutex_);
  if (c.filed_.load(relaxed) != watched::none) take_out(c);
  (c.previous_ != nullptr ? c.previous_->next_ : first_) = c.next_;
  if (c.next_ != nullptr) c.next_->previous_ = c.previous_;
  --count_;
  if (c.waits_in_stop_) --in_stop_;
}

void watch::file(watched& c, duration::rep deadline) {
  const std::lock_guard lock(mutex_);
  if (deadline >= c.filed_.load(relaxed)) return;
  put(c, deadline);
  arm();
}

// One timer for all connections.
void watch::arm() {
  if (heap_.empty() || heap_.front().deadline >= armed_) return;
  const auto when = heap_.front().deadline;
  timer_.cancel();
  armed_ = watched::none;  // if there is no memory for the next timer
  timer_ = current_loop().call_at(time_point(duration(when)), [weak = self_] {
    if (const auto self = weak.lock()) self->sweep();
  });
  armed_ = when;
}

void watch::sweep() {
  // Cancelled when the lock is free: what a cancellation settles may run destructors of the user's.
  std::array<any_task, most_a_sweep> lost;
  unsigned lost_count = 0;
  {
    const std::lock_guard lock(mutex_);
    armed_ = watched::none;
    const auto now = now_in_ns();
    for (unsigned n = 0; n < most_a_sweep && !heap_.empty() && heap_.front().deadline <= now; ++n) {
      watched& c = *heap_.front().whose;
      take_out(c);
      ++looks_;
      bool client_gone = false;
      const auto next = look_at(c, now, client_gone);
      if (client_gone) lost[lost_count++] = c.task_;
      if (next != watched::none) put(c, next);
    }
    arm();
  }
  for (unsigned i = 0; i < lost_count; ++i) (void)lost[i].cancel();
}

/// Says when to look again. Never, if the connection is busy: it files itself when it waits anew.
duration::rep watch::look_at(watched& c, duration::rep now, bool& client_gone) noexcept {
  // pairs with wait() and work(): protocol EXPIRE
  const auto p = c.phase_.load(seq_cst);
  if (p == phase::busy || p == phase::expired) return watched::none;
  if (p != phase::refused) {
    const auto deadline = c.deadline_.load(relaxed);
    if (deadline > now) return deadline;
  }
  if (p == phase::working || p == phase::finishing) return look_at_work(c, now, client_gone);
  return expire(c, p, now);
}

/// On io_uring nothing listens to a client that has ended its sending, so its reset is looked for.
static bool was_reset(const stream_writer& client) noexcept {
  pollfd socket{client.native_handle(), 0, 0};
  return ::poll(&socket, 1, 0) > 0 && (socket.revents & POLLERR) != 0;
}

/// Nobody reads while a handler works. So only the watch can see that the client is gone.
duration::rep watch::look_at_work(watched& c, duration::rep now, bool& client_gone) noexcept {
  if (!c.writer_.is_closing() && !was_reset(c.writer_)) return after_now(now, look_every);
  // The phase is read once more, now that the client is known to be gone: such a connection begins
  // no other handler, so a handler that works now is the one that had begun before.
  // pairs with work(): protocol EXPIRE
  client_gone = c.phase_.load(seq_cst) == phase::working;
  return watched::none;
}

duration::rep watch::expire(watched& c, phase was, duration::rep now) noexcept {
  auto& writer = c.writer_;
  const auto write_timeout = options_.write_timeout;
  if (was == phase::writing || writer.buffered() > 0) {
    const auto left = c.unsent();
    if (left != c.left_.load(relaxed)) {  // the client takes something, or this is the first look
      c.left_.store(left, relaxed);
      c.moved_at_ = now;
    }
    if (now < after_now(c.moved_at_, write_timeout)) return after_now(now, write_timeout.get() / 4);
    // pairs with back(): protocol EXPIRE
    if (c.phase_.compare_exchange_strong(was, phase::expired, acq_rel, relaxed)) writer.abort();
    return watched::none;
  }
  if (was == phase::lingering && c.left_.exchange(watched::unknown, relaxed) != watched::unknown)
    return after_now(now, options_.linger_timeout);  // the client has just got the last byte
  if (was == phase::reading && c.partial_.load(relaxed)) return refuse(c, now);
  // pairs with back(): protocol EXPIRE
  if (c.phase_.compare_exchange_strong(was, phase::expired, acq_rel, relaxed)) writer.close();
  return watched::none;
}

/// The request takes too long. Its connection waits for the rest of it, and has to be woken: by the
/// client's end, or when the time for that is over too.
duration::rep watch::refuse(watched& c, duration::rep now) noexcept {
  auto was = phase::reading;
  // pairs with back(): protocol EXPIRE
  if (!c.phase_.compare_exchange_strong(was, phase::refused, acq_rel, relaxed))
    return watched::none;
  try {
    std::string out;
    reply_to to;
    to.keep_alive = false;
    to.server = options_.server_name;
    write_response(out, response::error(408), to);
    answer_tally timed_out;
    timed_out.add(408);
    counted_.count(timed_out);
    counted_.count_refused();
    c.writer_.write(out);
    heddle::detail::end_output(c.writer_);
  } catch (const std::exception&) {  // no memory: the client sees the connection end
    c.writer_.close();
  }
  return after_now(now, options_.linger_timeout);
}

void watch::dismiss_idle() {
  const auto by = after_now(now_in_ns(), parting_time);
  std::vector<any_task> endless;  // cancelled when the lock is free, as in sweep()
  {
    const std::lock_guard lock(mutex_);
    for (watched* c = first_; c != nullptr; c = c->next_) {
      // pairs with end_when_stopping()
      if (c->ends_at_stop_.load(seq_cst)) endless.push_back(c->task_);
    }
    dismiss_idle_until(by);
  }
  for (const auto& task : endless) (void)task.cancel();
}

void watch::dismiss_idle_until(duration::rep by) {
  for (watched* c = first_; c != nullptr; c = c->next_) {
    // pairs with wait(): protocol EXPIRE
    auto was = c->phase_.load(seq_cst);
    const bool idle = was == phase::reading && !c->partial_.load(relaxed);
    if (was != phase::lingering && !idle) continue;
    if (was == phase::lingering || c->fresh_.load(relaxed)) {
      if (by >= c->deadline_.load(relaxed)) continue;
      c->deadline_.store(by, relaxed);
      if (by < c->filed_.load(relaxed)) put(*c, by);
      continue;
    }
    // Close, do not reset: a completed send does not mean that the client has the bytes. The client
    // has until the end of the grace to take what it was answered.
    // pairs with back(): protocol EXPIRE
    if (c->phase_.compare_exchange_strong(was, phase::expired, acq_rel, relaxed))
      c->writer_.close();
  }
  arm();
}

// Why this is not heddle::server's cancel_handlers(), which the listener has: that one cancels
// every handler, also one that waits in stop(), and so would cut off the very call that ends the
// server. On a closed server it also cancels handlers that begin later. To spare some, its public
// contract would need a word that only this file uses.
void watch::cancel_all() {
  std::vector<any_task> all;
  {
    const std::lock_guard lock(mutex_);
    all.reserve(count_);
    for (watched* c = first_; c != nullptr; c = c->next_)
      if (!c->waits_in_stop_) all.push_back(c->task_);
  }
  for (const auto& t : all) (void)t.cancel();  // no lock is held: see sweep()
}

void watch::reset_all() noexcept {
  const std::lock_guard lock(mutex_);
  for (watched* c = first_; c != nullptr; c = c->next_)
    if (!c->has_left_) c->writer_.abort();
}

void watch::waits_in_stop(bool inside) noexcept {
  const any_task self = current_task();
  const std::lock_guard lock(mutex_);
  for (watched* c = first_; c != nullptr; c = c->next_) {
    if (c->task_ != self || c->waits_in_stop_ == inside) continue;
    c->waits_in_stop_ = inside;
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
  for (const watched* c = first_; c != nullptr; c = c->next_) {
    const auto p = c->phase_.load(relaxed);
    // An expired connection is closed already. Only its task has not been told yet.
    sum.open += p != phase::expired;
    sum.working += p == phase::busy || p == phase::working || p == phase::finishing;
  }
  return sum;
}

std::uint64_t watch::looks() const noexcept {
  const std::lock_guard lock(mutex_);
  return looks_;
}

}  // namespace heddle::http::detail
