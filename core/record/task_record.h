// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// The record of a task: its identity. 64 hot bytes, 96 in all, in memory that keeps its type for
// the life of the process (protocol SLAB, task_record.cpp). A strand has one too once it is
// promoted (protocol STRAND, strand_records.cpp).
#pragma once

#include <heddle/core/memory/memory.h>
#include <heddle/core/record/context_slot.h>
#include <heddle/core/record/eventual.h>
#include <heddle/core/scheduler.h>

#include <bit>
#include <exception>
#include <new>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>

namespace heddle::detail {

/// What a suspended task waits in. Lives in the frame of the task.
class wait_base {
 public:
  /// Leaf waits leave their primitive P: lock(P); unlink if linked; unlock. Called by the canceller
  /// that claimed the wait, with no lock held.
  virtual void leave() noexcept {}
  /// Forwarding waits: what a cancellation goes to.
  virtual eventual* target() noexcept { return nullptr; }
  /// Forwarding waits: where the task awaits, as task_record::place_bits() had it when it began.
  [[nodiscard]] virtual std::uintptr_t place_bits() const noexcept { return 0; }
  /// Called by the loop in place of the resumption if task_record::looks_first() was called. The
  /// task is active and current. True: the loop resumes it. False: it waits again, and perhaps runs
  /// elsewhere by now; neither the task nor its frame may be touched.
  virtual bool look_again() noexcept { return true; }
  /// For people: what kind of wait this is ("mutex", "sleep").
  virtual const char* name() const noexcept { return "wait"; }

 protected:
  ~wait_base() = default;
};

/// All strands of a task that took a record of their own. Those below a strand stand directly
/// behind it (protocol STRAND, strand_records.cpp).
struct strand_list {
  spin_lock lock;  // a leaf lock
  task_record* head = nullptr;
};

/// A block with a deadline: the part that core needs (protocol SCOPE, sched/timeout.cpp).
struct scope_link {
  scope_link* outer = nullptr;  // the block around it
};

/// What is rarely used hangs off the record and is made on demand.
struct task_extra : frame_cached {
  /// Puts `text` into `field` (name or message). What allocates or frees memory is done without the
  /// lock.
  void set(std::string task_extra::* field, std::string text) noexcept;
  /// Copies `field` under the lock. Throws std::bad_alloc, and leaves nothing locked.
  [[nodiscard]] std::string get(std::string task_extra::* field);

  spin_lock lock;  // guards name and message
  std::string name;
  std::string message;        // of the latest cancel(message)
  std::source_location made;  // where the task was created; the record held it before
  strand_list strands;
  context_slot context;             // what context variables see
  scope_link* innermost = nullptr;  // the innermost block; only the task or strand touches it
};

// Who may touch what (the fields of eventual: see there):
//   resume_   the task while it is active and runs; else whoever must schedule or run it. In a free
//             record nobody
//   wait_     written by the task before it suspends; read by the canceller that claimed the wait
//   next_     besides its use as a link: the place where the task waits, from suspending() until
//             whoever woke the task links it. A canceller that forwards puts the place back
//   home_     written by the loop that runs the task; relaxed reads from outside
//   extra_    anyone, atomically; it changes once, from a place to a block
//   storage_  the task until it is done, then everybody who saw it done. Until its body ends it
//             holds `creation`. A strand: strand_part, whose links the lock of the task's strand
//             list guards
class alignas(32) task_record final : public eventual {
 public:
  static constexpr std::size_t inline_result = 24;

  /// A fresh record with `refs` references, of what was created at `made`. Cost: a pop from the
  /// thread's cache. Throws std::bad_alloc.
  static task_record* make(kind what, const eventual_ops& ops, std::uint32_t refs,
                           std::source_location made = {});
  /// Gives the memory back. Only from ops.drop, after the result was destroyed.
  void recycle() noexcept;

  void resumes_at(void* frame) noexcept { resume_ = reinterpret_cast<std::uintptr_t>(frame); }
  [[nodiscard]] void* frame() const noexcept {
    return reinterpret_cast<void*>(resume_ & ~(unstarted_tag | looks_tag));
  }
  /// A task's first frame, before its first step: the loop that runs it looks for a cancellation
  /// first.
  void starts_at(void* frame) noexcept {
    resume_ = reinterpret_cast<std::uintptr_t>(frame) | unstarted_tag;
  }
  [[nodiscard]] bool is_unstarted() const noexcept { return (resume_ & unstarted_tag) != 0; }
  /// The loop shall call look_again() of the wait before it resumes the task. Called after
  /// suspending() and before the suspension.
  void looks_first() noexcept { resume_ |= looks_tag; }
  /// The loop has more to do than to resume it: it is unstarted, or its wait looks first.
  [[nodiscard]] bool needs_a_look() const noexcept {
    return (resume_ & (unstarted_tag | looks_tag)) != 0;
  }
  void waits_in(wait_base* w) noexcept { wait_.store(w, relaxed); }
  [[nodiscard]] wait_base* wait() const noexcept { return wait_.load(relaxed); }
  [[nodiscard]] executor* home() const noexcept {
    return home_word::from(home_.load(relaxed)).loop();
  }
  [[nodiscard]] home_word home_bits() const noexcept {
    return home_word::from(home_.load(relaxed));
  }
  /// It makes a step on that loop, or is to make its first one there.
  void at_home(home_word h) noexcept { home_.store(h.bits(), relaxed); }
  void at_home(const executor* e) noexcept { at_home(e->as_home()); }
  [[nodiscard]] bool is_pinned() const noexcept { return (flags_.load(relaxed) & pinned) != 0; }
  void pin() noexcept { flags_.fetch_or(pinned, relaxed); }
  /// A foreign thread made it and may block until it ends: run, submit.
  void mark_foreign() noexcept { flags_.fetch_or(foreign, relaxed); }
  [[nodiscard]] bool is_foreign() const noexcept { return (flags_.load(relaxed) & foreign) != 0; }
  /// Shutdown cancels in rounds, and counts the tasks of a round that have not ended. A task is in
  /// one round only. The mark and the end of a task are two words, so a task that ends while it is
  /// marked may miss the mark: the round looks again now and then.
  [[nodiscard]] bool is_in_round() const noexcept { return (flags_.load(acquire) & in_round) != 0; }
  // pairs with take_out_of_round() and with the acquire loads of the mark
  void put_in_round() noexcept { flags_.fetch_or(in_round, seq_cst); }
  /// True for exactly one caller, which lowers the count of the round.
  [[nodiscard]] bool take_out_of_round() noexcept {
    return (flags_.fetch_and(static_cast<std::uint8_t>(~in_round), seq_cst) & in_round) != 0;
  }
  /// Its end lowers a count: that of a round, or that of what foreign threads wait for.
  [[nodiscard]] bool end_is_counted() const noexcept {
    return (flags_.load(acquire) & (in_round | foreign)) != 0;
  }

  /// Its steps, wake-ups and end are recorded (sched/loop/loop_trace.h), and so are the tasks that
  /// it creates. It stays so until it ends.
  void trace() noexcept { flags_.fetch_or(traced, relaxed); }
  [[nodiscard]] bool is_traced() const noexcept { return (flags_.load(relaxed) & traced) != 0; }
  static constexpr std::uint8_t pinned_mark = pinned;
  static constexpr std::uint8_t traced_mark = traced;
  /// All marks at once, for a loop that asks for several of them by one test.
  [[nodiscard]] std::uint8_t marks() const noexcept { return flags_.load(relaxed); }
  /// A loop has to tell of its end: end_is_counted() or is_traced().
  [[nodiscard]] bool end_is_told() const noexcept {
    return (flags_.load(acquire) & (in_round | foreign | traced)) != 0;
  }

  /// It closes something on behalf of the runtime: shutdown waits for it, but does not cancel it.
  void spare() noexcept { flags_.fetch_or(spared, relaxed); }
  [[nodiscard]] bool is_spared() const noexcept { return (flags_.load(relaxed) & spared) != 0; }

  /// The place of the co_await in which it suspends. It stands in the queue link, which nobody
  /// needs meanwhile.
  void waits_at(std::source_location where) noexcept {
    if constexpr (notes_places) put_place_bits(std::bit_cast<std::uintptr_t>(where) + at_tag);
  }
  /// The same as bits: no bits of another link, and no null link, are the bits of a place.
  [[nodiscard]] std::uintptr_t place_bits() const noexcept { return link(); }
  void put_place_bits(std::uintptr_t bits) noexcept { set_link(bits); }
  static constexpr std::uintptr_t at_tag = 2;
  /// Of a task that waits; line 0: not known. Only where the task cannot run meanwhile.
  [[nodiscard]] std::source_location place() const noexcept {
    const auto bits = (link() & at_tag) != 0 ? link() - at_tag : 0;
    return std::bit_cast<std::source_location>(bits);
  }

  /// The queue link, for whoever must schedule it.
  [[nodiscard]] task_record* next() const noexcept { return static_cast<task_record*>(next_); }
  void set_next(task_record* n) noexcept { next_ = n; }
  /// The same link as bits, for queues that tag it.
  [[nodiscard]] std::uintptr_t link() const noexcept {
    return reinterpret_cast<std::uintptr_t>(next_);
  }
  void set_link(std::uintptr_t bits) noexcept { next_ = reinterpret_cast<eventual*>(bits); }

  /// The extra block; made on first use (thread-safe).
  task_extra& extra();
  [[nodiscard]] task_extra* extra_if_any() const noexcept {
    // pairs with extra()
    return extra_in(extra_.load(acquire));
  }

  /// Where the task was created; line 0: not known.
  [[nodiscard]] std::source_location made() const noexcept {
    // pairs with extra()
    const auto bits = extra_.load(acquire);
    if (auto* e = extra_in(bits)) return e->made;
    return std::bit_cast<std::source_location>(bits & ~place_tag);
  }
  /// The name of the task that it belongs to: the one it was given, or from now on a default one
  /// ("task-7"). Throws std::bad_alloc.
  [[nodiscard]] std::string name();

  void* storage() noexcept { return storage_; }

  /// Strands: the task they belong to; tasks: themselves.
  [[nodiscard]] task_record& root() noexcept {
    return kind_ == kind::strand ? *strand().root : *this;
  }
  /// Calls `see(record)` for every record that lives now, of every runtime or of `runtime` alone. A
  /// reference is held during the call. If all others drop theirs meanwhile, a loop of the record's
  /// own runtime drops this one: a scan never destroys a result. Cost: a look at each record that
  /// there ever was at one time.
  template <class F>
  static void scan(F&& see, std::uint16_t runtime = 0) {
    scan_all([](void* f, task_record& r) { (*static_cast<std::remove_reference_t<F>*>(f))(r); },
             std::addressof(see), runtime);
  }

 private:
  friend struct record_slab;
  friend struct strand_records;
  template <class>
  friend struct layout_of;

  /// In storage_, while there is no result: the task that made this one, for readers.
  struct creation {
    std::uintptr_t creator;    // the record, tagged; 0: none, or a foreign thread
    std::uint32_t generation;  // of the creator
    std::uint32_t stamp;       // when, as home_word has it
    static constexpr std::uintptr_t creator_tag = 1;
  };
  struct strand_part {  // in storage_: a strand needs no place for a result
    task_record* root;
    task_record* prev;
    task_record* next;
  };
  static_assert(sizeof(creation) <= inline_result);
  [[nodiscard]] creation as_creator() const noexcept {
    return {reinterpret_cast<std::uintptr_t>(this) + creation::creator_tag,
            word::generation(word_.peek()), static_cast<std::uint32_t>(home_.load(relaxed))};
  }
  strand_part& strand() noexcept { return *std::launder(reinterpret_cast<strand_part*>(storage_)); }
  /// 0 for a task; for a strand one more than for the record that it was forked under. A strand
  /// keeps it where a task keeps the place of its creation.
  [[nodiscard]] std::uintptr_t depth() const noexcept {
    return kind_ == kind::strand ? std::bit_cast<std::uintptr_t>(made()) / depth_unit : 0;
  }
  static void scan_all(void (*see)(void*, task_record&), void* f, std::uint16_t runtime);

  static constexpr std::uintptr_t unstarted_tag = 1;
  static constexpr std::uintptr_t looks_tag = 2;
  static constexpr std::uintptr_t place_tag = 1;
  static constexpr std::uintptr_t depth_unit = 2;  // above the tag
  static task_extra* extra_in(std::uintptr_t bits) noexcept {
    return (bits & place_tag) ? nullptr : reinterpret_cast<task_extra*>(bits);
  }

  std::uintptr_t resume_ = 0;
  atomic<wait_base*> wait_{nullptr};
  atomic<std::uint64_t> home_{0};  // home_word
  // --- 64 bytes: what follows is cold ---
  // The extra block. Until there is one: tagged, the place where the task was created, a pointer to
  // what the compiler laid down for that call, or null. So the place of every task is known, and no
  // task pays for it.
  atomic<std::uintptr_t> extra_{0};
  alignas(8) std::byte storage_[inline_result];
};

static_assert(sizeof(task_record) == 96);
static_assert(sizeof(std::source_location) == sizeof(std::uintptr_t));
static_assert(alignof(task_record) > task_record::at_tag);

/// Where results are kept: in the record if they are small and move without throwing, else in a
/// block of their own.
template <class T>
struct result_slot {
  static constexpr bool fits = sizeof(T) <= task_record::inline_result && alignof(T) <= 8 &&
                               std::is_nothrow_move_constructible_v<T>;
  static T& get(void* storage) noexcept {
    if constexpr (fits)
      return *std::launder(static_cast<T*>(storage));
    else
      return **static_cast<T**>(storage);
  }
  template <class... Args>
  static void make(void* storage, Args&&... args) {
    if constexpr (fits)
      ::new (storage) T(std::forward<Args>(args)...);
    else
      *static_cast<T**>(storage) = new T(std::forward<Args>(args)...);
  }
  static void destroy(void* storage) noexcept {
    if constexpr (fits)
      std::destroy_at(&get(storage));
    else
      delete &get(storage);
  }
};

inline std::exception_ptr& error_in(void* storage) noexcept {
  return *std::launder(static_cast<std::exception_ptr*>(storage));
}

/// Has `t`, which is active and the caller's to schedule, run again: on its own loop, or on the
/// caller's if `t` is movable. From any thread; takes no lock that a caller may hold.
inline void schedule(task_record& t) noexcept { t.home()->schedule(t); }

/// Throws the cancellation that was just taken from `t`, with its message.
[[noreturn]] HEDDLE_COLD void throw_cancelled(task_record& t);

// --- the code that runs in the calling thread ---

/// The runtime whose code the calling thread runs now; 0 on a foreign thread.
HEDDLE_NOINLINE runtime_number current_runtime_id() noexcept;
/// The slot that context variables are read from here. It is that of the callback or `context::run`
/// that is going on, else of the running task, else the thread's own. Null if there is none, so
/// that nothing is set here; `make`: then one is made. Throws std::bad_alloc if `make`.
[[nodiscard]] HEDDLE_NOINLINE context_slot* current_context(bool make);
/// The map that what is created here begins with; null if nothing is set.
[[nodiscard]] HEDDLE_NOINLINE context_map_ref inherited_context() noexcept;

// How the errors of the library name a task: in one way everywhere. The file is written as the
// compiler was given it, so that a terminal or an editor finds it.

/// "task 'NAME', created at FILE:LINE".
std::string describe_task(task_record& t);
/// " (in task 'NAME', created at FILE:LINE)" of the task whose code runs here; empty outside of
/// tasks.
std::string in_this_task();
/// Throws usage_error, which names the task that made the mistake. Out of line, so that callers
/// stay small.
[[noreturn]] HEDDLE_COLD void throw_usage(const char* what);
[[noreturn]] HEDDLE_COLD void throw_usage(const std::string& what);
/// The same for bad_value.
[[noreturn]] HEDDLE_COLD void throw_bad_value(const std::string& what);

}  // namespace heddle::detail
