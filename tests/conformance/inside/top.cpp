// SPDX-License-Identifier: MIT
// heddle top: what the loops of a program do.
#include "cores.h"
#include "looking.h"

#include <heddle/core/seeing/sight.h>

#include <cstdint>
#include <memory>
#include <sstream>
#include <string>

namespace {

using namespace conformance;
namespace seeing = h::detail::seeing;

LOOKING_CASES(IN_TOP);

h::task<> does_some_work() {
  for (int i = 0; i < 50; ++i) {
    auto t = h::create_task([]() -> h::task<> { co_await h::yield_now(); }());
    co_await t;
  }
  co_await h::sleep(1ms);
}

TEST_P(IN_TOP, IN_TOP_01_AReaderHasTheFiguresOfTheStatistics) {
  h::runtime rt(with());
  rt.run(does_some_work());
  const auto s = std::make_unique<seeing::sight>(0);
  EQUAL(static_cast<int>(s->open()), static_cast<int>(seeing::opening::good));
  // Loops may still be on their way to sleep: what is read between two equal statistics counts.
  const auto agree = [&] {
    const auto before = rt.stats().loops;
    if (!s->look_at_loops()) return false;
    const auto after = rt.stats().loops;
    for (unsigned i = 0; i < loops(); ++i) {
      const auto& a = before[i];
      const auto& b = after[i];
      const auto& seen = s->loops()[i];
      if (a.run != b.run || a.polls != b.polls || a.busy_ns != b.busy_ns) return false;
      EXPECT_EQ(seen.steps, a.run);
      EXPECT_EQ(seen.stolen, a.stolen);
      EXPECT_EQ(seen.polls, a.polls);
      EXPECT_EQ(seen.io_events, a.io_events);
      EXPECT_EQ(seen.rescues, a.rescues);
      EXPECT_EQ(seen.timers, a.timers);
      EXPECT_EQ(seen.busy, a.busy_ns);
    }
    return true;
  };
  HOLDS(soon(agree));
}

TEST_P(IN_TOP, IN_TOP_02_ALoopThatIsHoggedIsToldWithItsTask) {
  const watched w("hogged", loops(), 1);
  const auto hogged = [](const ran& r) {
    return has_line(r.out, {" 0 ", " for ", "hog-0", "! hogged"});
  };
  const auto seen = tool_until({"top", "--once", "--interval", "50ms", w.number()}, hogged);
  EQUAL(seen.status, 0);
  HOLDS(has_line(seen.out,
                 {"LOOP", "BUSY", "STEPS/s", "STOLEN/s", "QUEUE", "TIMERS", "LATE p99", "NOW"}));
  EQUAL(lines_with(seen.out, {" % "}).size(), loops());
}

TEST_P(IN_TOP, IN_TOP_03_TheMemoryOfFramesByFunction) {
  const watched w("many", loops(), 19'999);  // and one more by another name
  std::uint64_t count = 0, bytes = 0, each = 0;
  const auto seen = tool_until({"top", "--memory", w.number()}, [&](const ran& r) {
    for (const auto& line : lines_with(r.out, {" 20000 ", "::"})) {
      std::istringstream(line) >> count >> bytes >> each;
      return count == 20'000;
    }
    return false;
  });
  EQUAL(seen.status, 0);
  HOLDS(each != 0 && bytes == count * each);
  // Nearly all that the depot has are these frames.
  const auto last = lines_with(seen.out, {" bytes that are reserved "});
  HOLDS(last.size() == 1);
  std::uint64_t all = 0, sum = 0, reserved = 0;
  std::string of;
  std::istringstream(last[0]) >> all >> sum >> of >> reserved;
  HOLDS(all >= count && sum >= bytes && reserved >= sum);
}

TEST_P(IN_TOP, IN_TOP_03_LargeFramesAreCountedToo) {
  if (sanitized) {  // whose malloc does not tell how large its blocks are
    HOLDS(sanitized);
    return;
  }
  const watched w("large_frames", loops(), 3);
  const auto all_there = [](const ran& r) {
    return has_line(r.out, {"          3 ", "inside::", "large_frame"}) &&
           has_line(r.out, {"3 ", " in frames of more than 1024 bytes"});
  };
  const auto seen = tool_until({"top", "--memory", w.number()}, all_there);
  std::uint64_t count = 0, bytes = 0, each = 0;
  std::istringstream(lines_with(seen.out, {"inside::", "large_frame"}).at(0)) >> count >> bytes >>
      each;
  HOLDS(count == 3 && each > 4096 && bytes == 3 * each);
}

TEST_P(IN_TOP, IN_TOP_05_OfACoreTheMemoryIsToldAndTheRestIsRefused) {
  const watched w("many", loops(), 199);  // and one more by another name
  tool_until({"top", "--memory", w.number()},
             [](const ran& r) { return has_line(r.out, {" 200 ", "::"}); });
  const core_of core(w);
  const auto memory = tool({"top", "--memory", core.path()});
  EQUAL(memory.status, 0);
  HOLDS(memory.out.starts_with("core of process " + w.number()));
  HOLDS(has_line(memory.out, {" 200 ", "::"}));
  const auto refused = tool({"top", "--once", core.path()});
  EQUAL(refused.status, 64);
  HOLDS(has_line(refused.err, {"a living process, and ", " stands still"}));
  HOLDS(has_line(refused.err, {"heddle loops", "heddle top --memory"}));
}

TEST_P(IN_TOP, IN_TOP_04_NoEscapeCodesInAPipe) {
  const watched w("chat", loops());
  const auto seen = tool({"top", "--once", "--interval", "10ms", w.number()});
  EQUAL(seen.status, 0);
  HOLDS(seen.out.find('\x1b') == std::string::npos);
  EQUAL(tool({"top", "--once", "--interval", "soon", w.number()}).status, 64);
  EQUAL(tool({"top", "--once", "999999999"}).status, 4);
  EQUAL(tool({"stalls", "999999999"}).status, 4);
  EQUAL(tool({"stalls"}).status, 64);
}

}  // namespace
