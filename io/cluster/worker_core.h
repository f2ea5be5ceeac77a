// SPDX-License-Identifier: MIT
// Internal to io.
// worker_core: what a worker does, on the loop of its engine. The jobs themselves run on the loops
// of the runtime that serves.
//
// A delivery's way: arrived() -> a slot, or held -> run_delivery(): is there an outcome? how many
// attempts? is it too late? do we know it? -> start() on the user's loops -> conclude(): retry, or
// store the outcome -> acknowledge -> the slot is free.
#pragma once

#include <heddle/core/future.h>
#include <heddle/io/cluster.h>
#include <heddle/io/cluster/remote.h>
#include <heddle/io/cluster/running.h>
#include <heddle/sched/create_task.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace heddle::cluster::detail {

/// A delivery that this worker has.
struct held_job {
  job_message job;
  delivery from;
  std::string ack;  // the subject
  std::shared_ptr<job_run> run = std::make_shared<job_run>();
  job_place place;
  const implementation* code = nullptr;
  future<void> running;     // of the task on the user's loops; cancels it
  promise<void> concluded;  // it has ended, or counts as stuck
  std::optional<ran> result;
  time_point since{};
  double progress = 0;
  time_point told{};  // when progress was told last
  bool started = false;
  bool cancelled = false;  // by another: the outcome is there
  bool timed_out = false;
  bool give_back = false;  // it is to be run elsewhere
  bool stuck = false;
};

class worker_core final : public slot_lender, public std::enable_shared_from_this<worker_core> {
 public:
  worker_core(const std::shared_ptr<remote>& place, worker_options o, class runtime& loops);

  /// Serves until it is drained. Yields serve()'s number.
  [[nodiscard]] task<int> run();
  /// From the engine's loop.
  void drain();
  void stop();

  [[nodiscard]] const void* home() const noexcept override { return &engine_; }
  void lend() noexcept override;
  [[nodiscard]] task<> take_back() override;
  void take_back_now() noexcept override { --free_; }

 private:
  using job_ptr = std::shared_ptr<held_job>;
  /// What is pulled of one queue and class.
  struct source {
    std::string queue;
    unsigned first = 0;
    std::string durable;
    // A job comes under its own subject, not under that of the pull: so each has a subscription.
    std::string now_inbox;   // of pulls that take what is there
    std::string wait_inbox;  // of the long pull
    std::uint64_t now_sid = 0;
    std::uint64_t wait_sid = 0;
    bool waits = false;  // a long pull is at the server
    time_point wait_end{};
  };
  /// A pull of what is there, until it has ended.
  struct pull {
    int left;
    std::size_t came = 0;
    promise<void> over = {};
  };

  [[nodiscard]] task<> prepare();
  [[nodiscard]] task<> pull_loop();
  [[nodiscard]] task<std::size_t> sweep();
  [[nodiscard]] task<std::size_t> pull_now(source& s, int most);
  void pull_later(source& s);
  void take_now(nats_message&& m);
  void take_waited(source& s, nats_message&& m);
  void listen();
  void arrived(nats_message&& m);
  void begin(job_ptr j);
  bool begin_held();
  void changed();
  [[nodiscard]] task<> later(duration pause);
  [[nodiscard]] task<> heartbeats();

  [[nodiscard]] task<> run_delivery(job_ptr j);
  [[nodiscard]] task<> handle(job_ptr j);
  [[nodiscard]] task<bool> settled_before(const job_ptr& j);
  [[nodiscard]] task<bool> count_attempts(const job_ptr& j);
  [[nodiscard]] task<> unknown(job_ptr j);
  [[nodiscard]] task<> start(job_ptr j);
  [[nodiscard]] task<> watch_limit(job_ptr j);
  [[nodiscard]] task<> conclude(job_ptr j);
  [[nodiscard]] task<> store(job_ptr j, outcome o);
  [[nodiscard]] task<> acknowledge(job_ptr j, std::string word);
  [[nodiscard]] task<> return_unstarted(job_ptr j, duration pause);
  [[nodiscard]] task<> note(job_ptr j, char what);
  [[nodiscard]] task<> write_dead_letter(job_ptr j, std::string reason);
  void cancel_run(const job_ptr& j) noexcept;
  static void tell_progress(const std::weak_ptr<remote>& place, const job_ptr& j, double done);
  [[nodiscard]] std::int64_t server_now_ns() const noexcept;
  [[nodiscard]] task<> learn_server_clock();

  void told_cancel(const nats_message& m);
  void asked_status(const nats_message& m);
  void asked_who(const nats_message& m);

  /// Weak: the engine's tasks keep this object, and must not keep the engine's runtime.
  const std::weak_ptr<remote> place_;
  engine& engine_;
  const worker_options options_;
  class runtime& loops_;
  std::vector<source> sources_;  // the highest class first
  duration ack_wait_{};
  std::int64_t clock_offset_ns_ = 0;  // the server's clock against ours
  int free_ = 0;                      // slots; negative: more jobs run than there are slots
  int storing_ = 0;                   // outcomes that could not be stored yet
  bool draining_ = false;
  bool stopped_ = false;
  bool left_over_ = false;   // some job was not waited for
  pull* pulling_ = nullptr;  // one at a time
  std::deque<job_ptr> held_;
  std::unordered_map<std::string, job_ptr> active_;  // by acknowledgement
  std::deque<promise<void>> taking_back_;
  event changed_;
  std::vector<std::uint64_t> subscriptions_;
  time_point drain_end_ = time_point::max();
};

}  // namespace heddle::cluster::detail
