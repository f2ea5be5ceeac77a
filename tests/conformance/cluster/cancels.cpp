// SPDX-License-Identifier: MIT
// CLU-CAN and CLU-TIM: jobs that are cancelled, or whose time is over.
#include "cluster_cases.h"
#include "raw_nats.h"

#include <heddle/sched/task_group.h>

namespace {

using namespace conformance;

CLUSTER_CASES(CLU_CAN);
CLUSTER_CASES(CLU_TIM);

TEST_P(CLU_CAN, CLU_CAN_01_AQueuedJobNeverStarts) {
  cluster([](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    raw_nats raw(c);
    auto queued = h::create_task(h::to_cluster(jobs::log_and_wait, file, 1, 0));
    const auto there = co_await eventually([&] { return raw.jobs() == 1; });
    HOLDS(there);
    queued.cancel();
    const auto how = co_await ending(queued);
    EQUAL(how, "Cancelled");
    const auto gone = co_await eventually([&] { return raw.jobs() == 0; });
    HOLDS(gone);
    here_worker w(c);
    const auto value = co_await h::to_cluster(jobs::twice, 3);
    EQUAL(value, 6);
    HOLDS(lines_of(file).empty());
    (void)co_await w.stop();
  });
}

TEST_P(CLU_CAN, CLU_CAN_02_ARunningTaskIsCancelledAtItsAwait) {
  cluster([](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    here_worker w(c, 1);
    auto running = h::create_task(h::to_cluster(jobs::log_and_wait, file, 1, 3'600'000));
    const auto begun = co_await eventually([&] { return count_lines(file, "begin") == 1; });
    HOLDS(begun);
    running.cancel();
    const auto how = co_await ending(running);
    EQUAL(how, "Cancelled");
    const auto cleaned = co_await eventually([&] { return count_lines(file, "cancelled") == 1; });
    HOLDS(cleaned);
    const auto value = co_await h::to_cluster(jobs::twice, 3);  // the slot is free
    EQUAL(value, 6);
    (void)co_await w.stop();
  });
}

TEST_P(CLU_CAN, CLU_CAN_03_ARunningFunctionIsToldToStop) {
  cluster([](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    here_worker w(c, 1);
    auto running = h::create_task(h::to_cluster(jobs::log_and_block, file, 1, 3'600'000));
    const auto begun = co_await eventually([&] { return count_lines(file, "begin") == 1; });
    HOLDS(begun);
    running.cancel();
    const auto how = co_await ending(running);
    EQUAL(how, "Cancelled");
    const auto told = co_await eventually([&] { return count_lines(file, "stopping") == 1; });
    HOLDS(told);
    const auto value = co_await h::to_cluster(jobs::twice, 3);
    EQUAL(value, 6);
    EQUAL(c.stats().dropped, 1u);
    (void)co_await w.stop();
  });
}

TEST_P(CLU_CAN, CLU_CAN_04_AValueOrACancellationAndTheOutcomeAgrees) {
  served([](cl::client c) -> h::task<> {
    const int n = static_cast<int>(cluster_size(100, 1000));
    int values = 0, cancels = 0, others = 0;
    for (int i = 0; i < n; ++i) {
      auto handle = co_await cl::submit(jobs::twice, i);
      auto waiting = h::create_task(handle.result());
      for (int turn = 0; turn < i % 20; ++turn) co_await h::yield_now();
      if (i % 3 == 1) co_await h::sleep(std::chrono::microseconds(10 * i));
      const bool first = co_await handle.cancel();
      const auto how = co_await ending(waiting);
      const auto again = co_await ending(handle.result());
      const bool value = how == "value";
      const bool cancelled = how.find("cancelled") != std::string::npos;
      values += value;
      cancels += cancelled;
      others += !(value || cancelled) || how != again || cancelled != first;
    }
    EQUAL(others, 0);
    EQUAL(values + cancels, n);
    (void)c;
  });
}

TEST_P(CLU_CAN, CLU_CAN_05_WithoutAServerACancelledCallEndsAtOnce) {
  cluster([](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    raw_nats raw(c);
    auto queued = h::create_task(h::to_cluster(jobs::log_and_wait, file, 1, 0));
    const auto there = co_await eventually([&] { return raw.jobs() == 1; });
    HOLDS(there);
    nats_server::common().kill();
    queued.cancel();
    const auto how = co_await ending(queued);
    EQUAL(how, "Cancelled");
    nats_server::common().start();
    raw_nats after(c);
    const auto gone = co_await eventually([&] { return after.jobs() == 0; });
    HOLDS(gone);
    EQUAL(after.outcomes(), 1u);
    HOLDS(lines_of(file).empty());
  });
}

TEST_P(CLU_CAN, CLU_CAN_06_ACancelledJobOfADeadWorkerIsNotRedelivered) {
  auto o = fresh_cluster();
  o.ack_wait = 1s;
  cluster(o, [](cl::client c) -> h::task<> {
    raw_nats raw(c);
    {
      here_worker maker(c);  // makes the consumer
      (void)co_await h::to_cluster(jobs::twice, 1);
      (void)co_await maker.stop();
    }
    auto handle = co_await cl::submit(jobs::twice, 2);
    const auto ack = raw.take_job();  // a worker that says nothing any more
    HOLDS(!ack.empty());
    const bool first = co_await handle.cancel();
    HOLDS(first);
    const auto none = co_await eventually([&] { return raw.unacknowledged() == 0; });
    HOLDS(none);
    here_worker w(c);
    const auto value = co_await h::to_cluster(jobs::twice, 5);
    EQUAL(value, 10);
    EQUAL(c.stats().redelivered, 0u);
    (void)co_await w.stop();
  });
}

TEST_P(CLU_CAN, CLU_CAN_07_TimeOutsAndGroupsCancelAllTheirJobs) {
  cluster([](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    raw_nats raw(c);
    const auto late =
        co_await ending(h::wait_for(h::to_cluster(jobs::log_and_wait, file, 1, 0), 200ms));
    EQUAL(late, "Timeout");
    auto block = h::timeout(200ms, [&] { return h::to_cluster(jobs::log_and_wait, file, 1, 0); });
    const auto again = co_await ending(std::move(block));
    EQUAL(again, "Timeout");
    const std::size_t n = sanitized ? 100 : 1000;
    co_await h::with_task_group([&](h::task_group& g) -> h::task<> {
      for (std::size_t i = 0; i < n; ++i)
        g.create_task(h::to_cluster(jobs::log_and_wait, file, static_cast<int>(i), 0));
      const auto all = co_await eventually([&] { return raw.jobs() >= n; });
      HOLDS(all);
      g.cancel();
    });
    const auto gone = co_await eventually([&] { return raw.jobs() == 0; });
    HOLDS(gone);
    HOLDS(lines_of(file).empty());
  });
}

TEST_P(CLU_CAN, CLU_CAN_08_TheToolCancelsForOthers) {
  const auto o = fresh_cluster();
  cluster(o, [&](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    here_worker w(c, 1);
    auto handle = co_await cl::submit(jobs::log_and_wait, file, 1, 3'600'000);
    auto waiting = h::create_task(handle.result());
    const auto begun = co_await eventually([&] { return count_lines(file, "begin") == 1; });
    HOLDS(begun);
    int status = -1;
    const auto text =
        co_await h::to_thread([&] { return cluster_tool(o, {"cancel", handle.id()}, &status); });
    EQUAL(status, 0);
    HOLDS(text.find(handle.id()) != std::string::npos);
    bool by_another = false;
    try {
      (void)co_await waiting;
    } catch (const cl::job_cancelled&) { by_another = true; }
    HOLDS(by_another);
    (void)co_await w.stop();
  });
}

TEST_P(CLU_TIM, CLU_TIM_01_AJobThatNobodyServesEndsInItsTime) {
  cluster([](cl::client c) -> h::task<> {
    raw_nats raw(c);
    const auto how = co_await ending(h::to_cluster(jobs::twice.within(300ms), 1));
    EQUAL(how, "Timeout");
    const auto gone = co_await eventually([&] { return raw.jobs() == 0; });
    HOLDS(gone);
  });
}

TEST_P(CLU_TIM, CLU_TIM_02_ATimeLimitEndsTasksAndTellsFunctions) {
  cluster([](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    cl::worker_options wo;
    wo.slots = 4;
    wo.stuck_after = 200ms;
    here_worker w(c, wo);
    cl::job_options limited;
    limited.time_limit = 200ms;
    const cl::job<std::string(std::string, int, int)> task("log_and_wait", limited);
    const cl::job<std::string(std::string, int, int)> function("log_and_block", limited);
    const auto a = co_await ending(h::to_cluster(task, file, 1, 3'600'000));
    EQUAL(a, "Timeout");
    EQUAL(count_lines(file, "cancelled 1 "), 1u);
    const auto b = co_await ending(h::to_cluster(function, file, 2, 3'600'000));
    EQUAL(b, "Timeout");
    EQUAL(count_lines(file, "stopping 2 "), 1u);
    const auto value = co_await h::to_cluster(jobs::twice, 3);
    EQUAL(value, 6);
    (void)co_await w.stop();
  });
}

TEST_P(CLU_TIM, CLU_TIM_03_AJobThatIsLateIsNotStarted) {
  cluster([](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    auto handle = co_await cl::submit(jobs::log_and_wait.within(200ms), file, 1, 0);
    co_await h::sleep(250ms);
    here_worker w(c);
    const auto how = co_await ending(handle.result());
    EQUAL(how, "Timeout");
    HOLDS(lines_of(file).empty());
    (void)co_await w.stop();
  });
}

TEST_P(CLU_TIM, CLU_TIM_04_AHoggedWorkerKeepsItsJob) {
  auto o = fresh_cluster();
  o.ack_wait = 1s;
  cluster(o, [](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    here_worker w(c, 2);
    const auto value = co_await h::to_cluster(jobs::hogs, file, 3000);
    EQUAL(value, 1);
    EQUAL(lines_of(file).size(), 1u);
    (void)co_await w.stop();
  });
}

}  // namespace
