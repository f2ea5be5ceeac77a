// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/registry.h>

#include <heddle/core/base/thread_state.h>
#include <heddle/sched/runtime/runtime_state.h>

#include <pthread.h>

#include <csignal>
#include <map>
#include <mutex>
#include <string>

namespace heddle::detail {
namespace {

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

}  // namespace

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

void skip_runtime_numbers(std::uint32_t n) noexcept {
  std::lock_guard hold(registry_lock);
  while (n-- != 0) (void)next_number();
}

}  // namespace heddle::detail
