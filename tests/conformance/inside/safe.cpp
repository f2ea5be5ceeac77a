// SPDX-License-Identifier: MIT
// Looking is safe: for the program that is looked at, and for the one that looks.
#include "looking.h"

#include <heddle/core/seeing/report.h>

#include <nlohmann/json.hpp>

#include <signal.h>
#include <unistd.h>

#include <map>
#include <thread>

namespace {

using namespace conformance;
namespace seeing = h::detail::seeing;

LOOKING_CASES(IN_SAFE);

std::string chain_of(const seeing::task_view& t, seeing::symbols& names) {
  std::string chain;
  for (std::size_t i = 0; i < t.runs; ++i) {
    const char* name = names.function(t.frames[i].resume);
    const char* last = std::strrchr(name, ':');
    chain += (chain.empty() ? "" : "<") + std::string(last ? last + 1 : name);
  }
  return chain;
}

TEST_P(IN_SAFE, IN_SAFE_01_OfChurningTasksNoChainIsToldThatCannotBe) {
  const watched w("churn", loops(), 100);
  const auto s = std::make_unique<seeing::sight>(w.process());
  EQUAL(static_cast<int>(s->open()), static_cast<int>(seeing::opening::good));
  struct context {
    seeing::sight& from;
    std::map<std::string, int> chains = {};
  } c{*s};
  const auto look = [&] {
    return s->tasks().each(
        [](void* to, const seeing::task_view& t) {
          auto& here = *static_cast<context*>(to);
          if (t.what == seeing::doing::waits && std::string_view(t.name) == "churner")
            ++here.chains[chain_of(t, here.from.names())];
          return true;
        },
        &c);
  };
  HOLDS(soon([&] { return look() && !c.chains.empty(); }));  // it has only just begun
  const int looks = sanitized ? 50 : 500;
  for (int i = 0; i < looks; ++i) HOLDS(look());
  HOLDS(!c.chains.empty());
  for (const auto& [chain, count] : c.chains) {
    SCOPED_TRACE(chain);
    HOLDS(chain == "churns" || chain == "innermost<churns" || chain == "innermost<between<churns");
  }
}

TEST_P(IN_SAFE, IN_SAFE_03_WhoMayNotReadIsToldWhyAndWhatHelps) {
  const watched w("chat", loops());
  if (::geteuid() != 0) GTEST_SKIP() << "only root has a process that another user may not read";
  const auto copy = copy_of_tool();
  const auto said =
      run_program({"setpriv", "--reuid=65534", "--clear-groups", copy, "ps", w.number()});
  ::unlink(copy.c_str());
  EQUAL(said.status, 3);
  HOLDS(has_line(said.err, {"process " + w.number() + " may not be read"}));
  HOLDS(has_line(said.err, {"another user", "as root"}));
}

TEST_P(IN_SAFE, IN_SAFE_04_AProgramWhoseFileIsGoneIsReadWithItsNames) {
  const watched w("chat", loops(), 0, watched::build::deleted);
  const auto seen = tool_until({"ps", w.number()}, [](const ran& r) {
    return lines_with(r.out, {">", " mutex ", "copy_line"}).size() == 2;
  });
  EQUAL(seen.status, 0);
}

TEST_P(IN_SAFE, IN_SAFE_05_AProgramDumpsItselfWhileItsLoopsAreHogged) {
  const watched w("hogged", loops(), static_cast<int>(loops()), watched::build::plain,
                  {"HEDDLE_DUMP=QUIT"});
  tool_until({"ps", w.number()}, [&](const ran& r) {
    return lines_with(r.out, {"hog-", "running on loop"}).size() == loops();
  });
  EQUAL(::kill(w.process(), SIGQUIT), 0);
  HOLDS(soon([&] { return w.errors().find(" tasks\n") != std::string::npos; }));
  const auto text = w.errors();
  EQUAL(lines_with(text, {"hog-", "running on loop"}).size(), loops());
  HOLDS(has_line(text, {"waiter", "event", "for_ever"}));
  EQUAL(tool({"ps", w.number()}).status, 0);  // it has gone on
}

TEST_P(IN_SAFE, IN_SAFE_05_DumpWritesTheTextOfTheTool) {
  const watched w("dumps", loops());
  HOLDS(soon([&] { return w.errors().find(" tasks\n") != std::string::npos; }));
  const auto seen = tool_until({"ps", w.number()},
                               [](const ran& r) { return has_line(r.out, {"waiter", "event"}); });
  const auto own = lines_with(w.errors(), {"waiter", "event"});
  const auto from_outside = lines_with(seen.out, {"waiter", "event"});
  EQUAL(own, from_outside);
}

TEST_P(IN_SAFE, IN_SAFE_06_NamesCannotBreakTheTable) {
  const watched w("odd_names", loops());
  const auto seen = tool_until({"ps", w.number()}, [](const ran& r) {
    return has_line(r.out, {"xxxxxxxxxx...", "event"}) && has_line(r.out, {"gr\xc3\xbc\xc3\x9f"});
  });
  HOLDS(seen.out.find('\x1b') == std::string::npos);
  HOLDS(has_line(seen.out, {"\\x1b[31mred\\x1b[0m\\nline \"quoted\" \\\\ \\xff\\xfe", "event"}));
  HOLDS(seen.out.size() < 8000);
  const auto said = tool({"ps", "--json", w.number()});
  const auto parsed = nlohmann::json::parse(said.out);
  HOLDS(parsed["tasks"].size() >= 4);
}

TEST_P(IN_SAFE, IN_SAFE_08_AProgramThatEndsWhileItIsReadIsToldAsGone) {
  for (int i = 0; i < 10; ++i) {
    ran said;
    {
      const watched w("churn", loops(), 20);
      std::thread looks([&, number = w.number()] { said = tool({"ps", number}); });
      std::this_thread::sleep_for(std::chrono::milliseconds(i));
      ::kill(w.process(), SIGKILL);
      looks.join();
    }
    HOLDS(said.status == 0 || said.status == 1 || said.status == 4);
  }
  EQUAL(tool({"ps", "no-program-of-this-name"}).status, 4);
  EQUAL(tool({"ps", "999999999"}).status, 4);
  const auto other = run_program({"sh", "-c", "exec sleep 0"});
  EQUAL(other.status, 0);
}

}  // namespace
