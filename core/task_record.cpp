// SPDX-License-Identifier: MIT
#include <heddle/core/task_record.h>

#include <heddle/core/errors.h>
#include <heddle/core/executor_hooks.h>
#include <heddle/core/task.h>
#include <heddle/core/thread_state.h>
#include <heddle/core/world.h>

#include <cstddef>
#include <memory>
#include <mutex>

namespace heddle::detail {

// Protocol SLAB. Records are carved from chunks that are never given back, so that a late look at a word, or a scan, always meets a
// record; a word's generation tells whether it is still the same life. Free records travel by MAGAZINE.
struct record_slab {
  static constexpr std::uint32_t batch = 64;
  struct chunk {
    chunk* next;
    alignas(64) std::byte memory[batch * sizeof(task_record)];
    task_record* at(std::uint32_t i) noexcept {
      return std::launder(reinterpret_cast<task_record*>(memory + i * sizeof(task_record)));
    }
  };

  magazine_depot<record_links> depot;
  atomic<chunk*> chunks{nullptr};

  eventual* carve() {
    auto* fresh = new chunk;
    eventual* list = nullptr;
    for (std::uint32_t i = batch; i-- > 0;) {
      auto* r = ::new (static_cast<void*>(fresh->memory + i * sizeof(task_record))) task_record;
      record_links::next(r) = list;
      list = r;
    }
    fresh->next = chunks.load(relaxed);
    while (!chunks.compare_exchange_weak(fresh->next, fresh, release,
                                         relaxed)) {  // pairs with scan_all()
    }
    return list;
  }

  static task_record* allocate() {
    auto& own = this_thread().records;
    if (auto* r = own.pop()) [[likely]]
      return static_cast<task_record*>(r);
    return refill();
  }
  HEDDLE_COLD static task_record* refill();
};

namespace {
constinit record_slab slab;
atomic<kernel_canceller> ask_kernel{nullptr};
atomic<unretrieved_reporter> reporter{nullptr};
}  // namespace

task_record* record_slab::refill() {
  const uninterrupted alone;
  flush_caches_at_thread_exit();
  auto& own = this_thread().records;
  if (!own.refill(slab.depot, batch)) own.fill(slab.carve(), batch);
  return static_cast<task_record*>(own.pop());
}

magazine_depot<record_links>& process_records() noexcept { return slab.depot; }

task_record* task_record::make(enum kind what, const eventual_ops& ops, std::uint32_t refs,
                               std::source_location made) {
  auto* r = record_slab::allocate();
  r->resume_ = 0;
  r->wait_.store(0, relaxed);
  r->home_.store(nullptr, relaxed);
  const auto place = std::bit_cast<std::uintptr_t>(made);
  r->extra_.store(place ? place | place_tag : 0, relaxed);
  r->next_ = nullptr;
  r->reset(what, ops, refs);
  return r;
}

// Without an extra block its second line is left alone, which another loop may have: make() writes there without having read it.
void task_record::recycle() noexcept {
  if ((flags_.load(relaxed) & has_extra) != 0) [[unlikely]] {
    delete extra_if_any();
    extra_.store(0, relaxed);  // nobody has a reference; a scan that gets one gets it from reset()
  }
  auto& own = this_thread().records;
  if (!own.push(this, record_slab::batch)) [[unlikely]]
    own.spill(slab.depot, record_slab::batch);
}

task_extra& task_record::extra() {
  auto bits = extra_.load(acquire);  // pairs with the exchange below
  if (auto* e = extra_in(bits)) return *e;
  auto fresh = std::make_unique<task_extra>();
  fresh->made = std::bit_cast<std::source_location>(bits & ~place_tag);
  if (extra_.compare_exchange_strong(bits, reinterpret_cast<std::uintptr_t>(fresh.get()), acq_rel,
                                     acquire)) {
    flags_.fetch_or(has_extra, relaxed);  // for recycle(), after our reference is dropped
    return *fresh.release();
  }
  return *extra_in(bits);  // it only ever changes from a place to a block
}

std::string task_record::name() {
  static constinit atomic<std::uint64_t> next_number{1};
  auto& x = root().extra();
  const std::lock_guard hold(x.lock);
  if (x.name.empty()) {
    world* w = this_world();  // there, so that a seed gives the same names each time
    x.name = "task-" + std::to_string(w ? w->number_of(root()) : next_number.fetch_add(1, relaxed));
  }
  return x.name;
}

// Protocol STRAND. A child of fork_join runs under its task's record. When it really suspends it needs a word of its own: it takes an
// unnamed record, rewrites the record pointers of its own frames (task.cpp), and is listed with the task, so that a cancellation of
// the task reaches it. The list's lock is a leaf lock: inside it only words are changed.
//
// Exactly once. What was asked of the task before the strand was listed is standing in the word of the record that the strand ran under
// (must), and the strand takes it over when it is listed; what is asked later finds it in the list. Both would be a cancellation
// delivered twice, neither a lost one, so the two sides agree on an order:
//   the strand      lock(list); link; set `strands` in the task's word; must -> cancel itself; unlock
//   the canceller   one compare-exchange that fails if `strands` is set: it precedes the strand's set, which sees the must it made, and it
//                   never looks at the list. Otherwise lock(list); cancel the task; cancel each strand; unlock: the strand was listed
//                   before that, and saw none of it, or is listed after it, and sees all of it.
// A strand inside a strand that has a record ran under that one, which was itself in the list: it takes over from there. `strands` is set
// by then.
// A join that fails does the same: failed; set `troubled` in the task's word; lock(list); cancel its strands; unlock. A strand that finds
// the failure when it is listed cancels itself and is marked: it knows.
task_record* task_record::make_strand(promise_base& first) {
  static constexpr eventual_ops ops{[](eventual& self) noexcept {
                                      auto& r = static_cast<task_record&>(self);
                                      auto* root = r.strand().root;
                                      r.recycle();
                                      root->unref();
                                    },
                                    nullptr, nullptr};
  task_record& under = first.enclosing();
  task_record& task = under.root();
  auto& shared = task.extra().strands;
  auto* r = make(kind::strand, ops, 1);
  r->joiners_.store(reinterpret_cast<std::uintptr_t>(first.end), relaxed);
  r->belongs_to(task.runtime());
  r->home_.store(task.home(), relaxed);
  if (task.is_pinned()) r->pin();
  task.ref();
  auto* part = ::new (static_cast<void*>(r->storage_)) strand_part{&task, nullptr, nullptr};
  shared.lock.lock();
  part->next = shared.head;
  if (part->next) part->next->strand().prev = r;
  shared.head = r;
  const auto before = task.word_.set_flag(word::strands);
  if (under.word_.load() & word::must) (void)r->word_.cancel();
  if ((before & word::troubled) && strand_abandoned(first)) {
    r->flags_.fetch_or(knows, relaxed);
    (void)r->word_.cancel();
  }
  shared.lock.unlock();
  return r;
}

on_cancel task_record::cancel_with_strands(work_list& todo) noexcept {
  auto& shared = extra_if_any()->strands;  // who set the flag made it
  shared.lock.lock();
  const auto owed = word_.cancel();
  if (owed != on_cancel::no)
    for (auto* r = shared.head; r; r = r->strand().next) (void)todo.cancel(*r);
  shared.lock.unlock();
  return owed;
}

void task_record::retire_strand() noexcept {
  auto& part = strand();
  auto& shared = part.root->extra_if_any()->strands;
  shared.lock.lock();
  if (part.prev)
    part.prev->strand().next = part.next;
  else
    shared.head = part.next;
  if (part.next) part.next->strand().prev = part.prev;
  shared.lock.unlock();
  unref();
}

void task_record::scan_all(void (*see)(void*, task_record&), void* f) {
  const uninterrupted alone;  // how many records there are no seed decides
  for (auto* c = slab.chunks.load(acquire); c; c = c->next)  // pairs with carve()
    for (std::uint32_t i = 0; i < record_slab::batch; ++i)
      if (auto* r = c->at(i); r->try_ref()) {
        see(f, *r);
        r->unref();
      }
}

void throw_cancelled(task_record& t) {
  if (auto* e = t.root().extra_if_any()) {
    e->lock.lock();
    std::string message = e->message;
    e->lock.unlock();
    throw cancelled_error(std::move(message));
  }
  throw cancelled_error();
}

void set_kernel_canceller(kernel_canceller f) noexcept {
  ask_kernel.store(f, release);
}  // pairs with cancel_in_kernel
void cancel_in_kernel(std::uint16_t runtime, kernel_op op) noexcept {
  if (auto* f = ask_kernel.load(acquire)) f(runtime, op);
}

void set_unretrieved_reporter(unretrieved_reporter f) noexcept {
  reporter.store(f, release);
}  // pairs with report
void report_unretrieved(eventual& what, const std::exception_ptr& error) noexcept {
  // It lives once more: whoever is told may keep a handle. The last one drops it again, and then it is retrieved.
  what.mark_retrieved();
  what.ref();
  if (auto* f = reporter.load(acquire)) f(what.runtime(), what, error);
  what.unref();
}

}  // namespace heddle::detail
