// SPDX-License-Identifier: MIT
// heddle ps: very many tasks, names, ids, cancellations, and what may be asked for.
#include "looking.h"

#include <nlohmann/json.hpp>

#include <set>

namespace {

using namespace conformance;

LOOKING_CASES(IN_PS_OPTIONS);

TEST_P(IN_PS_OPTIONS, IN_PS_06_VeryManyTasksArePutTogether) {
  const int n = 20000;
  const watched w("many", loops(), n);
  const auto seen = tool_until({"ps", w.number()}, [](const ran& r) {
    return has_line(r.out, {"20001 ", "event", "for_ever"}) ||
           (has_line(r.out, {"20000 ", "event"}) && has_line(r.out, {"1 ", "event"}));
  });
  EQUAL(seen.status, 0);
  HOLDS(has_line(seen.out, {"tasks; --all tells each"}));
  HOLDS(seen.out.size() < 4000);
  const auto all = tool({"ps", "--all", w.number()});
  HOLDS(lines_with(all.out, {"#", " event ", "for_ever"}).size() >= 20000);
}

TEST_P(IN_PS_OPTIONS, IN_PS_07_AnIdNamesOneLifeOfARecord) {
  const watched w("lives_again", loops(), 50);
  const auto first = tool_until({"ps", w.number()},
                                [](const ran& r) { return has_line(r.out, {"stays", "event"}); });
  const auto id = [](const ran& r) {
    const auto lines = lines_with(r.out, {"stays"});
    return lines.empty() ? std::string() : lines[0].substr(0, lines[0].find(' '));
  };
  std::set<std::string> others;
  for (int i = 0; i < 5; ++i) {
    const auto again = tool({"ps", "--json", w.number()});
    EQUAL(again.status, 0);
    const auto seen = nlohmann::json::parse(again.out);
    std::set<std::string> now;
    for (const auto& t : seen["tasks"]) HOLDS(now.insert(t["id"].get<std::string>()).second);
    HOLDS(now.count(id(first)) == 1);
  }
}

TEST_P(IN_PS_OPTIONS, IN_PS_08_OnlyWhatWasAskedForIsShown) {
  const watched w("chat", loops());
  const auto all = tool_until({"ps", w.number()}, [](const ran& r) {
    return lines_with(r.out, {">", " mutex, held by ", "copy_line"}).size() == 2 &&
           has_line(r.out, {"deliver", "queue.get"}) && !has_line(r.out, {" running on "}) &&
           !has_line(r.out, {" ready"});
  });
  const auto by_name = tool({"ps", "--name", "lobby>", w.number()});
  EQUAL(lines_with(by_name.out, {"#"}).size(), 1u);
  HOLDS(has_line(by_name.out, {"lobby>games"}));
  const auto by_wait = tool({"ps", "--waiting=mutex", w.number()});
  EQUAL(lines_with(by_wait.out, {"#"}).size(), 2u);
  const auto by_function = tool({"ps", "--at", "copy_line", w.number()});
  EQUAL(lines_with(by_function.out, {"#"}).size(), 2u);
  const auto line = lines_with(all.out, {"deliver"})[0];
  const auto begin = line.rfind("programs.h:");
  const auto place = line.substr(begin, line.find(' ', begin) - begin);  // "programs.h:30"
  const auto by_place = tool({"ps", "--at", place, w.number()});
  HOLDS(lines_with(by_place.out, {"#"}).size() >= 3);
  std::size_t on_loops = 0;
  for (unsigned i = 0; i < loops(); ++i)
    on_loops += lines_with(tool({"ps", "--loop", std::to_string(i), w.number()}).out, {"#"}).size();
  EQUAL(on_loops, lines_with(all.out, {"#"}).size());
  EQUAL(tool({"ps", "--name", "nobody", w.number()}).status, 1);
  EQUAL(tool({"ps", "--waiting", "barrier", w.number()}).status, 1);
}

TEST_P(IN_PS_OPTIONS, IN_PS_08_WrongUsageIsToldAndHelpHelps) {
  EQUAL(tool({}).status, 64);
  EQUAL(tool({"ps", "--no-such-option"}).status, 64);
  EQUAL(tool({"ps", "--name"}).status, 64);
  EQUAL(tool({"nothing"}).status, 64);
  const auto help = tool({"--help"});
  EQUAL(help.status, 0);
  for (const char* word : {"ps", "pstree", "--json", "--all-frames", "exit status"})
    HOLDS(help.out.find(word) != std::string::npos);
}

TEST_P(IN_PS_OPTIONS, IN_PS_09_WhatACancellationHasDoneIsShown) {
  const watched w("cancelled", loops(), static_cast<int>(loops()));
  const auto seen = tool_until({"ps", w.number()}, [&](const ran& r) {
    return has_line(r.out, {"cleaning", "event, cancelled and cleaning up: too slow"}) &&
           has_line(r.out, {"twice", "event, cancelled and cleaning up twice"}) &&
           has_line(r.out, {"inner", "event, cancelled and cleaning up"}) &&
           has_line(r.out, {"outer", "await #", "cancel passed on"}) &&
           (one_loop() || has_line(r.out, {"hog", "running on loop", "cancel asked"}));
  });
  EQUAL(seen.status, 0);
}

TEST_P(IN_PS_OPTIONS, IN_PS_01_JsonHasTheSame) {
  const watched w("chat", loops());
  tool_until({"ps", w.number()}, [](const ran& r) {
    return lines_with(r.out, {">", " mutex, held by ", "copy_line"}).size() == 2;
  });
  const auto said = tool({"ps", "--json", w.number()});
  EQUAL(said.status, 0);
  const auto seen = nlohmann::json::parse(said.out);
  EQUAL(seen["schema"].get<int>(), 1);
  EQUAL(seen["process"].get<long>(), static_cast<long>(w.process()));
  EQUAL(seen["loops"].size(), loops());
  std::size_t in_mutex = 0;
  for (const auto& t : seen["tasks"]) {
    if (!t["does"].get<std::string>().starts_with("mutex, held by ")) continue;
    ++in_mutex;
    EQUAL(t["state"].get<std::string>(), "waits");
    HOLDS(t["frames"][0]["function"].get<std::string>().find("copy_line") != std::string::npos);
    HOLDS(t["made"]["line"].get<int>() > 0);
  }
  EQUAL(in_mutex, 2u);
}

}  // namespace
