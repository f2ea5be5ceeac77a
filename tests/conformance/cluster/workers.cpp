// SPDX-License-Identifier: MIT
// CLU-WRK, CLU-DRN: workers, their ends, and what they leave behind.
#include "cluster_cases.h"
#include "raw_nats.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <set>

namespace {

using namespace conformance;

CLUSTER_CASES(CLU_WRK);
CLUSTER_CASES(CLU_DRN);

/// The word of each line that begins so.
std::multiset<std::string> words(const std::string& file, const std::string& beginning,
                                 std::size_t which) {
  std::multiset<std::string> all;
  for (const auto& line : lines_of(file)) {
    if (!line.starts_with(beginning)) continue;
    std::size_t at = 0;
    for (std::size_t i = 0; i < which; ++i) at = line.find(' ', at) + 1;
    all.insert(line.substr(at, line.find(' ', at) - at));
  }
  return all;
}

h::task<> drain_handles(std::vector<cl::handle<std::string>>& handles) {
  for (auto& one : handles) (void)co_await one.result();
}

TEST_P(CLU_WRK, CLU_WRK_01_SlotsAreFilledAndNeverMore) {
  cluster([](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    std::vector<cl::handle<std::string>> handles;
    for (int i = 0; i < 8; ++i) {
      auto one = co_await cl::submit(jobs::log_and_wait, file, i, 400);
      handles.push_back(one);
    }
    jobs::running_most = 0;
    here_worker a(c, 4), b(c, 4);
    auto waiting = drain_handles(handles);
    co_await std::move(waiting);
    const auto workers = words(file, "begin", 2);
    EQUAL(workers.size(), 8u);
    HOLDS(jobs::running_most <= 8);
    HOLDS(workers.count(a.worker().name()) >= 1);
    HOLDS(workers.count(b.worker().name()) >= 1);
    jobs::running_most = 0;
    std::vector<int> items(40);
    auto all = cl::map_unordered(jobs::log_and_wait,
                                 std::vector<std::tuple<std::string, int, int>>(
                                     40, std::tuple<std::string, int, int>(file, 9, 5)),
                                 {.in_flight = 40});
    for (;;) {
      const auto* one = co_await all.next();
      if (!one) break;
    }
    HOLDS(jobs::running_most <= 8);
    (void)co_await a.stop();
    (void)co_await b.stop();
  });
}

TEST_P(CLU_WRK, CLU_WRK_02_AQueueIsServedByThoseThatNameIt) {
  cluster([](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    here_worker a(c, 2), b(c, 2, {"gpu"});
    const auto gpu = jobs::log_and_wait.on("gpu");
    std::vector<std::tuple<std::string, int, int>> items(
        50, std::tuple<std::string, int, int>(file, 1, 0));
    auto all = cl::map(gpu, items);
    for (;;) {
      const auto* one = co_await all.next();
      if (!one) break;
      EQUAL(*one, b.worker().name());
    }
    const auto value = co_await h::to_cluster(jobs::twice, 1);
    EQUAL(value, 2);
    (void)co_await a.stop();
    (void)co_await b.stop();
  });
}

TEST_P(CLU_WRK, CLU_WRK_03_JobsOfAKilledWorkerRunElsewhere) {
  auto o = fresh_cluster();
  o.ack_wait = 1s;
  cluster(o, [&](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    auto victim = worker_process(o, "victim", 2);
    auto first = h::create_task(h::to_cluster(jobs::log_and_wait, file, 1, 1500));
    auto second = h::create_task(h::to_cluster(jobs::log_and_wait, file, 2, 1500));
    const auto begun = co_await eventually([&] { return count_lines(file, "begin") == 2; });
    HOLDS(begun);
    victim.send(SIGKILL);
    here_worker w(c, 4);
    const auto a = co_await first;
    const auto b = co_await second;
    EQUAL(a, w.worker().name());
    EQUAL(b, w.worker().name());
    EQUAL(c.stats().redelivered, 2u);
    (void)co_await w.stop();
  });
}

TEST_P(CLU_WRK, CLU_WRK_04_AWorkerThatWasStoppedHasNoSecondOutcome) {
  auto o = fresh_cluster();
  o.ack_wait = 500ms;
  cluster(o, [&](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    auto sleeper = worker_process(o, "sleeper", 1);
    auto handle = co_await cl::submit(jobs::log_and_wait, file, 1, 300);
    const auto begun = co_await eventually([&] { return count_lines(file, "begin") == 1; });
    HOLDS(begun);
    sleeper.send(SIGSTOP);
    here_worker w(c, 1);
    const auto value = co_await handle.result();
    EQUAL(value, w.worker().name());
    (void)co_await w.stop();
    sleeper.send(SIGCONT);
    const auto next = co_await h::to_cluster(jobs::log_and_wait, file, 2, 0);  // it works on
    EQUAL(next, "sleeper");
    const auto again = co_await handle.result();
    EQUAL(again, value);
  });
}

TEST_P(CLU_WRK, CLU_WRK_06_AJobThatAwaitsAJobLendsItsSlot) {
  cluster([](cl::client c) -> h::task<> {
    here_worker w(c, 1);
    const auto depth = co_await h::to_cluster(jobs::nested, 20);
    EQUAL(depth, 20);
    const auto value = co_await h::to_cluster(jobs::twice, 1);
    EQUAL(value, 2);
    (void)co_await w.stop();
  });
}

TEST_P(CLU_WRK, CLU_WRK_07_AConsumerWithOtherSettingsIsLeftAsItIs) {
  auto o = fresh_cluster();
  auto warnings = std::make_shared<std::vector<std::string>>();
  o.on_warning = [warnings](const std::string& text) { warnings->push_back(text); };
  cluster(o, [&](cl::client c) -> h::task<> {
    co_await c.connect();
    raw_nats raw(c);
    const auto made =
        raw.ask("$JS.API.CONSUMER.DURABLE.CREATE.HJ_" + o.name + ".default_0", {},
                "{\"stream_name\":\"HJ_" + o.name +
                    "\",\"config\":{\"durable_name\":\"default_0\",\"ack_policy\":\"explicit\","
                    "\"ack_wait\":7000000000,\"filter_subject\":\"h." +
                    o.name + ".j.default.0.>\"}}");
    HOLDS(made.second.find("error") == std::string::npos);
    here_worker w(c, 1);
    const auto value = co_await h::to_cluster(jobs::twice.high(), 1);
    EQUAL(value, 2);
    EQUAL(warnings->size(), 1u);
    const auto info = raw.ask("$JS.API.CONSUMER.INFO.HJ_" + o.name + ".default_0", {}, {});
    HOLDS(info.second.find("\"ack_wait\":7000000000") != std::string::npos);
    (void)co_await w.stop();
  });
}

/// Workers die every so often and are started again, while calls go on; some calls are cancelled.
h::task<> under_fire(cl::options o, cl::client c, int n) {
  // As often as the usual number of calls meets four deaths, or the catalogue's 700 ms.
  const auto pause = n <= 2000 ? 300ms : 700ms;
  std::vector<child> workers;
  for (int i = 0; i < 3; ++i) workers.push_back(worker_process(o, "w" + std::to_string(i), 8));
  std::vector<h::task_handle<int>> calls;
  for (int i = 0; i < n; ++i) calls.push_back(h::create_task(h::to_cluster(jobs::twice, i)));
  int killed = 0;
  std::atomic<bool> over{false};
  auto killing = h::create_task([&]() -> h::task<> {
    for (int i = 0; i < 4 || !over; ++i) {
      co_await h::sleep(pause);
      auto& victim = workers[static_cast<std::size_t>(i) % workers.size()];
      victim.send(SIGKILL);
      (void)victim.wait();
      ++killed;
      victim = worker_process(o, "again" + std::to_string(i), 8);
    }
  });
  for (int i = 0; i < n; i += 10) calls[static_cast<std::size_t>(i)].cancel();
  int wrong = 0;
  for (int i = 0; i < n; ++i) {
    const auto how = co_await ending(calls[static_cast<std::size_t>(i)]);
    wrong += how != "value" && !(i % 10 == 0 && how == "Cancelled");
  }
  over = true;
  co_await killing;
  EQUAL(wrong, 0);
  HOLDS(killed >= 4);
  std::printf("%d jobs, %d workers killed, %ju jobs that the server lost\n", n, killed,
              std::uintmax_t{c.stats().submitted_again});
  raw_nats raw(c);
  const auto empty =
      co_await eventually([&] { return raw.jobs() == 0 && raw.unacknowledged() == 0; });
  HOLDS(empty);
  const auto s = c.stats();
  HOLDS(s.values <= static_cast<std::uint64_t>(n));
  HOLDS(s.values >= static_cast<std::uint64_t>(n) * 9 / 10);
  EQUAL(s.failed + s.lost + s.timed_out + s.refused, 0u);
  HOLDS(s.round_trip.percentile(0.5) > h::duration::zero());
}

TEST_P(CLU_WRK, CLU_WRK_08_NothingIsLostWhileWorkersDie) {
  auto o = fresh_cluster();
  o.ack_wait = 1s;
  const auto n = static_cast<int>(cluster_size(2000, 100'000));
  o.max_bytes = 64 * 1024 * 1024;  // all of them have room
  cluster(o, [&](cl::client c) { return under_fire(o, c, n); });
}

TEST_P(CLU_WRK, CLU_MAP_04_EachItemComesOnceWhileWorkersDie) {
  auto o = fresh_cluster();
  o.ack_wait = 1s;
  cluster(o, [&](cl::client c) -> h::task<> {
    std::vector<child> workers;
    for (int i = 0; i < 2; ++i) workers.push_back(worker_process(o, "w" + std::to_string(i), 8));
    std::vector<int> items(cluster_size(1000, 100'000));
    for (std::size_t i = 0; i < items.size(); ++i) items[i] = static_cast<int>(i);
    auto all = cl::map_unordered(jobs::twice, items, {.in_flight = 100});
    std::vector<int> times(items.size());
    std::size_t seen = 0;
    for (;;) {
      const auto* one = co_await all.next();
      if (!one) break;
      ++times[one->first];
      EQUAL(one->second, 2 * static_cast<int>(one->first));
      if (++seen % (items.size() / 4) != 0 || seen > items.size() / 2) continue;
      auto& victim = workers[seen % 2];
      victim.send(SIGKILL);
      victim = worker_process(o, "again" + std::to_string(seen), 8);
    }
    EQUAL(seen, items.size());
    HOLDS(std::all_of(times.begin(), times.end(), [](int n) { return n == 1; }));
    (void)c;
  });
}

TEST_P(CLU_DRN, CLU_DRN_01_SigtermEndsAWorkerInOrder) {
  auto o = fresh_cluster();
  cluster(o, [&](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    auto leaving = worker_process(o, "leaving", 1);
    auto running = h::create_task(h::to_cluster(jobs::log_and_wait, file, 1, 1000));
    const auto begun = co_await eventually([&] { return count_lines(file, "begin") == 1; });
    HOLDS(begun);
    auto held = h::create_task(h::to_cluster(jobs::log_and_wait, file, 2, 0));
    co_await h::sleep(100ms);  // the long pull brings it; if not, it was never held
    leaving.send(SIGTERM);
    here_worker w(c, 2);
    const auto second = co_await held;
    EQUAL(second, w.worker().name());
    const auto first = co_await running;
    EQUAL(first, "leaving");
    const auto left = co_await eventually([&] { return leaving.ended(); });
    HOLDS(left);
    EQUAL(leaving.wait(), 0);
    EQUAL(count_lines(file, "begin"), 2u);
    (void)co_await w.stop();
  });
}

TEST_P(CLU_DRN, CLU_DRN_02_ASecondSigtermGivesBackWhatRuns) {
  auto o = fresh_cluster();
  cluster(o, [&](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    auto leaving = worker_process(o, "leaving", 2);
    auto task = h::create_task(
        h::to_cluster(cl::job<std::string(std::string, int, int)>("log_and_wait", {.attempts = 1}),
                      file, 1, 2000));
    const auto begun = co_await eventually([&] { return count_lines(file, "begin") == 1; });
    HOLDS(begun);
    leaving.send(SIGTERM);
    co_await h::sleep(100ms);  // two signals at once would be one
    leaving.send(SIGTERM);
    const auto left = co_await eventually([&] { return leaving.ended(); });
    HOLDS(left);
    EQUAL(leaving.wait(), 1);
    EQUAL(count_lines(file, "cancelled"), 1u);
    here_worker w(c, 1);  // the only attempt is still there
    const auto where = co_await task;
    EQUAL(where, w.worker().name());
    (void)co_await w.stop();
  });
}

TEST_P(CLU_DRN, CLU_DRN_03_ADrainBeatsLongerThanAnAckWait) {
  auto o = fresh_cluster();
  o.ack_wait = 1s;
  cluster(o, [&](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    here_worker leaving(c, 1);
    auto running = h::create_task(h::to_cluster(jobs::log_and_wait, file, 1, 2500));
    const auto begun = co_await eventually([&] { return count_lines(file, "begin") == 1; });
    HOLDS(begun);
    here_worker other(c, 1);
    const int code = co_await leaving.stop();
    EQUAL(code, 0);
    const auto where = co_await running;
    EQUAL(where, leaving.worker().name());
    EQUAL(count_lines(file, "begin"), 1u);
    (void)co_await other.stop();
  });
}

TEST_P(CLU_DRN, CLU_DRN_04_ARollingRestartLosesAndRepeatsNothing) {
  auto o = fresh_cluster();
  cluster(o, [&](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    const int n = 300;
    std::vector<child> workers;
    for (int i = 0; i < 3; ++i) workers.push_back(worker_process(o, "w" + std::to_string(i), 4));
    std::vector<h::task_handle<std::string>> calls;
    for (int i = 0; i < n; ++i)
      calls.push_back(h::create_task(h::to_cluster(jobs::log_and_wait, file, i, 10)));
    for (auto& old : workers) {
      const auto going =
          co_await eventually([&] { return count_lines(file, "begin") > 0 && old.takes(SIGTERM); });
      HOLDS(going);
      auto fresh = worker_process(o, "fresh", 4);
      old.send(SIGTERM);
      const auto left = co_await eventually([&] { return old.ended(); });
      HOLDS(left);
      EQUAL(old.wait(), 0);
      old = std::move(fresh);
    }
    for (auto& call : calls) (void)co_await call;
    EQUAL(count_lines(file, "begin"), static_cast<std::size_t>(n));
    const auto numbers = words(file, "begin", 1);
    const std::set<std::string> once(numbers.begin(), numbers.end());
    EQUAL(once.size(), static_cast<std::size_t>(n));
  });
}

}  // namespace
