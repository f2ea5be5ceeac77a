// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/runtime_state.h>

#include <heddle/core/base/assert.h>
#include <heddle/core/checked.h>
#include <heddle/core/seeing/layout.h>
#include <heddle/sched/loop/second_choice.h>
#include <heddle/sched/runtime/registry.h>
#include <heddle/sched/runtime/trace_on.h>
#include <heddle/sched/stalls/watch.h>

#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>

namespace heddle::detail {
namespace {

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

/// HEDDLE_STALL_LIMIT: a number and its unit, us, ms or s; without a unit milliseconds.
duration stall_limit_named(std::string_view text) {
  const std::string said(text);
  double unit = 1e6;
  const auto ends_in = [&](std::string_view suffix, double ns) {
    if (!text.ends_with(suffix)) return false;
    text.remove_suffix(suffix.size());
    unit = ns;
    return true;
  };
  if (!ends_in("ms", 1e6) && !ends_in("us", 1e3)) (void)ends_in("s", 1e9);
  double number = 0;
  if (!parse_number(text, number, 1e12))
    throw bad_value("HEDDLE_STALL_LIMIT is \"" + said + "\": use a time such as 250ms or 2s, or 0");
  return to_duration(std::chrono::duration<double, std::nano>(number * unit));
}

unsigned niceness_wanted(const options& o) {
  constexpr unsigned most = 19;
  if (o.thread_niceness > most)
    throw bad_value("options.thread_niceness is " + std::to_string(o.thread_niceness) +
                    ": at most " + std::to_string(most));
  return o.thread_niceness;
}

duration stall_limit_wanted(const options& o) {
  if (o.stall_limit) return o.stall_limit->get();
  const char* said = std::getenv("HEDDLE_STALL_LIMIT");
  if (said && *said) return stall_limit_named(said);
  return notes_places ? std::chrono::milliseconds(100) : duration::zero();
}

int stall_signal_wanted(const options& o) {
  if (!o.stall_signal) return SIGURG;
  if (*o.stall_signal < 0 || *o.stall_signal > SIGRTMAX)
    throw bad_value("options.stall_signal is " + std::to_string(*o.stall_signal) +
                    ": it must be the number of a signal, or 0");
  return *o.stall_signal;
}

bool debug_wanted(const options& o) {
  if (o.debug) return *o.debug;
  const char* said = std::getenv("HEDDLE_DEBUG");
  return said && *said && std::string_view(said) != "0";
}

}  // namespace

runtime_state* this_runtime() noexcept {
  auto* w = this_worker();
  return w ? &runtime_of(*w) : nullptr;
}

namespace {

/// A call that the registry makes with the loops, and which wants their runtime.
struct typed_call {
  void (*f)(runtime_state&, void*);
  void* argument;
  static void made(loop_group& g, void* self) {
    const auto& call = *static_cast<typed_call*>(self);
    call.f(static_cast<runtime_state&>(g), call.argument);
  }
};

}  // namespace

bool with_runtime(runtime_number number, void (*f)(runtime_state&, void*),
                  void* argument) noexcept {
  if (auto* s = this_runtime(); s && s->serial == number) {
    f(*s, argument);
    return true;
  }
  typed_call call{f, argument};
  return with_loops(number, &typed_call::made, &call);
}

bool with_runtime_of(const task_record& t, void (*f)(runtime_state&, void*),
                     void* argument) noexcept {
  if (auto* s = this_runtime(); s && s->id == t.runtime()) {
    f(*s, argument);
    return true;
  }
  typed_call call{f, argument};
  return with_loops_of(t, &typed_call::made, &call);
}

void report_to(runtime_number number, const error_context& what) noexcept {
  const error_context* told = &what;
  const bool there = with_runtime(
      number, [](runtime_state& s, void* c) { s.report(**static_cast<const error_context**>(c)); },
      &told);
  if (!there) report_on_stderr(what);
}

runtime_state::runtime_state(runtime& face, const options& wish)
    : loop_group(simulation::here(), loops_wanted(wish), wish.slow_callback.get()),
      facade(face),
      opts(wish),
      reactor(simulated ? reactor_kind::automatic : choose_reactor(wish.reactor, reactor_note)),
      reports(simulated, wish.exception_handler),
      stall_reports(simulated, wish.stall_handler),
      pool(threads_wanted(wish), loops_wanted(wish), std::chrono::seconds(10),
           niceness_wanted(wish)),
      generators(loops_wanted(wish)),
      main_context(copy_context()) {
  const watch_options watched{stall_limit_wanted(wish), stall_signal_wanted(wish),
                              static_cast<bool>(wish.stall_handler)};
  set_task_factory(wish.task_factory);
  register_runtime(*this);
  try {
    make_loops(loops_wanted(wish));
    seals.prepare(*this, waits);
    set_debug(debug_wanted(wish));
    looks_at_rest.store(!simulated && wish.when_at_rest != at_rest::nothing, relaxed);
    for (worker* w : workers) w->start();
  } catch (...) {
    loops_end.store(true, seq_cst);
    for (worker* w : workers) w->wake(), w->join();
    unregister_runtime(*this);
    throw;
  }
  if (!simulated) watch_of_process().add(*this, watched);
}

// All loops have the same kind of reactor: a stream may be moved by each of them. So the drivers
// are made before the loops, and a kernel that refuses one ring gets none.
void runtime_state::make_loops(unsigned n) {
  own_workers.reserve(n);
  workers.reserve(n);
  auto drivers = make_drivers(n);
  for (unsigned i = 0; i < n; ++i) {
    own_workers.push_back(std::make_unique<worker>(facade, *this, i, std::move(drivers[i]),
                                                   (opts.seed + 1) * 1000003 + i));
    workers.push_back(own_workers.back().get());
  }
}

std::vector<owned<driver>> runtime_state::make_drivers(unsigned n) {
  const auto all_of = [&](reactor_kind kind) {
    std::vector<owned<driver>> all;
    all.reserve(n);
    for (unsigned i = 0; i < n; ++i)
      all.push_back(simulated ? simulated->make_driver() : make_driver(kind, i));
    return all;
  };
  try {
    return all_of(reactor);
  } catch (const std::system_error& e) {
    if (reactor != reactor_kind::uring) throw;
    return all_of(second_choice(opts.reactor, e, reactor_note));
  }
}

runtime_state::~runtime_state() {
  HEDDLE_ASSERT(is_closed(), "a runtime was destroyed before its end");
  for (worker* w : workers) w->drop_leftovers();  // what a foreign thread posted while it ended
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
  if (!what.loop) what.loop = workers.front();
  reports.report(std::move(what));
}

void runtime_state::set_handler(std::function<void(const error_context&)> handler) {
  reports.set_handler(std::move(handler));
}

void runtime_state::set_task_factory(std::function<void(task_options&)> factory) {
  // The default is restored by destructors, so it needs no memory.
  using function = std::function<void(task_options&)>;
  static const function& none = *new const function;  // read after static destruction too
  auto shared = factory ? std::make_shared<const function>(std::move(factory))
                        : std::shared_ptr<const function>(std::shared_ptr<const function>(), &none);
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

void runtime_state::inject(task_record& t) {
  foreign_created.fetch_add(1, acq_rel);
  injection.push(t);
  const unsigned sleeper = idle.take_for_search();
  if (sleeper != idle_set::nobody)
    workers[sleeper]->wake();
  else
    for (worker* w : workers)
      w->wake();  // wakes those that are parked or about to: somebody will look
}

std::uint64_t runtime_state::live_tasks() const noexcept {
  // Ends first: a task that ends between the two sums is counted as alive, never the other way.
  // finished() acquires, so whoever counts an end also counts what the ended task had created;
  // otherwise shutdown could find nobody while a child lives.
  std::uint64_t finished = 0;
  for (const worker* w : workers) finished += w->finished();
  std::uint64_t created = foreign_created.load(acquire);
  for (const worker* w : workers) created += w->created();
  return created - finished;
}

void runtime_state::set_debug(bool on) noexcept {
  debug_.store(on, relaxed);
  for (worker* w : workers) w->watch(on);
}

void runtime_state::set_stall_limit(duration limit) noexcept {
  watch_of_process().change_limit(*this, limit);
}

// -------------------------------------------------- what its loops tell it

namespace {

/// The beginning of a warning, and its end.
std::string slow_message(const std::string& what, duration took) {
  return "slow: " + what + " took " + std::to_string(took.count() / 1000 / 1e6) +
         " s, and nothing else ran on its loop meanwhile";
}

}  // namespace

void runtime_state::step_was_slow(task_record& t, duration took) noexcept {
  try {
    error_context what;
    t.ref();
    what.origin = any_task(&t);
    what.task = t.name();
    what.made = t.made();
    what.took = took;
    what.message = slow_message("a step of a task", took);
    report(what);
  } catch (const std::bad_alloc&) {}  // a warning less
}

void runtime_state::callback_was_slow(callback& c, duration took) noexcept {
  try {
    error_context what;
    c.ref();
    what.callback = callback_handle(&c);
    what.took = took;
    what.message = slow_message("the callback " + type_name(c.function_type()), took);
    report(what);
  } catch (const std::bad_alloc&) {}  // a warning less
}

void runtime_state::callback_threw(callback& c, std::exception_ptr error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const fatal_error&) { return fatal.came(std::move(error)); } catch (...) {
  }
  auto what = context_of("exception in a callback", std::move(error));
  c.ref();
  what.callback = callback_handle(&c);
  report(what);
}

void runtime_state::loop_was_kept(const kept_report& told) noexcept {
  if (!told.is_over) write_trace_on(trace_trigger::stall);
  try {
    error_context what;
    what.message = told.message;
    if (opts.stall_handler) what.task = told.task;  // a line on stderr would name it twice
    what.loop = told.loop;
    what.took = told.lasted;
    stall_reports.report(std::move(what));
  } catch (const std::bad_alloc&) {}  // a warning less; the ledger has it
}

void runtime_state::awaited_end(task_record& t) noexcept {
  if (t.is_in_round() && t.take_out_of_round() &&
      ending.round_left.fetch_sub(1, acq_rel) == 1) {  // pairs with wait_for_round()
    std::lock_guard hold(waits.lock());
    waits.look_again();
  }
  if (t.is_foreign()) standstill.ended_from_outside();
}

}  // namespace heddle::detail

// The classes have virtual functions, so offsetof is "conditionally supported": by both compilers.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

template <>
struct layout_of<runtime_state> {
  static constexpr seeing::field_row rows[] = {
      {"group.reactor_note", offsetof(runtime_state, reactor_note), sizeof(std::string)},
      {"group.stopping", offsetof(runtime_state, stopping), 1},
      {"group.closed", offsetof(runtime_state, ending.closed), 1},
      {"group.round_left", offsetof(runtime_state, ending.round_left), 8},
  };
};

namespace {
HEDDLE_ROW("heddle_fields")
constexpr auto runtime_state_fields = std::to_array(layout_of<runtime_state>::rows);
}  // namespace

}  // namespace heddle::detail
