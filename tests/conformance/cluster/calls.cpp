// SPDX-License-Identifier: MIT
// CLU-SUB: calls and submits.
#include "cluster_cases.h"

#include <cmath>
#include <limits>

namespace {

using namespace conformance;

CLUSTER_CASES(CLU_SUB);

h::task<> round_trips() {
  for (const auto n : {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1}, std::int64_t{0},
                       std::numeric_limits<std::int64_t>::max()}) {
    const auto back = co_await h::to_cluster(jobs::same_integer, n);
    EQUAL(back, n);
  }
  const auto most = std::numeric_limits<std::uint64_t>::max();
  const auto natural = co_await h::to_cluster(jobs::same_natural, most);
  EQUAL(natural, most);
  const auto nan = co_await h::to_cluster(jobs::same_double, std::nan(""));
  HOLDS(std::isnan(nan));
  const auto infinite =
      co_await h::to_cluster(jobs::same_double, -std::numeric_limits<double>::infinity());
  EQUAL(infinite, -std::numeric_limits<double>::infinity());
  const std::string odd("a\0b\xff\xfe", 5);
  const auto text = co_await h::to_cluster(jobs::echo, odd);
  EQUAL(text, odd);
  const std::vector<std::byte> bytes{std::byte{0}, std::byte{255}, std::byte{10}};
  const auto same_bytes = co_await h::to_cluster(jobs::same_bytes, bytes);
  HOLDS(same_bytes == bytes);
  using twice_optional = std::optional<std::optional<int>>;
  for (const twice_optional& o : {twice_optional(), twice_optional(std::optional<int>()),
                                  twice_optional(std::optional<int>(7))}) {
    const auto back = co_await h::to_cluster(jobs::same_optional, o);
    HOLDS(back == o);
  }
  const std::map<int, std::string> map{{-1, "a"}, {7, ""}};
  const auto same_map = co_await h::to_cluster(jobs::same_map, map);
  HOLDS(same_map == map);
  const jobs::scene scene{"s", 3, {0.5, 1e300}};
  const auto same_scene = co_await h::to_cluster(jobs::same_scene, scene);
  HOLDS(same_scene == scene);
  co_await h::to_cluster(jobs::nothing, 1);
}

TEST_P(CLU_SUB, CLU_SUB_01_ValuesComeBackAsTheyWereLocally) {
  cluster(cl::options(), [](cl::client) { return round_trips(); });
}
TEST_P(CLU_SUB, CLU_SUB_01_ValuesComeBackAsTheyWereOverTheCluster) {
  served([](cl::client) { return round_trips(); });
}

TEST_P(CLU_SUB, CLU_SUB_05_TooLargeArgumentsAreRefusedBeforeTheyAreSent) {
  served([](cl::client) -> h::task<> {
    const std::string big(2 * 1024 * 1024, 'x');
    std::size_t size = 0, limit = 0;
    try {
      (void)co_await h::to_cluster(jobs::echo, big);
    } catch (const cl::too_large& e) {
      size = e.size();
      limit = e.limit();
    }
    HOLDS(size > big.size());
    EQUAL(limit, 1024u * 1024u);
    const auto after = co_await h::to_cluster(jobs::twice, 4);
    EQUAL(after, 8);
  });
}

TEST_P(CLU_SUB, CLU_SUB_06_OneKeyIsOneJob) {
  cluster([](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    const auto keyed = jobs::log_and_wait.key("one");
    auto queued = h::create_task(h::to_cluster(keyed, file, 1, 50));
    auto second = h::create_task(h::to_cluster(keyed, file, 1, 50));
    here_worker w(c);
    const auto begun = co_await eventually([&] { return count_lines(file, "begin") > 0; });
    HOLDS(begun);
    auto running = h::create_task(h::to_cluster(keyed, file, 1, 50));
    const auto a = co_await queued;
    const auto b = co_await second;
    const auto d = co_await running;
    const auto done = co_await h::to_cluster(keyed, file, 1, 50);
    EQUAL(a, b);
    EQUAL(a, d);
    EQUAL(a, done);
    EQUAL(count_lines(file, "begin"), 1u);
    const auto other = co_await ending(h::to_cluster(keyed, file, 2, 50));
    EQUAL(other, "BadValue");
    (void)co_await w.stop();
  });
}

TEST_P(CLU_SUB, CLU_SUB_07_ManyCallsFromAllLoopsOverOneConnection) {
  served([](cl::client c) -> h::task<> {
    const int n = sanitized ? 1000 : 10'000;
    std::vector<h::task_handle<int>> calls;
    for (int i = 0; i < n; ++i) calls.push_back(h::create_task(h::to_cluster(jobs::twice, i)));
    int wrong = 0;
    for (int i = 0; i < n; ++i) {
      const int got = co_await calls[static_cast<std::size_t>(i)];
      wrong += got != 2 * i;
    }
    EQUAL(wrong, 0);
    EQUAL(c.stats().connects, 1u);
    EQUAL(c.stats().values, static_cast<std::uint64_t>(n));
  });
}

TEST_P(CLU_SUB, CLU_SUB_04_AFullQueueIsWaitedForOrRefused) {
  auto o = fresh_cluster();
  o.max_jobs = 5;
  cluster(o, [](cl::client c) -> h::task<> {
    std::vector<cl::handle<int>> handles;
    for (int i = 0; i < 5; ++i) {
      auto one = co_await cl::submit(jobs::twice, i);
      handles.push_back(one);
    }
    bool refused = false;
    try {
      (void)co_await cl::try_submit(jobs::twice, 5);
    } catch (const cl::queue_full&) { refused = true; }
    HOLDS(refused);
    auto waiting = h::create_task(h::to_cluster(jobs::twice, 6));
    co_await h::sleep(50ms);
    HOLDS(!waiting.done());
    here_worker w(c);
    const auto value = co_await waiting;
    EQUAL(value, 12);
    for (int i = 0; i < 5; ++i) {
      const int got = co_await handles[static_cast<std::size_t>(i)].result();
      EQUAL(got, 2 * i);
    }
    (void)co_await w.stop();
  });
  o = fresh_cluster();
  o.max_jobs = 1;
  o.submit_within = 300ms;
  cluster(o, [](cl::client) -> h::task<> {
    bool refused = false;
    try {
      (void)co_await cl::submit(jobs::twice, 0);
      (void)co_await cl::submit(jobs::twice, 1);
    } catch (const cl::queue_full&) { refused = true; } catch (const cl::unavailable&) {
      refused = false;
    }
    HOLDS(refused);
  });
}

TEST_P(CLU_SUB, CLU_SUB_08_AHighJobIsTheNext) {
  cluster([](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    std::vector<cl::handle<std::string>> handles;
    const int n = static_cast<int>(cluster_size(100, 1000));
    for (int i = 0; i < n; ++i) {
      auto one = co_await cl::submit(jobs::log_and_wait, file, i, i == 0 ? 300 : 0);
      handles.push_back(one);
    }
    here_worker w(c, 1);
    const auto begun = co_await eventually([&] { return count_lines(file, "begin") > 0; });
    HOLDS(begun);
    (void)co_await h::to_cluster(jobs::log_and_wait.high(), file, 10'000, 0);
    for (auto& one : handles) (void)co_await one.result();
    std::size_t place = 0, at = 0;
    std::size_t before_end = 0;
    for (const auto& line : lines_of(file)) {
      if (line.starts_with("begin 10000 ")) place = at;
      if (line.starts_with("end 0 ")) before_end = at;
      ++at;
    }
    // Begun when the first job had ended, before all others. A busy machine may have been late
    // with the submit itself.
    HOLDS(place > before_end);
    HOLDS(place < 60);
    (void)co_await w.stop();
  });
}

}  // namespace
