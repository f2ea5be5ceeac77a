// SPDX-License-Identifier: MIT
//
// In place of sched/simulation/simulation.cpp: the same class, whose virtual threads run by their
// clocks (machine.h) and not by chance. Who is earliest runs.
#include <heddle/sched/simulation/simulation.h>

#include <heddle/core/base/thread_state.h>
#include <heddle/sched/simulation/circles.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "model/machine.h"

namespace heddle::detail {

// What simulation.cpp defines beside the class.
constinit plain_atomic<circle_teller> circles_by{nullptr};

using bench::model::machine;
using bench::model::never;
using bench::model::picoseconds;
using bench::model::ps_per_ns;
namespace cost = bench::model::cost;

struct simulation::virtual_thread {
  virtual_thread(std::function<void()> f, simulation& s, std::size_t i)
      : body(std::move(f)), world(&s), index(i), stack(std::in_place, &enter, this) {
    std::memset(own, 0, sizeof own);
  }

  std::function<void()> body;
  simulation* world;
  std::size_t index;
  std::optional<fiber> stack;
  picoseconds clock = 0;
  std::size_t place = nowhere;  // in the heap
  bool ended = false;
  bool (*ready)(void*) = nullptr;  // it is blocked until then
  void* argument = nullptr;
  picoseconds step_began = 0;
  // All of what the machine's thread keeps for itself, caches of frames among it: each virtual
  // thread has its own.
  alignas(thread_state) std::byte own[sizeof(thread_state)];
  bool has_own = false;

  /// Looking is free, and nobody overtakes: it may lock a std::mutex.
  [[nodiscard]] bool looks_ready() {
    ++machine.held;
    const bool was = std::exchange(machine.running, false);
    const bool is = ready(argument);
    machine.running = was;
    --machine.held;
    return is;
  }

  static constexpr std::size_t nowhere = ~std::size_t{0};
};

namespace {

constexpr time_point dawn{std::chrono::hours(1)};
constexpr picoseconds look_every = 10'000'000;  // at what blocked threads wait for

picoseconds in_ps(time_point t) {
  if (t == time_point::max()) return never;
  return (t - dawn).count() * ps_per_ns;
}

/// Who can run, by clock; who sleeps, by the time of its waking.
struct turn {
  picoseconds at;
  std::size_t thread;
};
simulation* the_one = nullptr;

}  // namespace

/// What the class has no member for: there is one simulation at a time.
struct model_world {
  std::vector<turn> heap;
  std::vector<std::size_t*> places;  // by thread
  std::vector<std::size_t> blocked;
  picoseconds looked_at = 0;
  std::uint64_t passes = 0;

  void put(std::size_t at, turn t) {
    heap[at] = t;
    *places[t.thread] = at;
  }
  void up(std::size_t at) {
    const turn t = heap[at];
    for (; at != 0 && heap[(at - 1) / 2].at > t.at; at = (at - 1) / 2) put(at, heap[(at - 1) / 2]);
    put(at, t);
  }
  void down(std::size_t at) {
    const turn t = heap[at];
    for (;;) {
      std::size_t child = 2 * at + 1;
      if (child >= heap.size()) break;
      if (child + 1 < heap.size() && heap[child + 1].at < heap[child].at) ++child;
      if (heap[child].at >= t.at) break;
      put(at, heap[child]);
      at = child;
    }
    put(at, t);
  }
  void insert(std::size_t thread, picoseconds at) {
    heap.push_back({at, thread});
    up(heap.size() - 1);
  }
  turn pop() {
    const turn first = heap.front();
    const turn last = heap.back();
    heap.pop_back();
    *places[first.thread] = ~std::size_t{0};
    if (!heap.empty()) {
      put(0, last);
      down(0);
    }
    return first;
  }
  void sooner(std::size_t thread, picoseconds at) {
    const std::size_t i = *places[thread];
    if (i == ~std::size_t{0}) return insert(thread, at);
    if (heap[i].at <= at) return;
    heap[i].at = at;
    up(i);
  }
  [[nodiscard]] picoseconds first() const { return heap.empty() ? never : heap.front().at; }
};

namespace {

model_world turns;

/// Stands in for a reactor: sleeps until it is woken.
class model_driver final : public driver {
 public:
  explicit model_driver(simulation& s) noexcept : world_(&s) {}

  unsigned poll(duration limit) override {
    machine.now += cost::poll;
    if (limit > duration::zero() && !woken_) {
      thread_ = world_->running_thread();
      sleeps_ = true;
      const auto now = machine.now;
      turns.insert(thread_,
                   limit >= std::chrono::hours(1) ? never : now + limit.count() * ps_per_ns);
      (void)world_->block(nullptr, nullptr, time_point::max(), when_stuck::abandoned);
      sleeps_ = false;
    }
    woken_ = false;
    return 0;
  }
  void wake() noexcept override {
    woken_ = true;
    if (sleeps_) turns.sooner(thread_, machine.now + cost::wake_latency);
    machine.now += cost::wake_call;
    machine.next = turns.first();
  }
  unsigned rescue() noexcept override { return 0; }
  const char* name() const noexcept override { return "model"; }

 private:
  simulation* world_;
  std::size_t thread_ = 0;
  bool sleeps_ = false;
  bool woken_ = false;
};

}  // namespace

simulation::simulation(std::uint64_t seed, std::uint64_t most_steps, bool trace)
    : seed_(seed),
      random_(seed),
      most_steps_(most_steps),
      more_steps_(most_steps),
      traces_(trace),
      stays_(0),
      stays_in_atomics_(0) {}

simulation::~simulation() = default;

owned<driver> simulation::make_driver() { return owned<driver>(new model_driver(*this)); }

time_point simulation::now() noexcept {
  machine.now += cost::clock;
  return dawn + duration(machine.now / ps_per_ns);
}

duration simulation::elapsed() const noexcept { return duration(machine.now / ps_per_ns); }

std::uint64_t simulation::number_of(const task_record&) noexcept { return 0; }
void simulation::note(const char*, const task_record*) noexcept {}

std::size_t simulation::start(std::string, std::function<void()> f) {
  const std::size_t index = threads_.size();
  if (index >= bench::model::most_threads) std::abort();
  threads_.push_back(std::make_unique<virtual_thread>(std::move(f), *this, index));
  turns.places.push_back(&threads_.back()->place);
  alive_.push_back(index);
  turns.insert(index, machine.now);
  machine.next = turns.first();
  return index;
}

bool simulation::has_ended(std::size_t thread) const noexcept { return threads_[thread]->ended; }

void simulation::join(std::size_t thread) {
  block_until(*this, time_point::max(), [&] { return has_ended(thread); }, when_stuck::abandoned);
}

void simulation::enter(void* argument) noexcept {
  auto& self = *static_cast<virtual_thread*>(argument);
  auto& world = *self.world;
  try {
    self.body();
  } catch (...) {
    if (!world.error_) world.error_ = std::current_exception();
  }
  self.body = nullptr;
  self.ended = true;
  world.alive_.erase(std::find(world.alive_.begin(), world.alive_.end(), self.index));
  if (world.alive_.empty())
    world.outside_.resume_for_good(*self.stack);
  else
    world.run_another(false);  // never comes back
  std::terminate();
}

void simulation::run(const std::function<void()>& main) {
  the_one = this;
  turns = {};
  machine = {};
  (void)start("main", [&] {
    main();
    block_until(*this, time_point::max(), [this] { return alive_.size() == 1; });
  });
  worlds.fetch_add(1, relaxed);
  set_world_of_this_thread(this);
  // The machine's thread gets its own back in the end.
  alignas(thread_state) std::byte mine[sizeof(thread_state)];
  std::memcpy(mine, static_cast<void*>(&this_thread()), sizeof mine);
  new (static_cast<void*>(&this_thread())) thread_state(process_frames());
  running_ = turns.pop().thread;
  machine.running = true;
  machine.next = turns.first();
  threads_[running_]->stack->resume(outside_);
  machine = {};
  std::memcpy(static_cast<void*>(&this_thread()), mine, sizeof mine);
  set_world_of_this_thread(nullptr);
  worlds.fetch_sub(1, relaxed);
  the_one = nullptr;
  if (error_) std::rethrow_exception(error_);
}

void simulation::switch_to(std::size_t next) noexcept {
  auto& to = *threads_[next];
  machine.now = std::max(to.clock, machine.now);
  machine.thread = static_cast<unsigned>(next);
  machine.next = turns.first();
  if (next == running_) return;
  ++switches_;
  auto& from = *threads_[running_];
  running_ = next;
  void* here = &this_thread();
  std::memcpy(from.own, here, sizeof from.own);
  from.has_own = true;
  if (!to.has_own) {  // its first turn: empty caches
    new (to.own) thread_state(process_frames());
    to.has_own = true;
  }
  std::memcpy(here, to.own, sizeof to.own);
  if (from.ended)
    to.stack->resume_for_good(*from.stack);
  else
    to.stack->resume(*from.stack);
}

/// The caller stands in the heap, is blocked, or has ended.
void simulation::run_another(bool) noexcept {
  threads_[running_]->clock = machine.now;
  for (;;) {
    if (turns.first() == never || turns.first() > turns.looked_at + look_every) {
      const auto now = turns.first() == never ? machine.now : turns.first();
      turns.looked_at = now;
      std::erase_if(turns.blocked, [&](std::size_t i) {
        auto& t = *threads_[i];
        if (t.place != virtual_thread::nowhere && turns.heap[t.place].at <= now) return true;
        if (!t.looks_ready()) return false;
        turns.sooner(i, now);
        return true;
      });
    }
    if (turns.first() == never) {
      std::fprintf(stderr, "bench/model: nothing can ever happen again\n");
      std::abort();
    }
    break;
  }
  const turn t = turns.pop();
  machine.now = t.at;
  return switch_to(t.thread);
}

bool simulation::block(bool (*ready)(void*), void* argument, time_point deadline, when_stuck) {
  auto& self = *threads_[running_];
  if (!ready) {  // a driver, which stands in the heap
    run_another(false);
    return true;
  }
  self.ready = ready;
  self.argument = argument;
  if (self.looks_ready()) return true;
  turns.blocked.push_back(running_);
  if (deadline != time_point::max()) turns.insert(running_, in_ps(deadline));
  run_another(false);
  std::erase(turns.blocked, self.index);
  return self.looks_ready();
}

void simulation::point() noexcept {
  machine.now += cost::turn;
  if (machine.next != never && machine.now > machine.next + bench::model::quantum)
    (void)atomic_point();
}

/// True: others ran.
bool simulation::atomic_point() noexcept {
  if (calm_ != 0 || machine.held != 0) return false;
  turns.insert(running_, machine.now);
  run_another(false);
  return true;
}

void simulation::pass() noexcept {
  machine.now += cost::pass;
  if (++turns.passes > 2'000'000'000) {
    std::fprintf(stderr, "bench/model: somebody spins for ever\n");
    std::abort();
  }
  if (machine.now > machine.next) (void)atomic_point();
}

bool simulation::stands_back() noexcept { return false; }

task_record* simulated_queue::pop(simulation&) noexcept {
  if (items_.empty()) return nullptr;
  bench::model::write(this, true);
  if (items_.empty()) return nullptr;
  task_record* t = items_.front().task;
  items_.erase(items_.begin());
  return t;
}

}  // namespace heddle::detail

namespace bench::model {

bool give_way() noexcept { return heddle::detail::the_one->atomic_point(); }

}  // namespace bench::model
