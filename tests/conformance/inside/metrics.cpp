// SPDX-License-Identifier: MIT
// Figures: the text that Prometheus reads, and how near the sampled histograms come.
#include "../http/app.h"
#include "metrics_text.h"

#include <heddle/core/clock.h>
#include <heddle/io/http/inspector.h>
#include <heddle/sched/loop/histogram_cells.h>
#include <heddle/sched/loop/timers.h>
#include <heddle/sched/metrics.h>
#include <heddle/sched/runtime/thread_pool.h>
#include <heddle/sched/to_thread.h>

#include <algorithm>
#include <cstdint>
#include <latch>

namespace {

using namespace conformance;

CASES(IN_METRIC);

// ------------------------------------------------------------- METRIC-01

h::task<metrics_text> scrape(http::test_client& c) {
  auto asking = c.get("/metrics");
  const http::response answer = co_await asking;
  EQUAL(answer.status, 200);
  EQUAL(answer.content_type.empty() ? std::string(answer.headers.get("content-type").value_or(""))
                                    : std::string(answer.content_type.text()),
        "text/plain; version=0.0.4; charset=utf-8");
  auto read = metrics_text::read(answer.body);
  EQUAL(read.wrong, "");
  co_return read;
}

/// What counts in `before` may not be less in `after`, if it is there at all.
void check_growth(const metrics_text& before, const metrics_text& after) {
  for (const auto& [series, then] : before.samples) {
    if (!then.grows) continue;
    const auto now = after.samples.find(series);
    HOLDS(now == after.samples.end() || now->second.value >= then.value) << series;
  }
}

http::router app_with_inspector() {
  http::router r;
  r.get("/", says("here"));
  r.get("/fails", [](http::request&) { return http::response::text("no", 404); });
  r.mount(http::inspector());
  return r;
}

h::task<> some_work() {
  for (int i = 0; i < 200; ++i) co_await h::yield_now();
  auto job = h::to_thread([] {});
  co_await std::move(job);
  co_await h::sleep(1ms);
}

TEST_P(IN_METRIC, IN_METRIC_01_TheTextKeepsItsGrammarAndNamesNoTask) {
  run([]() -> h::task<> {
    h::task_options o;
    o.name = "secret \"name\"\n{of=a} task";
    auto named = h::create_task(sleep_long(), o);
    http::test_client c(app_with_inspector());
    co_await some_work();
    for (int i = 0; i < 3; ++i) EQUAL(co_await got(c, "/"), "200 here");
    EQUAL(co_await got(c, "/fails"), "404 no");
    const auto first = co_await scrape(c);
    HOLDS(first.at("process_resident_memory_bytes") > 0);
    HOLDS(first.at("process_open_fds") > 0);
    HOLDS(first.at("heddle_http_requests_total{class=\"2xx\"}") >= 3);
    HOLDS(first.at("heddle_http_requests_total{class=\"4xx\"}") >= 1);
    const auto of_runtime =
        "{runtime=\"" + std::to_string(h::current_runtime().metrics().runtime) + "\"}";
    HOLDS(first.at("heddle_tasks" + of_runtime) >= 2);
    HOLDS(first.at("heddle_pool_jobs_total" + of_runtime) >= 1);
    HOLDS(first.at("heddle_step_seconds_count" + of_runtime) >= 1);
    for (const auto& [series, value] : first.samples)
      HOLDS(series.find("secret") == std::string::npos);
    named.cancel();
    auto stopping = c.stop();
    co_await stopping;
  });
}

TEST_P(IN_METRIC, IN_METRIC_01_CountersNeverFallOverTimeAndRuntimes) {
  metrics_text last;
  for (int lives = 0; lives < 3; ++lives) {
    run([&last]() -> h::task<> {
      http::test_client c(app_with_inspector());
      for (int i = 0; i < 5; ++i) {
        co_await some_work();
        EQUAL(co_await got(c, "/fails"), "404 no");
        auto next = co_await scrape(c);
        check_growth(last, next);
        last = std::move(next);
      }
      auto stopping = c.stop();
      co_await stopping;
    });
  }
  // The servers' counts are one series over all runtimes: 15 of each kind, and the looks.
  HOLDS(last.at("heddle_http_requests_total{class=\"4xx\"}") >= 15);
}

TEST_P(IN_METRIC, IN_METRIC_01_TasksAreCountedByTheirEnds) {
  run([]() -> h::task<> {
    const auto before = h::current_runtime().metrics().tasks;
    auto cancelled = h::create_task(sleep_long());
    auto failing = h::create_task([]() -> h::task<> {
      throw error_e();
      co_return;
    });
    cancelled.cancel();
    EQUAL(co_await ending(cancelled), "Cancelled");
    EQUAL(co_await ending(failing), "E");
    const auto after = h::current_runtime().metrics().tasks;
    EQUAL(after.cancelled - before.cancelled, 1u);
    EQUAL(after.failed - before.failed, 1u);
    HOLDS(after.made - before.made >= 2);
    HOLDS(after.ended - before.ended >= 2);
    EQUAL(after.alive, after.made - after.ended);
  });
}

// ------------------------------------------------------------- METRIC-02

/// Time that passes only when it is told to.
class told_time final : public h::detail::time_source {
 public:
  told_time() { h::detail::set_time_source(this); }
  ~told_time() { h::detail::set_time_source(nullptr); }
  h::time_point now() noexcept override { return h::time_point(h::duration(ns_.load())); }
  void pass(std::int64_t ns) { ns_ += ns; }

 private:
  std::atomic<std::int64_t> ns_{1'000'000'000};
};

/// Numbers that differ enough, the same in each run.
class numbers {
 public:
  std::int64_t below(std::int64_t n) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::int64_t>((state_ >> 33) % static_cast<std::uint64_t>(n));
  }

 private:
  std::uint64_t state_ = 42;
};

double exact_p99(std::vector<std::int64_t> all) {
  std::sort(all.begin(), all.end());
  return static_cast<double>(all[all.size() * 99 / 100]);
}

void check_p99(const h::duration_histogram& sampled, const std::vector<std::int64_t>& exact) {
  const double told = static_cast<double>(sampled.percentile(0.99).count());
  const double is = exact_p99(exact);
  HOLDS(told > 0.9 * is && told < 1.1 * is) << told << " ns told, " << is << " exact";
  // One in some sixty was taken.
  const auto samples = static_cast<double>(sampled.count());
  HOLDS(samples > static_cast<double>(exact.size()) / 150) << samples << " of " << exact.size();
}

struct measured_steps {
  told_time time;
  numbers random;
  std::vector<std::int64_t> steps;
  std::vector<std::int64_t> waits;
};

/// Pinned to one loop, so no two of them run at once.
h::task<> steps_of(measured_steps& all, int rounds, bool some_are_slow) {
  for (int i = 0; i < rounds; ++i) {
    const bool slow = some_are_slow && all.random.below(20) == 0;
    const auto took = slow ? 1'000'000 : 10'000 + all.random.below(20'000);
    all.time.pass(took);
    all.steps.push_back(took);
    const auto before = h::clock::now();
    co_await h::yield_now();
    all.waits.push_back((h::clock::now() - before).count());
  }
}

h::task<h::loop_metrics> run_steps(measured_steps& all, bool some_are_slow) {
  h::task_options pinned;
  pinned.loop = &h::current_runtime().loop(0);
  std::vector<h::task_handle<>> tasks;
  for (int i = 0; i < 37; ++i)
    tasks.push_back(h::create_task(steps_of(all, sanitized ? 1000 : 4000, some_are_slow), pinned));
  for (auto& t : tasks) co_await t;
  co_return h::current_runtime().metrics().loops[0];
}

TEST_P(IN_METRIC, IN_METRIC_02_StepsAreToldToATenth) {
  measured_steps all;
  const auto m = run([&all]() { return run_steps(all, true); });
  check_p99(m.step, all.steps);
}

TEST_P(IN_METRIC, IN_METRIC_02_ScheduleLatencyIsToldToATenth) {
  measured_steps all;
  const auto m = run([&all]() { return run_steps(all, false); });
  check_p99(m.schedule_latency, all.waits);
}

TEST_P(IN_METRIC, IN_METRIC_02_TimerLagIsToldToATenth) {
  h::detail::timers timers;
  h::detail::histogram_cells cells;
  timers.measure_into(cells);
  numbers random;
  std::vector<std::int64_t> lags;
  const auto fire = [](h::detail::timer_node&, h::detail::work_list&) noexcept {};
  for (int i = 0; i < 64 * 500; ++i) {
    h::detail::timer_node node(fire);
    const h::time_point deadline(h::duration(1'000'000 + i));
    {
      const std::lock_guard hold(timers);
      (void)timers.arm(node, deadline);
    }
    lags.push_back(random.below(1'000'000));
    EXPECT_EQ(timers.expire(deadline + h::duration(lags.back())), 1u);
  }
  h::duration_histogram sampled;
  cells.add_to(sampled);
  EQUAL(sampled.count(), 500u);
  EQUAL(timers.fired(), 64u * 500u);
  check_p99(sampled, lags);
}

/// A job that nobody waits for.
class counted_job final : public h::detail::offload_job {
 public:
  explicit counted_job(std::function<void()> f) : f_(std::move(f)) {}

 private:
  void invoke() override { f_(); }
  std::function<void()> f_;
};

TEST_P(IN_METRIC, IN_METRIC_02_TheWaitForAThreadIsToldToATenth) {
  told_time time;
  numbers random;
  std::latch gate(1);
  std::vector<std::int64_t> waits{0};
  h::detail::thread_pool pool(1, 1);
  // The pool takes over the only reference.
  pool.submit(*new counted_job([&gate] { gate.wait(); }));
  std::int64_t passed = 0;
  for (int i = 1; i < 64 * 300; ++i) {
    waits.push_back(passed);
    const auto takes = random.below(20'000);
    passed += takes;
    pool.submit(*new counted_job([&time, takes] { time.pass(takes); }));
  }
  gate.count_down();
  HOLDS(pool.shutdown());
  const auto m = pool.measured();
  EQUAL(m.jobs, 64u * 300u);
  EQUAL(m.queued, 0u);
  EQUAL(m.wait.count(), 300u);
  check_p99(m.wait, waits);
}

TEST_P(IN_METRIC, IN_METRIC_02_BucketsHoldTheirTimes) {
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < h::duration_histogram::size; ++i) {
    const auto begin = h::duration_histogram::begin_of(i);
    HOLDS(i == 0 || begin > before);
    EQUAL(h::duration_histogram::bucket(begin), i);
    if (i + 1 < h::duration_histogram::size)
      EQUAL(h::duration_histogram::bucket(h::duration_histogram::end_of(i) - 1), i);
    before = begin;
  }
  h::duration_histogram h;
  EQUAL(h.percentile(0.5).count(), 0);
  for (int i = 1; i <= 100; ++i) h.add(h::duration(i * 1000));
  h.add(h::duration(-5));
  EQUAL(h.count(), 101u);
  const auto p99 = h.percentile(0.99).count();
  HOLDS(p99 > 93'000 && p99 < 106'000);
  auto later = h;
  later.add(h::duration::max());
  later -= h;
  EQUAL(later.count(), 1u);
  EQUAL(h::duration_histogram::bucket(~std::uint64_t{0}), h::duration_histogram::size - 1);
}

}  // namespace
