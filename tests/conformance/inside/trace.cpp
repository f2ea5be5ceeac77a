// SPDX-License-Identifier: MIT
// heddle trace: what the loops did, as a file.
#include "cores.h"
#include "looking.h"
#include "perfetto_reader.h"

#include <heddle/core/seeing/sight.h>
#include <heddle/core/seeing/trace_layout.h>

#include <nlohmann/json.hpp>

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <set>
#include <sstream>

extern char** environ;

namespace {

using namespace conformance;
namespace seeing = h::detail::seeing;

LOOKING_CASES(IN_TRACE);

const std::vector<std::string> each_task{"HEDDLE_TRACE=1"};

/// What recording begins with in the process; all zero: nothing is recorded yet.
seeing::trace_root_image root_of(pid_t process) {
  const auto s = std::make_unique<seeing::sight>(process);
  seeing::trace_root_image root{};
  if (s->open() != seeing::opening::good || s->what().tracing() == 0 ||
      !s->what().mem().get(s->what().tracing(), root))
    return {};
  return root;
}

/// A program of tests/inside/ that records; it has begun to when this returns.
class recorder : public watched {
 public:
  explicit recorder(const char* name, unsigned loops, std::vector<std::string> environment = {})
      : watched(name, loops, 0, build::plain, std::move(environment)) {
    HOLDS(soon([&] { return root_of(process()).rings != 0; }));
  }
};

/// A file for the tool to write, which goes with this.
class place_for_file {
 public:
  place_for_file() {
    char path[] = "/tmp/heddle-trace-XXXXXX";
    ::close(::mkstemp(path));
    path_ = path;
  }
  place_for_file(const place_for_file&) = delete;
  ~place_for_file() { ::unlink(path_.c_str()); }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string text() const {
    std::ifstream in(path_, std::ios::binary);
    std::ostringstream all;
    all << in.rdbuf();
    return all.str();
  }

 private:
  std::string path_;
};

struct recorded {
  ran said;
  std::string bytes;
};

/// `heddle trace` of the program, and the file that it wrote.
recorded file_of(const watched& w, const std::vector<std::string>& options) {
  const place_for_file file;
  std::vector<std::string> words{"trace", w.number(), "-o", file.path()};
  words.insert(words.end(), options.begin(), options.end());
  auto said = tool(words);
  return {std::move(said), file.text()};
}

perfetto_trace trace_of(const watched& w, const std::vector<std::string>& options = {}) {
  const auto r = file_of(w, options);
  EQUAL(r.said.status, 0);
  EQUAL(r.said.err, "");
  auto t = read_perfetto(r.bytes);
  EQUAL(t.faults, std::vector<std::string>());
  return t;
}

/// The same again and again, until `fits` of it; the last one.
perfetto_trace trace_until(const watched& w, const std::function<bool(const perfetto_trace&)>& fits,
                           const std::vector<std::string>& options = {}) {
  perfetto_trace t;
  HOLDS(soon([&] {
    t = trace_of(w, options);
    return fits(t);
  }));
  return t;
}

std::string fact(const perfetto_slice& s, const char* key) {
  const auto at = s.notes.find(key);
  return at == s.notes.end() ? std::string() : at->second;
}
bool holds(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}
bool is_step_of(const perfetto_slice& s, const char* task) {
  return s.category == "step" && fact(s, "name") == task;
}
bool has_flow(const perfetto_trace& t, const char* from, const char* task) {
  return std::any_of(t.flows.begin(), t.flows.end(), [&](const perfetto_flow& f) {
    return f.from->name == from && is_step_of(*f.to, task);
  });
}

TEST_P(IN_TRACE, IN_TRACE_01_StepsStandOnTheirLoopsAndFlowsLeadToThem) {
  const recorder w("traced", loops(), each_task);
  const auto t = trace_until(w, [](const perfetto_trace& t) {
    return has_flow(t, "creates", "worker-0") && has_flow(t, "wakes", "worker-1");
  });
  const auto step = std::find_if(t.slices.begin(), t.slices.end(),
                                 [](const perfetto_slice& s) { return is_step_of(s, "worker-0"); });
  HOLDS(step != t.slices.end());
  HOLDS(t.track_of(*step).starts_with("loop "));
  HOLDS(t.tracks.at(step->track).thread != 0);
  HOLDS(fact(*step, "made").starts_with("traced.cpp:"));
  HOLDS(fact(*step, "task").starts_with("#"));
  HOLDS(holds(step->name, "inside::"));
}

/// Each end of a flow lies in a slice of its thread: that is what viewers bind it to.
bool is_bound(const nlohmann::json& flow, const nlohmann::json& events) {
  const double at = flow["ts"];
  return std::any_of(events.begin(), events.end(), [&](const nlohmann::json& e) {
    return e["ph"] == "X" && e["tid"] == flow["tid"] && e["ts"] <= at &&
           at <= e["ts"].get<double>() + e["dur"].get<double>();
  });
}

TEST_P(IN_TRACE, IN_TRACE_01_TheFlowsOfJsonBindToSlices) {
  const recorder w("traced", loops(), each_task);
  (void)trace_until(w, [](const perfetto_trace& t) {
    return has_flow(t, "creates", "worker-0") && has_flow(t, "wakes", "worker-1");
  });
  const auto r = file_of(w, {"--json", "--last", "100ms"});
  EQUAL(r.said.status, 0);
  const auto all = nlohmann::json::parse(r.bytes);
  std::size_t begun = 0, ended = 0;
  for (const auto& e : all["traceEvents"]) {
    if (e["ph"] == "s") ++begun;
    if (e["ph"] == "f") {
      ++ended;
      HOLDS(e["bp"] == "e");
    }
    if (e["ph"] == "s" || e["ph"] == "f") HOLDS(is_bound(e, all["traceEvents"]));
  }
  EQUAL(begun, ended);
}

TEST_P(IN_TRACE, IN_TRACE_02_TheLastSecondsOfAProgramThatNobodyPrepared) {
  const recorder w("requests", loops());
  const auto t = trace_until(w,
                             [](const perfetto_trace& t) {
                               return std::any_of(
                                   t.slices.begin(), t.slices.end(), [](const perfetto_slice& s) {
                                     return s.category == "step" && holds(s.name, "answers");
                                   });
                             },
                             {"--last", "10s"});
  HOLDS(std::any_of(t.slices.begin(), t.slices.end(),
                    [](const perfetto_slice& s) { return s.category == "parked"; }));
  const auto said = file_of(w, {"--last", "10s"}).said;
  HOLDS(
      has_line(said.out, {" s of ", "loop", "steps of 1 task in ", "and its children", " events"}));
  HOLDS(has_line(said.out, {"/tmp/heddle-trace-", " kB", "ui.perfetto.dev"}));
}

TEST_P(IN_TRACE, IN_TRACE_02_WhatWasTooMuchIsAGapAndIsTold) {
  if (sanitized) {  // a step takes so long that recording it is no hundredth
    HOLDS(sanitized);
    return;
  }
  const recorder w("spins", loops(), each_task);
  (void)trace_until(w, [](const perfetto_trace& t) {
    return std::any_of(t.slices.begin(), t.slices.end(),
                       [](const perfetto_slice& s) { return s.category == "gap"; });
  });
  HOLDS(soon([&] { return holds(file_of(w, {}).said.out, "of gaps, in which steps were not"); }));
}

struct life {
  bool created = false;
  bool ended = false;
  std::size_t steps = 0;
};
life life_of(const perfetto_trace& t, const std::string& id) {
  life l;
  for (const auto& s : t.slices) {
    if (fact(s, "task") != id) continue;
    l.created = l.created || s.name == "creates";
    l.ended = l.ended || s.name == "ends";
    if (s.category == "step") ++l.steps;
  }
  return l;
}
bool is_whole(const life& l, std::size_t steps) { return l.created && l.ended && l.steps >= steps; }

TEST_P(IN_TRACE, IN_TRACE_03_ATaskAndItsChildrenAreRecordedFromBirthToEnd) {
  const recorder w("traced", loops(), each_task);
  (void)trace_until(
      w,
      [](const perfetto_trace& t) {
        std::set<std::string> workers;
        for (const auto& s : t.slices)
          if (s.name == "creates" && fact(s, "name").starts_with("worker-"))
            workers.insert(fact(s, "task"));
        for (const auto& s : t.slices) {  // a child of one of them
          if (s.name != "creates" || workers.count(fact(s, "by")) == 0) continue;
          if (is_whole(life_of(t, fact(s, "by")), 3) && is_whole(life_of(t, fact(s, "task")), 2))
            return holds(fact(s, "function"), "helper");
        }
        return false;
      },
      {"--last", "2s"});
}

// A pong is woken by a ping, which sleeps after it was answered. So a step of ping begins between
// two steps of pong.
TEST_P(IN_TRACE, IN_TRACE_04_AllMeansEveryStep) {
  const recorder w("turns_taken", loops());
  const auto t =
      trace_until(w, [](const perfetto_trace& t) { return has_flow(t, "wakes", "pong"); },
                  {"--all", "--for", "500ms"});
  std::uint64_t all_since = 0;  // a loop that was idle hears of it as it wakes up
  for (const auto& s : t.slices)
    if (s.name == "every step from here on") all_since = std::max(all_since, s.begin);
  HOLDS(all_since != 0);
  std::vector<std::pair<std::uint64_t, bool>> steps;
  for (const auto& s : t.slices)
    if (s.begin > all_since && (is_step_of(s, "ping") || is_step_of(s, "pong")))
      steps.emplace_back(s.begin, is_step_of(s, "pong"));
  std::sort(steps.begin(), steps.end());
  for (std::size_t i = 1; i < steps.size(); ++i) HOLDS(!(steps[i - 1].second && steps[i].second));
  HOLDS(soon([&] { return root_of(w.process()).all_until == 0; }));
}

TEST_P(IN_TRACE, IN_TRACE_04_RecordingEndsAlthoughTheToolIsKilled) {
  const recorder w("turns_taken", loops());
  const place_for_file file;
  const auto tool_path = path_of_tool(), number = w.number();
  std::vector<std::string> words{tool_path, "trace", number, "--all",
                                 "--for",   "2s",    "-o",   file.path()};
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t child = -1;
  EQUAL(::posix_spawn(&child, tool_path.c_str(), nullptr, nullptr, argv.data(), environ), 0);
  HOLDS(soon([&] { return root_of(w.process()).all_until > 0; }));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  HOLDS(soon([&] { return root_of(w.process()).all_until == 0; }));
}

TEST_P(IN_TRACE, IN_TRACE_05_WhatIsOverwrittenMeanwhileIsLeftOut) {
  const recorder w("storm", loops(), each_task);
  const auto t = trace_of(w, {"--all", "--for", "5ms"});
  std::size_t torn = 0;
  for (const auto& s : t.slices) {
    const auto id = fact(s, "task");
    const bool has_good_id = id.empty() || (id.starts_with("#") && !id.starts_with("#0."));
    if (!has_good_id || s.name == "step" || s.name.starts_with("0x")) ++torn;
  }
  EQUAL(torn, 0u);
}

// If a task seemed to run before it was woken, that step would have no flow that leads to it.
TEST_P(IN_TRACE, IN_TRACE_06_NoTaskRunsBeforeItIsWoken) {
  const recorder w("turns_taken", loops(), each_task);
  const auto pongs = [](const perfetto_trace& t) {
    std::vector<const perfetto_slice*> all;
    for (const auto& s : t.slices)
      if (is_step_of(s, "pong")) all.push_back(&s);
    std::sort(all.begin(), all.end(),
              [](const auto* a, const auto* b) { return a->begin < b->begin; });
    return all;
  };
  const auto t = trace_until(w, [&](const perfetto_trace& t) { return pongs(t).size() > 50; });
  const auto all = pongs(t);
  for (std::size_t i = 1; i < all.size(); ++i) EQUAL(all[i]->arrive.size(), 1u);
}

TEST_P(IN_TRACE, IN_TRACE_07_JobsTimersAndSpansHaveTracksOfTheirOwn) {
  const recorder w("traced", loops(), each_task);
  const auto t = trace_until(
      w,
      [](const perfetto_trace& t) {
        const auto has = [&](const char* category, const char* name, const char* track) {
          return std::any_of(t.slices.begin(), t.slices.end(), [&](const perfetto_slice& s) {
            return s.category == category && holds(s.name, name) && holds(t.track_of(s), track);
          });
        };
        return has("job", "job", "pool thread ") && has("moment", " timer", ": timers") &&
               has("span", "round", "span round") && has("span", "inner", "span round") &&
               std::any_of(t.flows.begin(), t.flows.end(),
                           [](const perfetto_flow& f) { return f.to->category == "job"; });
      },
      {"--last", "2s"});
  std::vector<const perfetto_slice*> spans;
  for (const auto& s : t.slices)
    if (s.category == "span") spans.push_back(&s);
  std::size_t nested = 0;
  for (const auto* inner : spans)
    for (const auto* outer : spans)
      if (inner->name == "inner" && outer->name == "round" && inner->track == outer->track &&
          outer->begin <= inner->begin && inner->end <= outer->end)
        ++nested;
  HOLDS(nested != 0);
}

TEST_P(IN_TRACE, IN_TRACE_09_AllThreeFormsHoldTheSame) {
  const recorder w("traced", loops(), each_task);
  (void)trace_until(w, [](const perfetto_trace& t) { return has_flow(t, "wakes", "worker-1"); });
  w.stop();
  const std::vector<std::string> all{"--last", "1h"};
  const auto t = trace_of(w, all);
  const auto json = file_of(w, {"--last", "1h", "--json"});
  const auto page = file_of(w, {"--last", "1h", "--html"});
  std::size_t items = 0, flows = 0;
  const auto parsed = nlohmann::json::parse(json.bytes);
  for (const auto& e : parsed["traceEvents"]) {
    items += e["ph"] == "X" || e["ph"] == "i" ? 1 : 0;
    flows += e["ph"] == "s" ? 1 : 0;
  }
  EQUAL(items, t.slices.size());
  EQUAL(flows, t.flows.size());
  const std::string opening = "<script id=\"data\" type=\"application/json\">";
  const auto from = page.bytes.find(opening) + opening.size();
  const auto data =
      nlohmann::json::parse(page.bytes.substr(from, page.bytes.find("</script>", from) - from));
  EQUAL(data["items"].size(), 7 * t.slices.size());
  EQUAL(data["flows"].size(), 2 * t.flows.size());
  HOLDS(!holds(page.bytes, "http://") && !holds(page.bytes, "https://"));
  HOLDS(has_line(page.said.out, {"it needs no network"}));
}

TEST_P(IN_TRACE, IN_TRACE_02_WrongUsageAndProgramsThatRecordNothingAreTold) {
  const watched silent("chat", loops(), 0, watched::build::plain, {"HEDDLE_TRACE=0"});
  const auto nothing = tool({"trace", silent.number()});
  EQUAL(nothing.status, 1);
  HOLDS(has_line(nothing.err, {"has recorded nothing"}));
  EQUAL(tool({"trace"}).status, 64);
  EQUAL(tool({"trace", silent.number(), "--for", "1s"}).status, 64);
  EQUAL(tool({"trace", silent.number(), "--last", "soon"}).status, 64);
}

TEST_P(IN_TRACE, IN_TRACE_10_TheLastSecondsOfAProcessAreInItsCore) {
  const recorder w("traced", loops(), each_task);
  (void)trace_until(w, [](const perfetto_trace& t) { return has_flow(t, "wakes", "worker-1"); });
  // The watch has kept how fast the processor counts.
  HOLDS(soon([&] { return root_of(w.process()).seen_ns != 0; }));
  const core_of core(w);
  const place_for_file file;
  const auto said = tool({"trace", core.path(), "-o", file.path()});
  EQUAL(said.status, 0);
  HOLDS(has_line(said.out, {" s of loop 0", "steps of every task"}) || loops() > 4);
  const auto t = read_perfetto(file.text());
  EQUAL(t.faults, std::vector<std::string>());
  HOLDS(has_flow(t, "wakes", "worker-1"));
  const auto refused = tool({"trace", "--all", core.path(), "-o", file.path()});
  EQUAL(refused.status, 64);
  HOLDS(has_line(refused.err, {"--all records from now on", "a living process"}));
}

}  // namespace
