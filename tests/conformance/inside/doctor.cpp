// SPDX-License-Identifier: MIT
// heddle doctor: what is wrong is found, and nothing else.
#include "cores.h"
#include "looking.h"

#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include <cerrno>
#include <fstream>
#include <thread>
#include <tuple>

namespace {

using namespace conformance;

LOOKING_CASES(IN_DOCTOR);

void wait_for_ailments(const watched& w) {
  tool_until({"ps", w.number()}, [](const ran& r) {
    return lines_with(r.out, {">", " mutex, held by "}).size() == 2 &&
           has_line(r.out, {"log", "queue.put 4/4"}) &&
           has_line(r.out, {"reader", "await a future"}) &&
           has_line(r.out, {"orphan", "which has ended"}) &&
           has_line(r.out, {"stubborn", "cancelled and cleaning up"}) &&
           !has_line(r.out, {"failed"});
  });
}

TEST_P(IN_DOCTOR, IN_WHY_15_WhatIsWrongWithTasksIsFound) {
  const watched w("ailing", loops(), 200, watched::build::stripped);
  wait_for_ailments(w);
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

/// The deadlock, the full queue and the lost promise, each with the file and line of its waits.
bool tells_all_three(const ran& r) {
  const auto& text = r.out;
  const auto queue = text.find("queue.put 4/4: a full queue"),
             lost = text.find("a lost promise: #");
  const auto told_below = [&](std::size_t at, const char* place) {
    const auto found = at == std::string::npos ? at : text.find(place, at);
    return found != std::string::npos && found < text.find("     -> ", at);
  };
  return r.status == 1 && has_line(text, {"1  DEADLOCK of #", "lobby>games", "games>lobby"}) &&
         lines_with(text, {" waits in mutex at ", "inside::link ailments.cpp:"}).size() == 2 &&
         told_below(queue, "log at inside::puts ailments.cpp:") &&
         (sanitized || told_below(lost, "at inside::awaits ailments.cpp:"));  // as above
}

TEST_P(IN_DOCTOR, IN_WHY_16_AStrippedServerAndItsCoreAreExaminedAlike) {
  const watched w("ailing", loops(), 0, watched::build::stripped);
  wait_for_ailments(w);
  HOLDS(tells_all_three(tool_until({"doctor", w.number()}, &tells_all_three)));
  if (!sanitized) {  // gcore would write all that a sanitizer has mapped
    const core_by_gcore written(w);
    HOLDS(!written.path().empty());
    const auto said = tool({"doctor", written.path()});
    HOLDS(tells_all_three(said)) << said.out << said.err;
  }
  const core_of core(w);
  const auto said = tool({"doctor", core.path()});
  HOLDS(tells_all_three(said)) << said.out << said.err;
  const auto all = nlohmann::json::parse(tool({"doctor", "--json", core.path()}).out);
  HOLDS(all["findings"].size() >= 3);
}

TEST_P(IN_DOCTOR, IN_WHY_16_TheCoreOfAHealthyProgramHasNothing) {
  const watched w("healthy", loops(), 8);
  EQUAL(tool({"ps", w.number()}).status, 0);
  const core_of core(w);
  const auto said = tool({"doctor", core.path()});
  EQUAL(said.out, "nothing found\n");
  EQUAL(said.status, 0);
}

TEST_P(IN_DOCTOR, IN_WHY_15_AReactorThatCouldNotBeHadIsTold) {
  const watched w("falls_back", loops());
  const auto said = tool({"doctor", w.number()});
  EQUAL(said.status, 1);
  HOLDS(has_line(said.out, {"the runtime fell back to another reactor"}));
  HOLDS(has_line(said.out, {"io_uring cannot be used: it is forbidden here"}));
}

TEST_P(IN_DOCTOR, IN_WHY_15_LateTimersAndAQueueThatGrowsAreTold) {
  const auto finds = [](const watched& w, const std::vector<std::string>& parts) {
    const auto fits = [&](const ran& r) { return has_line(r.out, parts); };
    return fits(tool_until({"doctor", w.number()}, fits));
  };
  const watched w("floods", loops());
  HOLDS(finds(w, {"the queue of loop ", " grows: ", " ready, a second later "}));
  if (loops() > 1) return;  // other loops would fire the timers in time
  const watched late("late_timers", loops(), 5000);
  HOLDS(finds(late, {"timers of loop 0 ", " are late, by "}));
}

/// A control group whose processes have a fifth of a processor, if this user may make one.
class narrow_group {
 public:
  narrow_group() {
    const std::string name = "heddle-test-" + std::to_string(::getpid());
    for (const auto& [root, file, quota] :
         {std::tuple("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "20000"),
          std::tuple("/sys/fs/cgroup", "cpu.max", "20000 100000")}) {
      at_ = std::string(root) + "/" + name;
      if (::mkdir(at_.c_str(), 0700) != 0) continue;
      if (std::ofstream(at_ + "/" + file) << quota << std::flush) return;
      ::rmdir(at_.c_str());
    }
    at_.clear();
  }
  narrow_group(const narrow_group&) = delete;
  /// Its processes have ended.
  ~narrow_group() {
    for (int i = 0; !at_.empty() && ::rmdir(at_.c_str()) != 0 && errno == EBUSY && i < 200; ++i)
      std::this_thread::sleep_for(10ms);
  }
  [[nodiscard]] bool take(const std::string& process) const {
    return !at_.empty() && std::ofstream(at_ + "/cgroup.procs") << process << std::flush;
  }

 private:
  std::string at_;
};

TEST_P(IN_DOCTOR, IN_WHY_15_AQuotaOfProcessorTimeIsTold) {
  const narrow_group group;
  const watched w("hogged", loops(), 1);
  if (!group.take(w.number())) GTEST_SKIP() << "this user may make no control group";
  const auto throttled = [](const ran& r) {
    return has_line(r.out, {"the process was throttled by its cgroup in ", " periods ("});
  };
  const auto said = tool_until({"doctor", w.number()}, throttled);
  EQUAL(said.status, 1);
  HOLDS(has_line(said.out, {"it stood still for ", " ms in the last second"}));
}

TEST_P(IN_DOCTOR, IN_WHY_15_AHealthyProgramHasNothing) {
  const watched w("healthy", loops(), 8);
  const auto said = tool({"doctor", w.number()});
  EQUAL(said.status, 0);
  EQUAL(said.out, "nothing found\n");
}

}  // namespace
