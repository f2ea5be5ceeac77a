// SPDX-License-Identifier: MIT
// Steps that keep a loop for too long. The programs plant them again and again, so a case waits
// until it sees one: a machine that is busy makes it later, and more of them.
#include "looking.h"

#include <heddle/sched/stalls.h>

#include <nlohmann/json.hpp>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace conformance;

LOOKING_CASES(IN_STALL);

/// Under ThreadSanitizer no stack is taken: signals come late there.
constexpr bool has_stacks = !HEDDLE_TSAN;
/// AddressSanitizer keeps variables, and with them the addresses of frames, away from the stack.
constexpr bool has_chains = !sanitized;

/// A line of the tool's with all of it. Stacks that could not be taken are told without functions.
bool has_stack(const std::string& text, std::vector<std::string> functions,
               const std::vector<std::string>& awaiting) {
  if (has_chains) functions.insert(functions.end(), awaiting.begin(), awaiting.end());
  return !has_stacks || has_line(text, functions);
}

std::size_t told(const watched& w) {
  return lines_with(w.errors(), {"heddle: loop ", " kept "}).size();
}

TEST_P(IN_STALL, IN_STALL_01_AStepThatComputesIsToldWhileItLastsAndWhenItIsOver) {
  const watched w("computes", loops(), 300);
  HOLDS(soon([&] { return has_line(w.errors(), {" was kept for ", "cruncher"}); }));
  const auto text = w.errors();
  HOLDS(has_line(text, {" is kept by one step, ", " so far: task #", "cruncher"}));
  HOLDS(text.find(" is kept by ") < text.find(" was kept for "));
  const auto seen = tool_until({"stalls", w.number()}, [](const ran& r) {
    return has_line(r.out, {" x  longest ", "cruncher"}) &&
           has_stack(r.out, {"cruncher", "parse_line < ", "parse < ", "import_file"},
                     {" <~ ", "import_all"});
  });
  EQUAL(seen.status, 0);
}

TEST_P(IN_STALL, IN_STALL_02_WhenEveryLoopIsKeptAllOfItIsTold) {
  const watched w("hogged", loops(), static_cast<int>(loops()));
  const auto all_told = [&](const ran& r) {
    const auto parsed = nlohmann::json::parse(r.out, nullptr, false);
    return r.status == 0 && parsed["all"] >= loops();
  };
  const auto seen = tool_until({"stalls", "--json", w.number()}, all_told);
  HOLDS(seen.out.find("hog-") != std::string::npos);
  HOLDS(!has_stacks || seen.out.find("inside::compute") != std::string::npos ||
        seen.out.find("hog") != std::string::npos);
}

TEST_P(IN_STALL, IN_STALL_03_ASystemCallThatBlocksIsNamedAndNotCutShort) {
  const watched w("blocks", loops(), 0, watched::build::plain, {"HEDDLE_STALL_LIMIT=50ms"});
  const std::vector<std::string> calls{"in clock_nanosleep", "in poll", "in read", "in futex",
                                       "in flock"};
  const auto seen = tool_until({"stalls", w.number()}, [&](const ran& r) {
    for (const auto& c : calls)
      if (!has_line(r.out, {" x ", "blocker", c})) return false;
    return true;
  });
  EQUAL(seen.status, 0);
  // The frame of a running task is looked for on its thread's stack, and not always found.
  HOLDS(!has_chains || has_line(seen.out, {"blocker", "in ", "block_in_turns"}));
  HOLDS(!has_line(w.errors(), {"cut short"}));
}

// A stack cannot be taken while its thread unwinds, and this one hardly does anything else: most
// looks are in vain, and a busy machine tells a stall in some seconds. What counts is that it goes
// on.
TEST_P(IN_STALL, IN_STALL_04_ExceptionsAtFullSpeedCrashNothing) {
  const watched w("throws_much", loops(), 20, watched::build::plain, {"HEDDLE_STALL_LIMIT=2ms"});
  const auto many = [](const ran& r) {
    const auto parsed = nlohmann::json::parse(r.out, nullptr, false);
    return r.status == 0 && parsed["all"] >= (has_stacks ? 5 : 3);
  };
  const auto seen = tool_until({"stalls", "--json", w.number()}, many);
  HOLDS(seen.out.find("thrower") != std::string::npos);
}

TEST_P(IN_STALL, IN_STALL_05_TheSameStackIsOneEntryAndFewLines) {
  const auto began = std::chrono::steady_clock::now();
  const watched w("computes", loops(), 30, watched::build::plain, {"HEDDLE_STALL_LIMIT=10ms"});
  const auto one_of_many = [](const ran& r) {
    const auto parsed = nlohmann::json::parse(r.out, nullptr, false);
    return r.status == 0 && !parsed["stalls"].empty() && parsed["stalls"][0]["count"] >= 8;
  };
  const auto seen = tool_until({"stalls", "--json", w.number()}, one_of_many);
  const auto parsed = nlohmann::json::parse(seen.out);
  const auto& first = parsed["stalls"][0];
  HOLDS(first["longest_ns"] >= 10'000'000 && first["total_ns"] >= first["longest_ns"]);
  EQUAL(first["task"]["name"], "cruncher");
  const auto lines = told(w);
  const auto minutes = std::chrono::steady_clock::now() - began;
  HOLDS(lines >= 1 && lines <= 5 * (1 + static_cast<std::size_t>(minutes / 60s)));
}

TEST_P(IN_STALL, IN_STALL_06_CallbackStrandAndDoneCallbackAreBlamedByTheirNames) {
  const watched w("blamed", loops(), 60, watched::build::plain, {"HEDDLE_STALL_LIMIT=20ms"});
  const auto all_blamed = [](const ran& r) {
    return has_line(r.out, {"a callback", "slow_callback"}) &&
           has_line(r.out, {"blamed", "slow_strand"}) &&
           has_line(r.out, {"a callback", "slow_done"});
  };
  if (has_stacks) {
    EQUAL(tool_until({"stalls", w.number()}, all_blamed).status, 0);
  } else {  // no stack is taken under this sanitizer: a task is blamed without its functions
    const auto blamed = [](const ran& r) { return has_line(r.out, {"blamed"}); };
    EQUAL(tool_until({"stalls", w.number()}, blamed).status, 0);
  }
}

TEST_P(IN_STALL, IN_STALL_06_ALoopThatServesAHoggedOneIsToldSo) {
  const watched w("needs_rescue", loops(), sanitized ? 20'000 : 100'000, watched::build::plain,
                  {"HEDDLE_STALL_LIMIT=5ms"});
  if (loops() == 1) {  // there is no other loop
    EQUAL(tool({"ps", w.number()}).status, 0);
    return;
  }
  const auto rescuer = [](const ran& r) {
    return has_line(r.out, {"the loop itself, which serves timers and I/O of the hogged loop "});
  };
  HOLDS(rescuer(tool_until({"stalls", w.number()}, rescuer)));
}

// That this is no stall is asked in tests/sched/stalls.cpp, by looks that are made up.
TEST_P(IN_STALL, IN_STALL_07_AProcessThatWasStoppedStoodStill) {
  const watched w("churn", loops(), 50);
  HOLDS(soon([&] { return tool({"ps", "--name", "churner", w.number()}).status == 0; }));
  w.stop();
  std::this_thread::sleep_for(400ms);
  ::kill(w.process(), SIGCONT);
  const auto seen = tool_until({"stalls", w.number()}, [](const ran& r) {
    return has_line(r.out, {"the process stood still "});
  });
  HOLDS(seen.status == 0 || seen.status == 1);
}

TEST_P(IN_STALL, IN_STALL_08_TheTableIsThereAfterwardsFoldedAndAsJson) {
  const watched w("computes", loops(), 200);
  const auto folded = tool_until({"stalls", "--folded", w.number()}, [](const ran& r) {
    return r.status == 0 &&
           has_stack(r.out, {"import_file;", "parse;", "parse_line"}, {"import_all;"});
  });
  EQUAL(folded.status, 0);
  const auto lines = tool({"stalls", "--lines", w.number()});
  EQUAL(lines.status, 0);
#ifndef NDEBUG  // there is debug information
  HOLDS(!has_stacks || has_line(lines.out, {"parse_line", "stalls.cpp:"}));
#endif
  const auto parsed = nlohmann::json::parse(tool({"stalls", "--json", w.number()}).out);
  EQUAL(parsed["schema"], 1);
  EQUAL(parsed["limit_ns"], 100'000'000);
  HOLDS(!parsed["stalls"].empty());
}

/// The watch's thread of this process.
bool has_watch() {
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::getline(std::ifstream(thread.path() / "comm"), name);
    if (name == "heddle-watch") return true;
  }
  return false;
}

/// A thread that was joined may be seen for a moment still.
bool is_unwatched() {
  return soon([] { return !has_watch(); });
}

/// Blocks its loop until two reports have come: the watch is a thread, and may be late.
h::task<> blocks_until_told(std::atomic<std::size_t>& told) {
  while (told < 2) {
    std::this_thread::sleep_for(60ms);
    co_await h::yield_now();
  }
}

TEST_P(IN_STALL, IN_STALL_08_ATestAsksForNoStall) {
  auto o = with();
  o.stall_limit = 30ms;
  std::vector<h::error_context> seen;  // the handler's, until the runtime has ended
  std::atomic<std::size_t> told{0};
  o.stall_handler = [&](const h::error_context& c) {
    seen.push_back(c);
    told = seen.size();
  };
  h::forget_stalls();
  HOLDS(h::stalls().empty());
  h::run(blocks_until_told(told), o);
  const auto all = h::stalls();
  HOLDS(std::any_of(all.begin(), all.end(), [](const h::stall& s) {
    return s.longest >= 30ms && s.where.find("in clock_nanosleep") == 0;
  }));
  HOLDS(seen[0].took && *seen[0].took >= 30ms && seen[0].loop != nullptr);
  HOLDS(std::any_of(seen.begin(), seen.end(), [](const h::error_context& c) {
    return c.message.find("was kept for") != std::string::npos;
  }));
  h::forget_stalls();
  HOLDS(h::stalls().empty());
}

TEST_P(IN_STALL, IN_STALL_09_TheLimitByOptionAndAtRunTimeAndNoThreadForZero) {
  auto o = with();
  o.stall_limit = 0s;
  h::runtime rt(o);
  HOLDS(is_unwatched());
  rt.set_stall_limit(1h);
  HOLDS(soon([] { return has_watch(); }));
  {
    h::runtime second(o);
    second.set_stall_limit(1s);
    HOLDS(has_watch());
  }
  HOLDS(has_watch());  // the first is still watched
  rt.set_stall_limit(h::duration::zero());
  HOLDS(is_unwatched());
  rt.set_stall_limit(1h);
  rt.close();
  HOLDS(is_unwatched());
  rt.set_stall_limit(1h);
  HOLDS(is_unwatched());
}

TEST_P(IN_STALL, IN_STALL_09_TheLimitByEnvironment) {
  ::setenv("HEDDLE_STALL_LIMIT", "0", 1);
  {
    const h::runtime rt(with());
    HOLDS(is_unwatched());
  }
  ::setenv("HEDDLE_STALL_LIMIT", "1.5s", 1);
  {
    const h::runtime rt(with());
    HOLDS(soon([] { return has_watch(); }));
  }
  ::setenv("HEDDLE_STALL_LIMIT", "soon", 1);
  THROWS(h::bad_value, h::runtime(with()));
  ::setenv("HEDDLE_STALL_LIMIT", "0", 1);  // as it was: support/unwatched.cpp
}

/// Context switches of all threads of a process that the library has made: a sanitizer's own one
/// wakes ten times a second.
std::uint64_t switches_of(const watched& w) {
  std::uint64_t sum = 0;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/" + w.number() + "/task")) {
    std::ifstream status(thread.path() / "status");
    std::string name;
    std::getline(status, name);
    if (name.find("heddle") == std::string::npos) continue;
    for (std::string word; status >> word;)
      if (word.ends_with("voluntary_ctxt_switches:")) {
        std::uint64_t n = 0;
        status >> n;
        sum += n;
      }
  }
  return sum;
}

TEST_P(IN_STALL, IN_STALL_10_AnIdleProgramHasNoContextSwitch) {
  const watched w("chat", loops());
  // Once nothing has moved for half a second nothing ever does: what lingers does so for less.
  HOLDS(soon([&] {
    const auto before = switches_of(w);
    std::this_thread::sleep_for(500ms);
    return switches_of(w) == before;
  }));
}

}  // namespace
