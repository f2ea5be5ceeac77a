// SPDX-License-Identifier: MIT
// A program in which nothing can happen any more says so.
#include "looking.h"

#include <heddle/sched/create_task.h>
#include <heddle/sched/simulate.h>
#include <heddle/sched/sleep.h>
#include <heddle/sync/mutex.h>

#include <memory>
#include <vector>

namespace {

using namespace conformance;

LOOKING_CASES(IN_REST);

// As tests/inside/rests.cpp has them.
enum also { nothing_else, fails, timer, descriptor, job, handler, thread, listener, silent };

bool says_so(const watched& w) {
  const auto text = w.errors();
  return text.find("nothing can happen any more") != std::string::npos &&
         text.find("No timeout is around any of them.\n") != std::string::npos;
}

// A program that has something left says nothing, however long it is watched. So it is enough to
// wait until one that begins later, and has nothing left, has said so.
TEST_P(IN_REST, IN_WHY_13_AProgramAtRestSaysSoOnceAndOneThatIsNotSaysNothing) {
  std::vector<std::unique_ptr<watched>> others;
  for (const int what : {timer, descriptor, job, handler, listener, silent})
    others.push_back(std::make_unique<watched>("rests", loops(), what));
  const watched foreign("rests", loops(), thread);
  const watched throws("rests", loops(), fails);
  const watched w("rests", loops(), nothing_else);
  HOLDS(soon([&] { return says_so(w); }));
  const auto text = w.errors();
  // What ThreadSanitizer adds to a program is a thread that it knows nothing of.
  HOLDS(sanitized ||
        has_line(text, {"nothing can happen any more: 3 tasks wait, and no timer, job, "
                        "descriptor, handler or other thread is left to wake one."}));
  HOLDS(has_line(text, {"DEADLOCK of 2 tasks"}));
  HOLDS(has_line(text, {"held by #", " first  <- the circle closes"}) ||
        has_line(text, {"held by #", " second  <- the circle closes"}));
  HOLDS(soon([&] { return says_so(foreign); }));
  HOLDS(has_line(foreign.errors(),
                 {"nothing can happen any more, unless thread ", "does something: 3 tasks wait"}));
  HOLDS(soon([&] { return says_so(throws); }));
  HOLDS(has_line(throws.errors(), {"run threw: heddle: nothing can happen any more"}));
  for (const auto& other : others) EQUAL(other->errors(), "");
  EQUAL(lines_with(w.errors(), {"nothing can happen any more"}).size(), 1u);
}

h::task<> locks(h::mutex& own, h::mutex& next) {
  const auto guard = co_await own.scoped_lock();
  co_await h::sleep(1ms);
  const auto second = co_await next.scoped_lock();
}

/// What a simulation of two tasks that lock each other says.
std::string stuck_text(std::uint64_t seed, unsigned loops) {
  const auto program = []() -> h::task<> {
    h::mutex a, b;
    h::task_options one, other;
    one.name = "first";
    other.name = "second";
    auto first = h::create_task(locks(a, b), one);
    auto second = h::create_task(locks(b, a), other);
    co_await first;
    co_await second;
  };
  try {
    h::testing::simulate(seed, {.loops = loops}, program);
  } catch (const h::testing::stuck_error& e) { return e.what(); }
  return "";
}

TEST_P(IN_REST, IN_SAFE_10_ASimulationTellsDeadlocksByTheSameTextAndASeedRepeats) {
  const auto text = stuck_text(7, loops());
  HOLDS(has_line(text, {"DEADLOCK of 2 tasks: task ", " waits in mutex, held by task ",
                        ", which waits in mutex, held by task "}));
  EQUAL(stuck_text(7, loops()), text);
}

}  // namespace
