// SPDX-License-Identifier: MIT
// CLU-ERR, CLU-RET, CLU-RES, CLU-VER: jobs that fail, and outcomes.
#include "cluster_cases.h"
#include "raw_nats.h"

#include <csignal>
#include <cstdlib>

namespace {

using namespace conformance;

CLUSTER_CASES(CLU_ERR);
CLUSTER_CASES(CLU_RET);
CLUSTER_CASES(CLU_RES);
CLUSTER_CASES(CLU_VER);

h::task<> nested_errors(std::string worker) {
  std::string type, text, where;
  std::vector<std::string> texts;
  unsigned attempt = 0;
  try {
    (void)co_await h::to_cluster(jobs::fails, "the outer cause");
  } catch (const cl::job_failed& e) {
    type = e.type();
    texts = e.texts();
    where = e.place().worker;
    attempt = e.place().attempt;
    text = e.what();
  }
  HOLDS(type.find("runtime_error") != std::string::npos);
  EQUAL(texts.size(), 2u);
  if (texts.size() == 2) {
    EQUAL(texts[0], "the outer cause");
    EQUAL(texts[1], "std::invalid_argument: the inner cause");
  }
  EQUAL(where, worker);
  EQUAL(attempt, 1u);
  HOLDS(text.size() < 1000);
  HOLDS(text.find("fails.1") != std::string::npos);
}

TEST_P(CLU_ERR, CLU_ERR_01_NestedErrorsArriveWithTheirPlace) {
  cluster(cl::options(), [](cl::client) { return nested_errors("local"); });
  cluster([](cl::client c) -> h::task<> {
    here_worker w(c);
    auto asking = nested_errors(w.worker().name());
    co_await std::move(asking);
    (void)co_await w.stop();
  });
}

TEST_P(CLU_ERR, CLU_ERR_02_IntsAndArgumentsThatDoNotDecode) {
  const auto body = [](cl::client) -> h::task<> {
    std::string type;
    try {
      (void)co_await h::to_cluster(jobs::throws_an_int);
    } catch (const cl::job_failed& e) { type = e.type(); }
    EQUAL(type, "int");
    const cl::job<int(std::string)> other("twice", {.retry = {.times = 3}});
    bool refused = false;
    try {
      (void)co_await h::to_cluster(other, "no number");
    } catch (const cl::bad_arguments&) { refused = true; }
    HOLDS(refused);
  };
  cluster(cl::options(), body);
  served(body);
}

TEST_P(CLU_ERR, CLU_ERR_03_AQueueThatNobodyServesIsNamedOnce) {
  auto o = fresh_cluster();
  o.warn_after = 200ms;
  auto warnings = std::make_shared<std::vector<std::string>>();
  auto lock = std::make_shared<std::mutex>();
  o.on_warning = [=](const std::string& text) {
    const std::lock_guard hold(*lock);
    warnings->push_back(text);
  };
  const auto count = [=] {
    const std::lock_guard hold(*lock);
    return warnings->size();
  };
  cluster(o, [&](cl::client c) -> h::task<> {
    auto waiting = h::create_task(h::to_cluster(jobs::twice.on("lonely"), 4));
    const auto warned = co_await eventually([&] { return count() > 0; });
    HOLDS(warned);
    co_await h::sleep(500ms);
    EQUAL(count(), 1u);
    HOLDS(warnings->front().find("lonely") != std::string::npos);
    here_worker w(c, 1, {"lonely"});
    const auto value = co_await waiting;
    EQUAL(value, 8);
    (void)co_await w.stop();
  });
}

TEST_P(CLU_ERR, CLU_ERR_04_AJobThatKillsItsWorkersIsLostAndKept) {
  auto o = fresh_cluster();
  o.ack_wait = 500ms;
  cluster(o, [&](cl::client c) -> h::task<> {
    raw_nats raw(c);
    auto waiting = h::create_task(h::to_cluster(jobs::crashes));
    std::vector<std::string> names;
    for (int i = 0; i < 3; ++i) {
      names.push_back("victim-" + std::to_string(i));
      auto victim = worker_process(o, names.back(), 1);
      const auto died = co_await eventually([&] { return victim.ended(); });
      HOLDS(died);
      EQUAL(victim.wait(), 1000 + SIGSEGV);
    }
    auto fourth = worker_process(o, "fourth", 1);
    std::vector<std::string> told;
    unsigned attempts = 0;
    try {
      (void)co_await waiting;
    } catch (const cl::job_lost& e) {
      told = e.workers();
      attempts = e.place().attempt;
    }
    EQUAL(attempts, 3u);
    EQUAL(told, names);
    HOLDS(!fourth.ended());
    EQUAL(raw.dead(), 1u);
  });
}

/// Workers that are started again whenever one has died.
class respawned {
 public:
  respawned(cl::options o, int n) : options_(std::move(o)) {
    for (int i = 0; i < n; ++i) workers_.push_back(next());
  }
  h::task<> keep_up() {
    for (;;) {
      for (auto& w : workers_)
        if (w.ended()) w = next();
      co_await h::sleep(20ms);
    }
  }

 private:
  child next() { return worker_process(options_, "w" + std::to_string(++number_), 8); }

  cl::options options_;
  std::vector<child> workers_;
  int number_ = 0;
};

TEST_P(CLU_ERR, CLU_ERR_05_JobsThatKillTheirWorkersHarmNoOthers) {
  auto o = fresh_cluster();
  o.ack_wait = 500ms;
  cluster(o, [&](cl::client c) -> h::task<> {
    raw_nats raw(c);
    respawned workers(o, 3);
    auto keeping = h::create_task(workers.keep_up());
    const int good = static_cast<int>(cluster_size(500, 10'000));
    const int bad = static_cast<int>(cluster_size(2, 10));
    std::vector<h::task_handle<int>> calls, killers;
    for (int i = 0; i < good; ++i) {
      if (i % (good / bad) == 0 && std::cmp_less(killers.size(), bad))
        killers.push_back(h::create_task(h::to_cluster(jobs::crashes)));
      calls.push_back(h::create_task(h::to_cluster(jobs::twice, i)));
    }
    int wrong = 0, lost = 0;
    for (int i = 0; i < good; ++i) {
      const auto how = co_await ending(calls[static_cast<std::size_t>(i)]);
      wrong += how != "value";
    }
    for (auto& one : killers) {
      try {
        (void)co_await one;
      } catch (const cl::job_lost& e) {
        lost += e.workers().size() >= 2;
      }  // the first may have died before it began
    }
    EQUAL(wrong, 0);
    EQUAL(lost, static_cast<int>(killers.size()));
    EQUAL(raw.dead(), killers.size());
    keeping.cancel();
    (void)co_await ending(keeping);
  });
}

TEST_P(CLU_RET, CLU_RET_01_WithoutRetriesAnErrorIsTheOutcome) {
  served([](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    const cl::job<unsigned(std::string, unsigned)> once("fails_until");
    const auto how = co_await ending(h::to_cluster(once, file, 2u));
    HOLDS(how != "value");
    EQUAL(lines_of(file).size(), 1u);
    EQUAL(c.stats().started, 1u);
  });
}

h::task<> retried(std::string file) {
  const auto attempt = co_await h::to_cluster(jobs::fails_until, file, 3u);
  EQUAL(attempt, 3u);
  const auto runs = lines_of(file);
  EQUAL(runs.size(), 3u);
  std::vector<long> at;
  for (const auto& line : runs) at.push_back(std::strtol(line.substr(2).c_str(), nullptr, 10));
  for (std::size_t i = 0; i < runs.size(); ++i) EQUAL(runs[i][0], static_cast<char>('1' + i));
  HOLDS(at[1] - at[0] >= 95);
  HOLDS(at[2] - at[1] >= 190);
}

TEST_P(CLU_RET, CLU_RET_02_RetriesComeAfterTheirPauses) {
  cluster(cl::options(), [](cl::client) { return retried(fresh_file()); });
  served([](cl::client) { return retried(fresh_file()); });
}

TEST_P(CLU_RET, CLU_RET_03_APermanentErrorIsNotRetried) {
  const auto body = [](cl::client) -> h::task<> {
    const auto file = fresh_file();
    const auto how = co_await ending(h::to_cluster(jobs::fails_for_good, file));
    HOLDS(how != "value");
    EQUAL(lines_of(file).size(), 1u);
  };
  cluster(cl::options(), body);
  served(body);
}

TEST_P(CLU_RET, CLU_RET_04_ADeliveryThatWasGivenBackIsNoAttempt) {
  auto o = fresh_cluster();
  cluster(o, [&](cl::client c) -> h::task<> {
    // This program does not know the job: it gives it back, with pauses of 1 and 2 s.
    here_worker w(c, 1);
    auto waiting =
        h::create_task(h::to_cluster(cl::job<int(int)>("of_others", {.attempts = 1}), 5));
    const auto returned = co_await eventually([&] { return c.stats().given_back >= 2; });
    HOLDS(returned);
    (void)co_await w.stop();
    auto fit = worker_process(o, "fit", 1);
    const auto value = co_await waiting;
    EQUAL(value, 1005);
  });
}

TEST_P(CLU_RET, CLU_RET_05_DeadLettersAreShownAndTriedAgain) {
  auto o = fresh_cluster();
  cluster(o, [&](cl::client c) -> h::task<> {
    cl::worker_options wo;
    wo.unknown_limit = 1ms;
    here_worker w(c, wo);
    raw_nats raw(c);
    bool unknown = false;
    try {
      (void)co_await h::to_cluster(jobs::of_others, 1);
    } catch (const cl::no_such_job&) { unknown = true; }
    HOLDS(unknown);
    EQUAL(raw.dead(), 1u);
    (void)co_await w.stop();
    int status = -1;
    const auto shown = co_await h::to_thread([&] { return cluster_tool(o, {"dead"}, &status); });
    EQUAL(status, 0);
    HOLDS(shown.find("of_others") != std::string::npos);
    HOLDS(shown.find("no worker knows") != std::string::npos);
    const auto retried =
        co_await h::to_thread([&] { return cluster_tool(o, {"retry", "--all"}, &status); });
    EQUAL(status, 0);
    EQUAL(raw.dead(), 0u);
    EQUAL(raw.jobs(), 1u);
    const auto at = retried.rfind(' ');
    auto fit = worker_process(o, "fit", 1);
    const auto id = retried.substr(at + 1, retried.find_last_not_of("\n") - at);
    const auto again = cl::attach(jobs::of_others, id);
    const auto value = co_await again.result();
    EQUAL(value, 1001);
  });
}

TEST_P(CLU_RES, CLU_RES_01_AJobWhoseOutcomeIsStoredIsNotRunAgain) {
  auto o = fresh_cluster();
  o.ack_wait = 500ms;
  cluster(o, [](cl::client c) -> h::task<> {
    raw_nats raw(c);
    {
      here_worker maker(c);
      (void)co_await h::to_cluster(jobs::twice, 1);
      (void)co_await maker.stop();
    }
    const auto file = fresh_file();
    auto handle = co_await cl::submit(jobs::fails_for_good, file);
    HOLDS(!raw.take_job().empty());                   // a worker takes it,
    HOLDS(raw.store_value(handle.id(), "\x18\x2a"));  // stores 42, and dies
    const auto value = co_await handle.result();
    EQUAL(value, 42);
    here_worker w(c);
    const auto skipped = co_await eventually([&] { return c.stats().skipped == 1; });
    HOLDS(skipped);
    const auto gone = co_await eventually([&] { return raw.jobs() == 0; });
    HOLDS(gone);
    HOLDS(lines_of(file).empty());
    (void)co_await w.stop();
  });
}

TEST_P(CLU_RES, CLU_RES_02_TheFirstOutcomeWinsForAll) {
  cluster([](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    here_worker w(c);
    raw_nats raw(c);
    auto handle = co_await cl::submit(jobs::log_and_wait, file, 1, 1000);
    auto first = h::create_task(handle.result());
    const auto begun = co_await eventually([&] { return count_lines(file, "begin") == 1; });
    HOLDS(begun);
    HOLDS(raw.store_value(handle.id(), "\x63raw"));
    const auto value = co_await first;
    EQUAL(value, "raw");
    const auto dropped = co_await eventually([&] { return c.stats().dropped == 1; });
    HOLDS(dropped);
    const auto again = co_await handle.result();
    EQUAL(again, "raw");
    EQUAL(raw.jobs(), 0u);
    (void)co_await w.stop();
  });
}

TEST_P(CLU_RES, CLU_RES_04_AResultThatIsTooLargeIsAnOutcome) {
  served([](cl::client c) -> h::task<> {
    std::size_t size = 0, limit = 0;
    std::string text;
    try {
      (void)co_await h::to_cluster(jobs::makes_bytes, std::size_t{2} * 1024 * 1024);
    } catch (const cl::too_large& e) {
      size = e.size();
      limit = e.limit();
      text = e.what();
    }
    HOLDS(size >= std::size_t{2} * 1024 * 1024);
    EQUAL(limit, 1024u * 1024u);
    HOLDS(text.find("makes_bytes.1") != std::string::npos);
    EQUAL(c.stats().started, 1u);
  });
}

TEST_P(CLU_RES, CLU_RES_05_OutcomesOfCallsDoNotPileUp) {
  served([](cl::client c) -> h::task<> {
    raw_nats raw(c);
    (void)co_await h::to_cluster(jobs::twice.key("kept"), 1);
    std::vector<int> items(cluster_size(1000, 100'000));
    auto all = cl::map(jobs::twice, items, {.in_flight = 100});
    for (;;) {
      const auto* one = co_await all.next();
      if (!one) break;
    }
    const auto tidy = co_await eventually([&] { return raw.outcomes() == 1; });
    HOLDS(tidy);
    EQUAL(raw.jobs(), 0u);
  });
}

TEST_P(CLU_RES, CLU_RES_06_AnOutcomeThatCannotBeStoredIsKept) {
  auto o = fresh_cluster();
  o.max_bytes = 256 * 1024;
  cluster(o, [](cl::client c) -> h::task<> {
    co_await c.connect();
    raw_nats raw(c);
    HOLDS(raw.store_value("filler.1", std::string(230 * 1024, 'x')));
    const auto file = fresh_file();
    auto big = h::create_task(h::to_cluster(jobs::makes_bytes, std::size_t{60} * 1024));
    here_worker w(c, 4);
    const auto begun = co_await eventually([&] { return c.stats().started == 1; });
    HOLDS(begun);
    co_await h::sleep(200ms);  // the worker finds that it cannot store
    auto next = h::create_task(h::to_cluster(jobs::log_and_wait, file, 1, 0));
    co_await h::sleep(300ms);
    HOLDS(!big.done());
    HOLDS(lines_of(file).empty());  // nothing new is begun
    const auto erased = raw.ask("$JS.API.STREAM.PURGE.HR_" + raw.cluster(), {},
                                "{\"filter\":\"h." + raw.cluster() + ".r.filler.1\"}");
    HOLDS(erased.second.find("\"purged\":1") != std::string::npos);
    const auto text = co_await big;
    EQUAL(text.size(), 60u * 1024u);
    (void)co_await next;
    EQUAL(c.stats().started, 2u);
    (void)co_await w.stop();
  });
}

TEST_P(CLU_RES, CLU_RES_07_AHandleOfAnotherProcess) {
  auto o = fresh_cluster();
  o.keep = 2s;
  served(o, [&](cl::client) -> h::task<> {
    std::string id;
    {
      auto handle = co_await cl::submit(jobs::twice, 21);
      id = handle.id();
    }
    cl::client other(o);
    cl::use(other);
    auto handle = cl::attach(jobs::twice, id);
    const auto a = co_await handle.result();
    const auto b = co_await handle.result();
    EQUAL(a, 42);
    EQUAL(b, 42);
    const auto status = co_await handle.status();
    HOLDS(status == cl::job_status::done);
    bool gone = false;
    for (int i = 0; i < 300 && !gone; ++i) {
      co_await h::sleep(100ms);
      try {
        (void)co_await handle.result();
      } catch (const cl::expired&) { gone = true; }
    }
    HOLDS(gone);
  });
}

TEST_P(CLU_VER, CLU_VER_02_ANewFieldWithADefaultDecodes) {
  using old_scene = std::map<std::string, std::string>;
  (void)sizeof(old_scene);
  nlohmann::json before = {{"name", "s"}, {"frames", 3}};
  const auto now = before.get<jobs::scene>();
  HOLDS((now == jobs::scene{"s", 3, {}}));
  nlohmann::json after = jobs::scene{"s", 3, {1.0}};
  after["more"] = "of a later version";
  HOLDS((after.get<jobs::scene>() == jobs::scene{"s", 3, {1.0}}));
}

TEST_P(CLU_VER, CLU_VER_01_EachVersionIsRunByThoseThatKnowIt) {
  auto o = fresh_cluster();
  cluster(o, [&](cl::client c) -> h::task<> {
    // Version 1 of "of_others" is known to the other process alone, "twice" to both.
    here_worker old(c, 2);
    auto unknown_here = h::create_task(h::to_cluster(jobs::of_others, 7));
    auto fit = worker_process(o, "new", 2);
    const auto value = co_await unknown_here;
    EQUAL(value, 1007);
    const auto both = co_await h::to_cluster(jobs::twice, 7);
    EQUAL(both, 14);
    EQUAL(c.stats().lost, 0u);
    (void)co_await old.stop();
  });
}

}  // namespace
