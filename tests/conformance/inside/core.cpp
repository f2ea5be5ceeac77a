// SPDX-License-Identifier: MIT
// heddle over the core of a process: as of a living one, as far as the core goes.
#include "cores.h"

#include <unistd.h>

#if HEDDLE_TOOL_ZSTD
#include <zstd.h>
#endif

#include <algorithm>
#include <cctype>
#include <random>

namespace {

using namespace conformance;

LOOKING_CASES(IN_CORE);

/// The lines behind the first one, which tells of the process itself. Without the ages: a core has
/// no clock to tell them by.
std::string what_stays(const std::string& text) {
  std::string all;
  std::size_t from = std::string::npos, to = std::string::npos;
  for (std::size_t at = text.find('\n'); at != std::string::npos;) {
    const auto next = text.find('\n', at + 1);
    std::string line = text.substr(at, next - at);
    if (line.find("SINCE") != std::string::npos) {
      from = line.find("SINCE");
      to = line.find("AT ", from);
    }
    if (to < line.size()) line.erase(from, to - from);
    all += line;
    at = next;
  }
  return all;
}

TEST_P(IN_CORE, IN_CORE_01_TheCoreTellsWhatTheProcessTold) {
  const watched w("chat", loops());
  wait_for_chat(w);
  const core_of core(w);
  for (const std::string command : {"ps", "pstree", "loops"}) {
    const auto living = tool({command, w.number()});
    const auto dead = tool({command, core.path()});
    SCOPED_TRACE(command + "\n" + living.out + dead.out + dead.err);
    EQUAL(dead.status, living.status);
    EQUAL(dead.err, "");
    EQUAL(what_stays(dead.out), what_stays(living.out));
  }
  const auto said = tool({"ps", core.path()});
  HOLDS(said.out.starts_with("core of process " + w.number() + ", ended by signal 6"));
  const auto frames = tool({"bt", core.path(), "lobby>games"});
  EQUAL(frames.status, 0);
  HOLDS(has_line(frames.out, {"lobby>games #", "mutex", "made at", "programs.h:"}));
  HOLDS(has_line(frames.out, {"#0  inside::copy_line chains.cpp:", "(frame 0x"}));
  HOLDS(has_line(frames.out, {"#1  inside::forward chains.cpp:", "(frame 0x"}));
  EQUAL(tool({"bt", core.path(), "nobody"}).status, 1);
}

TEST_P(IN_CORE, IN_CORE_02_WithoutTheProgramNamesAloneAreMissing) {
  const watched w("chat", loops());
  wait_for_chat(w);
  const core_of core(w);
  const auto said = tool({"ps", "--exe", "none", core.path()});
  SCOPED_TRACE(said.out);
  EQUAL(said.status, 0);
  HOLDS(has_line(said.err, {"inside_programs (build id ", "have no names"}));
  HOLDS(has_line(said.out, {"lobby>games", " mutex", "inside_programs+0x", " ?:"}));
  HOLDS(has_line(said.out, {"games>lobby", " mutex", "inside_programs+0x", " ?:"}));
  HOLDS(has_line(said.out, {"deliver", " queue"}));
  HOLDS(has_line(said.out, {std::to_string(loops()) + " loop"}));
}

TEST_P(IN_CORE, IN_CORE_03_AProgramOfAnotherBuildIsRefused) {
  const watched w("chat", loops());
  wait_for_chat(w);
  const core_of core(w);
  const auto said = tool({"ps", "--exe", path_of_tool(), core.path()});
  EQUAL(said.status, 5);
  EQUAL(said.out, "");
  HOLDS(has_line(said.err, {path_of_tool(), "is of another build"}));
  const auto ids = lines_with(said.err, {"build id ", ", and wanted is ", "--exe"});
  EQUAL(ids.size(), std::size_t{1});
  const auto digits = std::count_if(ids[0].begin(), ids[0].end(),
                                    [](unsigned char c) { return std::isdigit(c) != 0; });
  HOLDS(digits >= 8);
}

TEST_P(IN_CORE, IN_CORE_04_TheCoreOfAStrippedProgramTellsLines) {
  const watched w("chat", loops(), 0, watched::build::stripped);
  wait_for_chat(w);
  const core_of core(w);
  const auto said = tool({"ps", core.path()});
  SCOPED_TRACE(said.out + said.err);
  EQUAL(said.status, 0);
  HOLDS(has_line(said.out,
                 {"lobby>games", " mutex", "inside::copy_line", "chains.cpp:", "programs.h:"}));
  HOLDS(has_line(said.out, {"deliver", "queue.get 0/4", "programs.h:"}));
}

TEST_P(IN_CORE, IN_CORE_05_ACoreThatWasCutOffIsReadAsFarAsItGoes) {
  const watched w("chat", loops());
  wait_for_chat(w);
  const core_of core(w);
  const auto bytes = core.bytes();
  for (const std::size_t part : {1, 2, 5, 9}) {
    const core_of piece(bytes.substr(0, bytes.size() / 10 * part));
    const auto said = tool({"ps", piece.path()});
    SCOPED_TRACE(said.out + said.err);
    HOLDS(said.status == 0 || said.status == 1 || said.status == 5);
    HOLDS(has_line(said.err, {"the core is cut off: ", " MB of it are missing"}));
  }
  const core_of nothing("");
  const core_of text("no core at all, but long enough to have the head of one, and some more text");
  EQUAL(tool({"ps", nothing.path()}).status, 5);
  EQUAL(tool({"ps", text.path()}).status, 5);
  EQUAL(tool({"ps", "/no/such/core"}).status, 5);
}

TEST_P(IN_CORE, IN_CORE_05_ACoreComesThroughAPipePackedOrNot) {
  const watched w("chat", loops());
  wait_for_chat(w);
  const core_of core(w);
  const auto wanted = tool({"ps", core.path()});
  const auto through_pipe = [](const std::string& path) {
    return run_program({"sh", "-c", "cat " + path + " | " + path_of_tool() + " ps -"});
  };
  const auto plain = through_pipe(core.path());
  EQUAL(plain.out + plain.err, wanted.out);
#if HEDDLE_TOOL_ZSTD
  const auto bytes = core.bytes();
  std::string packed(ZSTD_compressBound(bytes.size()), 0);
  packed.resize(ZSTD_compress(packed.data(), packed.size(), bytes.data(), bytes.size(), 1));
  const core_of small(packed);
  const auto unpacked = through_pipe(small.path());
  EQUAL(unpacked.out + unpacked.err, wanted.out);
  EQUAL(tool({"ps", small.path()}).out, wanted.out);
  const core_of cut(packed.substr(0, packed.size() / 2));
  HOLDS(has_line(tool({"ps", cut.path()}).err, {"the core is cut off: "}));
#endif
}

TEST_P(IN_CORE, IN_CORE_05_TheCoreThatGcoreWritesIsRead) {
  if (sanitized) {  // gcore would write all that a sanitizer has mapped
    HOLDS(sanitized);
    return;
  }
  const watched w("chat", loops());
  wait_for_chat(w);
  const core_by_gcore core(w);
  HOLDS(!core.path().empty());
  const auto said = tool({"ps", core.path()});
  SCOPED_TRACE(said.out + said.err);
  EQUAL(said.status, 0);
  HOLDS(has_line(said.out, {"lobby>games", " mutex", "inside::copy_line", "programs.h:"}));
  HOLDS(has_line(said.out, {"deliver", "queue.get 0/4"}));
}

/// The places of a core that are not all zeros, so that damage is seen.
std::vector<std::size_t> told_pages(const std::string& bytes) {
  std::vector<std::size_t> found;
  for (std::size_t at = 0; at + 4096 <= bytes.size(); at += 4096)
    if (std::any_of(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                    bytes.begin() + static_cast<std::ptrdiff_t>(at + 4096),
                    [](char c) { return c != 0; }))
      found.push_back(at);
  return found;
}

TEST_P(IN_CORE, IN_CORE_06_ADamagedCoreEndsNoReader) {
  const watched w("chat", loops());
  wait_for_chat(w);
  const core_of core(w);
  const auto whole = core.bytes();
  HOLDS(lines_with(text_of_core(whole), {">", "mutex", "copy_line"}).size() == 2);
  const auto pages = told_pages(whole);
  const char* given = std::getenv("HEDDLE_TEST_SEED");
  const unsigned seed = given ? static_cast<unsigned>(std::atoi(given)) : loops();
  SCOPED_TRACE("HEDDLE_TEST_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  const int rounds_wanted = sanitized ? 10 : 30;
  for (int i = 0; i < rounds_wanted; ++i) {
    auto damaged = whole;
    const unsigned flips = 1u << (random() % 16);
    for (unsigned k = 0; k < flips; ++k) {
      // Half of the damage where the core says what it has: headers and notes.
      const bool early = random() % 2 == 0;
      const auto page = pages[early ? random() % 4 : random() % pages.size()];
      damaged[page + random() % 4096] ^= static_cast<char>(1 << (random() % 8));
    }
    HOLDS(text_of_core(damaged).size() < (std::size_t{64} << 20));
  }
}

TEST_P(IN_CORE, IN_CORE_07_TwoHeddlesOfOneProcessAreFound) {
  const watched w("two_heddles", loops());
  const auto shows_both = [](const ran& r) {
    return has_line(r.out, {"in the program", "event"}) && has_line(r.out, {", heddle 2 of it"}) &&
           has_line(r.out, {".7 ", "in the module", "ready or running"});
  };
  const auto living = tool_until({"ps", w.number()}, shows_both);
  EQUAL(living.status, 0);
  // Its table has no row for places, as that of a program that was built with HEDDLE_SEEING=OFF.
  HOLDS(has_line(living.err, {"heddle: heddle 2 of it was built with HEDDLE_SEEING=OFF: where"}));
  EQUAL(lines_with(living.err, {"HEDDLE_SEEING"}).size(), 1u);
  const core_of core(w);
  const auto dead = tool({"ps", core.path()});
  SCOPED_TRACE(dead.out + dead.err);
  EQUAL(dead.status, 0);
  HOLDS(shows_both(dead));
}

}  // namespace
