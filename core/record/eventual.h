// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// Whatever ends once (a task, a future, a gathering): its word, its references, and its joiners,
// which wait for its end.
//
// Protocol JOIN.
//
// Problem   A joiner may come while its target ends. Suppose the end looks at the list before the
//           joiner is in it, and the joiner looks at the word before that is done. Then the joiner
//           waits for ever. If both sides act on the end, the joiner is fired twice.
// Chosen    joiners_ is the head of a list, with two bits: locked, closed. Four steps are seq_cst,
//           and so have one order. The ending thread makes the word done, then looks at the list.
//           The joiner takes the lock, then looks at the word. So the end sees the lock (and waits
//           for it), or the joiner sees the end.
//             add     take the lock bit; closed or done -> refuse; else link; release
//             remove  take the lock bit; unlink if linked; release
//             close   the thread that made the word done. An empty list -> nothing to do; else take
//                     the lock bit, fire each node in the order of adding, release as closed
// Promised  A node is fired exactly once or removed, never both: both happen under the lock bit.
// Cost      One locked operation to add or to remove; a load for an end that nobody waits for.
// Lock      Firing may take the lock of the object that a node belongs to (a gathering, a wait). So
//           nobody takes a joiner lock while holding such an object's lock.
#pragma once

#include <heddle/core/base/assert.h>
#include <heddle/core/base/runtime_number.h>
#include <heddle/core/record/word.h>

#include <cstdint>

namespace heddle::detail {

class eventual;
class work_list;

/// A joiner: one entry in an eventual's list. Lives in the waiter's frame or in a counted block.
struct join_node {
  using fire_function = void (*)(join_node& node, eventual& target, work_list& todo) noexcept;

  explicit join_node(fire_function f) noexcept : fire(f) {}
  join_node(const join_node&) = delete;
  join_node& operator=(const join_node&) = delete;

  union {
    join_node* prev = nullptr;          // while it is linked
    void (*then)(join_node&) noexcept;  // once it has fired: see work_list::afterwards()
  };
  join_node* next = nullptr;
  fire_function fire;   // called once, under the target's joiner lock, after the target is done
  bool linked = false;  // under the target's joiner lock
};

enum class kind : std::uint8_t { task, strand, future, gathering };

struct eventual_ops {
  /// The last reference is gone: destroys the result, frees the memory.
  void (*drop)(eventual& self) noexcept;
  /// Gatherings: asks every target to cancel; true if one of them took the cancellation.
  bool (*forward)(eventual& self, work_list& todo) noexcept;
  /// Gatherings: the last child ended while the word was frozen, so the thread that thaws the word
  /// ends the gathering by this. Futures: one was cancelled and its joiners were fired; this does
  /// the rest of its end. No lock is held. May be null.
  void (*finish)(eventual& self, work_list& todo) noexcept;
};

// Who may touch what:
//   word_     anyone, atomically
//   joiners_  protocol JOIN. A strand has no joiners: there the field holds the join that it
//             reports to. In a free record the owner of the batch links the next batch by it
//   refs_     anyone, atomically. So are flags_ and runtime_
//   ops_      the maker, before others can reach the eventual; then constant. So is kind_
//   next_     whoever must schedule or settle it; when the memory is free, the cache that has it
class eventual {
 public:
  eventual(const eventual&) = delete;
  eventual& operator=(const eventual&) = delete;

  [[nodiscard]] bool done() const noexcept { return word::done(word_.load()); }
  [[nodiscard]] outcome how_ended() const noexcept { return word::result(word_.load()); }
  [[nodiscard]] task_word& state() noexcept { return word_; }
  [[nodiscard]] const task_word& state() const noexcept { return word_; }
  [[nodiscard]] kind what() const noexcept { return kind_; }
  /// The short number (runtime_number.h). 0 until it is set: a scan may meet a record that is just
  /// being made.
  [[nodiscard]] std::uint16_t runtime() const noexcept { return runtime_.load(relaxed); }
  void belongs_to(std::uint16_t runtime) noexcept { runtime_.store(runtime, relaxed); }

  void ref() noexcept { refs_.fetch_add(1, relaxed); }
  void unref(std::uint32_t count = 1) noexcept {
    // The last one sees what the others did. pairs with the other unref() calls
    if (refs_.fetch_sub(count, acq_rel) == count) {
      const uninterrupted drop;  // a scan of all records may be the last one, in whatever world
      ops_->drop(*this);
    }
  }
  /// Drops a reference, unless it is the last one: then it returns false and keeps it. The caller
  /// owns the eventual then, and has seen what the others did before they let go of it.
  [[nodiscard]] bool unref_unless_last() noexcept {
    // pairs with unref(), and with the exchange below in other threads
    auto n = refs_.load(acquire);
    while (n != 1)
      // pairs with unref(), and with the load above in other threads
      if (refs_.compare_exchange_weak(n, n - 1, release, acquire)) return true;
    return false;
  }
  /// Takes a reference, unless there is none: for scans, which find records without one.
  [[nodiscard]] bool try_ref() noexcept {
    auto n = refs_.load(relaxed);
    while (n != 0)
      // pairs with reset()
      if (refs_.compare_exchange_weak(n, n + 1, acquire, relaxed)) return true;
    return false;
  }

  /// Links `node` if `begin`, which runs under the joiner lock, returns true. False: this is done,
  /// or `begin` refused.
  template <class Begin>
  [[nodiscard]] bool add_joiner(join_node& node, Begin&& begin) noexcept {
    auto* head = lock_joiners();
    if (head == closed_list() || word_.done_in_order() || !begin()) {
      unlock_joiners(head);
      return false;
    }
    node.prev = nullptr;
    node.next = head;
    node.linked = true;
    if (head) head->prev = &node;
    unlock_joiners(&node);
    return true;
  }
  [[nodiscard]] bool add_joiner(join_node& node) noexcept {
    return add_joiner(node, [] { return true; });
  }
  /// True: the node was still linked and will never fire. False: it has fired (or was never added).
  bool remove_joiner(join_node& node) noexcept;
  /// The end: fires all joiners. Called exactly once, by the thread that made the word done.
  void close_joiners(work_list& todo) noexcept {
    // pairs with lock_joiners()
    if (joiners_.load(seq_cst) != 0) fire_joiners(todo);
  }

  /// Its error was seen by somebody: nothing is reported when it is dropped.
  void mark_retrieved() noexcept {
    if (!is_retrieved()) flags_.fetch_or(retrieved, relaxed);
  }
  [[nodiscard]] bool is_retrieved() const noexcept {
    return (flags_.load(relaxed) & retrieved) != 0;
  }

 protected:
  eventual() = default;
  ~eventual() = default;

  void reset(kind what, const eventual_ops& ops, std::uint32_t refs) noexcept {
    word_.reset();
    joiners_.store(0, relaxed);
    kind_ = what;
    flags_.store(0, relaxed);
    runtime_.store(0, relaxed);
    ops_ = &ops;
    // pairs with try_ref(): a scan that gets a reference sees all of the above
    refs_.store(refs, release);
  }

  static constexpr std::uint8_t retrieved = 1;
  static constexpr std::uint8_t pinned = 2;
  static constexpr std::uint8_t in_round = 4;      // of shutdown
  static constexpr std::uint8_t told_to_stop = 8;  // strands: from above (STRAND)
  static constexpr std::uint8_t spared = 16;
  static constexpr std::uint8_t has_extra = 32;  // tasks and strands: there is one to delete
  static constexpr std::uint8_t foreign = 64;
  static constexpr std::uint8_t traced = 128;  // tasks and strands: their steps are recorded

  task_word word_;
  atomic<std::uintptr_t> joiners_{0};
  atomic<std::uint32_t> refs_{0};
  atomic<std::uint16_t> runtime_{0};
  kind kind_ = kind::task;
  atomic<std::uint8_t> flags_{0};
  const eventual_ops* ops_ = nullptr;
  eventual* next_ = nullptr;

 private:
  friend class owed_list;
  friend class work_list;
  friend struct record_links;
  template <class>
  friend struct layout_of;

  static constexpr std::uintptr_t lock_bit = 1;
  static constexpr std::uintptr_t closed_bit = 2;
  static join_node* closed_list() noexcept { return reinterpret_cast<join_node*>(closed_bit); }

  join_node* lock_joiners() noexcept {
    auto bits = joiners_.load(relaxed) & ~lock_bit;
    // pairs with unlock_joiners() and close_joiners()
    if (joiners_.compare_exchange_strong(bits, bits | lock_bit, seq_cst, relaxed)) [[likely]]
      return reinterpret_cast<join_node*>(bits);
    return lock_joiners_slow();
  }
  HEDDLE_COLD join_node* lock_joiners_slow() noexcept;
  HEDDLE_NOINLINE void fire_joiners(work_list& todo) noexcept;
  void unlock_joiners(join_node* head) noexcept {
    // pairs with lock_joiners()
    joiners_.store(reinterpret_cast<std::uintptr_t>(head), release);
  }
};

static_assert(sizeof(eventual) == 40);

/// How free records are linked (protocol SLAB, task_record.cpp): through fields that no late look
/// reads.
struct record_links {
  static constexpr std::uint32_t batch = 64;
  // The type that next_ has: a reference to it under another name would break aliasing rules.
  using block = eventual;
  static block*& next(block* r) noexcept { return r->next_; }
  static block* next_batch(block* r) noexcept {
    return reinterpret_cast<block*>(r->joiners_.load(relaxed));
  }
  static void set_next_batch(block* r, block* b) noexcept {
    r->joiners_.store(reinterpret_cast<std::uintptr_t>(b), relaxed);
  }
};

}  // namespace heddle::detail
