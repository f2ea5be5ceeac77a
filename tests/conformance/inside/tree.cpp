// SPDX-License-Identifier: MIT
// heddle pstree: who awaits whom.
#include "looking.h"

#include <sstream>

namespace {

using namespace conformance;

LOOKING_CASES(IN_TREE);

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

/// The lines that stand below the line with `part`, one step deeper or more.
std::vector<std::string> lines_below(const std::string& text, const std::string& part) {
  std::vector<std::string> found;
  std::istringstream in(text);
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    const bool is_top = !line.starts_with("├") && !line.starts_with("└") &&
                        !line.starts_with("│") && !line.starts_with(" ");
    if (is_top)
      inside = line.find(part) != std::string::npos;
    else if (inside)
      found.push_back(line);
  }
  return found;
}

bool is_whole_tree(const ran& r) {
  return has_line(r.out, {"gatherer", "gather 2 of 2 left"}) &&
         has_line(r.out, {"grouper", "task_group 2 left"}) &&
         has_line(r.out, {"first", "await #"}) && has_line(r.out, {"second", "await #"}) &&
         has_line(r.out, {"third", "shield"}) && has_line(r.out, {"shared", "event"}) &&
         count_of(r.out, "inner < inside::middle") == 5;
}

TEST_P(IN_TREE, IN_TREE_01_EachTaskStandsOnceUnderTheOneThatAwaitsIt) {
  const watched w("tree", loops());
  const auto seen = tool_until({"pstree", w.number()}, is_whole_tree);
  EQUAL(seen.status, 0);
  EQUAL(lines_below(seen.out, "gatherer").size(), 2u);
  EQUAL(lines_below(seen.out, "grouper").size(), 2u);
  for (const auto& line : lines_below(seen.out, "grouper"))
    HOLDS(line.find("inner < inside::middle") != std::string::npos);
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
  for (const auto& line : strands) HOLDS(line.find("leaf < inside::fork") != std::string::npos);
  HOLDS(has_line(seen.out, {"forker", "waits for 8 strands"}));
}

TEST_P(IN_TREE, IN_TREE_06_AGeneratorStandsInTheChainOfTheTaskThatCalledNext) {
  const watched w("generators", loops());
  const auto seen = tool_until({"pstree", w.number()},
                               [](const ran& r) { return has_line(r.out, {"consumer", "event"}); });
  HOLDS(has_line(seen.out, {"consumer", "numbers < ", "ask < ", "consume"}));
}

TEST_P(IN_TREE, IN_TREE_07_AChainOfOptimisedCallsIsWhole) {
  const watched w("chat", loops());  // its programs are optimised in every build
  const auto seen = tool_until({"pstree", w.number()},
                               [](const ran& r) { return count_of(r.out, "copy_line < ") == 2; });
  EQUAL(count_of(seen.out, "forward"), 2u);
}

TEST_P(IN_TREE, IN_TREE_08_ADeepRecursionIsFolded) {
  const watched w("deep", loops(), 100000);
  const auto seen = tool_until({"pstree", w.number()}, [](const ran& r) {
    return has_line(r.out, {"deep", "event", "recurse x 100000"});
  });
  EQUAL(seen.status, 0);
}

}  // namespace
