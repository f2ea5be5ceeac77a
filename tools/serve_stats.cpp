// SPDX-License-Identifier: MIT
#include "serve_stats.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace serve {
namespace {

using namespace std::chrono_literals;

// Several pages may ask at once. Each gets figures over at least this time, and not over the moment
// since another page asked.
constexpr auto period = 400ms;
constexpr std::size_t most_looks = 64;

double seconds(heddle::duration d) { return std::chrono::duration<double>(d).count(); }

double rounded(double value, double steps_per_unit) {
  return std::round(value * steps_per_unit) / steps_per_unit;
}

}  // namespace

std::string stats_report::json(const heddle::runtime_stats& loops,
                               const heddle::http::server_stats& server,
                               const heddle::tls_context& tls) {
  look now{heddle::clock::now(), {}, server.latency};
  for (const auto& l : loops.loops) now.busy_ns.push_back(l.busy_ns);

  look before{started_, std::vector<std::uint64_t>(now.busy_ns.size()), {}};
  {
    const std::lock_guard lock(mutex_);
    for (const auto& l : looks_) {
      if (now.at - l.at >= period) before = l;
    }
    looks_.push_back(now);
    while (looks_.size() > most_looks || (looks_.size() > 2 && now.at - looks_[1].at >= period))
      looks_.pop_front();
  }

  auto latency = now.latency;
  latency -= before.latency;
  const auto microseconds = [&](double share) {
    return rounded(static_cast<double>(latency.percentile(share)) / 1000, 10);
  };
  const double passed = std::max(1e-6, seconds(now.at - before.at));

  nlohmann::ordered_json out;
  out["uptime_s"] = rounded(seconds(now.at - started_), 1000);
  out["loops_count"] = loops.loops.size();
  out["reactor"] = loops.reactor;
  out["requests"] = server.requests;
  out["refused"] = server.refused;
  out["connections"] = server.connections;
  out["working"] = server.working;
  out["tasks"] = loops.tasks;
  out["latency_us"] = {
      {"p50", microseconds(0.5)}, {"p99", microseconds(0.99)}, {"max", microseconds(1)}};
  if (tls) {
    const auto counts = tls.counts();
    out["tls"] = {
        {"handshakes", counts.handshakes}, {"resumed", counts.resumed}, {"failed", counts.failed}};
  }
  auto& list = out["loops"] = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < loops.loops.size(); ++i) {
    const auto& l = loops.loops[i];
    const double busy = static_cast<double>(l.busy_ns - before.busy_ns[i]) / 1e9 / passed;
    list.push_back({{"id", l.id},
                    {"busy", rounded(std::clamp(busy, 0.0, 1.0), 1000)},
                    {"run", l.run},
                    {"stolen", l.stolen},
                    {"parked", l.parked},
                    {"woken", l.woken},
                    {"queue", l.queue},
                    {"forks", l.forks},
                    {"inbox", l.inbox},
                    {"polls", l.polls},
                    {"io_events", l.io_events},
                    {"rescues", l.rescues},
                    {"timers", l.timers},
                    {"created", l.created}});
  }
  return out.dump();
}

}  // namespace serve
