// SPDX-License-Identifier: MIT
#include <heddle/io/http/inspecting/figures.h>

#include <heddle/core/clock.h>
#include <heddle/io/http/inspecting/exposition.h>
#include <heddle/io/http/serving/known_servers.h>

#include <nlohmann/json.hpp>

#include <array>
#include <string_view>
#include <utility>

namespace heddle::http::detail {
namespace {

constexpr std::array<std::string_view, 5> classes = {"1xx", "2xx", "3xx", "4xx", "5xx"};

/// The servers' own histogram has the same buckets, and no sum: that is taken from their middles.
duration_histogram times_of(const latency_histogram& l) {
  static_assert(latency_histogram::size == duration_histogram::size);
  duration_histogram h;
  h.counts.assign(l.counts.begin(), l.counts.end());
  for (std::size_t i = 0; i < l.counts.size(); ++i) {
    const auto begin = duration_histogram::begin_of(i);
    h.total_ns += l.counts[i] * (begin + (duration_histogram::end_of(i) - begin) / 2);
  }
  return h;
}

void put_process(exposition& to, const process_metrics& p) {
  using e = exposition;
  to.only("process_cpu_seconds_total", e::counter, "Time of all processors, user and system.",
          p.cpu_seconds);
  to.only("process_start_time_seconds", e::gauge, "When the process began, since 1970.",
          p.start_seconds);
  to.only("process_resident_memory_bytes", e::gauge, "Memory that is in RAM.", p.resident_bytes);
  to.only("process_virtual_memory_bytes", e::gauge, "Memory that is mapped.", p.virtual_bytes);
  to.only("process_open_fds", e::gauge, "Open descriptors.", p.open_descriptors);
  to.only("process_max_fds", e::gauge, "The limit of open descriptors.", p.most_descriptors);
  to.only("process_threads", e::gauge, "Threads.", p.threads);
}

/// A family with a sample for each loop of each runtime.
template <class Value>
void put_loops(exposition& to, const figures& all, std::string_view name, exposition::kind what,
               std::string_view help, Value value) {
  to.family(name, what, help);
  for (const auto& r : all.runtimes) {
    const auto number = std::to_string(r.runtime);
    for (const auto& l : r.loops) {
      const auto loop = std::to_string(l.stats.id);
      to.sample({{"runtime", number}, {"loop", loop}}, value(l));
    }
  }
}

/// A family with a sample for each runtime.
template <class Value>
void put_runtimes(exposition& to, const figures& all, std::string_view name, exposition::kind what,
                  std::string_view help, Value value) {
  to.family(name, what, help);
  for (const auto& r : all.runtimes) to.sample({{"runtime", std::to_string(r.runtime)}}, value(r));
}

void put_loop_families(exposition& to, const figures& all) {
  using e = exposition;
  using l = loop_metrics;
  const auto count = [&](std::string_view name, std::string_view help,
                         std::uint64_t loop_stats::* which) {
    put_loops(to, all, name, e::counter, help, [which](const l& m) { return m.stats.*which; });
  };
  count("heddle_loop_steps_total", "Steps of tasks, strands and callbacks.", &loop_stats::run);
  count("heddle_loop_steals_total", "Tasks and strands taken from other loops.",
        &loop_stats::stolen);
  count("heddle_loop_parks_total", "Times that a loop went to sleep.", &loop_stats::parked);
  count("heddle_loop_wakes_total", "Times that another thread woke it.", &loop_stats::woken);
  count("heddle_loop_polls_total", "Looks at the reactor.", &loop_stats::polls);
  count("heddle_loop_io_events_total", "Events found there.", &loop_stats::io_events);
  count("heddle_loop_rescues_total", "Times that a loop served a hogged one.",
        &loop_stats::rescues);
  put_loops(to, all, "heddle_loop_busy_seconds_total", e::counter, "Time not spent asleep.",
            [](const l& m) { return static_cast<double>(m.stats.busy_ns) / 1e9; });
  put_loops(to, all, "heddle_loop_timers_fired_total", e::counter, "Timers that were due.",
            [](const l& m) { return m.timers_fired; });
  put_loops(to, all, "heddle_loop_timers", e::gauge, "Timers that are armed.",
            [](const l& m) { return std::uint64_t{m.stats.timers}; });
  put_loops(to, all, "heddle_loop_ready_tasks", e::gauge, "Tasks in its queues.",
            [](const l& m) { return std::uint64_t{m.stats.queue}; });
}

void put_runtime_families(exposition& to, const figures& all) {
  using e = exposition;
  using m = metrics;
  put_runtimes(to, all, "heddle_loops", e::gauge, "Loops, a thread each.",
               [](const m& r) { return std::uint64_t{r.loops.size()}; });
  const auto task = [&](std::string_view name, e::kind what, std::string_view help,
                        std::uint64_t task_metrics::* which) {
    put_runtimes(to, all, name, what, help, [which](const m& r) { return r.tasks.*which; });
  };
  task("heddle_tasks", e::gauge, "Tasks that have not ended.", &task_metrics::alive);
  task("heddle_tasks_made_total", e::counter, "Tasks made.", &task_metrics::made);
  task("heddle_tasks_ended_total", e::counter, "Tasks ended, in whatever way.",
       &task_metrics::ended);
  task("heddle_tasks_cancelled_total", e::counter, "Tasks that ended with a cancellation.",
       &task_metrics::cancelled);
  task("heddle_tasks_failed_total", e::counter, "Tasks that ended with an error.",
       &task_metrics::failed);
  put_runtimes(to, all, "heddle_pool_threads", e::gauge, "Threads of to_thread that are alive.",
               [](const m& r) { return std::uint64_t{r.pool.threads}; });
  put_runtimes(to, all, "heddle_pool_max_threads", e::gauge, "Their limit: options.threads.",
               [](const m& r) { return std::uint64_t{r.pool.most_threads}; });
  put_runtimes(to, all, "heddle_pool_jobs_total", e::counter, "Jobs given to them.",
               [](const m& r) { return r.pool.jobs; });
  put_runtimes(to, all, "heddle_pool_queued_jobs", e::gauge, "Jobs that wait for a thread.",
               [](const m& r) { return r.pool.queued; });
  put_runtimes(to, all, "heddle_step_seconds", e::histogram,
               "How long a step takes; one of 61 is counted.", [](const m& r) { return r.step(); });
  put_runtimes(to, all, "heddle_schedule_latency_seconds", e::histogram,
               "How long what is ready waits for its loop; one of 61 is counted.",
               [](const m& r) { return r.schedule_latency(); });
  put_runtimes(to, all, "heddle_timer_lag_seconds", e::histogram,
               "How long behind its deadline a timer fires; one of 64 is counted.",
               [](const m& r) { return r.timer_lag(); });
  put_runtimes(to, all, "heddle_pool_wait_seconds", e::histogram,
               "How long a job waits for a thread; one of 64 is counted.",
               [](const m& r) { return r.pool.wait; });
}

void put_servers(exposition& to, const server_stats& s) {
  using e = exposition;
  to.family("heddle_http_requests_total", e::counter, "Requests answered, by class of status.");
  for (std::size_t i = 0; i < classes.size(); ++i)
    to.sample({{"class", classes[i]}}, s.by_class[i]);
  to.only("heddle_http_refused_total", e::counter,
          "Of these, refused before a handler: malformed, too large, or too late.", s.refused);
  to.only("heddle_http_shed_total", e::counter, "Answered 503, since a limit was reached.", s.shed);
  to.only("heddle_http_aborted_total", e::counter, "Answers that were cut off.", s.aborted);
  to.only("heddle_http_connections", e::gauge, "Connections that are open.",
          std::uint64_t{s.connections});
  to.only("heddle_http_requests_in_flight", e::gauge, "Connections at work on a request.",
          std::uint64_t{s.working});
  to.only("heddle_http_waiting_requests", e::gauge, "Requests that wait for max_requests.",
          std::uint64_t{s.waiting});
  to.only("heddle_http_latency_seconds", e::histogram,
          "From the last bytes of a request to the first ones of its answer.", times_of(s.latency));
}

using json = nlohmann::ordered_json;

/// In microseconds.
json percentiles(const duration_histogram& h) {
  const auto us = [&](double share) {
    return static_cast<double>(h.percentile(share).count()) / 1000;
  };
  return {{"count", h.count()}, {"p50", us(0.5)}, {"p99", us(0.99)}, {"max", us(1)}};
}

json loop_json(const loop_metrics& m) {
  return {{"number", m.stats.id},
          {"steps", m.stats.run},
          {"stolen", m.stats.stolen},
          {"parked", m.stats.parked},
          {"woken", m.stats.woken},
          {"polls", m.stats.polls},
          {"io_events", m.stats.io_events},
          {"rescues", m.stats.rescues},
          {"busy_s", static_cast<double>(m.stats.busy_ns) / 1e9},
          {"ready", m.stats.queue + m.stats.forks + m.stats.inbox},
          {"timers", m.stats.timers},
          {"timers_fired", m.timers_fired},
          {"step_us", percentiles(m.step)},
          {"schedule_latency_us", percentiles(m.schedule_latency)},
          {"timer_lag_us", percentiles(m.timer_lag)}};
}

json runtime_json(const metrics& r) {
  json one = {{"number", r.runtime},
              {"reactor", r.reactor},
              {"tasks",
               {{"alive", r.tasks.alive},
                {"made", r.tasks.made},
                {"ended", r.tasks.ended},
                {"cancelled", r.tasks.cancelled},
                {"failed", r.tasks.failed}}},
              {"pool",
               {{"threads", r.pool.threads},
                {"most_threads", r.pool.most_threads},
                {"jobs", r.pool.jobs},
                {"queued", r.pool.queued},
                {"wait_us", percentiles(r.pool.wait)}}}};
  auto& loops = one["loops"] = json::array();
  for (const auto& l : r.loops) loops.push_back(loop_json(l));
  return one;
}

}  // namespace

figures measure_all() { return {measure_process(), measure_runtimes(), stats_of_all_servers()}; }

std::string as_prometheus(const figures& all) {
  exposition to;
  put_process(to, all.process);
  put_runtime_families(to, all);
  put_loop_families(to, all);
  put_servers(to, all.servers);
  return to.take();
}

std::string as_json(const figures& all) {
  const auto& p = all.process;
  const auto& s = all.servers;
  json out;
  out["schema"] = 1;
  out["at_s"] = static_cast<double>(clock::now().time_since_epoch().count()) / 1e9;
  out["process"] = {{"cpu_s", p.cpu_seconds},
                    {"start_s", p.start_seconds},
                    {"resident_bytes", p.resident_bytes},
                    {"threads", p.threads},
                    {"open_descriptors", p.open_descriptors},
                    {"most_descriptors", p.most_descriptors}};
  auto& runtimes = out["runtimes"] = json::array();
  for (const auto& r : all.runtimes) runtimes.push_back(runtime_json(r));
  out["http"] = {{"requests", s.requests},
                 {"refused", s.refused},
                 {"shed", s.shed},
                 {"aborted", s.aborted},
                 {"connections", s.connections},
                 {"in_flight", s.working},
                 {"by_class", s.by_class},
                 {"latency_us", percentiles(times_of(s.latency))}};
  return out.dump();
}

}  // namespace heddle::http::detail
