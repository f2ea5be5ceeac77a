// SPDX-License-Identifier: MIT
// The life of the socket, its receivers and its senders' waits. What a receive does with the
// kernel is receive.cpp.
#include <heddle/io/datagram/message_core.h>

#include <heddle/core/errors.h>
#include <heddle/core/record/budget.h>
#include <heddle/core/seeing/layout.h>
#include <heddle/io/descriptors/owned_numbers.h>
#include <heddle/io/reactor/edge_set.h>
#include <heddle/sched/wait_for.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <source_location>
#include <utility>

namespace heddle::detail {

namespace {

bool is_path(const address& at) noexcept {
  return at.family() == AF_UNIX && !at.host().empty() && at.host()[0] != '\0';
}

}  // namespace

bool message_budget_spent() noexcept {
  thread_local unsigned messages = 0;
  return ++messages % 8 == 0 || fetching_budget_spent();
}

message_core::message_core(fd socket, message_kind kind)
    : socket_(std::move(socket)),
      kind_(std::move(kind)),
      local_(address::local_of(socket_.get())),
      family_(local_.family()) {
  if (kind_.bound_path && is_path(local_)) {
    path_ = std::filesystem::absolute(local_.host()).string();  // the program may change directory
    (void)::stat(path_.c_str(), &path_identity_);
  }
  source_ = &watch_edges(socket_.get());
  name_ = source_->name();
  own_number(socket_.get());
}

message_core::stay::stay(message_core& core, const char* call) : core_(core) {
  // pairs with the fetch_or in close()
  if (core_.users_.fetch_add(1, acq_rel) & closed) {
    core_.go_out();
    throw_system_error(ECANCELED, call, core_.local_.to_string() + ": the socket was closed");
  }
  if (core_.owed_error_.load(relaxed) == 0) [[likely]]
    return;
  // pairs with the store in owe_error()
  if (const int code = core_.owed_error_.exchange(0, acq_rel)) {
    core_.go_out();
    throw_system_error(code, call, core_.about());
  }
}

void message_core::close() noexcept {
  // Counted before the bit is set: otherwise the last stay, when it goes out, would close the
  // descriptor before the watch has ended.
  users_.fetch_add(1, relaxed);
  // pairs with the fetch_add of a stay
  if (users_.fetch_or(closed, acq_rel) & closed) {
    go_out();
    return;
  }
  source_->retire();
  work_list todo;
  closing_.lock();
  while (waiter* w = closing_.claim_first()) todo.schedule(*w->task);
  closing_.unlock();
  todo.settle();
  remove_path();
  go_out();
}

void message_core::go_out() noexcept {
  // The last one sees what the others did. pairs with the other calls of go_out()
  if (users_.fetch_sub(1, acq_rel) != (closed | 1)) return;
  // A stay that found the bit goes out too. So more than one may come here, and one closes.
  // pairs with the exchange of the other that comes here
  if (freed_.exchange(true, acq_rel)) return;
  disown_number(socket_.get());
  socket_.reset();
}

void message_core::remove_path() noexcept {
  if (path_.empty()) return;
  struct stat now{};
  if (::stat(path_.c_str(), &now) == 0 && now.st_ino == path_identity_.st_ino &&
      now.st_dev == path_identity_.st_dev)
    ::unlink(path_.c_str());
}

void message_core::wake_next(wait_queue& queue) noexcept {
  queue.lock();
  waiter* w = source_->generation() == name_.generation ? queue.claim_first() : nullptr;
  task_record* next = w ? w->task : nullptr;
  queue.unlock();
  if (next) schedule(*next);
}

std::string message_core::about(const address& to) const {
  if (to.size() != 0) return to.to_string();
  return kind_.peer.size() != 0 ? kind_.peer.to_string() : local_.to_string();
}

std::string message_core::line_of(const address& to) const {
  if (family_ != AF_UNIX) return {};
  return {reinterpret_cast<const char*>(to.data()), to.size()};
}

std::uint32_t message_core::edges() const {
  const auto seen = source_->edges();
  // A hint is enough: with the runtime all its tasks have ended.
  if (!source_->home.load(relaxed) && !is_closed())
    throw_usage("the runtime that this socket was made in has ended");
  return seen;
}

// --- waiting for room ---

/// Waits until the socket is closed.
class message_core::pause_wait final : public queue_waiter {
 public:
  explicit pause_wait(message_core& core) noexcept : queue_waiter(core.closing_), core_(core) {}

  [[nodiscard]] static bool await_ready() noexcept { return false; }
  template <heddle_promise P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> h,
                                   std::source_location where = HEDDLE_HERE) {
    return suspend(h.promise().suspending(h, where));
  }
  void await_resume() {
    if (cancelled_at_resume(*this)) throw_cancelled(*task);
  }
  const char* name() const noexcept override { return "send"; }

 private:
  HEDDLE_NOINLINE bool suspend(task_record& t) noexcept {
    queue->lock();
    // close() sets the bit before it takes the lock. So it is seen here, or close() finds the wait.
    const bool waits = !core_.is_closed() && queue->suspend(*this, t);
    queue->unlock();
    return waits;
  }

  message_core& core_;
};

task<void> message_core::pause(std::chrono::milliseconds length) {
  pause_wait until_closed(*this);
  try {
    auto limited = wait_for(until_closed, length);
    co_await std::move(limited);
  } catch (const timeout_error&) {}
}

task<void> message_core::wait_for_room(sent refused, unsigned tries) {
  // Three edges that brought no room: what is full is not what the edge tells of.
  const bool edges_tell = family_ != AF_UNIX || kind_.connected;
  if (refused == sent::full && edges_tell && tries < 3) {
    // An edge wakes one task. Another one, with the turn of another receiver, may wait too: it
    // looks when this one leaves, in whatever way.
    struct waker {
      message_core& core;
      ~waker() { core.wake_next(core.source_->writable); }
    } const at_end{*this};
    writable_wait room(*source_, name_, "send");
    co_await room;
    co_return;
  }
  auto pausing = pause(std::chrono::milliseconds(1 << std::min(tries, 4u)));
  co_await pausing;
}

}  // namespace heddle::detail

namespace heddle::detail {
namespace {
HEDDLE_ROW("heddle_kinds")
constexpr seeing::kind_row message_core_kinds[] = {
    {.type = "N6heddle6detail12message_core10pause_waitE", .name = "send"},
};
}  // namespace
}  // namespace heddle::detail
