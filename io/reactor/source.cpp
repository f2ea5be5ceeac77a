// SPDX-License-Identifier: MIT
#include <heddle/io/reactor/source.h>

#include <heddle/core/base/assert.h>
#include <heddle/core/seeing/layout.h>

#include <poll.h>
#include <pthread.h>

#include <array>
#include <memory>

namespace heddle::detail {
namespace {

constexpr std::uint32_t chunk_size = 256;
constexpr std::uint32_t chunk_limit = 16384;  // four million descriptors

// All sources of the process. An event may name a slot at any later time, so chunks are published
// once and never freed.
//
// free            under lock
// count, chunks   written under lock; read by anybody
struct source_table {
  spin_lock lock;
  io_source* free = nullptr;
  atomic<std::uint32_t> count{0};
  atomic<io_source*> chunks[chunk_limit];
};

constinit source_table table{};
constinit atomic<bool> generations_ignored{false};

/// A forked child may run loops of its own. It has only the thread that forked, so a lock that
/// another thread held would stay locked for ever. So the lock is taken over the fork.
void care_for_forked_sources() {
  static const int once = ::pthread_atfork([] { table.lock.lock(); }, [] { table.lock.unlock(); },
                                           [] { table.lock.unlock(); });
  (void)once;
}

/// Tells the owner, which is held, of an event for reading.
void tell(source_owner& owner, unsigned what) noexcept {
  if (what & events::error) owner.failed(0);
  if (what & events::hang_up) owner.hung_up();
  owner.readable();
  owner.drop();
}

}  // namespace

void plant_fault_ignore_generations(bool on) noexcept {
  // pairs with the load in ready()
  generations_ignored.store(on, release);
}

io_source& io_source::at(std::uint32_t slot) noexcept {
  // pairs with the store of the chunk in claim()
  return table.chunks[slot / chunk_size].load(acquire)[slot % chunk_size];
}

void io_source::orphan_all(source_home& ending) noexcept {
  // pairs with the store of count in claim()
  const auto n = table.count.load(acquire);
  for (std::uint32_t i = 0; i < n; ++i) {
    auto& s = at(i);
    // pairs with the stores of home in claim() and retire()
    if (s.home.load(acquire) != &ending) continue;
    source_owner* told = nullptr;
    s.readable.lock();
    s.writable.lock();
    if (s.home.load(relaxed) == &ending) {
      ending.unwatch(s);  // protocol WITHDRAW: the owner may close the descriptor next
      s.home.store(nullptr, relaxed);
      told = s.owner;
      if (told) told->hold();
    }
    s.writable.unlock();
    s.readable.unlock();
    if (told) {
      told->reactor_gone();
      told->drop();
    }
  }
}

bool io_source::any_of(const source_home& home) noexcept {
  // pairs with the store of count in claim()
  const auto n = table.count.load(acquire);
  for (std::uint32_t i = 0; i < n; ++i)
    if (at(i).home.load(relaxed) == &home) return true;
  return false;
}

io_source& io_source::claim(int descriptor, source_home& home, source_owner* owner) {
  for (;;) {
    table.lock.lock();
    io_source* s = table.free;
    if (s) table.free = s->next_free;
    table.lock.unlock();
    if (s) {
      s->descriptor = descriptor;
      s->owner = owner;
      s->tells_readable = owner && owner->wants_readable();
      s->wants_write.store(false, relaxed);
      s->ended.store(false, relaxed);
      // pairs with the look of orphan_all()
      s->home.store(&home, release);
      return *s;
    }
    care_for_forked_sources();
    auto fresh = std::make_unique<io_source[]>(chunk_size);
    table.lock.lock();
    const auto first = table.count.load(relaxed);
    HEDDLE_ASSERT(first / chunk_size < chunk_limit,
                  "more descriptors are open than a process can have");
    for (std::uint32_t i = chunk_size; i-- > 0;) {
      fresh[i].slot = first + i;
      fresh[i].next_free = table.free;
      table.free = &fresh[i];
    }
    // pairs with the load in at()
    table.chunks[first / chunk_size].store(fresh.release(), release);
    // pairs with the load in orphan_all()
    table.count.store(first + chunk_size, release);
    table.lock.unlock();
  }
}

unsigned io_source::ready(std::uint32_t generation, unsigned what) noexcept {
  const auto stale = [&] {
    return generation_.load(relaxed) != generation && !generations_ignored.load(relaxed);
  };
  unsigned woken = 0;
  if (what & events::readable) {
    waiter* w = nullptr;
    source_owner* told = nullptr;
    readable.lock();
    if (!stale()) {
      if (owner && ((what & (events::error | events::hang_up)) || tells_readable)) {
        told = owner;
        told->hold();
      }
      if (what & (events::error | events::hang_up | events::peer_hang_up))
        ended.store(true, relaxed);
      // pairs with the load in edges(): a reader that sees the edge sees `ended` too
      edges_.store(edges_.load(relaxed) + 1, release);
      w = readable.claim_first();
    }
    readable.unlock();
    if (w) {
      schedule(*w->task);
      ++woken;
    }
    if (told) {
      tell(*told, what);
      ++woken;
    }
  }
  // The load pairs with the store that a sender makes before its last try: protocol EDGE.
  if ((what & events::writable) && wants_write.load(seq_cst)) {
    waiter* w = nullptr;
    source_owner* told = nullptr;
    writable.lock();
    if (!stale()) {
      wants_write.store(false, relaxed);
      w = writable.claim_first();
      if (owner) {
        told = owner;
        told->hold();
      }
    }
    writable.unlock();
    if (w) {
      schedule(*w->task);
      ++woken;
    }
    if (told) {
      told->writable();
      told->drop();
      ++woken;
    }
  }
  return woken;
}

void io_source::retire() noexcept {
  work_list todo;
  readable.lock();
  writable.lock();
  if (auto* r = home.load(relaxed)) r->unwatch(*this);
  // pairs with the load in generation()
  generation_.store(generation_.load(relaxed) + 1, release);
  while (waiter* w = readable.claim_first()) todo.schedule(*w->task);
  while (waiter* w = writable.claim_first()) todo.schedule(*w->task);
  // pairs with the look of orphan_all(): the reactor is not called for this source any more
  home.store(nullptr, release);
  owner = nullptr;
  descriptor = -1;
  lent_chunk* unread = kernel.first;
  kernel.first = kernel.last = nullptr;
  const bool is_free = kernel.operations == 0;
  kernel.retired = true;
  writable.unlock();
  readable.unlock();
  todo.settle();
  while (unread) {
    auto* c = unread;
    unread = c->next;
    c->lender->give_back(*c);
  }
  if (is_free) free_slot();
}

void io_source::repeat_edge() noexcept {
  readable.lock();
  if (auto* r = home.load(relaxed)) r->repeat_edge(*this);
  readable.unlock();
}

void io_source::free_slot() noexcept {
  kernel = {};
  table.lock.lock();
  next_free = table.free;
  table.free = this;
  table.lock.unlock();
}

// After the unlock nothing here touches the waiter: its task may be running.
HEDDLE_NOINLINE bool readable_wait::suspend(task_record& t) noexcept {
  auto& q = source_.readable;
  q.lock();
  const bool waits =
      source_.generation() == generation_ && source_.edges() == seen_ && q.suspend(*this, t);
  q.unlock();
  return waits;
}

HEDDLE_NOINLINE bool writable_wait::suspend(task_record& t) noexcept {
  auto& q = source_.writable;
  q.lock();
  bool waits = source_.generation() == generation_;
  if (waits) {
    // pairs with the load in ready()
    source_.wants_write.store(true, seq_cst);
    pollfd now{source_.descriptor, POLLOUT, 0};
    waits = ::poll(&now, 1, 0) == 0 && q.suspend(*this, t);
  }
  q.unlock();
  return waits;
}

}  // namespace heddle::detail

// The classes have virtual functions, so offsetof is "conditionally supported": by both compilers.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

template <>
struct layout_of<io_source> {
  static constexpr seeing::kind_row kinds[] = {
      {.type = "N6heddle6detail13readable_waitE",
       .name = "readable",
       .text = ", descriptor %0",
       .label = offsetof(readable_wait, what_),
       .figures = {{offsetof(readable_wait, source_), offsetof(io_source, descriptor), 4}}},
      {.type = "N6heddle6detail13writable_waitE",
       .name = "writable",
       .text = ", descriptor %0",
       .label = offsetof(writable_wait, what_),
       .figures = {{offsetof(writable_wait, source_), offsetof(io_source, descriptor), 4}}},
  };
};

namespace {
HEDDLE_ROW("heddle_kinds") constexpr auto source_kinds = std::to_array(layout_of<io_source>::kinds);
}  // namespace

}  // namespace heddle::detail
