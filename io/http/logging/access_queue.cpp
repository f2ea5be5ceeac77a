// SPDX-License-Identifier: MIT
#include <heddle/io/http/logging/access_queue.h>

#include <csignal>

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

namespace heddle::http::detail {
namespace {

// So long the thread gathers entries before it works on them.
constexpr auto gather_time = std::chrono::milliseconds(10);

/// While it lives, a thread that is started takes no signal: those are for the program's threads.
class no_signals {
 public:
  no_signals() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  no_signals(const no_signals&) = delete;
  ~no_signals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

}  // namespace

access_queue::access_queue(std::unique_ptr<access_sink> to, const access_log_options& o)
    : options(o), sink_(std::move(to)) {
  const no_signals during_the_start;
  thread_ = std::thread([this] { work(); });
}

access_queue::~access_queue() {
  {
    const std::lock_guard held(lock_);
    ending_ = true;
  }
  wanted_.notify_one();
  thread_.join();
}

void access_queue::add(access_entry e) noexcept {
  bool wakes = false;
  {
    const std::lock_guard held(lock_);
    bool has_room = waiting_.size() + in_hand_ < options.queue_limit;
    if (has_room) {
      e.dropped = untold_;
      try {
        waiting_.push_back(std::move(e));
      } catch (const std::bad_alloc&) { has_room = false; }
    }
    if (has_room) {
      untold_ = 0;
      ++added_;
    } else {
      ++untold_;
      ++dropped_;
    }
    wakes = has_room && std::exchange(sleeping_, false);
  }
  if (wakes) wanted_.notify_one();
}

void access_queue::drop() noexcept {
  const std::lock_guard held(lock_);
  ++untold_;
  ++dropped_;
}

void access_queue::flush() {
  std::unique_lock held(lock_);
  const auto until = added_;
  ++flushing_;
  wanted_.notify_one();
  given_.wait(held, [&] { return done_ >= until; });
  --flushing_;
}

void access_queue::reopen() noexcept {
  const std::lock_guard held(lock_);
  reopening_ = true;
}

std::uint64_t access_queue::dropped() const noexcept {
  const std::lock_guard held(lock_);
  return dropped_;
}

/// Waits until there is something to do, and then a moment for more.
void access_queue::gather(std::unique_lock<std::mutex>& held) {
  const auto in_a_hurry = [&] {
    return ending_ || flushing_ != 0 || waiting_.size() >= options.queue_limit / 2;
  };
  if (waiting_.empty() && !ending_) {
    sleeping_ = true;
    wanted_.wait(held, [&] { return !waiting_.empty() || ending_; });
    sleeping_ = false;
  }
  if (!in_a_hurry()) wanted_.wait_for(held, gather_time, in_a_hurry);
}

void access_queue::give(std::vector<access_entry>& batch, bool reopens) noexcept {
  try {
    if (reopens) sink_->reopen();
  } catch (...) {  // then it goes on with what it has
  }
  for (auto& e : batch) {
    bool is_lost = false;
    try {
      sink_->take(e);
    } catch (...) { is_lost = true; }
    const std::lock_guard held(lock_);
    --in_hand_;
    if (is_lost) {
      ++dropped_;
      ++untold_;
    }
  }
  std::uint64_t lost = 0;
  try {
    lost = sink_->settle();
  } catch (...) { lost = batch.size(); }
  const std::lock_guard held(lock_);
  dropped_ += lost;
  untold_ += lost;
  done_ += batch.size();
}

void access_queue::work() noexcept {
  std::vector<access_entry> batch;
  std::unique_lock held(lock_);
  for (;;) {
    gather(held);
    if (waiting_.empty() && ending_) return;
    batch.swap(waiting_);
    in_hand_ = batch.size();
    const bool reopens = std::exchange(reopening_, false);
    held.unlock();
    give(batch, reopens);
    batch.clear();
    held.lock();
    given_.notify_all();
  }
}

}  // namespace heddle::http::detail
