// SPDX-License-Identifier: MIT
// Internal to io.
// A child process: its pid, its exit, and the loop's watch for that exit.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/base/runtime_number.h>
#include <heddle/core/record/wait.h>
#include <heddle/core/scheduler.h>
#include <heddle/io/descriptors/fd.h>
#include <heddle/io/process/process_parts.h>
#include <heddle/io/reactor/source.h>

#include <cstdint>
#include <optional>
#include <source_location>

#include <sys/types.h>

namespace heddle::detail {

/// For a child that nobody else knows of.
void kill_and_reap(pid_t pid) noexcept;

/// A child. The handle holds one reference, and the watch another, until the child was reaped.
///
/// Danger     When a child was reaped, the kernel may give its number to another process. A signal
///            sent then would hit that process. And a child must be reaped once, whichever thread
///            finds the exit.
/// Prevented  Reaping is done under the lock of ended_, once, by the thread that finds the exit.
///            Signals are sent under the same lock, and only before that. (Foreign code that reaps
///            children of others can still break this.)
/// Costs      A system call under a spin lock, once a signal and once an exit.
//
//   exited_, code_, source_  under the lock of ended_; exited_ is also read without
//   usage_                   as code_
//   exit_                    tells of the exit; taken out under that lock, after the reaping. The
//                            leader of a group keeps it: it names the group without its number.
//   detached_                set by the handle, before let_go_
//   orphan_, let_go_         Each is stored by one side, which then looks at the other: seq_cst.
class process_state final : public source_owner {
 public:
  /// `group`: the process group that the child leads or has joined; 0: ours.
  process_state(pid_t pid, pid_t group) noexcept
      : pid_(pid), group_(group), runtime_(current_runtime_id()) {}

  /// Watches the child, by `pidfd` if that is valid(). If it throws, the child was killed and
  /// reaped.
  void watch(fd pidfd);

  void ref() noexcept { refs_.fetch_add(1, relaxed); }
  void unref() noexcept {
    // pairs with itself: the holder of the last reference sees what the others did
    if (refs_.fetch_sub(1, acq_rel) == 1) delete this;
  }

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] bool exited() const noexcept {
    // pairs with the store in reap()
    return exited_.load(acquire);
  }
  [[nodiscard]] std::optional<int> code() noexcept {
    // The runtime has ended, so no loop looks for the exit any more. Pairs with reactor_gone().
    if (!exited() && orphan_.load(acquire)) (void)reap();
    if (!exited()) return std::nullopt;
    return code_;
  }
  /// Empty while the child runs, and if other code has reaped it.
  [[nodiscard]] std::optional<resource_usage> usage() noexcept;
  [[nodiscard]] bool has_group() const noexcept { return group_ != 0; }
  void send(int signal);
  void send_to_group(int signal);
  /// let_go() will not kill.
  void detach() noexcept { detached_.store(true, relaxed); }
  /// The handle goes: kills the child if it runs and is not detached, and arranges that it is
  /// reaped.
  void let_go() noexcept;

  wait_queue ended_;

 private:
  friend class exit_wait;

  ~process_state() = default;

  // source_owner
  void hold() noexcept override { ref(); }
  void drop() noexcept override { unref(); }
  [[nodiscard]] bool wants_readable() const noexcept override { return true; }
  void readable() noexcept override {
    if (reap()) end_watch();
  }
  void reactor_gone() noexcept override {
    // pairs with the look of let_go(): one of the two sees the other, and reaps
    orphan_.store(true, seq_cst);
    if (let_go_.load(seq_cst)) settle_orphan();
    end_watch();
  }

  [[nodiscard]] bool reap() noexcept;
  void reap_now() noexcept;
  void reap_some_day() noexcept;
  void settle_orphan() noexcept;
  void report_foreign() const noexcept;
  void end_watch() noexcept;
  [[nodiscard]] int kill_locked(int signal) const noexcept;
  [[nodiscard]] int kill_group_locked(int signal) const noexcept;
  [[nodiscard]] bool leads_group() const noexcept { return group_ == pid_; }

  atomic<std::uint32_t> refs_{1};
  const pid_t pid_;
  const pid_t group_;
  const runtime_number runtime_;
  bool is_pidfd_ = false;
  bool watched_ = false;
  fd exit_;
  io_source* source_ = nullptr;
  atomic<bool> exited_{false};
  atomic<bool> orphan_{false};
  atomic<bool> let_go_{false};
  atomic<bool> detached_{false};
  int code_ = 0;
  std::optional<resource_usage> usage_;
};

/// Waits for the end of the child.
class exit_wait final : public queue_waiter {
 public:
  explicit exit_wait(process_state& s) noexcept : queue_waiter(s.ended_), state_(s) {}

  [[nodiscard]] bool await_ready() const noexcept { return state_.exited(); }
  template <heddle_promise P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> h,
                                   std::source_location where = HEDDLE_HERE) {
    return suspend(h.promise().suspending(h, where));
  }
  void await_resume() {
    if (cancelled_at_resume(*this)) throw_cancelled(*task);
  }
  const char* name() const noexcept override { return "process"; }

 private:
  HEDDLE_NOINLINE bool suspend(task_record& t) noexcept {
    state_.ended_.lock();
    const bool waits = !state_.exited_.load(relaxed) && state_.ended_.suspend(*this, t);
    state_.ended_.unlock();
    return waits;
  }

  process_state& state_;
};

}  // namespace heddle::detail
