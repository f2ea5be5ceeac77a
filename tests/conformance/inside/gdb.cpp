// SPDX-License-Identifier: MIT
// The commands of gdb: of a process, of a core, over a gdbserver.
#include "cores.h"

#include <unistd.h>

#include <string>
#include <vector>

namespace {

using namespace conformance;

/// At one number of loops: gdb needs a second to begin, and reads what the tool reads at each.
class IN_GDB : public ::testing::Test {
 protected:
  void SetUp() override {
    assertions = 0;
    if (path_of_tool().empty()) GTEST_SKIP() << "the tool was not built";
    ::setenv("HEDDLE_TOOL", path_of_tool().c_str(), 1);
  }
  void TearDown() override {
    RecordProperty("assertions", static_cast<int>(assertions.load()));
    if (!IsSkipped() && !HasFailure()) EXPECT_NE(assertions.load(), 0u);
  }
  [[nodiscard]] static unsigned loops() { return 2; }
};

/// What a sanitizer adds to a program is slow to read for gdb, and no concern of these commands.
#define WITHOUT_SANITIZERS() \
  if (sanitized) {           \
    HOLDS(sanitized);        \
    return;                  \
  }

/// gdb on a process or a core, with these commands. It reads no file of the user's.
ran gdb(std::vector<std::string> of, const std::vector<std::string>& commands, bool loaded = true) {
  std::vector<std::string> words{"gdb", "-nx", "-q", "-batch"};
  words.insert(words.end(), of.begin(), of.end());
  if (loaded) words.insert(words.end(), {"-ex", std::string("source ") + HEDDLE_INSIDE_GDB});
  for (const auto& c : commands) words.insert(words.end(), {"-ex", c});
  return run_program(words);
}

TEST_F(IN_GDB, IN_GDB_01_TheCommandsTellOfAProcessWhatTheToolTells) {
  WITHOUT_SANITIZERS()
  const watched w("chat", loops());
  wait_for_chat(w);
  const auto said = gdb({"-p", w.number()}, {"heddle tasks", "heddle pstree", "heddle loops",
                                             "heddle bt lobby>games", "heddle bt nobody"});
  SCOPED_TRACE(said.out + said.err);
  HOLDS(has_line(said.out, {"lobby>games", " mutex", "inside::copy_line", "programs.h:"}));
  HOLDS(has_line(said.out, {"deliver", "queue.get 0/4"}));
  HOLDS(has_line(said.out, {"LOOP", "REACTOR", "NOW"}));
  HOLDS(has_line(said.out, {"#1  inside::forward chains.cpp:", "(frame 0x"}));
  HOLDS(has_line(said.err, {"heddle: there is no task nobody"}));
  HOLDS(said.err.find("Traceback") == std::string::npos);
}

TEST_F(IN_GDB, IN_GDB_01_AndOfACore) {
  WITHOUT_SANITIZERS()
  const watched w("chat", loops());
  wait_for_chat(w);
  const core_of core(w);
  const auto said = gdb({"-core", core.path()}, {"heddle tasks", "heddle bt games>lobby"});
  SCOPED_TRACE(said.out + said.err);
  HOLDS(has_line(said.out, {"lobby>games", " mutex", "inside::copy_line", "programs.h:"}));
  HOLDS(has_line(said.out, {"#1  inside::forward chains.cpp:", "(frame 0x"}));
}

bool is_installed(const char* program) {
  return run_program({"sh", "-c", std::string("command -v ") + program}).status == 0;
}

TEST_F(IN_GDB, IN_GDB_01_AndOverAGdbserver) {
  WITHOUT_SANITIZERS()
  if (!is_installed("gdbserver")) GTEST_SKIP() << "gdbserver is not installed (package gdbserver)";
  const watched w("chat", loops());
  wait_for_chat(w);
  // It talks over a pipe, so it has no port, and ends with gdb.
  const auto said = gdb({}, {"target remote | gdbserver --once --attach - " + w.number(),
                             "heddle tasks", "heddle loops", "heddle bt lobby>games"});
  SCOPED_TRACE(said.out + said.err);
  HOLDS(has_line(said.out, {"lobby>games", " mutex", "inside::copy_line", "programs.h:"}));
  HOLDS(has_line(said.out, {"LOOP", "REACTOR", "NOW"}));
  HOLDS(has_line(said.out, {"#1  inside::forward chains.cpp:", "(frame 0x"}));
  HOLDS(said.err.find("Traceback") == std::string::npos);
}

TEST_F(IN_GDB, IN_GDB_02_WhatIsMissingIsToldInOneLine) {
  WITHOUT_SANITIZERS()
  const auto alone = gdb({}, {"heddle tasks"});
  EQUAL(lines_with(alone.err, {"heddle: "}).size(), std::size_t{1});
  HOLDS(has_line(alone.err, {"neither a process nor a core"}));
  HOLDS(alone.err.find("Traceback") == std::string::npos);

  const watched w("chat", loops(), 0, watched::build::stripped);
  wait_for_chat(w);
  const auto stripped = gdb({"-p", w.number()}, {"heddle tasks", "heddle frame lobby>games 0"});
  HOLDS(has_line(stripped.out, {"lobby>games", " mutex", "inside::copy_line"}));
  HOLDS(has_line(stripped.err, {"no variables are known", "-O0 -g"}));
  HOLDS(stripped.err.find("Traceback") == std::string::npos);

  ::setenv("HEDDLE_TOOL", "/no/such/tool", 1);
  const auto without = gdb({"-p", w.number()}, {"heddle tasks"});
  HOLDS(has_line(without.err, {"heddle: the tool heddle is not on the PATH"}));
  HOLDS(without.err.find("Traceback") == std::string::npos);
}

TEST_F(IN_GDB, IN_GDB_02_TheToolStartsGdbLoaded) {
  WITHOUT_SANITIZERS()
  const watched w("chat", loops());
  wait_for_chat(w);
  const auto start = [](const std::string& of) {
    return run_program({"sh", "-c", "echo heddle tasks | " + path_of_tool() + " gdb " + of});
  };
  const auto living = start(w.number());
  SCOPED_TRACE(living.out + living.err);
  HOLDS(has_line(living.out, {"lobby>games", " mutex", "inside::copy_line"}));
  const core_of core(w);
  const auto dead = start(core.path());
  SCOPED_TRACE(dead.out + dead.err);
  HOLDS(has_line(dead.out, {"lobby>games", " mutex", "inside::copy_line"}));
  EQUAL(tool({"gdb", "no-program-of-this-name"}).status, 4);
  EQUAL(tool({"gdb"}).status, 64);
}

TEST_F(IN_GDB, IN_GDB_03_TheVariablesOfAFrameThatWaits) {
  WITHOUT_SANITIZERS()
  const watched w("variables", loops());
  tool_until({"ps", w.number()}, [](const ran& r) { return has_line(r.out, {"copier", "event"}); });
  const auto said = gdb({"-p", w.number()}, {"heddle frame copier 0", "heddle frame copier 1"});
  SCOPED_TRACE(said.out + said.err);
  HOLDS(has_line(said.out, {"#0  inside::", "copies"}));
  HOLDS(has_line(said.out, {"lines = 4142"}));
  HOLDS(has_line(said.out, {"to = 42"}));
  HOLDS(has_line(said.out, {"first = 41"}));
  HOLDS(has_line(said.out, {"second = 42"}));
}

TEST_F(IN_GDB, IN_GDB_04_TheStackOfAThreadGoesOnWithTheAwaits) {
  WITHOUT_SANITIZERS()
  const watched w("computing", loops());
  tool_until({"ps", w.number()},
             [](const ran& r) { return has_line(r.out, {"server", "running on loop"}); });
  const auto said = gdb({"-p", w.number()}, {"thread apply all heddle bt"});
  SCOPED_TRACE(said.out + said.err);
  const auto native = said.out.find("compute");
  const auto first = said.out.find("awaited by inside::", native);
  const auto second = said.out.find("awaited by inside::", first + 1);
  const auto task = said.out.find("task server #", second);
  HOLDS(native != std::string::npos);
  HOLDS(first != std::string::npos && second != std::string::npos && task != std::string::npos);
  EQUAL(lines_with(said.out, {"task server #"}).size(), std::size_t{1});
}

}  // namespace
