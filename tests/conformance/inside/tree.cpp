// SPDX-License-Identifier: MIT
// heddle pstree: who awaits whom.
#include "looking.h"

#include <sstream>
#include <string_view>

namespace {

using namespace conformance;

LOOKING_CASES(IN_TREE);

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

/// How many steps to the right a line begins.
std::size_t depth_of(std::string_view line) {
  for (std::size_t depth = 0;; ++depth) {
    bool deeper = false;
    for (const std::string_view step : {"├─ ", "└─ ", "│  ", "   "}) {
      if (deeper || !line.starts_with(step)) continue;
      line.remove_prefix(step.size());
      deeper = true;
    }
    if (!deeper) return depth;
  }
}

/// The lines that stand below the line with `part`, one step deeper or more.
std::vector<std::string> lines_below(const std::string& text, const std::string& part) {
  std::vector<std::string> found;
  std::istringstream in(text);
  bool inside = false;
  std::size_t depth = 0;
  for (std::string line; std::getline(in, line);) {
    inside = inside && depth_of(line) > depth;
    if (inside) {
      found.push_back(line);
    } else if (line.find(part) != std::string::npos) {
      inside = true;
      depth = depth_of(line);
    }
  }
  return found;
}

/// A task that waits in inner(), called by middle().
bool is_in_inner(const std::string& line) {
  return line.find("inside::inner chains.cpp:") != std::string::npos &&
         line.find(" < inside::middle chains.cpp:") != std::string::npos;
}

bool is_whole_tree(const ran& r) {
  return has_line(r.out, {"gatherer", "gather 2 of 2 left"}) &&
         has_line(r.out, {"grouper", "task_group 2 left"}) &&
         has_line(r.out, {"first", "await #"}) && has_line(r.out, {"second", "await #"}) &&
         has_line(r.out, {"third", "shield"}) && has_line(r.out, {"shared", "event"}) &&
         lines_with(r.out, {"inside::inner chains.cpp:", " < inside::middle chains.cpp:"}).size() ==
             5;
}

TEST_P(IN_TREE, IN_TREE_01_EachTaskStandsOnceUnderTheOneThatAwaitsIt) {
  const watched w("tree", loops());
  const auto seen = tool_until({"pstree", w.number()}, is_whole_tree);
  EQUAL(seen.status, 0);
  EQUAL(lines_below(seen.out, "gatherer").size(), 2u);
  EQUAL(lines_below(seen.out, "grouper").size(), 2u);
  for (const auto& line : lines_below(seen.out, "grouper")) HOLDS(is_in_inner(line));
}

TEST_P(IN_TREE, IN_TREE_03_ATaskAwaitedByThreeStandsOnceAndNamesTheOthers) {
  const watched w("tree", loops());
  const auto seen = tool_until({"pstree", w.number()}, is_whole_tree);
  EQUAL(lines_with(seen.out, {" shared #"}).size(), 1u);
  const auto lines = lines_with(seen.out, {" shared #", "also awaited by #"});
  HOLDS(lines.size() == 1 && count_of(lines[0], "#") == 3);
}

TEST_P(IN_TREE, IN_TREE_04_ARingOfAwaitsIsToldAsACircle) {
  const watched w("ring", loops(), 5);
  const auto seen = tool_until({"pstree", w.number()},
                               [](const ran& r) { return count_of(r.out, "await #") == 5; });
  EQUAL(seen.status, 2);
  EQUAL(count_of(seen.out, "<- the circle closes"), 1u);
  for (int i = 0; i < 5; ++i) HOLDS(has_line(seen.out, {"ring-" + std::to_string(i)}));
}

TEST_P(IN_TREE, IN_TREE_05_StrandsStandUnderTheirTask) {
  const watched w("strands", loops(), 3);
  const auto seen = tool_until({"pstree", w.number()}, [](const ran& r) {
    return lines_with(r.out, {"(strand)", " event "}).size() == 8;
  });
  const auto strands = lines_below(seen.out, "forker");
  EQUAL(strands.size(), 8u);
  for (const auto& line : strands)
    HOLDS(has_line(line, {"inside::leaf chains.cpp:", " < inside::fork chains.cpp:"}));
  HOLDS(has_line(seen.out, {"forker", "waits for 8 strands"}));
}

TEST_P(IN_TREE, IN_TREE_06_AGeneratorStandsInTheChainOfTheTaskThatCalledNext) {
  const watched w("generators", loops());
  const auto seen = tool_until({"pstree", w.number()},
                               [](const ran& r) { return has_line(r.out, {"consumer", "event"}); });
  HOLDS(has_line(seen.out, {"consumer", "numbers chains.cpp:", " < inside::ask chains.cpp:",
                            " < inside::consume chains.cpp:"}));
}

TEST_P(IN_TREE, IN_TREE_07_AChainOfOptimisedCallsIsWhole) {
  const watched w("chat", loops());  // its programs are optimised in every build
  const auto seen = tool_until({"pstree", w.number()}, [](const ran& r) {
    return count_of(r.out, "copy_line chains") == 2;
  });
  EQUAL(count_of(seen.out, "forward"), 2u);
}

TEST_P(IN_TREE, IN_TREE_08_ADeepRecursionIsFolded) {
  const watched w("deep", loops(), 100000);
  const auto seen = tool_until({"pstree", w.number()}, [](const ran& r) {
    return has_line(r.out, {"deep", "event", "recurse chains.cpp:", " x 99999"});
  });
  EQUAL(seen.status, 0);
}

}  // namespace
