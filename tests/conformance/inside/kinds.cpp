// SPDX-License-Identifier: MIT
// Each kind of wait is named, with its figures.
#include "looking.h"

namespace {

using namespace conformance;

LOOKING_CASES(IN_PS_KINDS);

/// The task called "in NAME" and what it is told to wait in.
struct expected {
  const char* name;
  const char* does;
};
constexpr expected all_kinds[] = {
    {"in mutex", " mutex, held by "},
    {"in condition", " condition "},
    {"in shared", " shared_mutex (shared), held by "},
    {"in exclusive", " shared_mutex, held by "},
    {"in event", " event "},
    {"in semaphore", " semaphore 0 free "},
    {"in bounded", " semaphore 0 of 10 free "},
    {"in barrier 1", " barrier 2 of 3 "},
    {"in barrier 2", " barrier 2 of 3 "},
    {"in latch", " latch 5 left "},
    {"in put", " queue.put 4/4 "},
    {"in get", " queue.get 0/7 "},
    {"in join", " queue.join 2 unfinished "},
    {"in sleep", " sleep, "},
    {"in future", " await a future "},
    {"in await", " await #"},
    {"in gather", " gather 2 of 2 left "},
    {"in wait", " wait 2 left "},
    {"in as_completed", " as_completed 2 left "},
    {"in group", " task_group 1 left "},
    {"in shield", " shield "},
    {"in thread", " to_thread, running "},
    {"in readable", " readable, descriptor "},
    {"in read", " read "},
    {"in process", " process "},
    {"in serve", " server "},
};

TEST_P(IN_PS_KINDS, IN_PS_03_EachKindOfWaitIsNamedWithItsFigures) {
  const watched w("every_kind", loops());
  const auto all_there = [](const ran& r) {
    for (const auto& k : all_kinds)
      if (!has_line(r.out, {k.name, k.does})) return false;
    return true;
  };
  const auto seen = tool_until({"ps", w.number()}, all_there);
  for (const auto& k : all_kinds) {
    SCOPED_TRACE(k.name);
    HOLDS(has_line(seen.out, {k.name, k.does}));
  }
  HOLDS(has_line(seen.out, {"in sleep", " left "}));
  EQUAL(seen.status, 0);
}

}  // namespace
