// SPDX-License-Identifier: MIT
// heddle doctor: what is wrong is found, and nothing else.
#include "looking.h"

#include <nlohmann/json.hpp>

namespace {

using namespace conformance;

LOOKING_CASES(IN_DOCTOR);

TEST_P(IN_DOCTOR, IN_WHY_15_WhatIsWrongWithTasksIsFound) {
  const watched w("ailing", loops(), 200, watched::build::stripped);
  tool_until({"ps", w.number()}, [](const ran& r) {
    return lines_with(r.out, {">", " mutex, held by "}).size() == 2 &&
           has_line(r.out, {"log", "queue.put 4/4"}) &&
           has_line(r.out, {"reader", "await a future"}) &&
           has_line(r.out, {"orphan", "which has ended"}) &&
           has_line(r.out, {"stubborn", "cancelled and cleaning up"}) &&
           !has_line(r.out, {"failed"});
  });
  const auto said = tool_until({"doctor", w.number()}, [](const ran& r) {
    return has_line(r.out, {"descriptors are open, of 200"}) && has_line(r.out, {"a full queue"}) &&
           (sanitized || has_line(r.out, {"a lost promise: #"}));
  });
  EQUAL(said.status, 1);
  HOLDS(has_line(said.out, {"1  DEADLOCK of #", "lobby>games", "games>lobby", "(heddle why "}));
  HOLDS(has_line(said.out, {"was left locked by #", "which has ended; 1 task waits"}));
  HOLDS(has_line(said.out, {"queue.put 4/4: a full queue", "1 task waits for room"}));
  // The blocks of a sanitizer's heap cannot be told apart: there a promise is not known to be lost.
  HOLDS(sanitized || has_line(said.out, {"a lost promise: #", "reader awaits a future"}));
  HOLDS(has_line(said.out, {"stubborn was cancelled, and waits in event since"}));
  HOLDS(has_line(said.out, {"1 task has failed, and nobody has asked for the error"}));
  HOLDS(has_line(said.out, {"made at ailments.cpp:"}) ||
        has_line(said.out, {"made at programs.h:"}));
  HOLDS(lines_with(said.out, {"     -> "}).size() >= (sanitized ? 6 : 7));
}

TEST_P(IN_DOCTOR, IN_WHY_15_AHoggedLoopAndAFullPoolAreFound) {
  const watched w("hogged", loops(), 1);
  tool_until({"ps", w.number()},
             [](const ran& r) { return has_line(r.out, {"hog-0", "running"}); });
  const auto said = tool_until({"doctor", "--json", w.number()}, [](const ran& r) {
    return r.out.find(" is hogged by #") != std::string::npos;
  });
  EQUAL(said.status, 1);
  const auto all = nlohmann::json::parse(said.out);
  bool found = false;
  for (const auto& f : all["findings"])
    found = found || f["what"].get<std::string>().find(" is hogged by #") != std::string::npos;
  HOLDS(found);
  const watched full("full_pool", loops(), 100);
  tool_until({"ps", full.number()},
             [](const ran& r) { return has_line(r.out, {"job-99", "to_thread, queued"}); });
  const auto seen = tool_until({"doctor", full.number()}, [](const ran& r) {
    return has_line(r.out, {"the thread pool is full: "});
  });
  EQUAL(seen.status, 1);
}

TEST_P(IN_DOCTOR, IN_WHY_15_AHealthyProgramHasNothing) {
  const watched w("healthy", loops(), 8);
  const auto said = tool({"doctor", w.number()});
  EQUAL(said.status, 0);
  EQUAL(said.out, "nothing found\n");
}

}  // namespace
