// SPDX-License-Identifier: MIT
// heddle ps: the tasks of a program, seen from outside.
#include "looking.h"

#include <signal.h>

#include <fstream>
#include <sstream>

namespace {

using namespace conformance;

LOOKING_CASES(IN_PS);

/// What the system says of the process: its state, faults and times.
std::vector<std::string> accounts(const watched& w) {
  std::ifstream in("/proc/" + w.number() + "/stat");
  std::string all;
  std::getline(in, all);
  std::istringstream fields(all.substr(all.rfind(')') + 1));
  std::vector<std::string> found;
  std::string field;
  for (int i = 3; i <= 15 && fields >> field; ++i)
    if (i == 3 || i >= 10) found.push_back(field);
  return found;
}

TEST_P(IN_PS, IN_PS_01_ALineForEachTaskThatWaits) {
  const watched w("chat", loops());
  const auto seen = tool_until({"ps", w.number()}, [](const ran& r) {
    return lines_with(r.out, {">", " mutex, held by ", "copy_line"}).size() == 2 &&
           has_line(r.out, {"deliver", "queue.get 0/4"});
  });
  EQUAL(seen.status, 0);
  EQUAL(seen.err, "");
  HOLDS(has_line(seen.out, {"#", "lobby>games", "mutex", "copy_line"}));
  HOLDS(has_line(seen.out, {"#", "games>lobby", "mutex", "copy_line"}));
  HOLDS(has_line(seen.out, {"programs.h:"}));  // where keep() made it
  const auto all = tool({"ps", "--all-frames", w.number()});
  HOLDS(lines_with(all.out, {"at inside::copy_line chains.cpp:", " < inside::forward chains.cpp:"})
            .size() == 2);
}

TEST_P(IN_PS, IN_PS_01_AStrippedProgramIsReadToo) {
  const watched w("chat", loops(), 0, watched::build::stripped);
  const auto seen = tool_until({"ps", w.number()}, [](const ran& r) {
    return lines_with(r.out, {">", " mutex, held by "}).size() == 2 &&
           has_line(r.out, {"deliver", "queue.get 0/4", "inside::deliver", " chains.cpp:"});
  });
  EQUAL(seen.status, 0);
  HOLDS(has_line(seen.out, {"#", "lobby>games", "mutex", "inside::copy_line", " chains.cpp:"}));
  HOLDS(seen.out.find("inside_programs_stripped+0x") == std::string::npos);
  HOLDS(has_line(seen.out, {"programs.h:"}));
}

TEST_P(IN_PS, IN_PS_02_HoggedLoopsAndAStoppedProcessAreRead) {
  const int hogs = static_cast<int>(loops());
  const watched w("hogged", loops(), hogs);
  const auto is_hogged = [&](const ran& r) {
    return lines_with(r.out, {"hog-", "running on loop"}).size() == loops();
  };
  const auto turning = tool_until({"ps", w.number()}, is_hogged);
  HOLDS(is_hogged(turning));
  w.stop();
  const auto before = accounts(w);
  const auto stopped = tool({"ps", w.number()});
  EQUAL(stopped.status, 0);
  HOLDS(is_hogged(stopped));
  HOLDS(has_line(stopped.out, {"waiter"}));
  EQUAL(accounts(w), before);  // no time of its processors, and no page that it had to fetch
}

TEST_P(IN_PS, IN_PS_04_RunningReadyAndNotStartedAreToldApart) {
  const watched w("queued", 1, 3);
  const auto seen = tool_until({"ps", w.number()}, [](const ran& r) {
    return has_line(r.out, {"hog", "running on loop 0 (thread "}) &&
           has_line(r.out, {"ready-2", "not started: ready, 3rd on loop 0"});
  });
  HOLDS(has_line(seen.out, {"ready-0", "not started: ready, 1st on loop 0"}));
  HOLDS(has_line(seen.out, {"ready-1", "not started: ready, 2nd on loop 0"}));
}

TEST_P(IN_PS, IN_PS_10_WithoutAProcessTheProgramsOfTheMachineAreListed) {
  const watched w("chat", loops());
  const auto own_line = [&](const ran& r) {
    for (auto& line : lines_with(r.out, {"inside_"}))
      if (line.starts_with(w.number() + " ")) return line;
    return std::string();
  };
  const auto seen = tool_until({"ps"}, [&](const ran& r) { return !own_line(r).empty(); });
  EQUAL(seen.status, 0);
  HOLDS(own_line(seen).find(" " + std::to_string(loops()) + " ") != std::string::npos);
}

}  // namespace
