// SPDX-License-Identifier: MIT
// Lines, ages and makers: where each task waits, since when, and who made it.
#include "looking.h"

#include <heddle/core/future.h>
#include <heddle/core/seeing/places.h>
#include <heddle/core/seeing/sight.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/simulate.h>

#include <nlohmann/json.hpp>

#include <map>
#include <memory>
#include <string>

namespace {

using namespace conformance;
namespace seeing = h::detail::seeing;
using nlohmann::json;

LOOKING_CASES(IN_LINES);

#if defined(__clang__)
constexpr std::size_t shape_count = 50;
#else
constexpr std::size_t shape_count = 45;  // see tests/inside/shapes.cpp
#endif

bool is_helper(const std::string& function) {
  for (const char* name : {"::number", "::truth", "::numbers", "::silent"})
    if (function.ends_with(name)) return true;
  return function.starts_with("heddle::");
}

/// What is wrong with the place of a task that is called "shape@LINE"; empty: nothing.
std::string fault_of(const json& task) {
  const auto name = task["name"].get<std::string>();
  const auto line = std::stoi(name.substr(name.find('@') + 1));
  for (const auto& f : task["frames"]) {
    if (is_helper(f["function"])) continue;
    if (!f.contains("line")) return name + ": no line in " + f.dump();
    if (f["line"].get<int>() != line) return name + ": " + f.dump();
    if (!f["file"].get<std::string>().ends_with("inside/shapes.cpp")) return name + ": " + f.dump();
    return {};
  }
  return name + ": no function of the user";
}

/// The tasks by their names, once `enough` of them are seen; `fits`: those that count.
template <class F>
std::vector<json> tasks_until(const watched& w, std::size_t enough, F fits) {
  std::vector<json> found;
  tool_until({"ps", "--json", w.number()}, [&](const ran& r) {
    if (r.status != 0) return false;
    found.clear();
    const auto said = json::parse(r.out);
    for (const auto& t : said["tasks"])
      if (fits(t)) found.push_back(t);
    return found.size() >= enough;
  });
  return found;
}

void check_shapes(const char* program, unsigned loops, watched::build how) {
  const watched w(program, loops, 0, how);
  const auto all = tasks_until(w, shape_count, [](const json& t) {
    return t["state"] == "waits" && t["name"].get<std::string>().find('@') != std::string::npos;
  });
  EQUAL(all.size(), shape_count);
  for (const auto& t : all) EQUAL(fault_of(t), "");
}

TEST_P(IN_LINES, IN_TREE_02_TheLineOfEachShapeIsExactWithoutOptimisation) {
  check_shapes("shapes_O0", loops(), watched::build::plain);
}
TEST_P(IN_LINES, IN_TREE_02_TheLineOfEachShapeIsExactOptimisedAndStripped) {
  check_shapes("shapes_O2", loops(), watched::build::plain);
  check_shapes("shapes_O3", loops(), watched::build::stripped);
}

TEST_P(IN_LINES, IN_TREE_09_ADetachedTaskStandsUnderItsMaker) {
  const watched w("makers", loops());
  const auto seen = tool_until({"pstree", w.number()}, [](const ran& r) {
    return has_line(r.out, {"left over #", "event"}) && has_line(r.out, {"detached #", "event"}) &&
           has_line(r.out, {"awaits its maker", "await #"}) &&
           has_line(r.out, {"awaited maker", "event"});
  });
  EQUAL(seen.status, 0);  // a task that awaits its maker is no circle
  const auto line_of = [&](const std::string& name) {
    const auto lines = lines_with(seen.out, {name + " #"});
    return lines.size() == 1 ? lines[0] : std::string();
  };
  const auto place_of = [&](const std::string& name) { return seen.out.find(name + " #"); };
  HOLDS(line_of("left over").find("made by #") != std::string::npos);
  HOLDS(line_of("left over").find("(ended)") != std::string::npos);
  HOLDS(line_of("left over").starts_with("left over"));
  HOLDS(line_of("detached").find("(ended)") == std::string::npos);
  // The maker's line stands right before that of the task, which stands one step deeper.
  const auto end = seen.out.find('\n', place_of("lasting maker"));
  HOLDS(place_of("detached") > end && place_of("detached") == seen.out.find("─ detached", end) + 4);
  HOLDS(place_of("awaited maker") > place_of("awaits its maker"));
}

TEST_P(IN_LINES, IN_PS_07_EachTaskTellsWhoMadeIt) {
  const watched w("makers", loops());
  const auto all = tasks_until(w, 4, [](const json& t) {
    const auto name = t["name"].get<std::string>();
    return t["state"] == "waits" && (name == "detached" || name == "lasting maker" ||
                                     name == "awaited maker" || name == "awaits its maker");
  });
  std::map<std::string, json> by_name;
  for (const auto& t : all) by_name[t["name"]] = t;
  EQUAL(by_name.size(), 4u);
  EQUAL(by_name["detached"]["made_by"], by_name["lasting maker"]["id"]);
  EQUAL(by_name["awaits its maker"]["made_by"], by_name["awaited maker"]["id"]);
  EQUAL(by_name["lasting maker"]["made_by"], by_name["awaited maker"]["made_by"]);
  HOLDS(by_name["detached"]["made"]["file"].get<std::string>().ends_with("programs.h"));
  const auto table = tool({"ps", w.number()});
  HOLDS(has_line(table.out, {"detached", "for_ever", "states.cpp:",
                             " by " + by_name["lasting maker"]["id"].get<std::string>()}));
}

TEST_P(IN_LINES, IN_PS_08_TasksAreChosenByTheirPlaceAndTheirAge) {
  const watched w("chat", loops());
  const auto all = tasks_until(
      w, 2, [](const json& t) { return t["does"].get<std::string>().starts_with("mutex"); });
  const auto& inner = all[0]["frames"][0];
  const auto& outer = all[0]["frames"][1];
  for (const auto& f : {inner, outer}) {
    const auto place = "chains.cpp:" + std::to_string(f["line"].get<int>());
    const auto chosen = tool({"ps", "--at", place, w.number()});
    EQUAL(lines_with(chosen.out, {"#"}).size(), 2u);
    EQUAL(lines_with(chosen.out, {"copy_line", " mutex, "}).size(), 2u);
  }
  EQUAL(tool({"ps", "--at", "chains.cpp:1", w.number()}).status, 1);
  const auto older = tool_until({"ps", "--older", "300ms", "--waiting", "mutex", w.number()},
                                [](const ran& r) { return r.status == 0; });
  EQUAL(lines_with(older.out, {"copy_line"}).size(), 2u);
  EQUAL(tool({"ps", "--older", "2d", w.number()}).status, 1);
  EQUAL(tool({"ps", "--older", "soon", w.number()}).status, 64);
}

/// The line of the task "worker", once it tells the function that the task is in.
std::string line_of_worker(const watched& w, std::vector<std::string> options) {
  options.insert(options.begin(), {"ps", "--all-frames"});
  options.push_back(w.number());
  const auto seen = tool_until(options, [](const ran& r) {
    return has_line(r.out, {"worker", "running on loop", "inside::inner_work"}) &&
           has_line(r.out, {"at inside::inner_work < inside::outer_work states.cpp:"});
  });
  EQUAL(seen.status, 0);
  return lines_with(seen.out, {"worker"})[0];
}

TEST_P(IN_LINES, IN_PS_04_WhereARunningTaskIsIsToldIfItsThreadBlocksOrMayBeStopped) {
#if defined(__x86_64__)
  {
    const watched w("busy", loops(), 1);
    EQUAL(tool({"ps", w.number()}).status, 0);
    if (sanitized) return;  // a sanitizer has stacks of its own
    HOLDS(!line_of_worker(w, {}).empty());
  }
  const watched w("busy", loops(), 0);
  HOLDS(!line_of_worker(w, {"--stacks"}).empty());
#endif
}

/// The ages of the waits of a program, as one would read them `later`.
std::map<std::string, std::string> ages(const watched& w, std::chrono::nanoseconds later) {
  const auto s = std::make_unique<seeing::sight>(w.process());
  EQUAL(static_cast<int>(s->open()), static_cast<int>(seeing::opening::good));
  std::map<std::string, std::string> found;
  const auto now = std::chrono::steady_clock::now().time_since_epoch() + later;
  const auto reader =
      std::make_unique<seeing::task_reader>(s->what(), static_cast<std::uint64_t>(now.count()));
  HOLDS(reader->each(
      [](void* to, const seeing::task_view& t) {
        char text[32];
        seeing::short_writer age(text);
        seeing::put_age(age, t.since);
        (*static_cast<std::map<std::string, std::string>*>(to))[t.name] = text;
        return true;
      },
      &found));
  return found;
}

TEST_P(IN_LINES, IN_PS_05_TheAgeOfAWaitIsTold) {
  const watched w("chat", loops());
  const auto all = tasks_until(
      w, 2, [](const json& t) { return t["does"].get<std::string>().starts_with("mutex"); });
  const auto begun = std::chrono::steady_clock::now();
  // An age grows as the clock does, and is right to a quarter of a second.
  const auto age_now = [&] {
    return std::chrono::milliseconds(
        tasks_until(w, 1, [](const json& t) { return t["name"] == "lobby>games"; })[0]["since_ms"]
            .get<std::int64_t>());
  };
  const auto first = age_now();
  const auto first_end = std::chrono::steady_clock::now();
  HOLDS(soon([&] { return age_now() >= first + 700ms; }));
  const auto later_begin = std::chrono::steady_clock::now();
  const auto later = age_now();
  const auto later_end = std::chrono::steady_clock::now();
  HOLDS(later - first <= later_end - begun + 250ms);
  HOLDS(later - first >= later_begin - first_end - 250ms);
  HOLDS(ages(w, 2h)["lobby>games"].starts_with("2 h "));
  EQUAL(ages(w, 48h + 1min)["lobby>games"], "2 d");
  EQUAL(ages(w, 24h * 25)["lobby>games"], ">24 d");
  EQUAL(ages(w, 24h * 300)["lobby>games"], ">24 d");
}

constexpr int line_of_the_await = __LINE__ + 1;
h::task<> awaits_in_a_call(h::future<void> f) { co_await f; }
int line_of_the_join = 0;
h::task<> is_stuck() {
  h::promise<void> never;
  auto waits = h::create_task(awaits_in_a_call(never.get_future()));
  line_of_the_join = __LINE__ + 1;
  co_await waits;
}
/// What a simulation says of a program in which nothing can happen any more.
std::string stuck_report(std::uint64_t seed, unsigned loops) {
  try {
    h::testing::simulate(seed, {.loops = loops}, is_stuck);
  } catch (const h::testing::stuck_error& e) { return e.what(); }
  return "it came to an end";
}

TEST_P(IN_LINES, IN_SAFE_10_AStuckSimulationTellsThePlacesAndASeedRepeats) {
  const auto text = stuck_report(7, loops());
  HOLDS(has_line(text,
                 {"awaits a future at ", "inside/lines.cpp:" + std::to_string(line_of_the_await)}));
  HOLDS(has_line(text, {"awaits task ", "inside/lines.cpp:" + std::to_string(line_of_the_join)}));
  EQUAL(stuck_report(7, loops()), text);
}

TEST_P(IN_LINES, IN_TREE_02_NamesAreReadAsEachCompilerWritesThem) {
  const auto plain = [](const char* pretty) {
    char text[200];
    seeing::short_writer to(text);
    seeing::put_plain_function(to, pretty);
    return std::string(text);
  };
  EQUAL(plain("int main(int, char **)"), "main");
  EQUAL(plain("h::task<> inside::(anonymous namespace)::copy_line(int)"), "inside::copy_line");
  EQUAL(plain("heddle::task<std::vector<int, std::allocator<int> > > {anonymous}::numbers()"),
        "numbers");
  EQUAL(plain("void copy_line(copy_line(int)::_Z9copy_linei.Frame*)"), "copy_line");
  EQUAL(plain("auto chat::room<int>::talk(T) [T = int]"), "chat::room::talk");
  EQUAL(plain("h::task<> chat::of(T) [with T = int; h::task<> = heddle::task<void>]"), "chat::of");
  EQUAL(plain("auto main()::(anonymous class)::operator()() const"), "main::{lambda}::operator()");
  EQUAL(plain("main()::<lambda(main()::_ZZ4mainENKUlvE_clEv.Frame*)>"), "main::{lambda}");
  EQUAL(plain("decltype(auto) f(int)"), "f");
  EQUAL(plain("const int &chat::get() const"), "chat::get");
  EQUAL(plain("bool operator<(a<b>, a<c>)"), "operator<");
  EQUAL(plain("x::y::operator bool() const"), "x::y::operatorbool");
  EQUAL(plain(""), "");
}

}  // namespace
