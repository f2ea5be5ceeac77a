// SPDX-License-Identifier: MIT
// CLU-MAP, CLU-LOC, CLU-OBS: many items, no cluster, and what is seen from outside.
#include "cluster_cases.h"
#include "raw_nats.h"

#include <memory>

namespace {

using namespace conformance;

CLUSTER_CASES(CLU_MAP);
CLUSTER_CASES(CLU_LOC);
CLUSTER_CASES(CLU_OBS);

/// Numbers from 0, which counts how many were read.
class counted_numbers {
 public:
  counted_numbers(int n, std::shared_ptr<int> read) : n_(n), read_(std::move(read)) {}
  class iterator {
   public:
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    iterator() = default;
    iterator(int at, std::shared_ptr<int> read) : at_(at), read_(std::move(read)) {}
    int operator*() const {
      *read_ = std::max(*read_, at_ + 1);
      return at_;
    }
    iterator& operator++() {
      ++at_;
      return *this;
    }
    void operator++(int) { ++at_; }
    bool operator==(const iterator& other) const { return at_ == other.at_; }

   private:
    int at_ = 0;
    std::shared_ptr<int> read_;
  };
  iterator begin() const { return {0, read_}; }
  iterator end() const { return {n_, read_}; }

 private:
  int n_;
  std::shared_ptr<int> read_;
};

TEST_P(CLU_MAP, CLU_MAP_01_TheInputIsReadAsFarAsItMayRun) {
  const auto body = [](cl::client) -> h::task<> {
    auto read = std::make_shared<int>(0);
    auto all = cl::map(jobs::twice, counted_numbers(1'000'000, read), {.in_flight = 16});
    int most_ahead = 0;
    for (int i = 0; i < 200; ++i) {
      const auto* one = co_await all.next();
      EQUAL(*one, 2 * i);
      most_ahead = std::max(most_ahead, *read - i);
    }
    HOLDS(most_ahead <= 17);
    co_await all.aclose();
  };
  cluster(cl::options(), body);
  served(body);
}

/// Of ten items the seventh fails.
std::vector<std::tuple<std::string, unsigned>> ten_items(const std::string& file) {
  std::vector<std::tuple<std::string, unsigned>> items;
  for (int i = 0; i < 10; ++i) items.emplace_back(file, i == 7 ? 2u : 1u);
  return items;
}

h::task<> three_maps() {
  const auto file = fresh_file();
  const cl::job<unsigned(std::string, unsigned)> once("fails_until");
  int values = 0;
  bool failed = false;
  auto ordered = cl::map(once, ten_items(file), {.in_flight = 2});
  try {
    for (;;) {
      const auto* one = co_await ordered.next();
      if (!one) break;
      ++values;
    }
  } catch (const cl::job_failed&) { failed = true; }
  HOLDS(failed);
  EQUAL(values, 7);
  failed = false;
  auto unordered = cl::map_unordered(once, ten_items(file), {.in_flight = 2});
  try {
    for (;;) {
      const auto* one = co_await unordered.next();
      if (!one) break;
      HOLDS(one->first != 7);
    }
  } catch (const cl::job_failed&) { failed = true; }
  HOLDS(failed);
  auto settled = cl::map_settled(once, ten_items(file), {.in_flight = 2});
  std::size_t index = 0, errors = 0;
  for (;;) {
    const auto* one = co_await settled.next();
    if (!one) break;
    EQUAL(one->index, index);
    errors += one->error != nullptr;
    HOLDS((one->error != nullptr) == (index == 7));
    ++index;
  }
  EQUAL(index, 10u);
  EQUAL(errors, 1u);
}

TEST_P(CLU_MAP, CLU_MAP_02_OrderedUnorderedSettled) {
  cluster(cl::options(), [](cl::client) { return three_maps(); });
  served([](cl::client) { return three_maps(); });
}

TEST_P(CLU_MAP, CLU_MAP_03_AMapThatIsClosedCancelsTheRest) {
  cluster([](cl::client c) -> h::task<> {
    raw_nats raw(c);
    const auto file = fresh_file();
    std::vector<std::tuple<std::string, int, int>> items(
        50, std::tuple<std::string, int, int>(file, 1, 3'600'000));
    {
      here_worker w(c, 1);
      auto all = cl::map(jobs::log_and_wait, items, {.in_flight = 20});
      auto first = h::create_task([&]() -> h::task<> { (void)co_await all.next(); });
      const auto under_way = co_await eventually([&] { return raw.jobs() == 20; });
      HOLDS(under_way);
      first.cancel();
      const auto how = co_await ending(first);
      EQUAL(how, "Cancelled");
      const auto empty = co_await eventually([&] { return raw.jobs() == 0; });
      HOLDS(empty);
      (void)co_await w.stop();
    }
    auto early = cl::map_unordered(jobs::log_and_wait, items, {.in_flight = 5});
    auto next = h::create_task([&]() -> h::task<> {
      co_await h::timeout(100ms, [&]() -> h::task<> { (void)co_await early.next(); });
    });
    const auto how = co_await ending(next);
    EQUAL(how, "Timeout");
    co_await early.aclose();
    const auto empty = co_await eventually([&] { return raw.jobs() == 0; });
    HOLDS(empty);
  });
}

/// What a program prints that uses much of the API.
h::task<std::string> program() {
  std::string out;
  const auto say = [&out](const auto& text) { out += text + std::string("\n"); };
  say(std::to_string(co_await h::to_cluster(jobs::twice, 21)));
  auto ordered = cl::map(jobs::twice, std::vector<int>{1, 2, 3, 4, 5}, {.in_flight = 2});
  for (;;) {
    const auto* one = co_await ordered.next();
    if (!one) break;
    say(std::to_string(*one));
  }
  say(co_await ending(h::to_cluster(jobs::nobodys.within(100ms), 1)) == "value" ? "ran" : "failed");
  try {
    (void)co_await h::to_cluster(jobs::fails, "why");
  } catch (const cl::job_failed& e) {
    say(e.type());
    for (const auto& text : e.texts()) say(text);
  }
  auto handle = co_await cl::submit(jobs::nested, 3);
  say(std::to_string(co_await handle.result()));
  const auto file = fresh_file();
  const auto keyed = jobs::fails_until.key("one");
  say(std::to_string(co_await h::to_cluster(keyed, file, 2u)));
  say(std::to_string(co_await h::to_cluster(keyed, file, 2u)));
  say(std::to_string(lines_of(file).size()));
  co_return out;
}

TEST_P(CLU_LOC, CLU_LOC_01_OneProgramPrintsTheSameWhereverItRuns) {
  std::vector<std::string> printed;
  cluster(cl::options(), [&](cl::client) -> h::task<> { printed.push_back(co_await program()); });
  for (const int workers : {1, 3}) {
    auto o = fresh_cluster();
    cluster(o, [&](cl::client) -> h::task<> {
      std::vector<child> all;
      for (int i = 0; i < workers; ++i)
        all.push_back(worker_process(o, "w" + std::to_string(i), 2));
      printed.push_back(co_await program());
    });
  }
  EQUAL(printed.size(), 3u);
  for (const auto& text : printed) EQUAL(text, printed.front());
  HOLDS(!printed.front().empty());
}

TEST_P(CLU_LOC, CLU_LOC_02_WhatIsNotLinkedOrDoesNotDecode) {
  cluster(cl::options(), [](cl::client c) -> h::task<> {
    HOLDS(c.local());
    bool unknown = false, refused = false, unfit = false;
    try {
      (void)co_await h::to_cluster(jobs::nobodys, 1);
    } catch (const cl::no_such_job& e) {
      unknown = std::string(e.what()).find("nobodys.1") != std::string::npos;
    }
    HOLDS(unknown);
    try {
      (void)co_await h::to_cluster(cl::job<int(std::string)>("twice"), "x");
    } catch (const cl::bad_arguments&) { refused = true; }
    HOLDS(refused);
    try {
      (void)co_await cl::worker({}, c).serve();
    } catch (const h::usage_error&) { unfit = true; }
    HOLDS(unfit);
    for (const char* text :
         {"", "none", "a.b.c", "a b.1", "a.*", "x.1\r\nPUB a 0", "A.1", ".1", "a."})
      THROWS(h::bad_value, cl::attach(jobs::twice, text));
    THROWS(h::bad_value, c.cancel("a.>"));
    const auto bad_queue = [] { return h::to_cluster(jobs::twice.on("a.b"), 1); };
    THROWS(h::bad_value, bad_queue());
  });
}

TEST_P(CLU_LOC, CLU_LOC_03_KeysHandlesCancelsAndTimesAreThoseOfACluster) {
  cluster(cl::options(), [](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    const auto keyed = jobs::log_and_wait.key("one");
    auto a = h::create_task(h::to_cluster(keyed, file, 1, 20));
    const auto b = co_await h::to_cluster(keyed, file, 1, 20);
    const auto first = co_await a;
    EQUAL(first, b);
    EQUAL(count_lines(file, "begin"), 1u);
    const auto other = co_await ending(h::to_cluster(keyed, file, 2, 20));
    EQUAL(other, "BadValue");
    auto handle = co_await cl::submit(jobs::log_and_wait, file, 3, 3'600'000);
    auto waiting = h::create_task(handle.result());
    const auto begun = co_await eventually([&] { return count_lines(file, "begin 3") == 1; });
    HOLDS(begun);
    const bool was_first = co_await handle.cancel();
    HOLDS(was_first);
    bool by_another = false;
    try {
      (void)co_await waiting;
    } catch (const cl::job_cancelled&) { by_another = true; }
    HOLDS(by_another);
    const auto late =
        co_await ending(h::to_cluster(jobs::log_and_wait.within(100ms), file, 4, 3'600'000));
    EQUAL(late, "Timeout");
    const auto cleaned = co_await eventually([&] { return count_lines(file, "cancelled") == 2; });
    HOLDS(cleaned);
    EQUAL(c.stats().cancelled >= 1, true);
    bool gone = false;
    try {
      (void)co_await cl::attach(jobs::twice, "none.1").result();
    } catch (const cl::expired&) { gone = true; }
    HOLDS(gone);
  });
}

TEST_P(CLU_OBS, CLU_OBS_01_TheToolSeesAHoggedWorker) {
  const auto o = fresh_cluster();
  cluster(o, [&](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    auto busy = worker_process(o, "busy", 2);
    auto hogging = h::create_task(h::to_cluster(jobs::hogs, file, 3000));
    const auto begun = co_await eventually([&] { return lines_of(file).size() == 1; });
    HOLDS(begun);
    int status = -1;
    const auto text = co_await h::to_thread([&] { return cluster_tool(o, {"ps"}, &status); });
    EQUAL(status, 0);
    HOLDS(text.find("busy") != std::string::npos);
    HOLDS(text.find("hogs.1") != std::string::npos);
    HOLDS(text.find("default") != std::string::npos);
    const auto top =
        co_await h::to_thread([&] { return cluster_tool(o, {"top", "--rounds", "1"}, &status); });
    EQUAL(status, 0);
    HOLDS(top.find("busy") != std::string::npos);
    (void)co_await hogging;
    (void)c;
  });
}

TEST_P(CLU_OBS, CLU_OBS_02_ProgressComesNowAndThenAndTheLastBeforeTheOutcome) {
  cluster([](cl::client c) -> h::task<> {
    struct heard {
      std::mutex lock;
      std::vector<double> all;
    };
    auto told = std::make_shared<heard>();
    auto handle = co_await cl::submit(jobs::tells, 4000);
    const auto owner = handle.on_progress([told](double done) {
      const std::lock_guard hold(told->lock);
      told->all.push_back(done);
    });
    co_await h::sleep(50ms);  // it is subscribed before the job begins
    here_worker w(c);
    const auto began = std::chrono::steady_clock::now();
    (void)co_await handle.result();
    const auto took = std::chrono::steady_clock::now() - began;
    std::size_t count = 0;
    {
      const std::lock_guard hold(told->lock);
      count = told->all.size();
      HOLDS(count >= 1);
      HOLDS(count <= static_cast<std::size_t>(took / 100ms) + 2);
      if (count) EQUAL(told->all.back(), 1.0);
    }
    co_await h::sleep(150ms);
    {
      const std::lock_guard hold(told->lock);
      EQUAL(told->all.size(), count);
    }
    (void)co_await w.stop();
  });
}

TEST_P(CLU_OBS, CLU_OBS_03_WhatIsCountedAddsUp) {
  served([](cl::client c) -> h::task<> {
    std::vector<int> items(100);
    auto all = cl::map(jobs::twice, items);
    for (;;) {
      const auto* one = co_await all.next();
      if (!one) break;
    }
    (void)co_await ending(h::to_cluster(jobs::throws_an_int));
    (void)co_await ending(h::to_cluster(jobs::twice.on("nobody").within(50ms), 1));
    const auto counted = co_await eventually([&] { return c.stats().submitted == 102; });
    HOLDS(counted);
    const auto s = c.stats();
    EQUAL(s.values, 100u);
    EQUAL(s.failed, 1u);
    EQUAL(s.started, 101u);
    EQUAL(s.redelivered, 0u);
    EQUAL(s.dropped, 0u);
    EQUAL(s.skipped, 0u);
    EQUAL(s.round_trip.count(), 101u);
    HOLDS(s.round_trip.percentile(0.5) > h::duration::zero());
  });
}

}  // namespace
