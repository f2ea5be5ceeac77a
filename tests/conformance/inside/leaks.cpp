// SPDX-License-Identifier: MIT
// heddle leaks: tasks that nobody can wake any more.
#include "cores.h"

namespace {

using namespace conformance;

LOOKING_CASES(IN_LEAK);

/// The blocks of a sanitizer's heap cannot be told apart. The tool says so, and lists nothing.
#define LISTS_NOTHING_WITH_SANITIZERS(program)                                  \
  if (sanitized) {                                                              \
    const watched w(program, loops());                                          \
    HOLDS(has_line(tool({"leaks", w.number()}).err, {"cannot be told apart"})); \
    return;                                                                     \
  }

bool all_wait(const watched& w, const std::vector<std::string>& names) {
  tool_until({"ps", w.number()}, [&](const ran& r) {
    bool all = true;
    for (const auto& name : names)
      all = all && (has_line(r.out, {name, " event "}) || has_line(r.out, {name, " await "}) ||
                    has_line(r.out, {name, " queue.get "}) || has_line(r.out, {name, " sleep"}));
    return all;
  });
  return true;
}

TEST_P(IN_LEAK, IN_LEAK_01_WhoWaitsForWhatWasLostIsListed) {
  LISTS_NOTHING_WITH_SANITIZERS("leaks")
  const watched w("leaks", loops());
  all_wait(w, {"lost promise", "lost event", "lost queue", "own event"});
  const auto lists_all = [](const ran& r) {
    return has_line(r.out, {"lost promise", "await", "nobody has its promise"}) &&
           has_line(r.out, {"lost event", "event", "nobody points at it"}) &&
           has_line(r.out, {"lost queue", "queue.get 0/2", "nobody points at it"}) &&
           has_line(r.out, {"own event", "only its own frame has it"});
  };
  if (loops() != 1) {
    // A word that was left on another loop's stack may still point there: then it counts as live.
    const auto seen = tool({"leaks", w.number()});
    HOLDS(seen.status == 0 || seen.status == 1);
    return;
  }
  const auto living = tool_until({"leaks", w.number()}, lists_all);
  EQUAL(living.status, 0);
  const core_of core(w);
  const auto dead = tool({"leaks", core.path()});
  SCOPED_TRACE(dead.out + dead.err);
  HOLDS(lists_all(dead));
}

TEST_P(IN_LEAK, IN_LEAK_02_WhatSomethingLivingHasIsNotListed) {
  LISTS_NOTHING_WITH_SANITIZERS("no_leaks")
  const watched w("no_leaks", loops());
  all_wait(w, {"by the heap", "by the heap too", "by a variable", "by a frame", "by a timer"});
  const auto said = tool({"leaks", w.number()});
  SCOPED_TRACE(said.out + said.err);
  EQUAL(said.status, 1);
  EQUAL(said.out, "");
}

TEST_P(IN_LEAK, IN_LEAK_03_TasksThatWaitInWhatOnlyTheyHaveAreListed) {
  LISTS_NOTHING_WITH_SANITIZERS("islands")
  const watched w("islands", loops());
  all_wait(w, {"first of two", "second of two"});
  const auto said = tool_until({"leaks", w.number()}, [](const ran& r) {
    return has_line(r.out, {"first of two", "event", "only a frame of #"}) &&
           has_line(r.out, {"second of two", "event", "only a frame of #"});
  });
  EQUAL(said.status, 0);
}

TEST_P(IN_LEAK, IN_LEAK_04_AWatchTellsWhereTasksBecomeMore) {
  const watched w("grows", loops());
  const auto said = tool_until({"leaks", "--watch", "100ms", w.number()}, [](const ran& r) {
    return has_line(r.out, {"+", " in 100ms, now ", "event", "waits_in", "leaks.cpp:"});
  });
  HOLDS(said.out.starts_with("+"));
  EQUAL(tool({"leaks", "--watch", "soon", w.number()}).status, 64);
}

TEST_P(IN_LEAK, IN_LEAK_05_EndedTasksThatAreKeptAreCounted) {
  const watched w("kept_tasks", loops(), 7);
  const auto said = tool_until({"leaks", w.number()}, [](const ran& r) {
    return has_line(r.out, {"7 tasks have ended and are kept by handles: made at leaks.cpp:"}) &&
           has_line(r.out, {"7 tasks have ended", "7 of them with an error that nobody asked for"});
  });
  EQUAL(said.status, 0);
}

TEST_P(IN_LEAK, IN_LEAK_05_CoroutinesThatNobodyAwaitsAreCountedByFunction) {
  LISTS_NOTHING_WITH_SANITIZERS("churn")  // their frames are blocks of malloc there
  const watched w("kept_tasks", loops(), 7);
  const auto tells = [](const ran& r) {
    return has_line(
        r.out,
        {"7 coroutines were made, and nobody has awaited them: ", "nobody_awaits", "leaks.cpp:"});
  };
  const auto said = tool_until({"leaks", w.number()}, tells);
  EQUAL(said.status, 0);
  const core_of core(w);
  HOLDS(tells(tool({"leaks", core.path()})));
}

TEST_P(IN_LEAK, IN_LEAK_06_OfABusyProgramNothingIsListed) {
  LISTS_NOTHING_WITH_SANITIZERS("churn")
  const watched w("churn", loops(), 50);
  for (int i = 0; i < 2; ++i) {
    const auto said = tool({"leaks", w.number()});
    SCOPED_TRACE(said.out + said.err);
    HOLDS(said.out.find("wait for what nobody can bring") == std::string::npos);
    HOLDS(said.out.find("waits for what nobody can bring") == std::string::npos);
  }
}

}  // namespace
