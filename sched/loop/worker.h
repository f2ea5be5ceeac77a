// SPDX-License-Identifier: MIT
// Internal to sched.
// A loop from inside. Not a public header.
//
// What runs next is decided in the places of this list and nowhere else. They stand in the order in
// which a task comes to them. Their numbers stand in policy.h.
//   launch (spawn.h)            a new task goes to the end of its creator's queue, or to its loop
//   worker::schedule            which queue of which loop a task enters that became ready
//   worker::send_movable        a movable task from a foreign thread: which loop is woken for it
//   reschedule, give_way        a task that hands the processor over goes to the end of its queue
//   step_took_long (budget.h)   when a task that never waits has to do so
//   worker::run_first_step      an eager task runs within create_task
//   worker::run_awaited         an awaited child that would come next runs within the await
//   join_block                  protocol FORK: which child follows a fork, or the end of a child
//   worker::take_turns          a loop's round: a step, else a look, else a search, else sleep
//   worker::run_next            in which order the loop serves its own queues
//   worker::housekeep           when inboxes, reactor and timers come between two steps
//   worker::drain_inboxes       how much is taken out of the inboxes at once
//   timers::expire              which timer is next: the earliest, of equal ones that armed first
//   worker::search, glance      which loops a loop without work looks at, and for how long
//   worker::steal_from          what a thief takes: a strand, half of the run queue, or an inbox's
//   worker::leave_alone         which task a thief leaves to its loop at the first look
//   worker::look_for_sleepers   whether a push wakes a sleeping loop
//   idle_set                    LOOK-TWICE and TREE: which sleepers are woken, and how many
//   worker::park                how long a loop without work sleeps
//   worker::rescue_if_hogged    what is taken from a loop that is hogged
#pragma once

#include <heddle/core/base/random.h>
#include <heddle/sched/loop.h>
#include <heddle/sched/loop/awaited.h>
#include <heddle/sched/loop/driver.h>
#include <heddle/sched/loop/fork_state.h>
#include <heddle/sched/loop/group.h>
#include <heddle/sched/loop/inbox.h>
#include <heddle/sched/loop/run_queue.h>
#include <heddle/sched/loop/shared_queue.h>
#include <heddle/sched/loop/timers.h>

#include <thread>
#include <vector>

namespace heddle::detail {

// Who may touch what:
//   ready_ forks_ movable_ slot_ owner and thieves, by their protocols pinned_ anybody pushes, the
//   owner takes
//   local_ and the rest the owner counters written by the owner, read by anybody
class worker final : public loop {
 public:
  worker(runtime& facade, loop_group& group, unsigned index, owned<driver> d, std::uint64_t seed);
  ~worker();

  void start();
  void join();

  // executor
  void schedule(task_record& t) noexcept override;
  void ended(task_record& t) noexcept override;

  /// From anybody: `item` runs on this loop.
  void deliver(work item) noexcept;
  /// The task goes behind all others that are ready here. Owner only.
  HEDDLE_INLINE void push_back(task_record& t) noexcept {
    if (alone_ || t.is_pinned())
      push_local(work(t));
    else
      push_ready(t);
  }
  /// Inboxes, timers and I/O come before the next step. Owner only.
  void look_round() noexcept { steps_left_ = 1; }
  /// Something was pushed here: wakes a loop to steal, if one sleeps and none searches. Owner only.
  void look_for_sleepers() noexcept;
  /// The running task `waiting` awaits `child`. Owner only.
  awaited_now run_awaited(task_record& waiting, task_record& child) noexcept;
  /// The first step of `t` runs here and now, under its own identity and context, on the creator's
  /// stack; the creator goes on when it suspends. Owner only.
  void run_first_step(task_record& t);
  /// A task was made on this loop.
  void count_created() noexcept { bump(created_); }
  /// From now on this loop takes no new tasks and callbacks: the runtime ends. Owner only, like
  /// is_sealed().
  void seal() noexcept { sealed_ = true; }
  [[nodiscard]] bool is_sealed() const noexcept { return sealed_; }
  /// Throws usage_error if the runtime has ended, as far as the caller can know.
  void check_open(const char* what) const;
  /// It waits in a callback for something that only comes from outside; nobody is to take it for
  /// hogged. Owner only.
  void stands_still(bool yes) noexcept;
  /// Its steps are looked at one by one: debug mode.
  void watch(bool on) noexcept { watched_.store(on, relaxed); }
  [[nodiscard]] bool is_watched() const noexcept { return watched_.load(relaxed); }
  /// Callbacks that never got their turn. After the loop has ended.
  void drop_leftovers() noexcept;
  /// Makes it look at everything soon, if it sleeps. From anybody.
  void wake() noexcept;
  /// Wakes a loop to search if one sleeps and none searches: a look without a fence. Owner only.
  void wake_if_wanted() noexcept;
  /// A timer armed here from another thread, or by a rescuer, is earlier than what it sleeps for.
  void timer_moved_up() noexcept { wake(); }

  [[nodiscard]] timers& own_timers() noexcept { return timers_; }
  [[nodiscard]] driver& own_driver() noexcept { return *driver_; }
  [[nodiscard]] loop_group& group() const noexcept { return *state_; }
  [[nodiscard]] loop_stats stats() const noexcept;
  [[nodiscard]] std::uint64_t created() const noexcept { return created_.load(relaxed); }
  /// Read first, it makes all creations visible that came before the ends it counts: of these
  /// tasks, and by these tasks.
  [[nodiscard]] std::uint64_t finished() const noexcept {
    return finished_.load(acquire);  // pairs with ended()
  }
  fork_state& forks() noexcept { return forks_; }

 private:
  HEDDLE_INLINE void push_local(work item) noexcept {
    if (!local_.try_push(item.bits())) [[unlikely]]
      short_.push(item);
  }
  HEDDLE_INLINE void push_ready(task_record& t) noexcept {
    if (!ready_.try_push(&t)) [[unlikely]]
      short_.push(work(t));
  }
  HEDDLE_COLD void take_what_was_short() noexcept;

  enum class sleep_state : std::uint32_t { awake, parked, notified };

  // loop
  callback_handle post(callback* c) override;
  callback_handle post_at(timed_callback* c, time_point when) override;
  void subscribe(occasion when, int number, counted_ptr<handler> what) override;
  bool unsubscribe(occasion when, int number) override;
  static void time_has_come(timer_node& node, work_list&) noexcept;

  void main();
  template <class Overtaken>
  void take_turns(Overtaken overtaken);
  // Policy, each on one screen: in worker.cpp what runs next, in search.cpp what is done when there
  // is nothing.
  [[nodiscard]] bool run_next();
  void housekeep(bool idle);
  enum class search_result { found, nothing, refused };
  [[nodiscard]] search_result search();
  [[nodiscard]] bool glance();
  void park(bool searched);
  // Mechanism.
  void run_work(work item);
  void run_task(task_record& t);
  void run_strand(promise_base& strand);
  void run_callback(callback& c);
  void resume(task_record& t);
  HEDDLE_COLD void resume_watched(task_record& t);
  HEDDLE_COLD void run_watched(callback& c);
  [[nodiscard]] bool drain_inboxes();
  [[nodiscard]] bool steal_from(worker& victim, promise_base*& strand);
  [[nodiscard]] bool steal_what_is_private(promise_base*& strand) noexcept;
  [[nodiscard]] bool anything_for_us(bool elsewhere) noexcept;
  [[nodiscard]] bool others_have_work() noexcept;
  [[nodiscard]] bool more_to_find() noexcept;
  void watch_others(time_point now, unsigned window);
  [[nodiscard]] bool rescue_if_hogged(unsigned other, time_point now);
  void stand_down() noexcept;
  void wake(unsigned sleeper) noexcept;
  void wake_searcher() noexcept;
  [[nodiscard]] bool leave_alone(const worker& victim) noexcept;
  [[nodiscard]] bool is_fresh(const worker& other) const noexcept;
  void wake_to_watch() noexcept;
  void send_pinned(task_record& t) noexcept;
  void send_movable(task_record& t) noexcept;
  [[nodiscard]] unsigned poll(duration limit);

  loop_group* state_;
  random_source random_;
  owned<driver> driver_;
  timers timers_;

  run_queue<task_record*> ready_;
  fork_state forks_;
  atomic<task_record*> slot_{nullptr};
  shared_queue movable_;
  inbox pinned_;
  atomic<sleep_state> sleep_{sleep_state::awake};
  atomic<bool> watched_{false};

  // The owner's.
  local_queue<std::uintptr_t> local_;
  linked_work
      short_;  // what local_ and ready_ could not grow for: comes into them as they get room
  std::uint64_t steps_left_ = 1;  // before it looks at everything again
  unsigned slot_streak_ = 0;
  bool searching_ = false;
  bool sealed_ = false;
  bool inside_await_ = false;  // run_awaited or run_first_step is going on
  bool alone_ = true;          // one loop: nobody steals
  bool forks_first_ = true;
  bool time_turn_ = false;      // the next strand begins a turn of forks
  std::size_t queue_turn_ = 0;  // so many steps from the queues come before the next strand
  unsigned spin_ = 0;
  time_point last_poll_{};
  time_point last_watch_{};
  time_point quiet_since_{};
  unsigned lone_skips_ = 0;    // so many lone pushes more wake nobody
  unsigned lone_backoff_ = 0;  // how many it will be after the next wake-up in vain
  std::size_t seen_more_ = 0;  // how much stood beside what was stolen last
  bool left_alone_ = false;    // the last look at others left a lone task to its owner
  struct seen {
    std::uint64_t beat = 0;
    std::uint64_t lone = run_queue<task_record*>::not_alone;  // of its ready_, as we saw it last
    time_point since{};  // when it was last seen to move, or asleep
    bool hogged = false;
  };
  std::vector<seen> neighbours_;
  std::vector<unsigned> hogged_;  // of them
  unsigned watch_next_ = 0;       // before the first of the next window

  alignas(far_apart) atomic<std::uint64_t> beat_{0};  // so many steps it has run
  atomic<std::uint64_t> stolen_{0}, parked_{0}, woken_{0}, polls_{0}, io_events_{0}, rescues_{0},
      created_{0}, finished_{0}, busy_ns_{0}, local_size_{0};
  atomic<std::int64_t> woke_at_{0};  // ns; 0: parked

  std::thread thread_;
  std::size_t virtual_thread_ = 0;  // instead, when it is simulated
};

/// The loop that `thread` is, from inside; nullptr: none.
inline worker* worker_of(const thread_state& thread) noexcept {
  return static_cast<worker*>(static_cast<loop*>(thread.loop));
}
/// The calling loop from inside, or nullptr on a foreign thread.
HEDDLE_NOINLINE worker* this_worker() noexcept;

}  // namespace heddle::detail
