// SPDX-License-Identifier: MIT
// Internal to sched.
// A loop from inside: its queues, and the verbs by which other code gives it work.
//
// What runs next is decided in the places of this list and nowhere else. They stand in the order in
// which a task comes to them. Their numbers stand in policy.h.
//   launch (spawn.h)            a new task goes to the end of its creator's queue, or to its loop
//   worker::schedule            which queue of which loop a task enters that became ready
//   worker::send_movable        a movable task from a foreign thread: which loop is woken for it
//   reschedule, give_way        a task that hands the processor over goes to the end of its queue
//   step_took_long              when a task that never waits has to do so (budget.cpp)
//   worker::run_first_step      an eager task runs within create_task
//   worker::run_awaited         an awaited child that would come next runs within the await
//   join_block                  protocol FORK: which child follows a fork, or the end of a child
//   worker::take_turns          a loop's round: a step, else a look, else a search, else sleep
//   worker::run_next            in which order the loop serves its own queues
//   worker::run_next_behind_pause  how many steps come between two looks
//   worker::housekeep           when inboxes, reactor and timers come between two steps
//   worker::drain_inboxes       how much is taken out of the inboxes at once
//   timers::expire              which timer is next: the earliest, of equal ones that armed first
//   worker::search, search_uncounted      where a loop without work looks, and for how long
//   worker::steal_from          what a thief takes: a strand, half of the run queue, or an inbox's
//   worker::defer_steal         which task a thief leaves to its loop at the first look
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
#include <heddle/sched/loop/histogram_cells.h>
#include <heddle/sched/loop/inbox.h>
#include <heddle/sched/loop/loop_trace.h>
#include <heddle/sched/loop/probes.h>
#include <heddle/sched/loop/run_queue.h>
#include <heddle/sched/loop/shared_queue.h>
#include <heddle/sched/loop/timers.h>
#include <heddle/sched/metrics.h>

#include <thread>
#include <vector>

namespace heddle::detail {

/// What a loop measures of itself. Its thread writes; for lags, whoever expires its timers.
struct loop_measures {
  histogram_cells step, latency, lag;
};

// Who may touch what. The "owner" is the thread of this loop.
//   ready_      the owner pushes and pops; thieves take half         RUN-QUEUE, run_queue.h
//   forks_      the owner pushes and pops; thieves take the oldest   SPLIT, deque.h
//   next_slot_  the owner fills and empties it; a rescuer may empty it
//   movable_    any thread pushes; the owner and thieves take        shared_queue.h
//   pinned_     any thread pushes; the owner takes                   INBOX, inbox.h
//   timers_     any thread, under the lock of the timers             timers.h
//   driver_     the owner polls; any thread wakes; rescuers rescue   driver.h
//   sleep_      the owner; wakers turn parked into notified          LOOK-TWICE, idle.h
//   attention_  any thread, atomically
//   counters    (from beat_ to woke_at_) the owner writes, any thread reads
//   told_busy_  readers, by compare-exchange
//   measures_   the owner writes, any thread reads                   measuring.cpp
//   all else    the owner
class worker final : public loop {
 public:
  worker(runtime& facade, loop_group& group, unsigned index, owned<driver> d, std::uint64_t seed);
  ~worker();

  void start();
  void join();

  // executor
  void schedule(task_record& t) noexcept override;
  void ended(task_record& t) noexcept override;

  /// `item` runs on this loop. From any thread.
  void deliver(work item) noexcept;
  /// Puts the task behind all others that are ready on this loop. Owner only.
  HEDDLE_INLINE void push_back(task_record& t) noexcept {
    if (single_loop_ || t.is_pinned())
      push_local(work(t));
    else
      push_ready(t);
  }
  /// Before its next step the loop looks at its inboxes, timers and I/O. Owner only.
  void look_round() noexcept { steps_left_ = 1, steps_behind_ = 0; }
  /// After a push to this loop's run queue: wakes a sleeping loop to steal, if one sleeps and none
  /// searches. Owner only.
  void look_for_sleepers() noexcept;
  /// The running task `waiting` awaits `child`. If `child` is the next thing that this loop would
  /// run, runs its step now, within the await. Owner only.
  awaited_now run_awaited(task_record& waiting, task_record& child) noexcept;
  /// Runs the first step of the eager task `t` now, on the stack of its creator, under its own
  /// identity and context. The creator goes on when `t` suspends. Owner only.
  void run_first_step(task_record& t);
  /// Counts `t`, which was made on this loop by the running code, and records its birth if it is
  /// one to record. Before another thread can reach it. Owner only.
  void count_created(task_record& t) noexcept {
    const auto n = created_.load(relaxed) + 1;
    created_.store(n, relaxed);
    probes::created(&t);
    if (trace_.may_sample(n)) [[unlikely]]
      born(t);
  }
  /// Counts how a task has ended on this loop, if not with a value. Owner only.
  void count_end(outcome how) noexcept { bump(how == outcome::cancelled ? cancelled_ : failed_); }
  /// The runtime ends: from now on this loop takes no new tasks and callbacks. Owner only, like
  /// is_sealed().
  void seal() noexcept { sealed_ = true; }
  [[nodiscard]] bool is_sealed() const noexcept { return sealed_; }
  /// Throws usage_error if the runtime has ended, or if the caller is this loop and it is sealed.
  /// From any thread.
  void check_open(const char* what) const;
  /// True: a callback on this loop blocks until a foreign thread acts. No other loop shall take
  /// this loop for hogged meanwhile. Owner only.
  void stands_still(bool yes) noexcept;
  /// Debug mode: every step is timed, and a slow one is reported. From any thread.
  void watch(bool on) noexcept { attend(attend_slow, on); }
  [[nodiscard]] bool is_watched() const noexcept {
    return (attention_.load(relaxed) & attend_slow) != 0;
  }
  /// Destroys the callbacks that never got their turn. After the loop has ended.
  void drop_leftovers() noexcept;
  /// If this loop sleeps, wakes it, and it looks for work everywhere. From any thread.
  void wake() noexcept;
  /// Wakes a sleeping loop to search, if one sleeps and none searches. Costs one relaxed load if
  /// there is nothing to do (LOOK-TWICE: Cost). Owner only.
  void wake_if_wanted() noexcept;
  /// A timer was armed here by another thread, or by a rescuer, and is now the first. The loop may
  /// sleep for a later one.
  void timer_moved_up() noexcept { wake(); }

  [[nodiscard]] timers& own_timers() noexcept { return timers_; }
  [[nodiscard]] driver& own_driver() noexcept { return *driver_; }
  [[nodiscard]] loop_group& group() const noexcept { return *group_; }
  [[nodiscard]] loop_stats stats() const noexcept;
  /// From any thread. Throws std::bad_alloc.
  [[nodiscard]] loop_metrics measured() const;
  void add_ends_to(task_metrics& sum) const noexcept;
  /// What the watch over stalls looks at. From any thread.
  struct pulse {
    std::uint64_t steps;
    bool is_awake;
    bool is_parked;
    int thread;  // the system's number; 0: the loop has ended, or not begun
  };
  [[nodiscard]] pulse feel() const noexcept {
    // pairs with park() and stands_still(): WATCH-BELL
    const auto sleep = sleep_.load(seq_cst);
    return {beat_.load(relaxed), sleep == sleep_state::awake, sleep == sleep_state::parked,
            thread_number_.load(relaxed)};
  }
  /// The number of the hogged loop whose timers and I/O it serves just now, and 1; 0: none. From
  /// any thread.
  [[nodiscard]] unsigned serves() const noexcept { return serves_.load(relaxed); }
  /// How many steps this loop has run. From any thread.
  [[nodiscard]] std::uint64_t steps() const noexcept { return beat_.load(relaxed); }
  [[nodiscard]] std::uint64_t created() const noexcept { return created_.load(relaxed); }
  /// How many tasks have ended here. A reader that reads this first then sees the creation of these
  /// tasks, and the creations by these tasks, in created().
  [[nodiscard]] std::uint64_t finished() const noexcept {
    // pairs with ended()
    return finished_.load(acquire);
  }
  fork_state& forks() noexcept { return forks_; }
  /// When this loop polled last; time_point(): it has not. Owner only.
  [[nodiscard]] time_point last_poll() const noexcept { return last_poll_; }

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

  template <class>
  friend struct layout_of;
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
  // The policy, each function on one screen. worker.cpp: what runs next. search.cpp: what a loop
  // does when nothing is there to run.
  [[nodiscard]] bool run_next();
  [[nodiscard]] HEDDLE_NOINLINE bool run_next_behind_pause();
  void housekeep(bool idle);
  enum class search_result { found, nothing, refused };
  [[nodiscard]] search_result search();
  [[nodiscard]] bool search_uncounted();
  struct sleep_plan {
    duration limit;
    bool watches;        // the others: a hogged loop is to be found
    bool looks_at_rest;  // when the limit passes
  };
  [[nodiscard]] sleep_plan plan_sleep(time_point t) noexcept;
  void park(bool searched);
  // What is measured: measuring.cpp.
  struct put_counts {
    std::uint64_t local = 0, ready = 0;
  };
  [[nodiscard]] put_counts put_so_far() const noexcept;
  [[nodiscard]] bool run_next_measured();
  void look(bool idle) {
    if (--looks_left_ == 0) [[unlikely]]
      return look_measured(idle);
    housekeep(idle);
  }
  HEDDLE_COLD void look_measured(bool idle);
  void measure_parking(time_point t) noexcept;
  HEDDLE_COLD void measure_awakening(time_point woken) noexcept;
  void start_probe(const put_counts& before, time_point began) noexcept;
  void follow_probe(time_point t) noexcept;
  void pause_at_probe(std::uint64_t ahead) noexcept;
  HEDDLE_COLD bool next_pause_is_look() noexcept;
  bool say_awake() noexcept;
  // Mechanism.
  void run_work(work item);
  void run_task(task_record& t);
  void run_strand(promise_base& strand);
  void attend(std::uint8_t what, bool on) noexcept;
  /// The step of `t`, or each step, is not just resumed: it is watched or recorded.
  [[nodiscard]] bool attends(const task_record& t) const noexcept {
    return ((t.marks() | attention_.load(relaxed)) & attended) != 0;
  }
  HEDDLE_COLD void born(task_record& t) noexcept;
  HEDDLE_COLD void look_at_recording(time_point t) noexcept;
  void count_parked() noexcept {
    bump(parked_);
    probes::parked(index());
  }
  void record_sleep(duration took, time_point t, unsigned events) noexcept;
  void expire_timers(time_point t) noexcept;
  void run_callback(callback& c);
  void resume(task_record& t);
  HEDDLE_COLD void resume_attended(task_record& t);
  HEDDLE_COLD void resume_watched(task_record& t);
  HEDDLE_COLD void run_attended(callback& c);
  void run_recorded(task_record& t);
  HEDDLE_COLD void run_watched(callback& c);
  [[nodiscard]] bool drain_inboxes();
  void count_stolen(const worker& victim, std::uint64_t count) noexcept;
  [[nodiscard]] std::uint64_t busy_ns_told() const noexcept;
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
  [[nodiscard]] bool defer_steal(const worker& victim) noexcept;
  [[nodiscard]] bool is_fresh(const worker& other) const noexcept;
  void wake_to_watch() noexcept;
  void send_pinned(task_record& t) noexcept;
  void send_movable(task_record& t) noexcept;
  [[nodiscard]] unsigned poll(duration limit);

  loop_group* group_;
  random_source random_;
  owned<driver> driver_;
  timers timers_;

  run_queue<task_record*> ready_;
  fork_state forks_;
  atomic<task_record*> next_slot_{nullptr};
  shared_queue movable_;
  inbox pinned_;
  atomic<sleep_state> sleep_{sleep_state::awake};
  // What makes every step special. `attended` is set if one of the others is: it is the mark of a
  // recorded task too, so one test serves both.
  static constexpr std::uint8_t attend_slow = 1;       // debug mode: a slow step is reported
  static constexpr std::uint8_t attend_recording = 2;  // every step is recorded
  static constexpr std::uint8_t attended = task_record::traced_mark;
  atomic<std::uint8_t> attention_{0};

  // The owner's.
  local_queue<std::uintptr_t> local_;
  linked_work short_;             // items that local_ and ready_ had no memory for, until they have
  std::uint64_t steps_left_ = 1;  // before the next pause, which is a look, or for the probe
  std::uint64_t steps_behind_ = 0;  // between that pause and the look; 0: it is the look
  std::uint64_t looks_left_ = 1;    // before the next one that is measured
  unsigned next_slot_streak_ = 0;
  bool searching_ = false;
  bool sealed_ = false;
  bool inside_await_ = false;  // run_awaited() or run_first_step() is on the stack
  bool single_loop_ = true;    // the runtime has one loop: there are no thieves
  bool forks_first_ = true;
  bool time_turn_ = false;      // the next strand begins a turn of forks, which is timed
  std::size_t queue_turn_ = 0;  // so many steps from the queues come before the next strand
  unsigned spin_ = 0;           // rounds that the next search may spin
  /// An item of a queue whose way to its turn is measured (measuring.cpp).
  struct probe {
    bool is_on = false;
    bool in_local = false;     // else in ready_
    std::uint64_t place = 0;   // as the queue counts its items
    std::uint64_t counts = 0;  // so many wake-ups it stands for
    time_point began{};
  };
  probe probe_{};
  owned<loop_measures> measures_;  // nullptr in a simulation
  time_point last_poll_{};
  time_point last_watch_{};
  time_point quiet_since_{};     // when it last saw work come, or another loop move or hogged
  unsigned sole_skips_ = 0;      // so many more pushes of a sole task wake nobody
  unsigned sole_backoff_ = 0;    // how many it will be after the next wake-up in vain
  std::size_t seen_more_ = 0;    // how many pieces of work stood beside the last stolen one
  bool steal_deferred_ = false;  // the last round of a search left a sole task to its owner
  /// What this loop saw of another one at its last look.
  struct seen {
    std::uint64_t beat = 0;
    std::uint64_t sole = run_queue<task_record*>::no_sole_entry;  // in its ready_
    time_point since{};  // when the other loop was last seen to move, or asleep
    bool hogged = false;
  };
  std::vector<seen> neighbours_;
  std::vector<unsigned> hogged_;  // the neighbours that were hogged at the last look
  unsigned watch_next_ = 0;       // the neighbour before the next window

  alignas(far_apart) atomic<std::uint64_t> beat_{0};  // so many steps this loop has run
  atomic<std::uint64_t> stolen_{0}, parked_{0}, woken_{0}, polls_{0}, io_events_{0}, rescues_{0},
      created_{0}, finished_{0}, cancelled_{0}, failed_{0}, busy_ns_{0}, local_size_{0};
  atomic<std::int64_t> woke_at_{0};             // in ns; 0 while the loop is parked
  mutable atomic<std::uint64_t> told_busy_{0};  // the most that stats() has told of busy_ns_
  loop_trace trace_;                            // the owner's

  // For readers from outside, and written as the loop begins: what its thread does just now, and
  // the number that the system gave the thread. Null and 0 once the loop has ended.
  atomic<const thread_state*> thread_state_{nullptr};
  atomic<int> thread_number_{0};
  atomic<unsigned> serves_{0};
  std::thread thread_;
  std::size_t virtual_thread_ = 0;  // in place of thread_ when the runtime is simulated
};

/// The loop that runs on `thread`, or nullptr.
inline worker* worker_of(const thread_state& thread) noexcept {
  return static_cast<worker*>(static_cast<loop*>(thread.loop));
}
/// The loop that runs on the calling thread, or nullptr on a foreign thread. Never inlined: no
/// thread-local address survives a suspension.
HEDDLE_NOINLINE worker* this_worker() noexcept;

}  // namespace heddle::detail
