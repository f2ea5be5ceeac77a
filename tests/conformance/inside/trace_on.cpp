// SPDX-License-Identifier: MIT
// HEDDLE_TRACE_ON: a program writes what it has recorded, when something goes wrong.
#include "looking.h"
#include "perfetto_reader.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace {

using namespace conformance;

class IN_TRACE_ON : public looking_cases {};
HEDDLE_AT_LOOPS(IN_TRACE_ON);

/// A folder for the program to write to, which goes with this.
class place_for_files {
 public:
  place_for_files() {
    char path[] = "/tmp/heddle-traces-XXXXXX";
    HOLDS(::mkdtemp(path) != nullptr);
    path_ = path;
  }
  place_for_files(const place_for_files&) = delete;
  ~place_for_files() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string variable() const { return "HEDDLE_TRACE_DIR=" + path_; }
  /// In the order of their names.
  [[nodiscard]] std::vector<std::string> files() const {
    std::vector<std::string> found;
    for (const auto& f : std::filesystem::directory_iterator(path_))
      found.push_back(f.path().string());
    std::sort(found.begin(), found.end());
    return found;
  }

 private:
  std::string path_;
};

std::string text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

TEST_P(IN_TRACE_ON, IN_TRACE_08_AStallWritesAFileThatTheToolReads) {
  const place_for_files place;
  const watched w("computes", loops(), 300, watched::build::plain,
                  {"HEDDLE_TRACE=1", "HEDDLE_TRACE_ON=stall", place.variable()});
  const std::string told = "heddle: " + place.path() + "/heddle-" + w.number() + "-stall-1.core";
  HOLDS(soon([&] { return has_line(w.errors(), {told, "what was recorded before this stall"}); }));
  const auto file = place.files().at(0);
  const auto ps = tool({"ps", file});
  EQUAL(ps.status, 0);
  EQUAL(ps.err, "");
  HOLDS(has_line(ps.out, {"cruncher", "import_all"}) || has_line(ps.out, {"cruncher", "running"}))
      << ps.out;
  HOLDS(has_line(tool({"stalls", file}).out, {"cruncher", "! keeps loop "}));
  const auto trace = tool({"trace", file, "-o", place.path() + "/all.pftrace"});
  EQUAL(trace.status, 0);
  HOLDS(has_line(trace.out, {"steps of every task"}) || loops() > 4) << trace.out << trace.err;
  const auto t = read_perfetto(text_of(place.path() + "/all.pftrace"));
  EQUAL(t.faults, std::vector<std::string>());
  HOLDS(std::any_of(t.slices.begin(), t.slices.end(),
                    [](const perfetto_slice& s) { return s.category == "step"; }));
  HOLDS(!has_line(tool({"doctor", file}).out, {"lost promise"}));
}

TEST_P(IN_TRACE_ON, IN_TRACE_08_AProgramAtRestWritesAFileWithItsDeadlock) {
  const place_for_files place;
  const watched w("rests", loops(), 0, watched::build::stripped,
                  {"HEDDLE_TRACE_ON=stall,rest", place.variable()});
  HOLDS(soon([&] { return has_line(w.errors(), {"-rest-1.core", "before all came to rest"}); }));
  const auto why = tool({"why", place.path() + "/heddle-" + w.number() + "-rest-1.core"});
  EQUAL(why.status, 2);
  HOLDS(has_line(why.out, {"DEADLOCK of 2 tasks"})) << why.out << why.err;
  HOLDS(has_line(why.out, {"locks rests.cpp:"})) << why.out;
}

TEST_P(IN_TRACE_ON, IN_TRACE_08_AtMostSoManyInAnHourAndNoneByDefault) {
  const place_for_files place, other;
  const watched w("computes", loops(), 300, watched::build::plain,
                  {"HEDDLE_TRACE_ON=stall", "HEDDLE_TRACE_AN_HOUR=1", place.variable()});
  const watched silent("computes", loops(), 300, watched::build::plain, {other.variable()});
  const auto stalls = [](const watched& of) {
    return lines_with(of.errors(), {"is kept by one step"}).size();
  };
  HOLDS(soon([&] { return stalls(w) > 1 && stalls(silent) > 1; }));
  EQUAL(place.files().size(), 1u);
  EQUAL(other.files().size(), 0u);
}

TEST_P(IN_TRACE_ON, IN_TRACE_08_WhatIsNotUnderstoodIsToldAndAFolderThatIsNotThere) {
  const watched w(
      "computes", loops(), 300, watched::build::plain,
      {"HEDDLE_TRACE_ON=stal,stall", "HEDDLE_TRACE_AN_HOUR=0", "HEDDLE_TRACE_DIR=/no/such/folder"});
  HOLDS(soon([&] {
    return has_line(w.errors(), {"heddle: /no/such/folder/heddle-", " cannot be written: "});
  }));
  HOLDS(has_line(w.errors(), {"HEDDLE_TRACE_ON is \"stal,stall\"", "use stall, rest"}));
  HOLDS(has_line(w.errors(), {"HEDDLE_TRACE_AN_HOUR is \"0\"", "from 1 to 60"}));
}

}  // namespace
