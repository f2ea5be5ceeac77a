// SPDX-License-Identifier: MIT
// CLU-SIM and the simulated halves of other groups: a seed decides what comes first. HEDDLE_SEEDS
// says how many seeds there are.
#include "conformance.h"
#include "simulated_cluster.h"

#include <heddle/io/cluster_job.h>
#include <heddle/sched/simulate.h>
#include <heddle/sched/to_thread.h>

#include <support/simulated.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace conformance;
using simulated::require;
namespace t = h::testing;

CASES(CLU_SIM);

h::testing::simulation_limits far_limits() {
  h::testing::simulation_limits limits;
  limits.steps = 20'000'000;
  return limits;
}

/// The first of `n` seeds with which `body(cluster)`, in the program's thread, fails.
template <class Body>
std::optional<t::failing_seed> failing(std::uint64_t n, unsigned loops, Body body) {
  return t::first_failing(1, std::max<std::uint64_t>(n, 1), [&](std::uint64_t seed) {
    (void)t::simulate_program(
        seed,
        [&] {
          simulated_cluster c(loops);
          body(c);
        },
        far_limits());
  });
}

/// Runs a trial with each seed. Counts as one question.
template <class Body>
void trials(std::uint64_t n, unsigned loops, Body body) {
  const auto found = failing(simulated::seeds(n), loops, std::move(body));
  (void)conformance::asked(true);
  EXPECT_FALSE(found.has_value()) << simulated::told(found);
}

/// A server with a planted fault has to be noticed, by one of these seeds, for this reason. Not
/// under a sanitizer, which changes nothing about it.
template <class Body>
void is_noticed(bool simulated_nats::* fault, const char* why, std::uint64_t n, unsigned loops,
                Body body) {
  (void)conformance::asked(true);
  if (sanitized) return;
  const auto found = failing(n, loops, [&](simulated_cluster& c) {
    c.server.*fault = true;
    body(c);
  });
  HOLDS(found.has_value()) << "no seed of " << n << " notices it";
  HOLDS(simulated::told(found).find(why) != std::string::npos) << simulated::told(found);
}

h::duration some_ms(unsigned most) { return std::chrono::milliseconds(t::choose(most + 1)); }

using calls = std::vector<h::task_handle<int>>;

calls start_calls(int n, unsigned most_ms) {
  calls all;
  for (int i = 0; i < n; ++i)
    all.push_back(
        h::create_task(h::to_cluster(simulated_work, i, static_cast<int>(t::choose(most_ms + 1)))));
  return all;
}

h::task<> all_have_their_values(calls& all) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    const int got = co_await all[i];
    require(got == 2 * static_cast<int>(i), "a call has another's value");
  }
}

void each_ran_once(const simulated_cluster& c, int n) {
  for (int i = 0; i < n; ++i) {
    const auto at = c.begun.find(i);
    require(at != c.begun.end(), "a job never ran");
    require(at->second == 1, "a job ran twice though no worker died");
  }
}

void cut_anywhere(simulated_cluster& c) {
  auto& by = c.add_client();
  auto& a = c.add_worker();
  auto& b = c.add_worker();
  c.run(by, [&]() -> h::task<> {
    const int n = 8;
    auto all = start_calls(n, 40);
    for (auto* one : {static_cast<simulated_client*>(&by), static_cast<simulated_client*>(&a),
                      static_cast<simulated_client*>(&b)})
      one->wire.cut_in = 1 + t::choose(40);
    for (int i = 0; i < 3; ++i) {
      co_await h::sleep(some_ms(60));
      auto* const one = t::choose(2) ? static_cast<simulated_client*>(&by) : &a;
      c.server.cut(one->wire);
    }
    auto waiting = all_have_their_values(all);
    co_await std::move(waiting);
    auto emptying = c.until_empty();
    co_await std::move(emptying);
    each_ran_once(c, n);
    require(c.running_most <= 4, "more jobs ran than there are slots");
  });
}

TEST_P(CLU_SIM, CLU_SIM_01_LinksAreCutAnywhereAndEachJobRunsOnce) {
  trials(400, loops(), cut_anywhere);
}

TEST_P(CLU_SIM, CLU_SIM_01_AServerThatForgetsWhatItHasAcceptedIsNoticed) {
  is_noticed(&simulated_nats::forgets_ids, "a job ran twice", 400, loops(), cut_anywhere);
}

TEST_P(CLU_SIM, CLU_SIM_02_WorkersDieBetweenAnyTwoSteps) {
  trials(300, loops(), [](simulated_cluster& c) {
    auto& by = c.add_client();
    (void)c.add_worker();
    (void)c.add_worker();
    c.run(by, [&]() -> h::task<> {
      auto all = start_calls(8, 30);
      for (int i = 0; i < 2; ++i) {
        co_await h::sleep(some_ms(50));
        const auto victim = std::next(c.workers.begin(), t::choose(2) ? 0 : 1);
        c.kill(victim->name);
      }
      auto waiting = all_have_their_values(all);
      co_await std::move(waiting);
      auto emptying = c.until_empty();
      co_await std::move(emptying);
    });
  });
}

/// The outcome of a handle's job as the waiter sees it, and as it is stored.
h::task<> cancelled_at_the_end(simulated_cluster& c) {
  auto handle = co_await cl::submit(simulated_work, 1, static_cast<int>(t::choose(4)));
  auto waiting = h::create_task(handle.result());
  co_await h::sleep(some_ms(30));
  const bool first = co_await handle.cancel();
  const auto how = co_await ending(waiting);
  const auto again = co_await ending(handle.result());
  const bool value = how == "value";
  require(value || how.find("cancelled") != std::string::npos, "neither a value nor cancelled");
  require(how == again, "two who wait see different outcomes");
  require(value != first, "the cancellation says otherwise than the outcome");
  require(c.server.kind_of(handle.id()) == (value ? "value" : "cancelled"),
          "the stored outcome is another");
  require(c.server.outcomes_ever(handle.id()) == 1, "there were two outcomes");
  auto emptying = c.until_empty();
  co_await std::move(emptying);
}

TEST_P(CLU_SIM, CLU_CAN_04_SimulatedAValueOrACancellationAndTheOutcomeAgrees) {
  trials(600, loops(), [](simulated_cluster& c) {
    auto& by = c.add_client();
    (void)c.add_worker(1);
    c.run(by, [&] { return cancelled_at_the_end(c); });
  });
}

TEST_P(CLU_SIM, CLU_SIM_03_ACallIsCancelledAnywhere) {
  trials(300, loops(), [](simulated_cluster& c) {
    auto& by = c.add_client();
    (void)c.add_worker(1);
    c.run(by, [&]() -> h::task<> {
      by.wire.cut_in = t::choose(30);
      auto all = start_calls(4, 20);
      co_await h::sleep(some_ms(40));
      for (auto& one : all) one.cancel();
      for (auto& one : all) {
        const auto how = co_await ending(one);
        require(how == "value" || how == "Cancelled", "a cancelled call ended otherwise");
      }
      auto emptying = c.until_empty();
      co_await std::move(emptying);
      for (const auto& [number, times] : c.begun) require(times == 1, "a job ran twice");
    });
  });
}

TEST_P(CLU_SIM, CLU_SIM_04_WhatADeadSubmitterHadAcceptedRuns) {
  trials(200, loops(), [](simulated_cluster& c) {
    auto& dying = c.add_client();
    auto& other = c.add_client();
    (void)c.add_worker();
    c.run(dying, [&]() -> h::task<> {
      std::vector<std::string> ids;
      auto submitting = h::create_task([&]() -> h::task<> {
        for (int i = 0; i < 6; ++i) {
          auto handle = co_await cl::submit(simulated_work, i, 5);
          ids.push_back(handle.id());
        }
      });
      co_await h::sleep(some_ms(60));
      dying.die();
      submitting.cancel();
      (void)co_await ending(submitting);
      other.use();
      for (std::size_t i = 0; i < ids.size(); ++i) {
        auto handle = cl::attach(simulated_work, ids[i]);
        const int got = co_await handle.result();
        require(got == 2 * static_cast<int>(i), "an accepted job has another's value");
      }
      auto emptying = c.until_empty();
      co_await std::move(emptying);
    });
  });
}

void two_run_one_job(simulated_cluster& c) {
  auto& by = c.add_client();
  auto& slow = c.add_worker(1);
  c.run(by, [&]() -> h::task<> {
    auto handle = co_await cl::submit(simulated_work, 1, 1000 + static_cast<int>(t::choose(1500)));
    auto first = h::create_task(handle.result());
    while (c.begun[1] == 0) co_await h::sleep(5ms);
    slow.wire.open = false;  // it runs on, unheard, past its ack_wait
    c.server.cut(slow.wire);
    co_await h::to_thread([&] { (void)c.add_worker(1); });
    co_await h::sleep(1000ms + some_ms(2000));
    slow.wire.open = true;
    const int a = co_await first;
    const int b = co_await handle.result();
    require(a == 2 && b == 2, "another value");
    require(c.server.outcomes_ever(handle.id()) == 1, "there were two outcomes");
    require(c.begun[1] <= 2, "it ran more often than there are workers");
    auto emptying = c.until_empty();
    co_await std::move(emptying);
  });
}

TEST_P(CLU_SIM, CLU_SIM_05_TwoWorkersRunOneJobAndTheFirstOutcomeIsForAll) {
  trials(200, loops(), two_run_one_job);
}

TEST_P(CLU_SIM, CLU_SIM_05_AServerThatStoresASecondOutcomeIsNoticed) {
  is_noticed(&simulated_nats::keeps_second_outcomes, "there were two outcomes", 3000, loops(),
             two_run_one_job);
}

TEST_P(CLU_SIM, CLU_SIM_06_TheServerEndsAndComesBackAgainAndAgain) {
  trials(200, loops(), [](simulated_cluster& c) {
    auto& by = c.add_client();
    (void)c.add_worker();
    (void)c.add_worker();
    c.run(by, [&]() -> h::task<> {
      auto all = start_calls(8, 30);
      for (int i = 0; i < 4; ++i) {
        co_await h::sleep(some_ms(80));
        c.server.restart();
      }
      auto waiting = all_have_their_values(all);
      co_await std::move(waiting);
      auto emptying = c.until_empty();
      co_await std::move(emptying);
      each_ran_once(c, 8);
    });
  });
}

TEST_P(CLU_SIM, CLU_SIM_07_TheServersClockJumpsAndNoOutcomeIsHarmed) {
  trials(200, loops(), [](simulated_cluster& c) {
    auto& by = c.add_client();
    (void)c.add_worker();
    c.run(by, [&]() -> h::task<> {
      const auto timed = simulated_work.within(30s);
      const int before = co_await h::to_cluster(timed, 0, 1);
      require(before == 0, "another value");
      auto running = h::create_task(h::to_cluster(timed, 1, 50));
      co_await h::sleep(some_ms(60));
      c.server.jump(t::choose(2) ? h::duration(1h) : -h::duration(1h));
      const int during = co_await running;
      require(during == 2, "another value");
      for (int i = 2; i < 5; ++i) {  // none of them is late
        const int after = co_await h::to_cluster(timed, i, 1);
        require(after == 2 * i, "another value");
      }
    });
  });
}

TEST_P(CLU_SIM, CLU_SIM_08_OutcomesThatCannotBeStoredAreKeptAndNothingRunsTwice) {
  trials(150, loops(), [](simulated_cluster& c) {
    auto& by = c.add_client();
    (void)c.add_worker(2);
    c.run(by, [&]() -> h::task<> {
      auto all = start_calls(8, 20);
      co_await h::sleep(some_ms(40));
      c.server.full = true;
      co_await h::sleep(3s);
      const auto begun = c.begun.size();
      co_await h::sleep(3s);
      require(c.begun.size() == begun, "a job was begun whose outcome cannot be stored");
      c.server.full = false;
      auto waiting = all_have_their_values(all);
      co_await std::move(waiting);
      each_ran_once(c, 8);
      auto emptying = c.until_empty();
      co_await std::move(emptying);
    });
  });
}

TEST_P(CLU_SIM, CLU_SIM_09_JobsThatTheServerLosesAreSubmittedAgain) {
  trials(200, loops(), [](simulated_cluster& c) {
    c.options.on_warning = [](const std::string&) {};
    auto& by = c.add_client();
    auto& w = c.add_worker(2);
    c.run(by, [&]() -> h::task<> {
      const int n = 8;
      auto all = start_calls(n, 2000);
      auto keyed = h::create_task(h::to_cluster(simulated_work.key("one"), n, 1));
      auto urgent = h::create_task(h::to_cluster(simulated_work.high().key("one"), n, 1));
      auto handle = co_await cl::submit(simulated_work, n + 1, 1);
      co_await h::sleep(some_ms(3000));  // some have ended, some run
      const bool runs = c.begun[n + 1] != 0;
      c.server.lose_jobs();
      if (t::choose(2)) c.server.cut(t::choose(2) ? by.wire : w.wire);
      auto waiting = all_have_their_values(all);
      co_await std::move(waiting);
      const int got = co_await keyed;
      const int same = co_await urgent;
      require(got == 2 * n && same == got, "a call with a key has another's value");
      const auto how = co_await ending(handle.result());  // nobody has its arguments any more
      require(how == "value" || (!runs && how.find("knows no job") != std::string::npos),
              "a lost job's handle ends otherwise");
      auto emptying = c.until_empty();
      co_await std::move(emptying);
      for (const auto& [number, times] : c.begun)
        require(times <= 2, "a job ran more often than it was submitted");
      require(c.server.outcomes_ever(handle.id()) <= 1, "there were two outcomes");
    });
  });
}

TEST_P(CLU_SIM, CLU_SIM_10_AWorkerIsOwedNoMoreJobsThanItHasSlots) {
  trials(100, loops(), [](simulated_cluster& c) {
    auto& by = c.add_client();
    auto& a = c.add_worker(8);
    c.run(by, [&]() -> h::task<> {
      for (int i = 0; i < 40; ++i) (void)co_await h::to_cluster(simulated_work, i, 0);
      require(a.wire.pulls < 30, "a worker asks for each job");
    });
    (void)c.add_worker(3);
    c.run(by, [&]() -> h::task<> {
      if (t::choose(2)) c.server.cut(a.wire);
      auto all = start_calls(60, 200);
      auto waiting = h::create_task(all_have_their_values(all));
      while (!waiting.done()) {
        require(c.server.unacknowledged() <= 8 + 3, "a worker has a job without a slot");
        co_await h::sleep(1ms);
      }
      co_await waiting;
      require(c.running_most >= 8 + 2, "slots stay empty while jobs wait");
      auto emptying = c.until_empty();
      co_await std::move(emptying);
    });
  });
}

TEST_P(CLU_SIM, CLU_ERR_05_SimulatedJobsThatKillTheirWorkersHarmNoOthers) {
  trials(60, loops(), [](simulated_cluster& c) {
    auto& by = c.add_client();
    (void)c.add_worker(4);
    (void)c.add_worker(4);
    c.run(by, [&]() -> h::task<> {
      const int n = 30;
      calls poison;
      for (int i = 0; i < 2; ++i)
        poison.push_back(h::create_task(h::to_cluster(simulated_poison, 1000 + i)));
      auto all = start_calls(n, 30);
      auto waiting = all_have_their_values(all);
      co_await std::move(waiting);
      for (auto& one : poison) {
        std::vector<std::string> workers;
        try {
          (void)co_await one;
        } catch (const cl::job_lost& e) { workers = e.workers(); }
        // What a worker said last may be lost with it, so the first name may be missing.
        require(workers.size() >= 2, "a lost job does not name its workers");
      }
      auto emptying = c.until_empty();
      co_await std::move(emptying);
      require(c.server.count("HD_") == 2, "there are not two dead letters");
      // A first delivery counts as begun, also if its worker died of the other job before it was.
      // Two that are begun in one worker share its death.
      for (const int number : {1000, 1001})
        require(c.begun[number] >= 2 && c.begun[number] <= 3, "more or fewer starts than attempts");
      require(c.killed >= 3 && c.killed <= 6, "more workers died than there were starts");
    });
  });
}

TEST_P(CLU_SIM, CLU_WRK_09_AnIdleWorkerSaysNextToNothing) {
  trials(3, loops(), [](simulated_cluster& c) {
    auto& by = c.add_client();
    auto& w = c.add_worker();
    c.run(by, [&]() -> h::task<> {
      const int value = co_await h::to_cluster(simulated_work, 1, 0);
      require(value == 2, "another value");
      co_await h::sleep(70s);  // its first pulls are over
      const auto commands = w.wire.commands, messages = w.wire.messages;
      co_await h::sleep(60s);
      require(w.wire.commands - commands + w.wire.messages - messages <= 3 * 3,
              "more than three messages for each of three classes in a minute");
    });
  });
}

TEST_P(CLU_SIM, CLU_CON_03_SimulatedTheSecondServerIsUsedWithin250Ms) {
  trials(50, loops(), [](simulated_cluster& c) {
    c.options.servers = {{"down", 1}, {"simulated", 2}};
    auto& by = c.add_client();
    by.wire.down = "down";
    c.run(by, [&]() -> h::task<> {
      const auto began = h::clock::now();
      co_await by.place->connect();
      require(h::clock::now() - began <= 250ms, "the second server is used too late");
    });
  });
}

}  // namespace
