// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/runtime_state.h>

#include <heddle/core/base/thread_state.h>
#include <heddle/core/checked.h>
#include <heddle/sched/runtime/doors.h>
#include <heddle/sched/runtime/registry.h>

#include <sched.h>

#include <algorithm>
#include <cmath>
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

bool debug_wanted(const options& o) {
  if (o.debug) return *o.debug;
  const char* said = std::getenv("HEDDLE_DEBUG");
  return said && *said && std::string_view(said) != "0";
}

}  // namespace

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

void runtime_state::wake_waiters() noexcept {
  const uninterrupted alone;
  std::lock_guard hold(wait_lock_);
  waiters_.notify_all();
  changed.ring();
}

void runtime_state::set_debug(bool on) noexcept {
  debug_.store(on, relaxed);
  for (auto& w : workers) w->watch(on);
}

}  // namespace heddle::detail
