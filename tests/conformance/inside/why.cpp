// SPDX-License-Identifier: MIT
// heddle why: what keeps a task from going on, and which tasks wait in a circle.
#include "looking.h"

#include <heddle/sched/create_task.h>
#include <heddle/sync/mutex.h>
#include <heddle/sync/shared_mutex.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>

namespace {

using namespace conformance;

LOOKING_CASES(IN_WHY);

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

/// The id of the task called `name`, from the output of ps.
std::string id_of(const std::string& text, const std::string& name) {
  for (const auto& line : lines_with(text, {" " + name + " "}))
    if (line[0] == '#') return line.substr(0, line.find(' '));
  return "?";
}

bool owners_are_there(const ran& r) {
  return has_line(r.out, {"reader?", "held by writer"}) &&
         has_line(r.out, {"unlocked?", "mutex, held by"}) && has_line(r.out, {"left?", "mutex"}) &&
         has_line(r.out, {"twice", "held by itself"}) && has_line(r.out, {"(strand)", " event "}) &&
         lines_with(r.out, {"? ", "mutex, held"}).size() >= 7;
}

TEST_P(IN_WHY, IN_WHY_01_TheOwnerIsExactHoweverTheLockWasTaken) {
  const watched w("owners", loops());
  const auto seen = tool_until({"ps", w.number()}, owners_are_there);
  for (const char* name : {"guard", "tried", "given", "again"})
    HOLDS(has_line(seen.out, {std::string(name) + "?", std::string("mutex, held by ") + name}));
  const auto strand = lines_with(seen.out, {"(strand)", " event "});
  const auto held = lines_with(seen.out, {"forker?", "mutex, held by #"});
  HOLDS(!held.empty() && std::any_of(strand.begin(), strand.end(), [&](const std::string& line) {
    return held[0].find("held by " + line.substr(0, line.find(' '))) != std::string::npos;
  }));
  HOLDS(has_line(seen.out, {"callback?", "mutex, held outside of tasks"}));
  HOLDS(has_line(seen.out, {"unlocked?", "mutex, held by unlocked"}));
  HOLDS(has_line(seen.out, {"reader?", "shared_mutex (shared), held by writer"}));
  const auto why = tool({"why", w.number(), "guard?"});
  EQUAL(why.status, 0);
  HOLDS(has_line(why.out, {"guard?", "waits in mutex 0x", "wants"}));
  HOLDS(has_line(why.out, {"held by #", " guard ", "waits in event"}));
}

TEST_P(IN_WHY, IN_WHY_04_ATaskThatLocksWhatItHoldsWaitsForItself) {
  const watched w("owners", loops());
  tool_until({"ps", w.number()}, owners_are_there);
  const auto why = tool({"why", w.number(), "twice"});
  EQUAL(why.status, 2);
  HOLDS(has_line(why.out, {"DEADLOCK of 1 task"}));
  HOLDS(has_line(why.out, {"held by itself", "<- the circle closes"}));
}

template <class Lock>
h::task<> locks_twice(Lock& l, int& line) {
  const auto guard = co_await l.scoped_lock();
  line = __LINE__ + 1;
  const auto again = co_await l.scoped_lock();
}

// The task is cancelled in its second lock, as a user would get it out.
TEST_P(IN_WHY, IN_WHY_04_InDebugModeALockThatIsTakenAgainIsToldAsItHappens) {
  for (const bool debug : {true, false}) {
    auto o = with();
    o.debug = debug;
    const auto before = report_count();
    int lines[2] = {0, 0};
    h::runtime rt(o);
    rt.run([](int* lines) -> h::task<> {
      h::mutex m;
      h::shared_mutex s;
      auto one =
          h::create_task({.name = "twice"}, locks_twice<h::mutex>, std::ref(m), std::ref(lines[0]));
      auto two = h::create_task({.name = "writer"}, locks_twice<h::shared_mutex>, std::ref(s),
                                std::ref(lines[1]));
      co_await until_waiting(one);
      co_await until_waiting(two);
      one.cancel();
      two.cancel();
      co_await until_done(one);
      co_await until_done(two);
    }(lines));
    rt.close();
    const auto all = reports();
    std::string said;
    for (std::size_t i = before; i < all.size(); ++i)
      if (all[i].message.find("holds already") != std::string::npos)
        said += all[i].task + " " + all[i].message + "\n";
    SCOPED_TRACE(said);
    const auto at = [](int line) { return "why.cpp:" + std::to_string(line) + ": it waits"; };
    EQUAL(lines_with(said, {"twice task 'twice', created at ",
                            "locks a mutex that it holds already", at(lines[0])})
              .size(),
          debug ? 1u : 0u);
    EQUAL(lines_with(said, {"writer task", "a shared_mutex that it holds already", at(lines[1])})
              .size(),
          debug ? 1u : 0u);
  }
}

TEST_P(IN_WHY, IN_WHY_05_ALockWhoseOwnerHasEndedIsToldSo) {
  const watched w("owners", loops());
  const auto seen = tool_until({"ps", w.number()}, owners_are_there);
  HOLDS(has_line(seen.out, {"left?", "mutex, left locked by #", "which has ended"}));
  const auto why = tool({"why", w.number(), "left?"});
  HOLDS(has_line(why.out, {"locked by #", "which has ended: nobody will unlock it"}));
  EQUAL(why.status, 0);
}

TEST_P(IN_WHY, IN_WHY_02_TwoTasksThatLockEachOtherAreADeadlock) {
  const watched w("chat", loops(), 0, watched::build::stripped);
  const auto seen = tool_until({"ps", w.number()}, [](const ran& r) {
    return lines_with(r.out, {">", " mutex, held by "}).size() == 2;
  });
  HOLDS(has_line(seen.out, {"mutex, held by games>lobby"}));
  HOLDS(has_line(seen.out, {"mutex, held by lobby>games"}));
  HOLDS(has_line(seen.out, {"! 2 tasks in a deadlock: heddle why "}));
  HOLDS(has_line(tool({"pstree", w.number()}).out, {"! 2 tasks in a deadlock: heddle why "}));
  const auto id = id_of(seen.out, "lobby>games");
  for (const auto& task : {std::string("lobby>games"), id, id.substr(1)}) {
    const auto why = tool({"why", w.number(), task});
    EQUAL(why.status, 2);
    HOLDS(has_line(why.out, {"DEADLOCK of 2 tasks"}));
    EQUAL(count_of(why.out, "<- the circle closes"), 1u);
    HOLDS(has_line(why.out, {"They lock in opposite order", "No timeout"}));
    HOLDS(lines_with(why.out, {"held by #", "waits in mutex 0x"}).size() >= 1);
  }
  const auto json = tool({"why", "--json", w.number(), "lobby>games"});
  EQUAL(json.status, 2);
  const auto all = nlohmann::json::parse(json.out);
  EQUAL(all["circles"].size(), 1u);
  EQUAL(all["circles"][0]["deadlock"].get<bool>(), true);
  EQUAL(all["circles"][0]["tasks"].size(), 2u);
  EQUAL(all["tasks"][0]["name"].get<std::string>(), "lobby>games");
  EQUAL(all["waits_for"][0]["because"].get<std::string>(), "holds");
  EQUAL(tool({"why", w.number(), "nobody"}).status, 1);
  EQUAL(tool({"why"}).status, 64);
}

bool circles_are_there(const ran& r, int n) {
  return lines_with(r.out, {"link-", "mutex, held by link-"}).size() ==
             static_cast<std::size_t>(n) &&
         has_line(r.out, {"joined", "mutex, held by joiner"}) &&
         has_line(r.out, {"joiner", "await #"}) &&
         has_line(r.out, {"writer", "mutex, held by reader"}) &&
         has_line(r.out, {"reader", "held by writer"}) &&
         has_line(r.out, {"putter", "queue.put 2/2"}) &&
         has_line(r.out, {"taker", "mutex, held by putter"}) &&
         has_line(r.out, {"limited", "mutex, held by patient"}) &&
         has_line(r.out, {"patient", "mutex, held by limited"});
}

TEST_P(IN_WHY, IN_WHY_03_EachCircleIsFoundOnce) {
  for (const int n : {2, 50}) {
    const watched w("circles", loops(), n);
    tool_until({"ps", w.number()}, [&](const ran& r) { return circles_are_there(r, n); });
    const auto all = tool({"why", w.number()});
    EQUAL(all.status, 2);
    EQUAL(lines_with(all.out, {"DEADLOCK of " + std::to_string(n) + " tasks"}).size(),
          n == 2 ? 4u : 1u);
    EQUAL(lines_with(all.out, {"CIRCLE of 2 tasks"}).size(), 1u);
    EQUAL(count_of(all.out, "<- the circle closes"), 5u);
    EQUAL(lines_with(all.out, {"LIKELY DEADLOCK of 2 tasks"}).size(), 1u);
    EQUAL(lines_with(all.out, {"gives up in "}).size(), 1u);
    const auto likely = tool({"why", w.number(), "putter"});
    EQUAL(likely.status, 0);
    HOLDS(has_line(likely.out, {"LIKELY DEADLOCK"}));
    HOLDS(has_line(likely.out, {"likely in the hands of #", "taker"}));
    EQUAL(tool({"why", w.number(), "limited"}).status, 0);
    EQUAL(tool({"why", w.number(), "joiner"}).status, 2);
    EQUAL(tool({"why", w.number(), "reader"}).status, 2);
  }
}

bool ownerless_are_there(const ran& r) {
  return has_line(r.out, {"permit?", "semaphore 0"}) && has_line(r.out, {"none?", "semaphore 0"}) &&
         has_line(r.out, {"future?", "await a future"}) &&
         has_line(r.out, {"static?", "await a future"}) &&
         has_line(r.out, {"lost?", "await a future"}) && has_line(r.out, {"setter", "event"}) &&
         has_line(r.out, {"forgotten"});
}

TEST_P(IN_WHY, IN_WHY_06_HoldersOfPermitsAreTheLikelyOnes) {
  const watched w("ownerless", loops());
  tool_until({"ps", w.number()}, ownerless_are_there);
  const auto permit = tool({"why", w.number(), "permit?"});
  HOLDS(has_line(permit.out, {"likely in the hands of #", "holder", "has_permit"}));
  EQUAL(permit.status, 0);
  HOLDS(!has_line(tool({"why", w.number()}).out, {"DEADLOCK"}));
}

TEST_P(IN_WHY, IN_WHY_07_WhoCouldSetAFuture) {
  const watched w("ownerless", loops());
  tool_until({"ps", w.number()}, ownerless_are_there);
  HOLDS(has_line(tool({"why", w.number(), "future?"}).out, {"likely in the hands of #", "setter"}));
  // The blocks of a sanitizer's heap cannot be told apart: the tool looks into frames alone there,
  // and claims no more.
  const auto statics = tool({"why", w.number(), "static?"}).out;
  const auto lost = tool({"why", w.number(), "lost?"}).out;
  const char* no_frame = "no frame of another task points at its promise";
  HOLDS(has_line(statics, {sanitized ? no_frame : "a static of inside_programs"}));
  HOLDS(has_line(lost, {sanitized ? no_frame : "nobody is seen who could set it"}));
  const auto in_a_job = [](const ran& r) {
    return has_line(r.out, {"a job on thread ", " points at its promise"});
  };
  HOLDS(sanitized || in_a_job(tool_until({"why", w.number(), "job?"}, in_a_job)));
}

TEST_P(IN_WHY, IN_WHY_08_ATaskBehindAHoggedLoopNamesTheTaskThatHogsIt) {
  const watched w("queued", loops(), 3);
  EQUAL(tool({"ps", w.number()}).status, 0);
  if (!one_loop()) return;  // other loops would take it
  tool_until({"ps", w.number()}, [](const ran& r) {
    return has_line(r.out, {"hog", "running"}) && has_line(r.out, {"ready-2", "ready, "});
  });
  // Under ThreadSanitizer no stack is taken: signals come late there.
  const std::string stack = HEDDLE_TSAN ? "" : ": ";
  const auto why = tool_until({"why", w.number(), "ready-2"}, [&](const ran& r) {
    return has_line(r.out, {"its step has taken ", " so far" + stack});
  });
  HOLDS(has_line(why.out, {"loop 0 (thread ", ") runs #", " hog, and "}));
  HOLDS(HEDDLE_TSAN || has_line(why.out, {"its step has taken ", "hog"}) ||
        has_line(why.out, {"its step has taken ", "compute"}));
}

TEST_P(IN_WHY, IN_WHY_09_AJobNamesTheThreadsThatAreBusy) {
  const watched w("full_pool", loops(), 2);
  tool_until({"ps", w.number()},
             [](const ran& r) { return has_line(r.out, {"job-1", "to_thread, running"}); });
  const auto tells_the_thread = [](const ran& r) {
    return has_line(r.out, {"thread ", "(heddle-pool) is blocked in pause"});
  };
  HOLDS(tells_the_thread(tool_until({"why", w.number(), "job-1"}, tells_the_thread)));
}

TEST_P(IN_WHY, IN_WHY_10_ADescriptorIsNamed) {
  const watched w("every_kind", loops());
  tool_until({"ps", w.number()}, [](const ran& r) { return has_line(r.out, {"in readable"}); });
  HOLDS(has_line(tool({"why", w.number(), "in readable"}).out, {"a pipe"}));
}

TEST_P(IN_WHY, IN_WHY_10_ASocketIsToldWithItsAddressesItsStateAndWhatIsQueued) {
  const watched w("sockets", loops());
  tool_until({"ps", w.number()},
             [](const ran& r) { return has_line(r.out, {"reader", "readable, descriptor "}); });
  const auto why = tool({"why", w.number(), "reader"});
  EQUAL(why.status, 0);
  HOLDS(has_line(why.out, {"readable, descriptor ", "; gives up in "}));
  HOLDS(has_line(why.out, {"TCP 127.0.0.1:", " - 127.0.0.1:", ", established, 0 bytes to read, ",
                           " to send"}));
}

TEST_P(IN_WHY, IN_WHY_10_OfStreamsAcceptAndConnectTheSocketIsToldToo) {
  const watched w("sockets", loops());
  tool_until({"ps", w.number()}, [](const ran& r) {
    return has_line(r.out, {"of a stream", "read, descriptor "}) &&
           has_line(r.out, {"to a stream", "drain, ", " bytes to go, descriptor "}) &&
           has_line(r.out, {"connecting", "connect, descriptor "}) &&
           has_line(r.out, {"accept, descriptor "});
  });
  const auto all = tool({"why", w.number()}).out;
  SCOPED_TRACE(all);
  const auto read = tool({"why", w.number(), "of a stream"}).out;
  HOLDS(has_line(read, {"read, descriptor ", "; gives up in "}));
  HOLDS(has_line(read, {"TCP 127.0.0.1:", " - 127.0.0.1:", ", established, 0 bytes to read"}));
  // The peer reads nothing: so the kernel is full, too.
  const auto drain = tool({"why", w.number(), "to a stream"}).out;
  HOLDS(has_line(drain, {"TCP 127.0.0.1:", " - 127.0.0.1:", ", established, 0 bytes to read"}));
  HOLDS(!has_line(drain, {", 0 to send"}));
  const auto connect = tool({"why", w.number(), "connecting"}).out;
  HOLDS(has_line(connect, {"TCP 127.0.0.1:", " - 127.0.0.1:", ", SYN sent, "}));
}

TEST_P(IN_WHY, IN_WHY_11_OfSeveralOnlyThoseThatAreLeftAreTold) {
  const watched w("tree", loops());
  tool_until({"ps", w.number()}, [](const ran& r) {
    return has_line(r.out, {"gatherer", "gather 2 of 2 left"}) &&
           has_line(r.out, {"third", "shield"}) && count_of(r.out, "inner") >= 5;
  });
  const auto gatherer = tool({"why", w.number(), "gatherer"});
  EQUAL(lines_with(gatherer.out, {"among them #", "waits in event"}).size(), 2u);
  HOLDS(has_line(tool({"why", w.number(), "third"}).out, {"among them #", "shared"}));
  HOLDS(has_line(tool({"why", w.number(), "first"}).out, {"the end of #", "shared"}));
}

TEST_P(IN_WHY, IN_WHY_12_WhatHoldsUpCloseAndRunIsNamed) {
  const watched w("endings", loops(), 0);
  const auto holds_up = [](const ran& r) {
    return has_line(r.out, {"close() of runtime ", "waits for 3 tasks of its round"});
  };
  const auto said = tool_until({"why", w.number(), "close"}, holds_up);
  SCOPED_TRACE(said.out);
  EQUAL(said.status, 0);
  HOLDS(has_line(said.out, {" cleaner ", "waits in event", "cancelled and cleaning up",
                            "cleans_up endings.cpp:"}));
  HOLDS(has_line(said.out, {" stubborn ", "sleep", "swallows endings.cpp:"}));
  EQUAL(lines_with(said.out, {"it has got its cancellation: it cleans up here, or has caught"})
            .size(),
        2u);
  HOLDS(has_line(said.out, {" awaiter ", "cancel passed on"}));
  HOLDS(!has_line(said.out, {"polite"}));
  HOLDS(holds_up(tool({"why", w.number(), "run"})));
  const watched other("endings", loops(), 1);
  const auto run = tool_until({"why", other.number(), "run"}, [](const ran& r) {
    return has_line(r.out, {"run() of runtime ", "waits for 1 task"}) &&
           has_line(r.out, {"waits in event", "endings.cpp:"});
  });
  EQUAL(run.status, 0);
  const auto none = tool({"why", other.number(), "close"});
  EQUAL(none.status, 1);
  HOLDS(has_line(none.err, {"no runtime is being closed"}));
  const watched job("endings", loops(), 2);
  tool_until({"why", job.number(), "close"},
             [](const ran& r) { return has_line(r.out, {"(heddle-pool) is blocked in pause"}); });
}

TEST_P(IN_WHY, IN_WHY_14_ATaskThatIsReadyAndInNoQueueIsTold) {
  const watched w("ownerless", loops());
  tool_until({"ps", w.number()}, ownerless_are_there);
  const auto why = tool({"why", w.number(), "forgotten"});
  HOLDS(has_line(why.out, {"ready but in no queue, twice, 1 s apart"}));
}

}  // namespace
