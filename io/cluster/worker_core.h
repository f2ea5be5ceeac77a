// SPDX-License-Identifier: MIT
// Internal to io.
// worker_core: what a worker does, on the loop of its engine. The jobs themselves run on the loops
// of the runtime that serves.
//
// A delivery's way: arrived() -> a slot, or held -> run_delivery(): is there an outcome? how many
// attempts (worker_attempts.cpp)? is it too late? do we know it? -> start() on the user's loops ->
// conclude(): retry, or store the outcome -> acknowledge -> the slot is free.
#pragma once

#include <heddle/core/future.h>
#include <heddle/io/cluster.h>
#include <heddle/io/cluster/remote.h>
#include <heddle/io/cluster/running.h>
#include <heddle/sched/create_task.h>
#include <heddle/sync/mutex.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace heddle::cluster::detail {

/// The pause before a question to the server is asked again.
inline constexpr duration retry_questions = std::chrono::milliseconds(50);

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
  job_history before;  // what was before this delivery

  /// With this attempt.
  [[nodiscard]] job_history history(const std::string& worker) const {
    auto now = before;
    ++now.attempts;
    now.workers.push_back(worker);
    return now;
  }
  time_point noted{};  // when its start was noted last
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
    int share = 1;  // that the server may owe us: more where jobs come often
    int owed = 0;   // jobs that it still may send without being asked
    time_point owed_until{};
  };
  /// A pull of what is there, until it has ended.
  struct pull {
    int left;
    std::size_t came = 0;
    promise<void> over = {};
  };

  /// While it is begun, nothing new is pulled: what must be stored first is not stored yet.
  class storing_late {
   public:
    explicit storing_late(worker_core& w) noexcept : w_(w) {}
    storing_late(const storing_late&) = delete;
    ~storing_late() {
      if (!begun_) return;
      --w_.storing_;
      w_.changed();
    }
    void begin() noexcept {
      if (!std::exchange(begun_, true)) ++w_.storing_;
    }

   private:
    worker_core& w_;
    bool begun_ = false;
  };

  /// What lasts as long as run(): subscriptions, and places in the engine's lists.
  class connected;

  [[nodiscard]] task<> prepare();
  [[nodiscard]] task<> make_consumers();
  [[nodiscard]] task<> finish();
  [[nodiscard]] bool may_pull() const noexcept {
    return free_ > 0 && storing_ == 0 && !draining_ && engine_.is_ready();
  }
  [[nodiscard]] task<> pull_loop();
  [[nodiscard]] task<bool> sweep();
  [[nodiscard]] task<std::size_t> pull_now(source& s, int most);
  void ask_for_more(source& s);
  [[nodiscard]] int more_of(const source& s) const noexcept;
  void subscribe_waiting(source& s);
  void forget_owed(source& s);
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
  [[nodiscard]] task<> learn_history(job_ptr j);
  [[nodiscard]] task<bool> count_attempts(job_ptr j);
  [[nodiscard]] task<> lose(job_ptr j);
  [[nodiscard]] task<bool> is_late(job_ptr j);
  [[nodiscard]] task<> unknown(job_ptr j);
  [[nodiscard]] task<> start(job_ptr j);
  [[nodiscard]] task<> watch_limit(job_ptr j);
  [[nodiscard]] task<> conclude(job_ptr j);
  [[nodiscard]] task<bool> store(job_ptr j, outcome o);
  [[nodiscard]] task<> store_cancelled(job_ptr j);
  [[nodiscard]] task<> acknowledge(job_ptr j, std::string word);
  void acknowledge_again() noexcept;
  [[nodiscard]] task<> return_unstarted(job_ptr j, duration pause);
  [[nodiscard]] task<> note_start(job_ptr j);
  [[nodiscard]] task<> note_end(job_ptr j, char what, job_history h);
  [[nodiscard]] task<bool> note(job_ptr j, char what, std::string text);
  /// The guard is let go of before the worker whose mutex it holds.
  struct turn_held {
    std::shared_ptr<worker_core> of;
    mutex::guard turn;
  };
  [[nodiscard]] static task<> keep_turn(turn_held turn, duration most);
  [[nodiscard]] task<> write_dead_letter(job_ptr j, std::string reason);
  void cancel_run(const job_ptr& j) noexcept;
  static void tell_progress(const std::weak_ptr<remote>& place, const job_ptr& j, double done);
  [[nodiscard]] std::int64_t server_now_ns() const noexcept;
  [[nodiscard]] task<bool> learn_server_clock();

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
  std::int64_t clock_offset_ns_ = 0;  // the server's clock against ours, which is steady
  time_point clock_learned_{};        // when
  int free_ = 0;                      // slots; negative: more jobs run than there are slots
  int storing_ = 0;                   // outcomes that could not be stored yet
  bool draining_ = false;
  bool stopped_ = false;
  bool left_over_ = false;   // some job was not waited for
  pull* pulling_ = nullptr;  // one at a time
  std::deque<job_ptr> held_;
  std::unordered_map<std::string, job_ptr> active_;  // by acknowledgement
  std::deque<promise<void>> taking_back_;
  /// Acknowledgements that may be lost with the connection, each with its number. The server takes
  /// what it gets in order, so the answer to a later question confirms all before it.
  std::deque<std::pair<std::uint64_t, std::string>> unsure_;
  std::uint64_t acks_sent_ = 0;
  event changed_;
  event busy_;         // there is a job to beat for
  mutex last_chance_;  // jobs begin their last attempts one after the other
  time_point drain_end_ = time_point::max();
};

}  // namespace heddle::cluster::detail
