// SPDX-License-Identifier: MIT
#include <heddle/core/record/task_record.h>

#include <heddle/core/base/thread_state.h>
#include <heddle/core/errors.h>
#include <heddle/core/scheduler.h>
#include <heddle/core/simulated/world.h>
#include <heddle/core/task.h>

#include <cstddef>
#include <memory>
#include <mutex>

namespace heddle::detail {

// Protocol SLAB. Records are carved from chunks that are never given back, so that a late look at a
// word, or a scan, always meets a record; a word's generation tells whether it is still the same
// life. Free records travel by MAGAZINE.
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
  HEDDLE_COLD static void spill() noexcept;
};

namespace {
constinit record_slab slab;
atomic<unretrieved_reporter> reporter{nullptr};
}  // namespace

task_record* record_slab::refill() {
  const uninterrupted guard;
  if (!flush_caches_at_thread_exit()) throw std::bad_alloc();
  auto& own = this_thread().records;
  if (!own.refill(slab.depot, batch)) own.fill(slab.carve(), batch);
  return static_cast<task_record*>(own.pop());
}

void record_slab::spill() noexcept {
  auto& own = this_thread().records;
  if (own.is_asleep() && !flush_caches_at_thread_exit()) return own.flush(slab.depot, batch);
  own.spill(slab.depot, batch);
}

magazine_depot<record_links>& process_records() noexcept { return slab.depot; }

task_record* task_record::make(enum kind what, const eventual_ops& ops, std::uint32_t refs,
                               std::source_location made) {
  auto* r = record_slab::allocate();
  r->resume_ = 0;
  r->wait_.store(nullptr, relaxed);
  r->home_.store(nullptr, relaxed);
  const auto place = std::bit_cast<std::uintptr_t>(made);
  r->extra_.store(place ? place | place_tag : 0, relaxed);
  r->next_ = nullptr;
  r->reset(what, ops, refs);
  return r;
}

// Without an extra block its second line is left alone, which another loop may have: make() writes
// there without having read it.
void task_record::recycle() noexcept {
  if ((flags_.load(relaxed) & has_extra) != 0) [[unlikely]] {
    delete extra_if_any();
    extra_.store(0, relaxed);  // nobody has a reference; a scan that gets one gets it from reset()
  }
  if (!this_thread().records.push(this, record_slab::batch)) [[unlikely]]
    record_slab::spill();
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

void task_extra::set(std::string task_extra::* field, std::string text) noexcept {
  const std::lock_guard hold(lock);
  (this->*field).swap(text);  // what was there goes with the argument, after the unlock
}

std::string task_extra::get(std::string task_extra::* field) {
  const std::lock_guard hold(lock);
  return this->*field;
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

// Protocol STRAND. A child of fork_join runs under the record of what forked it: its task, or a
// strand that has a record. When it really suspends it needs a word of its own: it takes an unnamed
// record, rewrites the record pointers of its own frames (task.cpp), and is listed, so that a
// cancellation reaches it. The list's lock is a leaf lock: inside it only words are changed.
//
// Problem   A cancellation of a task, or of a strand by a scope inside it, and the failure of a
//           join must stop everything below.
// Rejected  To tell every strand of the task and let each find out: a time-out would walk over all
//           other strands. A list for each strand: locks that nest as deep as the forks.
// Chosen    One list for each task, in which all that is below a strand stands directly behind it,
//           with its depth. A strand enters directly behind the record that it ran under, and
//           leaves when nothing is below it, so the order needs no search.
// Promised  Each is told exactly once, and forks pay nothing but the load of their record's word.
//
// Exactly once. What was asked of a record before a strand below it was listed is standing in the
// record's word (must), and the strand takes it over when it is listed; what is asked later finds
// it in the list. If both told it, the strand would be cancelled twice; if neither did, the
// cancellation would be lost. So the two sides agree on an order:
//   the strand lock(list); link; set `strands` in the word it ran under; must -> cancel itself;
//   unlock
//   the canceller one compare-exchange that fails if `strands` is set: it precedes the strand's
//   set, which sees the must it made, and
//                   it never looks at the list. Otherwise lock(list); cancel the record and each
//                   strand behind it; unlock: the strand was listed before that, and saw none of
//                   it, or is listed after it, and sees all of it.
// Only the task or strand itself clears its must, and only when it runs: then nothing is below it.
// A strand without a record that meets must at a fork takes a record first, and so takes the
// cancellation over. Its siblings still find it. A join that fails does the same: failed; one more
// `troubled` in the word that its parent runs under; lock(list); cancel the strands inside; unlock.
// A strand that is listed later finds the failure and cancels itself. A strand that was told from
// above is marked, and is not told again by joins that fail, since most fail because they were told
// too; a new cancellation tells it again. A strand that meets trouble at a fork takes a record,
// whether the trouble is its own or not: it looks up the joins once, and forks below it do not look
// at all. When the failed join is over its parent takes the trouble back.
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
  auto* r = make(kind::strand, ops, 1,
                 std::bit_cast<std::source_location>((under.depth() + 1) * depth_unit));
  r->joiners_.store(reinterpret_cast<std::uintptr_t>(first.end), relaxed);
  r->belongs_to(task.runtime());
  r->home_.store(task.home(), relaxed);
  if (task.is_pinned()) r->pin();
  task.ref();
  auto* part = ::new (static_cast<void*>(r->storage_)) strand_part{&task, nullptr, nullptr};
  if (auto* around = under.extra_if_any(); around && around->innermost) r->enter_scopes(*around);
  shared.lock.lock();
  if (under.kind_ == kind::strand) {
    part->prev = &under;
    part->next = std::exchange(under.strand().next, r);
  } else {
    part->next = std::exchange(shared.head, r);
  }
  if (part->next) part->next->strand().prev = r;
  const auto before = under.word_.set_flag(word::strands);
  if ((before & word::must) || ((before & word::troubled) && strand_abandoned(first))) {
    r->flags_.fetch_or(knows, relaxed);
    (void)r->word_.cancel();  // active: nothing is owed
  }
  shared.lock.unlock();
  return r;
}

// Blocks with a deadline nest through forks (protocol SCOPE).
void task_record::enter_scopes(const task_extra& around) {
  try {
    extra().innermost = around.innermost;
  } catch (...) {
    unref();
    throw;
  }
}

void task_record::tell(work_list& todo) noexcept {
  flags_.fetch_or(knows, relaxed);
  (void)todo.owes(*this, word_.cancel());
}

on_cancel task_record::cancel_with_strands(work_list& todo) noexcept {
  auto& shared = root().extra_if_any()->strands;  // the first strand made it
  shared.lock.lock();
  const auto owed = word_.cancel();
  const auto own = depth();
  if (owed != on_cancel::no)
    for (auto* r = first_below(); r && r->depth() > own; r = r->strand().next) r->tell(todo);
  shared.lock.unlock();
  return owed;
}

// What is below a strand that is to be told was forked by it, and is inside the same join. What is
// below one that was told before is left to that strand.
void task_record::cancel_abandoned(work_list& todo, bool (*inside)(void* join)) noexcept {
  auto& shared = root().extra_if_any()->strands;
  shared.lock.lock();
  const auto own = depth();
  for (auto* r = first_below(); r && r->depth() > own;) {
    const bool tells = (r->flags_.load(relaxed) & knows) == 0 && inside(r->strand_join());
    const auto top = r->depth();
    do {
      if (tells && (r->flags_.load(relaxed) & knows) == 0) r->tell(todo);
      r = r->strand().next;
    } while (r && r->depth() > top);
  }
  shared.lock.unlock();
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

// The runtime is looked at before a reference is taken, since a record keeps its type: so who looks
// for one runtime's records touches those of no other, but for one that changes hands at this
// moment.
void task_record::scan_all(void (*see)(void*, task_record&), void* f, std::uint16_t runtime) {
  const uninterrupted guard;  // how many records there are no seed decides
  for (auto* c = slab.chunks.load(acquire); c; c = c->next)  // pairs with carve()
    for (std::uint32_t i = 0; i < record_slab::batch; ++i) {
      auto* r = c->at(i);
      if ((runtime != 0 && r->runtime() != runtime) || !r->try_ref()) continue;
      struct held {
        task_record& r;
        ~held() {  // also when `see` throws
          if (!r.unref_unless_last()) drop_at_home(r);
        }
      } const its{*r};
      if (runtime == 0 || r->runtime() == runtime) see(f, *r);
    }
}

void throw_cancelled(task_record& t) {
  auto* e = t.root().extra_if_any();
  if (!e) throw cancelled_error();
  std::string message;
  try {
    message = e->get(&task_extra::message);
  } catch (const std::bad_alloc&) {}  // to be cancelled is more than to know why
  throw cancelled_error(std::move(message));
}

void set_unretrieved_reporter(unretrieved_reporter f) noexcept {
  reporter.store(f, release);
}  // pairs with report
void report_unretrieved(eventual& what, const std::exception_ptr& error) noexcept {
  // It lives once more: whoever is told may keep a handle. The last one drops it again, and then it
  // is retrieved.
  what.mark_retrieved();
  what.ref();
  if (auto* f = reporter.load(acquire)) f(what.runtime(), what, error);
  what.unref();
}

}  // namespace heddle::detail
