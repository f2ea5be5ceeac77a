// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/registry.h>

#include <heddle/core/base/thread_state.h>
#include <heddle/core/errors.h>
#include <heddle/core/seeing/dump.h>
#include <heddle/core/seeing/layout.h>
#include <heddle/sched/runtime/trace_on.h>
#include <heddle/sched/stalls/forked.h>

#include <pthread.h>

#include <csignal>
#include <map>
#include <mutex>
#include <string>

namespace heddle::detail {
namespace {

std::mutex registry_lock;  // guards all below
std::map<std::uint16_t, loop_group*>& registry() {
  // Immortal: handles may outlive static destruction.
  static auto* all = new std::map<std::uint16_t, loop_group*>;
  return *all;
}
/// The living runtimes once more, as readers from outside find them: through next_living.
constinit loop_group* first_living = nullptr;
HEDDLE_ROW("heddle_roots") constexpr seeing::root_row runtimes_root{"runtimes", &first_living};

runtime_number last_number = 0;
constexpr std::size_t most_runtimes = ended_runtime - 1;  // at once

runtime_number next_number() noexcept {
  do ++last_number;
  while (short_number(last_number) == 0 || short_number(last_number) == ended_runtime);
  return last_number;
}

/// The one thread of a forked child may have been a loop. It is none any more, and takes SIGPIPE
/// again.
void be_no_loop() {
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
}

/// A forked child has the memory of the loops, but not their threads. So it knows of no runtime.
/// And the locks that all runtimes share are taken over the fork, or one that another thread held
/// would never be let go of in the child.
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
        first_living = nullptr;
        registry_lock.unlock();
        forget_watch();
        be_no_loop();
      });
  (void)once;
}

/// `find` is called under the registry's lock. What it finds is kept alive until `f` has returned.
template <class Find>
bool with_found(Find find, void (*f)(loop_group&, void*), void* argument) noexcept {
  loop_group* g;
  {
    const uninterrupted guard;
    std::lock_guard hold(registry_lock);
    g = find();
    if (!g) return false;
    g->guests.fetch_add(1, seq_cst);  // keeps it alive from here on
  }
  f(*g, argument);
  g->guests.fetch_sub(1, seq_cst);
  return true;
}

loop_group* living(std::uint16_t id) {
  auto at = registry().find(id);
  return at == registry().end() ? nullptr : at->second;
}

}  // namespace

void register_runtime(loop_group& g) {
  forget_loops_in_children();
  seeing::arrange_dumps();
  arrange_traces();
  std::lock_guard hold(registry_lock);
  auto& all = registry();
  if (all.size() == most_runtimes)
    throw_usage("more than " + std::to_string(most_runtimes) + " runtimes live at once");
  do g.serial = next_number();
  while (all.count(short_number(g.serial)) != 0);
  g.id = short_number(g.serial);
  all.emplace(g.id, &g);
  g.next_living = first_living;
  first_living = &g;
}

void unregister_runtime(loop_group& g) noexcept {
  // Before the short number can be given again: no record has it any more.
  task_record::scan([](task_record& r) { r.belongs_to(ended_runtime); }, g.id);
  std::lock_guard hold(registry_lock);
  registry().erase(g.id);
  loop_group** link = &first_living;
  while (*link && *link != &g) link = &(*link)->next_living;
  if (*link) *link = g.next_living;  // else this is a forked child, which knows of no runtime
}

bool with_loops(runtime_number number, void (*f)(loop_group&, void*), void* argument) noexcept {
  return with_found(
      [&] {
        auto* g = living(short_number(number));
        return g && g->serial == number ? g : nullptr;
      },
      f, argument);
}

bool with_loops_of(const task_record& t, void (*f)(loop_group&, void*), void* argument) noexcept {
  // Read under the lock: a runtime marks the records that outlive it before it leaves the registry.
  return with_found([&] { return living(t.runtime()); }, f, argument);
}

std::vector<runtime_number> living_runtimes() {
  std::vector<runtime_number> all;
  const uninterrupted guard;
  std::lock_guard hold(registry_lock);
  for (const auto& [id, g] : registry()) all.push_back(g->serial);
  return all;
}

void skip_runtime_numbers(std::uint32_t n) noexcept {
  std::lock_guard hold(registry_lock);
  while (n-- != 0) (void)next_number();
}

}  // namespace heddle::detail
