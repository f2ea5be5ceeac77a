// SPDX-License-Identifier: MIT
#include <heddle/sched/simulation/simulation.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/sched/runtime/introspect.h>
#include <heddle/sched/simulation/circles.h>
#include <heddle/sched/simulation/errors.h>

#include <algorithm>
#include <optional>

namespace heddle::detail {

constinit plain_atomic<circle_teller> circles_by{nullptr};

struct simulation::virtual_thread {
  virtual_thread(std::string n, std::function<void()> f, simulation& s, std::size_t i)
      : name(std::move(n)),
        body(std::move(f)),
        world(&s),
        index(i),
        stack(std::in_place, &enter, this) {
    role.ready_awaits = 63;  // every ready await asks the world
  }

  std::string name;
  std::function<void()> body;
  simulation* world;
  std::size_t index;
  std::optional<fiber> stack;  // gone some time after it ended
  thread_role role;
  bool ended = false;
  // While it is blocked:
  bool (*ready)(void*) = nullptr;
  void* argument = nullptr;
  time_point deadline;
  when_stuck then = when_stuck::abandoned;
  std::exception_ptr thrown;
};

namespace {

std::string text_of(duration d) {
  const auto ns = d.count();
  std::string fraction = std::to_string(1'000'000'000 + ns % 1'000'000'000).substr(1);
  return std::to_string(ns / 1'000'000'000) + "." + fraction + " s";
}

constexpr time_point dawn{std::chrono::hours(1)};  // not 0, which means "not yet" to some

class virtual_driver final : public driver {
 public:
  explicit virtual_driver(simulation& s) noexcept : world_(&s) {}

  unsigned poll(duration limit) override {
    if (limit <= duration::zero()) {
      woken_ = false;
      world_->point();
      return 0;
    }
    (void)block_until(
        *world_, saturating_add(world_->now(), limit), [this] { return woken_; },
        when_stuck::abandoned);
    woken_ = false;
    return 0;
  }
  void wake() noexcept override { woken_ = true; }
  unsigned rescue() noexcept override { return 0; }
  const char* name() const noexcept override { return "simulated"; }

 private:
  simulation* world_;
  bool woken_ = false;
};

}  // namespace

simulation::simulation(std::uint64_t seed, std::uint64_t most_steps, bool trace)
    : seed_(seed),
      random_(seed * 0x9e3779b97f4a7c15u + 0x632be59bd9b4e019u),
      most_steps_(most_steps),
      more_steps_(most_steps),
      traces_(trace),
      now_(dawn) {
  // Some races want many switches, some want one loop to get far ahead of another: the seed decides
  // that too.
  constexpr std::uint32_t habits[] = {1, 1, 2, 2, 4, 8, 32, 128};
  stays_ = habits[random_.below(8)];
  stays_in_atomics_ = 4 * habits[random_.below(8)];
}

simulation::~simulation() = default;

owned<driver> simulation::make_driver() { return owned<driver>(new virtual_driver(*this)); }

time_point simulation::now() noexcept { return now_; }

duration simulation::elapsed() const noexcept { return now_ - dawn; }

void simulation::mix(std::uint64_t x) noexcept {
  hash_ ^= x + 0x9e3779b97f4a7c15u + (hash_ << 6) + (hash_ >> 2);
  hash_ *= 0x100000001b3u;
}

std::uint64_t simulation::number_of(const task_record& t) noexcept {
  const calm guard(this);
  const auto generation = word::generation(t.state().peek());
  auto& k = numbers_[&t];
  if (k.number == 0 || k.generation != generation) k = {generation, ++last_number_};
  return k.number;
}

bool simulation::has_numbered(const task_record& t) const noexcept {
  const auto at = numbers_.find(&t);
  return at != numbers_.end() && at->second.generation == word::generation(t.state().peek());
}

void simulation::note(const char* what, const task_record* t) noexcept {
  const calm guard(this);
  if (running_ != recorded_) {
    recorded_ = running_;
    mix(running_);
  }
  const auto number = t ? number_of(*t) : 0;
  for (const char* c = what; *c; ++c)
    hash_ = (hash_ ^ static_cast<unsigned char>(*c)) * 0x100000001b3u;
  mix(number);
  mix(static_cast<std::uint64_t>(now_.time_since_epoch().count()));
  if (!traces_) return;
  trace_ += text_of(elapsed()) + "  " + threads_[running_]->name + " " + what;
  if (t) {
    trace_ += " task " + std::to_string(number);
    if (auto* x = t->extra_if_any(); x && !x->name.empty()) trace_ += " \"" + x->name + "\"";
  }
  trace_ += "\n";
}

// ------------------------------------------------------------------ threads

std::size_t simulation::start(std::string name, std::function<void()> f) {
  for (const std::size_t i : ended_)
    if (i != running_) threads_[i]->stack.reset();
  ended_.clear();
  const std::size_t index = threads_.size();
  threads_.push_back(std::make_unique<virtual_thread>(std::move(name), std::move(f), *this, index));
  alive_.push_back(index);
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
  world.ended_.push_back(self.index);
  if (world.alive_.empty()) {
    world.switch_away(*self.stack, self.role, true);
  } else {
    world.run_another(false);  // never comes back
  }
  std::terminate();
}

void simulation::run(const std::function<void()>& main) {
  if (world_of_this_thread() || this_thread().loop)
    detail::throw_usage("simulate inside a simulation or a running loop");
  (void)start("main", [&] {
    main();
    // Threads that the program has started and not joined.
    block_until(*this, time_point::max(), [this] { return alive_.size() == 1; });
  });
  outside_role_ = static_cast<thread_role&>(this_thread());
  worlds.fetch_add(1, relaxed);
  set_world_of_this_thread(this);
  running_ = 0;
  auto& first = *threads_.front();
  static_cast<thread_role&>(this_thread()) = first.role;
  first.stack->resume(outside_);
  set_world_of_this_thread(nullptr);
  worlds.fetch_sub(1, relaxed);
  if (error_) std::rethrow_exception(error_);
}

void simulation::switch_away(fiber& from, thread_role& role, bool for_good) noexcept {
  role = static_cast<thread_role&>(this_thread());
  static_cast<thread_role&>(this_thread()) = outside_role_;
  if (for_good)
    outside_.resume_for_good(from);
  else
    outside_.resume(from);
}

bool simulation::can_run(virtual_thread& t) noexcept {
  return !t.ready || t.thrown || t.deadline <= now_ || t.ready(t.argument);
}

/// A thread that can run; `but` only if no other can. `nobody`: no thread can run.
std::size_t simulation::choose(std::size_t but) noexcept {
  const calm guard(this);
  candidates_.clear();
  for (const std::size_t i : alive_)
    if (i != but && can_run(*threads_[i])) candidates_.push_back(i);
  if (candidates_.empty()) return nobody;
  return candidates_[candidates_.size() == 1
                         ? 0
                         : random_.below(narrow<std::uint32_t>(candidates_.size()))];
}

void simulation::switch_to(std::size_t next) noexcept {
  if (next == running_) return;
  ++switches_;
  auto& from = *threads_[running_];
  auto& to = *threads_[next];
  running_ = next;
  auto& mine = static_cast<thread_role&>(this_thread());
  from.role = mine;
  mine = to.role;
  if (from.ended)
    to.stack->resume_for_good(*from.stack);
  else
    to.stack->resume(*from.stack);
}

/// Runs other threads than the calling one, which is blocked, has ended, or passes. Comes back when
/// the calling thread is chosen again.
void simulation::run_another(bool passes) noexcept {
  ++steps_;
  if (steps_ > most_steps_ && !give_up(false)) return;
  for (;;) {
    std::size_t next = choose(passes ? running_ : nobody);
    if (next != nobody) return switch_to(next);
    // Nobody can run now: time passes.
    auto first = time_point::max();
    for (const std::size_t i : alive_)
      if (threads_[i]->ready) first = std::min(first, threads_[i]->deadline);
    if (first != time_point::max()) {
      now_ = std::max(now_, first);
      continue;
    }
    if (passes) return;  // it spins for nothing, until there were too many steps
    (void)give_up(true);
  }
}

void simulation::point() noexcept {
  if (calm_ != 0) return;
  now_ += duration(random_.below(256));
  if (++steps_ > most_steps_ && !give_up(false)) return;
  if (stays_ != 1 && random_.below(stays_) != 0) return;
  if (const std::size_t next = choose(nobody); next != nobody) switch_to(next);
}

bool simulation::atomic_point() noexcept {
  if (calm_ != 0) return false;
  now_ += duration(random_.below(16));
  if (random_.below(stays_in_atomics_) != 0) return false;
  if (const std::size_t next = choose(nobody); next != nobody) switch_to(next);
  return random_.below(2) == 0;
}

void simulation::pass() noexcept { run_another(true); }

bool simulation::stands_back() noexcept {
  point();
  return random_.below(8) == 0;
}

bool simulation::block(bool (*ready)(void*), void* argument, time_point deadline, when_stuck then) {
  auto& self = *threads_[running_];
  self.ready = ready;
  self.argument = argument;
  self.deadline = deadline;
  self.then = then;
  run_another(false);
  const bool is_ready = [&] {
    const calm guard(this);
    return ready(argument);
  }();
  self.ready = nullptr;
  if (self.thrown) {
    auto error = std::exchange(self.thrown, nullptr);
    if (!is_ready) std::rethrow_exception(error);
  }
  return is_ready;
}

// --------------------------------------------------------------- giving up

/// The first time it throws in the main thread, which then tears the program down by cancelling it.
/// If that cannot be, or there is still no end, all is left as it stands.
bool simulation::give_up(bool stuck) noexcept {
  auto& main = *threads_.front();
  if (!told_ && !main.ended && main.ready && main.then == when_stuck::throws) {
    told_ = true;
    most_steps_ = steps_ + more_steps_;
    main.thrown = stuck ? std::make_exception_ptr(testing::stuck_error(report(true)))
                        : std::make_exception_ptr(testing::livelock_error(report(false)));
    return true;
  }
  abandoned_ = true;
  if (!error_)
    error_ = stuck ? std::make_exception_ptr(testing::stuck_error(report(true)))
                   : std::make_exception_ptr(testing::livelock_error(report(false)));
  auto& self = *threads_[running_];
  switch_away(*self.stack, self.role, false);
  std::terminate();  // nobody resumes it
}

std::string simulation::report(bool stuck) {
  const calm guard(this);
  std::string text = (stuck ? "nothing can ever happen again in this simulation"
                            : "this simulation does not come to an end") +
                     std::string(" (seed ") + std::to_string(seed_) + ", " +
                     std::to_string(steps_) + " steps, " + text_of(elapsed()) +
                     " of virtual time):";
  const auto is_ours = [](const world& w, const task_record& t) {
    return static_cast<const simulation&>(w).has_numbered(t);
  };
  text += who_waits_for_what(*this, is_ours);
  if (const auto tell = circles_by.load(relaxed); stuck && tell) text += tell(*this, is_ours);
  for (const std::size_t i : alive_) {
    const auto& t = *threads_[i];
    if (t.name.rfind("loop ", 0) == 0 && t.ready) continue;  // parked, as it should be
    text += "\n  thread \"" + t.name + "\" " + (t.ready ? "is blocked" : "runs");
  }
  return text;
}

task_record* simulated_queue::pop(simulation& s) noexcept {
  if (items_.empty()) return nullptr;
  auto at = items_.begin() + s.below(narrow<std::uint32_t>(items_.size()));
  const auto producer = at->producer;
  at = std::find_if(items_.begin(), items_.end(),
                    [&](const item& i) { return i.producer == producer; });
  task_record* t = at->task;
  items_.erase(at);
  return t;
}

}  // namespace heddle::detail
