// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime.h>

#include <heddle/core/base/thread_state.h>
#include <heddle/core/checked.h>
#include <heddle/core/scheduler.h>
#include <heddle/sched/runtime/runtime_state.h>
#include <heddle/sched/timeout.h>

#include <pthread.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <span>
#include <sstream>
#include <string_view>

namespace heddle {
namespace detail {
namespace {

driver& real_driver(worker& w) {
  if (w.state().simulated)
    throw_usage("I/O in a simulated program: sockets, files and signals are not simulated");
  return w.own_driver();
}

// Runtimes by short number (core/base/runtime_number.h).
std::mutex registry_lock;
std::map<std::uint16_t, runtime_state*>& registry() {
  static auto* all =
      new std::map<std::uint16_t,
                   runtime_state*>;  // immortal: handles may outlive static destruction
  return *all;
}
runtime_number last_number = 0;
constexpr std::size_t most_runtimes = ended_runtime - 1;  // at once

runtime_number next_number() noexcept {
  do ++last_number;
  while (short_number(last_number) == 0 || short_number(last_number) == ended_runtime);
  return last_number;
}

void register_runtime(runtime_state& s) {
  std::lock_guard hold(registry_lock);
  auto& all = registry();
  if (all.size() == most_runtimes)
    throw_usage("more than " + std::to_string(most_runtimes) + " runtimes live at once");
  do s.serial = next_number();
  while (all.count(short_number(s.serial)) != 0);
  s.id = short_number(s.serial);
  all.emplace(s.id, &s);
}

void unregister_runtime(runtime_state& s) noexcept {
  // Before the short number can be given again: no record has it any more.
  task_record::scan([](task_record& r) { r.belongs_to(ended_runtime); }, s.id);
  std::lock_guard hold(registry_lock);
  registry().erase(s.id);
}

/// Processors this process may use: the affinity mask, cut by the cgroup's quota.
unsigned usable_processors() {
  cpu_set_t set;
  unsigned n = 1;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) n = static_cast<unsigned>(CPU_COUNT(&set));
  std::string path = "/sys/fs/cgroup";
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);)
    if (line.rfind("0::", 0) == 0 && line.size() > 4) path += line.substr(3);
  for (const std::string& file : {path + "/cpu.max", std::string("/sys/fs/cgroup/cpu.max")}) {
    std::ifstream in(file);
    std::string quota;
    double period = 0;
    if (!(in >> quota >> period) || quota == "max" || period <= 0) continue;
    double all = 0;
    if (!parse_number(quota, all, 1e18)) continue;
    const double share = std::ceil(all / period);
    if (share >= 1 && share < n) n = static_cast<unsigned>(share);
  }
  return n > 0 ? n : 1;
}

unsigned loops_wanted(const options& o) {
  if (!o.loops && simulation::here()) return 2;
  const unsigned n = o.loops ? o.loops : std::min(usable_processors(), runtime_state::most_loops);
  if (n > runtime_state::most_loops)
    throw bad_value("options.loops is " + std::to_string(n) + ": at most " +
                    std::to_string(runtime_state::most_loops));
  return n;
}

unsigned threads_wanted(const options& o) {
  if (!o.threads && simulation::here()) return 4;
  return o.threads ? o.threads : std::min(32u, usable_processors() + 5);
}

bool debug_wanted(const options& o) {
  if (o.debug) return *o.debug;
  const char* said = std::getenv("HEDDLE_DEBUG");
  return said && *said && std::string_view(said) != "0";
}

struct posted final : callback, callback_carrier {
  void carry(owned<callback_base> c) noexcept {
    context = std::move(c->context);
    inner = std::move(c);
  }
  void invoke() override { inner->run(); }
  void release() noexcept override { inner.reset(); }
  owned<callback_base> inner;
};

/// A forked child has the memory of the loops, but not their threads: nothing of them is known
/// there, and what all runtimes share is locked by none of them. Its one thread may have been a
/// loop: then it ends to be one, and takes SIGPIPE again.
void forget_loops_in_children() {
  static const int once = ::pthread_atfork(
      [] {
        registry_lock.lock();
        hold_caches();  // last: whoever has another lock may need memory to let it go
      },
      [] {
        let_go_caches();
        registry_lock.unlock();
      },
      [] {
        let_go_caches();
        registry().clear();
        registry_lock.unlock();
        auto& self = this_thread();
        if (!self.loop) return;
        self.loop = nullptr;
        self.forks = nullptr;
        self.current = nullptr;
        self.runtime = 0;
        self.forced_yields = false;
        sigset_t broken_pipe;
        sigemptyset(&broken_pipe);
        sigaddset(&broken_pipe, SIGPIPE);
        pthread_sigmask(SIG_UNBLOCK, &broken_pipe, nullptr);
      });
  (void)once;
}

void report_in(runtime_state& s, void* context) {
  s.report(*static_cast<const error_context*>(context));
}

// The doors that core leaves to a scheduler (executor_hooks.h, task_record.h).
void open_doors() {
  const uninterrupted alone;
  static const bool once = [] {
    set_callback_poster(
        [](runtime_number runtime, executor* home, owned<callback_base> c) noexcept {
          struct parcel {
            executor* home;
            owned<callback_base> c;
          } p{home, std::move(c)};
          const bool there = with_runtime(
              runtime,
              [](runtime_state& s, void* argument) {
                auto& p = *static_cast<parcel*>(argument);
                worker* target = s.workers.front().get();
                for (auto& w : s.workers)
                  if (static_cast<executor*>(w.get()) == p.home) target = w.get();
                auto* carrier = static_cast<posted*>(p.c->carrier.release());
                carrier->carry(std::move(p.c));
                target->deliver(work(*carrier));
              },
              &p);
          if (!there) run_here(std::move(p.c));
        },
        []() -> callback_carrier* { return new posted; });
    set_unretrieved_reporter([](std::uint16_t, eventual& what,
                                const std::exception_ptr& error) noexcept {
      error_context context = context_of("an exception was never retrieved", error);
      context_slot* its = nullptr;
      what.ref();
      auto* t = what.what() == kind::task ? &static_cast<task_record&>(what) : nullptr;
      if (t) {
        context.origin = any_task(t);
        context.made = t->made();
        try {
          context.task = t->name();
          its = &t->extra().context;
        } catch (const std::bad_alloc&) {}  // a report without the name, in an empty context
      } else {
        context.future = any_future(&what);
      }
      context_slot empty;  // the handler sees what the task saw, not what who dropped it last sees
      context_scope inside(its ? its : &empty);
      if (!t) return report_to(static_cast<future_base&>(what).number(), context);
      if (!with_runtime_of(*t, &report_in, &context)) report_on_stderr(context);
    });
    return true;
  }();
  (void)once;
}

}  // namespace

namespace {
/// `find` is called under the registry's lock; what it finds is kept alive until `f` has returned.
template <class Find>
bool with_found(Find find, void (*f)(runtime_state&, void*), void* argument) noexcept {
  runtime_state* s;
  {
    const uninterrupted alone;
    std::lock_guard hold(registry_lock);
    s = find();
    if (!s) return false;
    s->guests.fetch_add(1, seq_cst);  // keeps it alive from here on
  }
  f(*s, argument);
  s->guests.fetch_sub(1, seq_cst);
  return true;
}

runtime_state* living(std::uint16_t id) {
  auto at = registry().find(id);
  return at == registry().end() ? nullptr : at->second;
}
}  // namespace

bool with_runtime(runtime_number number, void (*f)(runtime_state&, void*),
                  void* argument) noexcept {
  if (auto* s = this_runtime(); s && s->serial == number) {
    f(*s, argument);
    return true;
  }
  return with_found(
      [&] {
        auto* s = living(short_number(number));
        return s && s->serial == number ? s : nullptr;
      },
      f, argument);
}

bool with_runtime_of(const task_record& t, void (*f)(runtime_state&, void*),
                     void* argument) noexcept {
  if (auto* s = this_runtime(); s && s->id == t.runtime()) {
    f(*s, argument);
    return true;
  }
  // Read under the lock: a runtime marks the records that outlive it before it leaves the registry.
  return with_found([&] { return living(t.runtime()); }, f, argument);
}

error_context context_of(const char* message, std::exception_ptr error) noexcept {
  error_context what;
  what.error = std::move(error);
  try {
    what.message = message;
  } catch (const std::bad_alloc&) {
    what.message = "out of memory";
  }  // fits into the string itself
  return what;
}

void report_to(runtime_number number, const error_context& what) noexcept {
  const error_context* told = &what;
  const bool there = with_runtime(
      number, [](runtime_state& s, void* c) { s.report(**static_cast<const error_context**>(c)); },
      &told);
  if (!there) report_on_stderr(what);
}

void skip_runtime_numbers(std::uint32_t n) noexcept {
  std::lock_guard hold(registry_lock);
  while (n-- != 0) (void)next_number();
}

runtime_state* this_runtime() noexcept {
  auto* w = this_worker();
  return w ? &w->state() : nullptr;
}

runtime_state::runtime_state(runtime& f, const options& wish)
    : facade(f),
      simulated(simulation::here()),
      opts(wish),
      reactor(simulated ? reactor_kind::automatic : choose_reactor(wish.reactor, reactor_note)),
      idle(loops_wanted(wish)),
      pool(threads_wanted(wish), loops_wanted(wish)),
      generators(loops_wanted(wish)),
      main_context(copy_context()),
      reports_(simulated, wish.exception_handler) {
  set_task_factory(wish.task_factory);
  open_doors();
  forget_loops_in_children();
  register_runtime(*this);
  const unsigned n = loops_wanted(wish);
  try {
    for (unsigned i = 0; i < n; ++i)
      workers.push_back(std::make_unique<worker>(
          facade, *this, i, simulated ? simulated->make_driver() : make_driver(reactor, i),
          (opts.seed + 1) * 1000003 + i));
    prepare_seals();
    set_debug(debug_wanted(wish));
    for (auto& w : workers) w->start();
  } catch (...) {
    loops_end.store(true, seq_cst);
    for (auto& w : workers) w->wake(), w->join();
    unregister_runtime(*this);
    throw;
  }
}

runtime_state::~runtime_state() {
  end();
  for (auto& w : workers) w->drop_leftovers();  // what a foreign thread posted while it ended
}

// The loops and what they share stay in memory until the runtime is destroyed, so that who still
// has a `loop&` is told, not killed.
void runtime_state::end() noexcept {
  bool mine;
  {
    const uninterrupted alone;
    std::lock_guard hold(wait_lock_);
    mine = !std::exchange(ending_, true);
    if (mine) ender_ = std::this_thread::get_id();
    closing_ = true;
    lifted_ = ~std::uint64_t{0};  // nobody stands still any more
    standing_still_.store(false, seq_cst);
    waiters_.notify_all();
  }
  if (!mine) return wait([&] { return is_closed(); }, when_stuck::abandoned);
  stopping.store(true, seq_cst);
  for (backoff wait; guests.load(seq_cst) != 0; wait.pause()) {
  }  // who saw it false has pushed by then
  cancel_everything();
  shut_generators();
  cancel_everything();  // what their cleanup has started
  (void)pool.shutdown();
  services.end();
  seal_loops();
  cancel_everything();  // what a late callback or job may have started
  loops_end.store(true, seq_cst);
  for (auto& w : workers) w->wake();
  for (auto& w : workers) w->join();
  unregister_runtime(*this);
  for (backoff wait; guests.load(seq_cst) != 0;)
    wait.pause();  // a foreign thread is between its push and its wake-up
  for (auto& w : workers) w->drop_leftovers();
  closed_.store(true, release);  // pairs with is_closed()
  wake_waiters();
}

void runtime_state::close() {
  if (const char* inside = waits_for_caller())
    throw_usage(std::string("close of a runtime inside ") + inside +
                ": it would wait for the caller itself");
  {
    std::lock_guard hold(wait_lock_);
    if (callers_ != 0)
      throw_usage("close of a runtime while a thread is in its run or run_forever");
    closing_ = true;
  }
  end();
}

const char* runtime_state::waits_for_caller() const noexcept {
  if (is_closed()) return nullptr;
  if (reports_.is_telling_here()) return "a call of its exception handler";
  if (pool.is_in_own_job()) return "a job of its own to_thread";
  if (simulated) return nullptr;  // its threads are one
  std::lock_guard hold(wait_lock_);
  return ending_ && ender_ == std::this_thread::get_id() ? "its own end" : nullptr;
}

void runtime_state::report(const error_context& told) noexcept {
  error_context what;
  try {
    what = told;
  } catch (const std::bad_alloc&) {
    what = context_of("out of memory", told.error);
    what.origin = told.origin;
  }
  if (!what.loop && this_runtime() == this) what.loop = this_worker();
  if (!what.loop && what.origin.valid() && what.origin.record()->runtime() == id)
    what.loop = static_cast<worker*>(what.origin.record()->home());
  if (!what.loop) what.loop = workers.front().get();
  reports_.report(std::move(what));
}

void runtime_state::set_handler(std::function<void(const error_context&)> handler) {
  reports_.set_handler(std::move(handler));
}

void runtime_state::set_task_factory(std::function<void(task_options&)> factory) {
  auto shared = std::make_shared<const std::function<void(task_options&)>>(std::move(factory));
  std::lock_guard hold(factory_lock_);
  has_factory_.store(static_cast<bool>(*shared), release);  // pairs with has_task_factory()
  factory_.swap(shared);
}

void runtime_state::ask_task_factory(task_options& o) {
  if (!has_task_factory()) return;
  std::shared_ptr<const std::function<void(task_options&)>> factory;
  {
    std::lock_guard hold(factory_lock_);
    factory = factory_;  // kept: it may replace itself
  }
  if (*factory) (*factory)(o);
}

void runtime_state::fatal(std::exception_ptr error) noexcept {
  const uninterrupted alone;
  std::exception_ptr before;  // destroyed after the unlock: it is the user's
  std::lock_guard hold(wait_lock_);
  if (fatal_ && fatals_ != fatals_told_) return;  // the first one counts
  before = std::exchange(fatal_, std::move(error));
  ++fatals_;
  waiters_.notify_all();
  changed.ring();
}

std::exception_ptr runtime_state::fatal_since(std::uint64_t told) {
  std::lock_guard hold(wait_lock_);
  if (fatals_ == told) return nullptr;
  fatals_told_ = fatals_;
  return fatal_;
}

std::uint64_t runtime_state::fatals_told() {
  std::lock_guard hold(wait_lock_);
  return fatals_told_;
}

void runtime_state::inject(task_record& t) {
  foreign_created.fetch_add(1, acq_rel);
  injection.push(t);
  const unsigned sleeper = idle.take_for_search();
  if (sleeper != idle_set::nobody)
    workers[sleeper]->wake();
  else
    for (auto& w : workers)
      w->wake();  // wakes those that are parked or about to: somebody will look
}

// Like everybody who awaits a task; what is fatal meanwhile is told to nobody, since the runtime
// ends.
void runtime_state::shut_generators() noexcept {
  auto all = generators.shut();
  if (all.empty()) return;
  struct ending final : join_node {
    explicit ending(runtime_state& s) noexcept : join_node(&fired), state(&s) {}
    static void fired(join_node& node, eventual&, work_list&) noexcept {
      auto& self = static_cast<ending&>(node);
      std::lock_guard hold(self.state->wait_lock_);
      self.ended = true;
      self.state->waiters_.notify_all();
    }
    runtime_state* state;
    bool ended = false;  // under wait_lock_
  };
  task_handle<> handle;
  try {
    handle = task_handle<>(&make_root(close_generators(std::move(all))));
  } catch (const std::bad_alloc&) {  // they are gone, and their cleanups did not run
    report(context_of("no memory to close the async generators of a runtime that ends",
                      std::current_exception()));
    return;
  }
  auto& t = *handle.record();
  ending end(*this);
  (void)t.add_joiner(end);
  launch_closing_from_outside(*this, t);
  wait([&] { return end.ended; }, when_stuck::abandoned);
  (void)t.remove_joiner(
      end);  // nobody touches it after that: firing and removing take the same lock
}

std::uint64_t runtime_state::live_tasks() const noexcept {
  // Ends first: a task that ends between the two sums is counted as alive, never the other way.
  // finished() acquires, so whoever counts an end also counts what the ended task had created;
  // otherwise shutdown could find nobody while a child lives.
  std::uint64_t finished = 0;
  for (auto& w : workers) finished += w->finished();
  std::uint64_t created = foreign_created.load(acquire);
  for (auto& w : workers) created += w->created();
  return created - finished;
}

void runtime_state::round_ended() noexcept {
  if (round_left_.fetch_sub(1, acq_rel) == 1) {  // pairs with cancel_everything()
    std::lock_guard hold(wait_lock_);
    waiters_.notify_all();
  }
}

// All that might have asked for its error has ended too; a handle that lives on elsewhere does not
// make the report wait.
void runtime_state::report_failed(const any_task& task) noexcept {
  auto& t = *task.record();
  if (t.how_ended() != outcome::error || t.is_retrieved()) return;
  t.mark_retrieved();
  auto what =
      context_of("unhandled exception during the shutdown of the runtime", error_in(t.storage()));
  what.origin = task;
  what.made = t.made();
  try {
    what.task = t.name();
  } catch (const std::bad_alloc&) {}  // a report without the name
  report(what);
}

void runtime_state::cancel_everything() {
  // In rounds, each over the tasks there are: a task is cancelled once, and what its cleanup starts
  // lives until the round is over.
  unsigned looks = 0;
  for (;;) {
    std::vector<any_task> round;
    any_task few[16];  // when there is no memory at all a round is as many as these
    std::size_t few_count = 0;
    bool full = false;
    round_left_.store(1, relaxed);  // so that it does not reach 0 while we count
    task_record::scan(
        [&](task_record& r) noexcept {
          if (full || r.what() != kind::task || r.done() || r.is_in_round() || r.is_spared())
            return;
          r.ref();
          any_task found(&r);
          try {
            round.push_back(found);
          } catch (const std::bad_alloc&) {
            full = !round.empty() || few_count == std::size(few);
            if (!full) few[few_count++] = std::move(found);
          }
        },
        id);
    const std::span<any_task> those = round.empty() ? std::span(few, few_count) : std::span(round);
    if (those.empty()) {
      if (live_tasks() == 0) return;
      // The last ones are between their end and their count, or close a generator.
      if (simulated || ++looks < 100)
        yield_thread();
      else
        std::this_thread::sleep_for(std::chrono::microseconds(200));
      continue;
    }
    if (simulated)  // not by their places in memory, which no seed decides
      std::sort(those.begin(), those.end(), [this](const any_task& a, const any_task& b) {
        return simulated->number_of(*a.record()) < simulated->number_of(*b.record());
      });
    for (auto& t : those) {
      round_left_.fetch_add(1, relaxed);
      t.record()->put_in_round();
      // It may have ended before it was marked, and then is not counted down by anybody.
      if (t.record()->done() && t.record()->leave_round()) round_left_.fetch_sub(1, relaxed);
    }
    for (auto& t : those) (void)cancel_now(*t.record());
    if (round_left_.fetch_sub(1, acq_rel) != 1) {
      const auto over = [&] { return round_left_.load(acquire) == 0; };
      // The mark and the end of a task are two words, so who ends it may miss the mark: look again
      // now and then.
      const auto look_again = [&] {
        for (auto& t : those)
          if (t.record()->done() && t.record()->leave_round()) round_left_.fetch_sub(1, acq_rel);
        return over();
      };
      if (simulated) {
        block_until(*simulated, time_point::max(), look_again, when_stuck::abandoned);
        continue;
      }
      std::unique_lock hold(wait_lock_);
      while (!waiters_.wait_for(hold, std::chrono::milliseconds(20), over)) (void)look_again();
    }
    for (const auto& t : those) report_failed(t);
  }
}

std::uint64_t runtime_state::begin_run() noexcept {
  const uninterrupted alone;
  std::lock_guard hold(wait_lock_);
  ++runs_;
  lifted_ = std::max(lifted_, standstills_);
  standing_still_.store(false, seq_cst);
  waiters_.notify_all();
  return run_stops_;
}

void runtime_state::end_run() noexcept {
  const uninterrupted alone;
  std::lock_guard hold(wait_lock_);
  --runs_;
}

void runtime_state::wait_until(const run_wait& w) {
  wait([&] { return is_over(w); }, when_stuck::throws);
}

void runtime_state::let_pass_end(const run_wait& w) {
  std::uint64_t number;
  {
    const uninterrupted alone;
    std::lock_guard hold(wait_lock_);
    if (run_stops_ == w.stops) return;
    number = standstills_;
  }
  const auto over = [&] {
    return w.ended.load(acquire) || fatals_ != w.told || lifted_ >= number ||
           standing_ >= workers.size();
  };
  wait(over, when_stuck::throws);
}

// A loop seals itself, by a callback: what it started before that is there for all to see, and it
// starts nothing after that.
struct runtime_state::sealing final : callback {
  sealing(runtime_state& s, worker& w) noexcept : state(&s), loop(&w) {}
  void invoke() override {
    loop->seal();
    const uninterrupted alone;
    std::lock_guard hold(state->wait_lock_);
    state->unsealed_.fetch_sub(1, acq_rel);
    state->waiters_.notify_all();
  }
  void release() noexcept override {}
  runtime_state* state;
  worker* loop;
};

// Made when the runtime begins, since its end must not fail for lack of memory.
void runtime_state::prepare_seals() {
  seals_.reserve(workers.size());
  for (auto& w : workers) seals_.emplace_back(new sealing(*this, *w));
}

void runtime_state::seal_loops() noexcept {
  unsealed_.store(workers.size(), relaxed);
  for (auto& w : workers) {
    auto& seal = seals_[w->index()];
    w->deliver(work(*seal.release()));
  }
  wait([&] { return unsealed_.load(acquire) == 0; }, when_stuck::abandoned);
}

void runtime_state::wake_waiters() noexcept {
  const uninterrupted alone;
  std::lock_guard hold(wait_lock_);
  waiters_.notify_all();
  changed.ring();
}

void runtime_state::enter(const char* what) {
  std::lock_guard hold(wait_lock_);
  if (closing_) throw_usage(std::string(what) + " on a closed runtime");
  ++callers_;
}

void runtime_state::leave() noexcept {
  std::lock_guard hold(wait_lock_);
  --callers_;
}

caller::caller(runtime_state& s, const char* what) : state_(&s) { s.enter(what); }
caller::~caller() { state_->leave(); }

// Protocol STANDSTILL. stop() sends each loop a callback in which it stands still: so what was
// ready there has run before, and what that added has not. A standstill has a number and is lifted
// by it, perhaps before its callbacks have had their turn: they then let the loop pass. Nobody
// stands still while a task from outside has not ended, since some thread may wait for that: its
// starter counts it, then looks whether they stand; who asks them to stand says so, then looks at
// the count (both seq_cst, so one sees the other).

// Lock held. The number to post, or 0: they stand already, or may not.
std::uint64_t runtime_state::ask_to_stand(bool runs_end) noexcept {
  if (closing_ || (runs_ != 0 && !runs_end)) return 0;
  standing_still_.store(true, seq_cst);
  if (from_outside_.load(seq_cst) != 0) {  // pairs with starts_from_outside()
    standing_still_.store(lifted_ < standstills_, seq_cst);
    return 0;
  }
  standing_ = 0;
  return ++standstills_;
}

void runtime_state::post_standstill(std::uint64_t number) noexcept {
  struct standstill final : callback {
    standstill(runtime_state& s, worker& w, std::uint64_t n) noexcept
        : state(&s), loop(&w), number(n) {}
    void invoke() override { state->stand(*loop, number); }
    void release() noexcept override {}
    runtime_state* state;
    worker* loop;
    std::uint64_t number;
  };
  for (auto& w : workers) {
    try {
      w->deliver(work(*new standstill(*this, *w, number)));
    } catch (const std::bad_alloc&) {  // then this one goes on, and nobody waits for it
      std::lock_guard hold(wait_lock_);
      ++standing_;
    }
  }
}

void runtime_state::stand(worker& w, std::uint64_t number) noexcept {
  {
    const uninterrupted alone;
    std::lock_guard hold(wait_lock_);
    if (lifted_ >= number) return;
    if (number == standstills_) ++standing_;
    waiters_.notify_all();
  }
  w.stands_still(true);
  wait([&] { return lifted_ >= number; }, when_stuck::abandoned);
  w.stands_still(false);
}

void runtime_state::go_on() noexcept {
  const uninterrupted alone;
  std::lock_guard hold(wait_lock_);
  lifted_ = std::max(lifted_, standstills_);
  standing_still_.store(false, seq_cst);
  waiters_.notify_all();
}

void runtime_state::run_forever() {
  const caller inside(*this, "run_forever");
  std::uint64_t told, seen, before, number = 0;
  bool one_pass;
  {
    const uninterrupted alone;
    std::lock_guard hold(wait_lock_);
    told = fatals_told_;
    seen = stops_;
    before = standstills_;
    const auto early = std::exchange(early_stop_, early_stop::none);
    one_pass = early != early_stop::none;
    if (early == early_stop::outside) {
      number = ask_to_stand(false);
    } else if (early == early_stop::inside) {
      before = 0;
    } else {
      ++forever_;
    }
  }
  if (number != 0) post_standstill(number);
  {  // they go on, in a single pass to the next standstill
    const uninterrupted alone;
    std::lock_guard hold(wait_lock_);
    lifted_ = std::max(lifted_, before);
    standing_still_.store(lifted_ < standstills_, seq_cst);
    waiters_.notify_all();
  }
  try {
    if (!one_pass) wait([&] { return stops_ != seen || fatals_ != told; }, when_stuck::throws);
  } catch (...) {
    std::lock_guard hold(wait_lock_);
    --forever_;
    throw;
  }
  {
    std::lock_guard hold(wait_lock_);
    if (!one_pass) --forever_;
    if (number == 0) number = standstills_;
  }
  wait([&] { return lifted_ >= number || standing_ >= workers.size() || fatals_ != told; },
       when_stuck::throws);
  if (auto fatal = fatal_since(told)) std::rethrow_exception(std::move(fatal));
}

void runtime_state::stop() noexcept {
  std::uint64_t number = 0;
  {
    const uninterrupted alone;
    std::lock_guard hold(wait_lock_);
    ++stops_;
    const bool ends_runs = forever_ == 0 && runs_ != 0;
    if (ends_runs)
      ++run_stops_;
    else if (forever_ == 0 && early_stop_ == early_stop::none)
      early_stop_ = this_runtime() == this ? early_stop::inside : early_stop::outside;
    if (lifted_ >= standstills_) number = ask_to_stand(ends_runs);
    waiters_.notify_all();
    changed.ring();
  }
  if (number != 0) post_standstill(number);
}

void runtime_state::set_debug(bool on) noexcept {
  debug_.store(on, relaxed);
  for (auto& w : workers) w->watch(on);
}

void main_waiter::fired(join_node& node, eventual&, work_list&) noexcept {
  auto& self = static_cast<main_waiter&>(node);
  auto& s = *self.state_;
  runtime_state::guest inside(s);
  self.ended_.store(true, release);  // pairs with wait_until(); the waiter may be gone from here on
  s.wake_waiters();
}

void main_waiter::wait(eventual& target, const interrupt_watch& interrupts) {
  const runtime_state::run_wait until{ended_, told_, stops_};
  if (target.add_joiner(*this)) {
    // Nobody touches this object after it is removed, since firing and removing take the same lock.
    try {
      unsigned seen = 0;
      const auto look = [&] {
        const unsigned came = interrupts.count();
        if (came == seen) return;
        if (std::exchange(seen, came) == 0) interrupted_ = cancel_now(target);
        if (came > 1) state_->fatal(std::make_exception_ptr(interrupted_error()));
      };
      if (interrupts.armed())
        state_->wait_interruptibly(until, look);
      else
        state_->wait_until(until);
      state_->let_pass_end(until);
    } catch (...) {  // a simulated program is stuck
      (void)target.remove_joiner(*this);
      throw;
    }
    (void)target.remove_joiner(*this);
  }
  if (auto fatal = state_->fatal_since(told_)) std::rethrow_exception(fatal);
  if (!target.done())
    throw_usage(
        "stop() was called before what run waits for had ended: it is pending, and goes on "
        "with the next run");
}

void check_foreign(const char* what) {
  if (this_worker())
    throw_usage(std::string(what) +
                " inside a running loop: a loop's thread must not block; co_await instead");
}

main_waiter::main_waiter(runtime_state& s)
    : join_node(&fired), state_(&s), told_(s.fatals_told()), stops_(s.begin_run()) {}
main_waiter::~main_waiter() { state_->end_run(); }

// ------------------------------------------------ driver.h, executor_hooks.h

void driver::subscribe(occasion, int, loop&, driver&, counted_ptr<handler>) {
  throw_usage("this loop watches neither descriptors nor signals");
}

bool driver::unsubscribe(occasion, int) { return false; }

driver& current_driver() {
  auto* w = this_worker();
  if (!w) throw no_running_loop();
  return real_driver(*w);
}

driver& driver_of(unsigned index) {
  auto* s = this_runtime();
  if (!s) throw no_running_loop();
  HEDDLE_ASSERT(index < s->workers.size(), "there is no such loop");
  return real_driver(*s->workers[index]);
}

unsigned current_loop_index() {
  auto* w = this_worker();
  if (!w) throw no_running_loop();
  return w->index();
}

void with_driver(runtime_number runtime, unsigned index, void (*f)(driver&, void*),
                 void* argument) noexcept {
  struct parcel {
    unsigned index;
    void (*f)(driver&, void*);
    void* argument;
  } p{index, f, argument};
  (void)with_runtime(
      runtime,
      [](runtime_state& s, void* a) {
        auto& p = *static_cast<parcel*>(a);
        if (p.index < s.workers.size() && !s.simulated)
          p.f(s.workers[p.index]->own_driver(), p.argument);
      },
      &p);
}

void reschedule(task_record& t) noexcept {
  auto* here = worker_of(self_of_thread);
  if (t.is_pinned() && t.home() != here)
    schedule(t);
  else
    here->push_back(t);
}

void give_way(task_record& t) noexcept {
  worker_of(self_of_thread)->look_round();
  reschedule(t);
}

}  // namespace detail

// ---------------------------------------------------------------------- loop

loop* current_loop_if_any() noexcept { return static_cast<loop*>(detail::this_thread().loop); }

loop& current_loop() {
  auto* l = current_loop_if_any();
  if (!l) throw no_running_loop();
  return *l;
}

callback_handle loop::post(detail::callback* c) {
  auto& w = static_cast<detail::worker&>(*this);
  callback_handle handle(c);
  w.check_open("call_soon");
  c->context = detail::inherited_context();
  c->ref_alone();  // the queue's
  w.deliver(detail::work(*c));
  return handle;
}

callback_handle loop::post_at(detail::timed_callback* c, time_point when) {
  auto& w = static_cast<detail::worker&>(*this);
  callback_handle handle(c);
  w.check_open("call_at");
  c->context = detail::inherited_context();
  c->arm(w, when);
  return handle;
}

void loop::subscribe(detail::occasion when, int number, detail::counted_ptr<detail::handler> what) {
  auto& w = static_cast<detail::worker&>(*this);
  w.check_open("add_reader, add_writer or add_signal_handler");
  detail::runtime_state::guest inside(w.state());
  w.state().workers.front()->own_driver().subscribe(when, number, *this, w.own_driver(),
                                                    std::move(what));
}

bool loop::unsubscribe(detail::occasion when, int number) {
  auto& w = static_cast<detail::worker&>(*this);
  detail::runtime_state::guest inside(w.state());
  return w.state().workers.front()->own_driver().unsubscribe(when, number);
}

// ------------------------------------------------------------------- runtime

runtime::runtime(const options& o) {
  detail::check_foreign("a runtime");
  state_.reset(new detail::runtime_state(*this, o));
}

runtime::~runtime() {
  HEDDLE_ASSERT(detail::this_runtime() != state_.get(),
                "a runtime was destroyed by one of its own tasks");
  HEDDLE_ASSERT(state_->waits_for_caller() == nullptr,
                "a runtime was destroyed by what its own end waits for: a call of its exception "
                "handler, or a job of its to_thread");
}

void runtime::close() {
  detail::check_foreign("close");
  state_->close();
}

void runtime::give(void* state, detail::offload_job& j) {
  auto& s = *static_cast<detail::runtime_state*>(state);
  j.ref();  // the thread's
  try {
    s.pool.submit(j);
  } catch (...) {
    j.unref();
    throw;
  }
}

task<bool> runtime::shutdown_default_executor(any_duration limit) {
  auto result = std::make_shared<promise<bool>>();
  auto end = result->get_future();
  state_->pool.shutdown_beside(saturating_add(clock::now(), limit), [result](bool ended) {
    try {
      if (!result->done()) result->set_value(ended);
    } catch (const invalid_state_error&) {}  // who waited was cancelled
  });
  const bool ended = co_await std::move(end);
  if (!ended) {
    error_context what;
    what.message = "the threads of to_thread did not end within " +
                   std::to_string(static_cast<double>(limit.count()) / 1e9) +
                   " s: what runs there is left alone";
    report(what);
  }
  co_return ended;
}

bool runtime::is_closed() const noexcept { return state_->is_closed(); }

void runtime::set_debug(bool on) noexcept { state_->set_debug(on); }
bool runtime::debug() const noexcept { return state_->debug(); }

void runtime::check_owner(const detail::future_base& f) const {
  if (f.number() != 0 && f.number() != state_->serial)
    detail::throw_bad_value("run of a future that belongs to another runtime");
}

context runtime::main_context() const noexcept { return state_->main_context; }

void runtime::set_task_factory(std::function<void(task_options&)> factory) {
  state_->set_task_factory(std::move(factory));
}

void runtime::ask_task_factory(task_options& o) { state_->ask_task_factory(o); }

std::exception_ptr runtime::refused_by_factory(task_options& o) noexcept {
  try {
    state_->ask_task_factory(o);
    return nullptr;
  } catch (...) {
    auto error = std::current_exception();
    auto what = detail::context_of("the task factory refused a submitted task", error);
    what.task.swap(o.name);  // the task will not be made
    report(what);
    return error;
  }
}

void runtime::launch_foreign(detail::task_record& t, const task_options& o, bool somebody_waits) {
  auto& s = *state_;
  detail::runtime_state::guest inside(s);
  try {
    if (s.is_stopping())
      detail::throw_usage("run or submit on a closed runtime: " + detail::never_began(t, o));
    if (o.loop && &o.loop->owner() != this)
      detail::throw_usage("the task factory asks for a loop of another runtime: " +
                          detail::never_began(t, o));
    detail::apply_options(t, o);
  } catch (...) {
    detail::discard_unlaunched(t);
    throw;
  }
  t.at_home(s.workers.front().get());
  t.belongs_to(s.id);
  if (s.simulated) (void)s.simulated->number_of(t);
  if (somebody_waits) {
    t.mark_foreign();
    s.starts_from_outside();
  }
  if (!o.loop) return s.inject(t);
  s.foreign_created.fetch_add(1, detail::acq_rel);
  auto* target = static_cast<detail::worker*>(o.loop);
  t.pin();
  t.at_home(target);
  target->deliver(detail::work(t));
}

void runtime::run_foreign(detail::task_record& t, const task_options& o) {
  const detail::interrupt_watch interrupts(state_->changed, state_->simulated == nullptr);
  detail::main_waiter waiter(
      *state_);  // while it waits the loops go on; when stop() ends that, the task is as others are
  launch_foreign(t, o, false);
  waiter.wait(t, interrupts);
  // Cancelled by the interrupt alone: that is what the caller is told. An interrupt that found it
  // cancelled and at its end has done nothing.
  if (waiter.interrupted() && t.how_ended() == detail::outcome::cancelled &&
      detail::word::requests(t.state().load()) <= 1)
    throw interrupted_error();
}

void runtime::wait_foreign(detail::future_base& f) {
  const detail::interrupt_watch interrupts(state_->changed, state_->simulated == nullptr);
  detail::main_waiter waiter(*state_);
  waiter.wait(f, interrupts);
  if (waiter.interrupted() && f.how_ended() == detail::outcome::cancelled)
    throw interrupted_error();
}

void runtime::run_forever() {
  detail::check_foreign("run_forever");
  state_->run_forever();
}

void runtime::stop() noexcept { state_->stop(); }

unsigned runtime::loop_count() const noexcept {
  return detail::narrow<unsigned>(state_->workers.size());
}

class loop& runtime::loop(unsigned i) const {
  if (is_closed()) detail::throw_usage("loop() of a closed runtime");
  if (i >= state_->workers.size())
    throw bad_value("loop(" + std::to_string(i) + "): there are " +
                    std::to_string(state_->workers.size()));
  return *state_->workers[i];
}

runtime_stats runtime::stats() const {
  runtime_stats all;
  for (auto& w : state_->workers) all.loops.push_back(w->stats());
  all.tasks = state_->live_tasks();
  all.reactor = state_->workers.front()->own_driver().name();
  return all;
}

std::string runtime::reactor() const { return state_->workers.front()->own_driver().name(); }

const std::string& runtime::reactor_note() const noexcept { return state_->reactor_note; }

void runtime::set_exception_handler(std::function<void(const error_context&)> handler) {
  state_->set_handler(std::move(handler));
}

task<> runtime::shutdown_async_generators() {
  return detail::close_generators(state_->generators.shut());
}

void runtime::report(const error_context& what) noexcept { state_->report(what); }

runtime& current_runtime() {
  auto* s = detail::this_runtime();
  if (!s) throw no_running_loop();
  return s->facade;
}

}  // namespace heddle
