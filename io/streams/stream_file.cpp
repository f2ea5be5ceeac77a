// SPDX-License-Identifier: MIT
// The part of a stream_core that sends files: a task's turns between the bytes of other writers.
#include <heddle/core/errors.h>
#include <heddle/io/streams/file_place.h>
#include <heddle/io/streams/stream_core.h>
#include <heddle/io/transport/filter_place.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace heddle::detail {
namespace {

void claim_all(wait_queue& q, work_list& todo) noexcept {
  q.lock();
  while (waiter* w = q.claim_first()) todo.schedule(*w->task);
  q.unlock();
}

}  // namespace

// The callers in other files look at file_ first: streams without files pay no call.
bool stream_core::sends_file_locked() const noexcept { return file_ && file_->busy; }

// The sender has nothing more to send. True: the role is the file's task's from now on.
bool stream_core::leave_to_file_locked(work_list& todo) noexcept {
  if (!sends_file_locked() || stage_ >= stage::broken) return false;
  sender_ = sending::file;
  claim_all(file_->turns, todo);
  return true;
}

// The connection may have broken or ended: then the file's task hears of that.
void stream_core::drop_file_locked(work_list& todo) noexcept {
  if (sends_file_locked() && stage_ >= stage::broken) claim_all(file_->turns, todo);
}

wait_queue& stream_core::file_queue() noexcept { return file_->others; }
wait_queue& stream_core::turn_queue() noexcept { return file_->turns; }

bool stream_core::begin_file() {
  auto fresh = std::make_unique<file_place>();
  throw_if_broken();
  const output_lock hold(drain_queue_);
  if (stage_ == stage::ending || stage_ == stage::half_closed)
    throw_usage("send_file after write_eof");
  if (stage_ != stage::open)
    throw_system_error(ECONNRESET, "send_file to a closed connection", peer().to_string());
  if (!file_) file_ = std::move(fresh);
  if (file_->busy) return false;
  file_->busy = true;
  file_->unsent = 1;
  if (sender_ == sending::nobody && pending_ == 0) sender_ = sending::file;
  pend_locked(file_->unsent);
  return true;
}

void stream_core::expect_of_file(std::uint64_t more) noexcept {
  drain_queue_.lock();
  if (stage_ < stage::broken) {
    file_->unsent += static_cast<std::size_t>(more);
    pend_locked(static_cast<std::size_t>(more));
  }
  drain_queue_.unlock();
}

bool stream_core::wait_file(waiter& w, task_record& t) noexcept {
  const output_lock hold(drain_queue_);
  auto& q = file_->others;
  q.lock();
  const bool waits = file_->busy && q.suspend(w, t);
  q.unlock();
  return waits;
}

bool stream_core::has_file_turn() {
  bool over = false;
  bool mine = false;
  {
    const output_lock hold(drain_queue_);
    over = stage_ >= stage::broken;
    mine = sender_ == sending::file;
  }
  if (!over) return mine;
  throw_if_broken();
  throw_system_error(ECONNRESET, "send_file to a closed connection", peer().to_string());
}

bool stream_core::wait_file_turn(waiter& w, task_record& t) noexcept {
  const output_lock hold(drain_queue_);
  auto& q = file_->turns;
  q.lock();
  const bool waits = sender_ != sending::file && stage_ < stage::broken && q.suspend(w, t);
  q.unlock();
  return waits;
}

bool stream_core::kernel_sends_files() noexcept {
  const output_lock hold(drain_queue_);
  return !filter_ && mover_->sends_files();
}

ssize_t stream_core::send_of_file(int file, std::uint64_t at, std::size_t most) {
  {
    const output_lock hold(drain_queue_);
    if (sender_ != sending::file) return -EAGAIN;  // it ended meanwhile: has_file_turn() says why
    sender_ = sending::thread;
  }
  const auto n = mover_->send_file(file, at, most);
  if (n == -EAGAIN) {
    let_file_go_on(false);
  } else if (n >= 0) {
    work_list todo;
    drain_queue_.lock();
    const auto taken = std::min(static_cast<std::size_t>(n), file_->unsent - 1);
    file_->unsent -= taken;
    pending_ -= std::min(pending_, taken);
    wake_drained_locked(todo);
    drain_queue_.unlock();
    todo.settle();
    let_file_go_on(true);
  } else if (n == -EINVAL || n == -EIO || n == -ENOSYS || n == -EOPNOTSUPP || n == -EOVERFLOW ||
             n == -ESPIPE || n == -ENOMEM) {
    let_file_go_on(true);
  } else {
    fail(static_cast<int>(-n), "sendfile", found_by::sender);
    send_all({});
    throw_if_broken();
    return -EAGAIN;  // the connection had ended before
  }
  return n;
}

// Sender's role, held by the file's task. `again`: the task goes on at once. Otherwise the
// transport tells of room.
void stream_core::let_file_go_on(bool again) noexcept {
  drain_queue_.lock();
  const bool over = stage_ >= stage::broken;
  const bool told = sender_ == sending::thread_told;
  if (over)
    sender_ = sending::thread;
  else
    sender_ = again || told ? sending::file : sending::nobody;
  drain_queue_.unlock();
  if (over) send_all({});
}

void stream_core::write_of_file(std::string bytes) {
  drain_queue_.lock();
  const bool mine = sender_ == sending::file;
  if (mine) {
    const auto counted = std::min(bytes.size(), file_->unsent - 1);
    file_->unsent -= counted;
    pend_locked(bytes.size() - counted);
    out_.swap(bytes);  // empty: what was written before is sent
    sender_ = sending::thread;
  }
  drain_queue_.unlock();
  if (mine) send_all({});
}

void stream_core::end_file() noexcept {
  work_list todo;
  drain_queue_.lock();
  auto& f = *file_;
  f.busy = false;
  pending_ -= std::min(pending_, f.unsent);
  f.unsent = 0;
  // While the task has its turn, or waits for room, nothing stands before these bytes. Otherwise a
  // piece may: it was cut off, and goes first.
  bool kept = true;
  if (out_.empty()) {
    out_.swap(f.behind);
  } else {
    try {
      out_.append(f.behind);
    } catch (const std::bad_alloc&) { kept = false; }
  }
  std::string().swap(f.behind);
  const bool now = sender_rests_locked();
  if (now) sender_ = sending::thread;
  wake_drained_locked(todo);
  claim_all(f.others, todo);
  drain_queue_.unlock();
  todo.settle();
  if (!kept) fail(ENOMEM, "send", found_by::sender);
  if (now) send_all({});
}

}  // namespace heddle::detail
