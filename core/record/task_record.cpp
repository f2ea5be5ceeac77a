// SPDX-License-Identifier: MIT
#include <heddle/core/record/task_record.h>

#include <heddle/core/base/thread_state.h>
#include <heddle/core/errors.h>
#include <heddle/core/seeing/layout.h>
#include <heddle/core/simulated/world.h>

#include <array>
#include <cstddef>
#include <memory>
#include <mutex>

namespace heddle::detail {

// Protocol SLAB.
//
// Problem   A scan, or a late look at a word, may meet memory whose record was freed. If that
//           memory had become something else, the look would read, and a claim would overwrite,
//           what is not a word.
// Rejected  A list of all tasks: a lock on the fast path. Hazard pointers: they cost each look.
// Chosen    Records are carved from chunks that are never given back, so a look always meets a
//           record. The word's generation tells whether it is still the same life. A scan walks
//           the chunks and takes references (try_ref). Free records travel by MAGAZINE.
// Cost      Memory is bounded by the most records that lived at one time.
// Touch     chunks: grows at its head by compare-exchange, never shrinks; anyone may walk it.
struct record_slab {
  static constexpr std::uint32_t batch = record_links::batch;
  struct chunk {
    chunk* next;
    std::uint64_t number;  // from 0, in the order of carving: records have numbers for people
    alignas(64) std::byte memory[batch * sizeof(task_record)];
    task_record* at(std::uint32_t i) noexcept {
      return std::launder(reinterpret_cast<task_record*>(memory + i * sizeof(task_record)));
    }
  };

  atomic<chunk*> chunks{nullptr};

  eventual* carve() {
    auto* fresh = new chunk;
    eventual* list = nullptr;
    for (std::uint32_t i = batch; i-- > 0;) {
      auto* r = ::new (static_cast<void*>(fresh->memory + i * sizeof(task_record))) task_record;
      record_links::next(r) = list;
      list = r;
    }
    // pairs with the exchange below: the number of that chunk is read
    fresh->next = chunks.load(acquire);
    do {
      fresh->number = fresh->next ? fresh->next->number + 1 : 0;
      // pairs with scan_all(), and with the same of other threads
    } while (!chunks.compare_exchange_weak(fresh->next, fresh, acq_rel, acquire));
    return list;
  }

  static task_record* allocate(magazine<record_links>& own) {
    if (auto* r = own.pop()) [[likely]]
      return static_cast<task_record*>(r);
    return refill();
  }
  HEDDLE_COLD static task_record* refill();
  HEDDLE_COLD static void spill() noexcept;
};

namespace {
constinit record_slab slab;
}  // namespace

task_record* record_slab::refill() {
  const uninterrupted refilling;
  if (!flush_caches_at_thread_exit()) throw std::bad_alloc();
  auto& own = this_thread().records;
  if (!own.refill(process_records(), batch)) own.fill(slab.carve(), batch);
  return static_cast<task_record*>(own.pop());
}

void record_slab::spill() noexcept {
  auto& own = this_thread().records;
  if (own.is_asleep() && !flush_caches_at_thread_exit()) return own.flush(process_records(), batch);
  own.spill(process_records(), batch);
}

task_record* task_record::make(enum kind what, const eventual_ops& ops, std::uint32_t refs,
                               std::source_location made) {
  auto& self = this_thread();
  auto* r = record_slab::allocate(self.records);
  r->resume_ = 0;
  r->wait_.store(nullptr, relaxed);
  r->home_.store(0, relaxed);
  r->extra_.store(std::bit_cast<std::uintptr_t>(made) | place_tag, relaxed);
  if constexpr (notes_places) {
    const uninterrupted noting;  // what is noted decides nothing, so no seed has to
    if (const task_record* by = self.current) [[likely]]
      ::new (static_cast<void*>(r->storage_)) creation(by->as_creator());
    else
      ::new (static_cast<void*>(r->storage_)) creation{};
  }
  r->reset(what, ops, refs);
  return r;
}

// Without an extra block the record's second cache line is not touched here, since another loop may
// have it. make() writes there without having read it.
void task_record::recycle() noexcept {
  if ((flags_.load(relaxed) & has_extra) != 0) [[unlikely]] {
    delete extra_if_any();
    // Nobody has a reference. A scan that gets one later gets it from reset(), which releases this.
    extra_.store(0, relaxed);
  }
  if (!this_thread().records.push(this, record_slab::batch)) [[unlikely]]
    record_slab::spill();
}

task_extra& task_record::extra() {
  // pairs with the exchange below
  auto bits = extra_.load(acquire);
  if (auto* e = extra_in(bits)) return *e;
  auto fresh = std::make_unique<task_extra>();
  fresh->made = std::bit_cast<std::source_location>(bits & ~place_tag);
  // pairs with the loads of extra_
  if (extra_.compare_exchange_strong(bits, reinterpret_cast<std::uintptr_t>(fresh.get()), acq_rel,
                                     acquire)) {
    flags_.fetch_or(has_extra, relaxed);  // recycle() sees it: our reference is dropped later
    return *fresh.release();
  }
  return *extra_in(bits);  // another thread was first; a block never goes again
}

void task_extra::set(std::string task_extra::* field, std::string text) noexcept {
  const std::lock_guard hold(lock);
  (this->*field).swap(text);  // the former text goes with the argument, after the unlock
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
    world* w = this_world();  // in a world the seed decides names, so that each run has the same
    x.name = "task-" + std::to_string(w ? w->number_of(root()) : next_number.fetch_add(1, relaxed));
  }
  return x.name;
}

// The runtime is looked at before a reference is taken, which is safe since a record keeps its
// type. So a scan for one runtime's records touches those of no other, except one that is reused at
// this moment; therefore it looks again.
void task_record::scan_all(void (*see)(void*, task_record&), void* f, std::uint16_t runtime) {
  const uninterrupted scanning;  // no seed decides how many records there are
  // pairs with carve()
  for (auto* c = slab.chunks.load(acquire); c; c = c->next)
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
  } catch (const std::bad_alloc&) {}  // cancelled without the message is better than not at all
  throw cancelled_error(std::move(message));
}

runtime_number current_runtime_id() noexcept {
  const auto& own = this_thread();
  if (own.runtime != 0) return own.runtime;
  return own.current ? own.current->runtime() : runtime_number{0};
}

namespace {

/// What a foreign thread, which has no task, has set of context variables.
struct thread_context {
  context_slot slot;
  ~thread_context() { this_thread().own_context = nullptr; }
};

context_slot& own_context() {
  thread_local thread_context own;
  this_thread().own_context = &own.slot;
  return own.slot;
}

}  // namespace

context_slot* current_context(bool make) {
  auto& self = self_of_thread;
  if (self.context) return self.context;
  if (self.current) {
    auto& task = self.current->root();
    if (auto* x = task.extra_if_any()) return &x->context;
    return make ? &task.extra().context : nullptr;
  }
  if (self.own_context || !make) return self.own_context;
  return &own_context();
}

context_map_ref inherited_context() noexcept {
  auto* slot = current_context(false);
  return slot && slot->begun() ? slot->copy() : context_map_ref();
}

std::string describe_task(task_record& t) { return describe_task(t.name(), t.root().made()); }

std::string in_this_task() {
  auto* t = this_thread().current;
  return t ? " (in " + describe_task(*t) + ")" : std::string();
}

void throw_usage(const char* what) { throw usage_error(what + in_this_task()); }
void throw_usage(const std::string& what) { throw usage_error(what + in_this_task()); }
void throw_bad_value(const std::string& what) { throw bad_value(what + in_this_task()); }

}  // namespace heddle::detail

// The classes have virtual functions, so offsetof is "conditionally supported": by both compilers.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

template <>
struct layout_of<task_record> {
  static constexpr std::uint32_t pointer = sizeof(void*);
  static constexpr seeing::field_row rows[] = {
      {"eventual.word", offsetof(eventual, word_), 8},
      {"eventual.joiners", offsetof(eventual, joiners_), 8},
      {"eventual.refs", offsetof(eventual, refs_), 4},
      {"eventual.runtime", offsetof(eventual, runtime_), 2},
      {"eventual.kind", offsetof(eventual, kind_), 1},
      {"eventual.flags", offsetof(eventual, flags_), 1},
      {"eventual.next", offsetof(eventual, next_), pointer},
      {"record", 0, sizeof(task_record)},
      {"record.resume", offsetof(task_record, resume_), 8},
      {"record.wait", offsetof(task_record, wait_), pointer},
      {"record.home_word", offsetof(task_record, home_), 8},
      {"record.extra", offsetof(task_record, extra_), 8},
      {"record.strand_root",
       offsetof(task_record, storage_) + offsetof(task_record::strand_part, root), pointer},
      {"record.strand_next",
       offsetof(task_record, storage_) + offsetof(task_record::strand_part, next), pointer},
#if HEDDLE_SEEING
      {"record.waits_at", offsetof(eventual, next_), pointer},
      {"record.creator", offsetof(task_record, storage_) + offsetof(task_record::creation, creator),
       8},
      {"record.creator_life",
       offsetof(task_record, storage_) + offsetof(task_record::creation, generation), 4},
      {"record.made_at", offsetof(task_record, storage_) + offsetof(task_record::creation, stamp),
       4},
#endif
      {"extra.name", offsetof(task_extra, name), sizeof(std::string)},
      {"extra.message", offsetof(task_extra, message), sizeof(std::string)},
      {"extra.made", offsetof(task_extra, made), pointer},
      {"extra.innermost", offsetof(task_extra, innermost), pointer},
      {"extra.strands", offsetof(task_extra, strands) + offsetof(strand_list, head), pointer},
      {"record_chunk", 0, sizeof(record_slab::chunk)},
      {"record_chunk.next", offsetof(record_slab::chunk, next), pointer},
      {"record_chunk.number", offsetof(record_slab::chunk, number), 8},
      {"record_chunk.records", offsetof(record_slab::chunk, memory), sizeof(task_record)},
  };
};

namespace {
HEDDLE_ROW("heddle_fields")
constexpr auto task_record_fields = std::to_array(layout_of<task_record>::rows);
HEDDLE_ROW("heddle_roots")
constexpr seeing::root_row records_root{"record_chunks", &slab.chunks};
}  // namespace

}  // namespace heddle::detail
