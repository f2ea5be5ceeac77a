// SPDX-License-Identifier: MIT
// Programs that are looked at from outside. Each is a function that brings its tasks into a known
// state and stays there. `inside_programs NAME LOOPS [N]` runs one; it ends when its input is
// closed.
#pragma once

#include <heddle/core/future.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/runtime.h>

#include <string>
#include <vector>

namespace inside {

namespace h = heddle;

/// Tasks that nobody else keeps.
inline std::vector<h::task_handle<>>& kept() {
  static std::vector<h::task_handle<>> all;
  return all;
}
/// Starts `t` under `name`, and keeps it.
inline void keep(std::string name, h::task<> t) {
  h::task_options o;
  o.name = std::move(name);
  kept().push_back(h::create_task(std::move(t), o));
}

// Each keeps tasks, or awaits, until it is cancelled. `n` is the third argument of the program.
h::task<> every_kind(int n);
h::task<> chat(int n);
h::task<> hogged(int n);
h::task<> cancelled(int n);
h::task<> churn(int n);
h::task<> deep(int n);
h::task<> ring(int n);
h::task<> strands(int n);
h::task<> many(int n);
h::task<> generators(int n);
h::task<> tree(int n);
h::task<> odd_names(int n);
h::task<> queued(int n);
h::task<> lives_again(int n);
h::task<> dumps(int n);
h::task<> runtimes(int n);
h::task<> two_runtimes(int n);
h::task<> makers(int n);
h::task<> busy(int n);
h::task<> execs(int n);
h::task<> forks(int n);

// shapes.cpp, by what the compiler does with it.
namespace shapes_O0 {
h::task<> run(int n);
}
namespace shapes_O2 {
h::task<> run(int n);
}
namespace shapes_O3 {
h::task<> run(int n);
}
h::task<> traced(int n);
h::task<> turns_taken(int n);
h::task<> requests(int n);
h::task<> spins(int n);
h::task<> storm(int n);
h::task<> variables(int n);
h::task<> computing(int n);
h::task<> two_heddles(int n);
h::task<> leaks(int n);
h::task<> islands(int n);
h::task<> no_leaks(int n);
h::task<> grows(int n);
h::task<> kept_tasks(int n);
h::task<> large_frames(int n);
h::task<> computes(int ms);
h::task<> step_blocks(int n);
h::task<> blamed(int ms);
h::task<> needs_rescue(int count);
h::task<> late_timers(int ms);
h::task<> throws_much(int ms);
h::task<> owners(int n);
h::task<> circles(int n);
h::task<> ownerless(int n);
h::task<> full_pool(int n);
h::task<> ailing(int n);
h::task<> healthy(int n);
h::task<> floods(int n);
h::task<> sockets(int n);

/// A program that runs in `main`, and in which nothing can happen any more, but for what `n` adds.
int rests(unsigned loops, int n);
/// A program whose close() does not return, or, `n` 1, whose run(). 2: for a job.
int endings(unsigned loops, int n);
/// A program whose runtime cannot have io_uring, and does nothing.
int falls_back(unsigned loops, int n);
/// A program that makes `n` tasks, and tells how many its loops have made.
int counted(unsigned loops, int n);

}  // namespace inside
