// SPDX-License-Identifier: MIT
//
// heddle::cluster: an empty job, by to_cluster.
#include <heddle/heddle.h>
#include <heddle/io/cluster_job.h>

#include <exception>
#include <string>
#include <vector>

#include "cluster/plan.h"

namespace {

namespace h = heddle;
using clock_type = bench::call_figures::clock;

const h::cluster::job<int(int)> nothing{"nothing"};
const auto how = h::cluster::implement(nothing, [](int n) -> h::task<int> { co_return n; });

h::cluster::client client_of(const bench::cluster_plan& p) {
  return h::cluster::client(
      h::cluster::options::from_url("nats://127.0.0.1:" + std::to_string(p.port) + "/bench"));
}

h::task<int> serve(const bench::cluster_plan& p) {
  h::cluster::worker_options o;
  o.slots = p.slots;
  h::cluster::worker w(o, client_of(p));
  auto serving = w.serve();
  co_return co_await std::move(serving);
}

h::task<> call_again_and_again(bench::call_figures& figures) {
  for (;;) {
    const auto began = clock_type::now();
    auto calling = h::to_cluster(nothing, 1);
    const int got = co_await std::move(calling);
    if (got != 1) throw std::runtime_error("another's outcome has come");
    if (!figures.ended(began, clock_type::now())) co_return;
  }
}

h::task<int> call(const bench::cluster_plan& p) {
  const auto client = client_of(p);
  h::cluster::use(client);
  auto first = h::to_cluster(nothing, 0);  // the connection, the streams and a worker are there
  (void)co_await std::move(first);
  bench::call_figures figures(p);
  std::vector<h::task<>> callers;
  for (unsigned i = 0; i < p.in_flight; ++i) callers.push_back(call_again_and_again(figures));
  auto all = h::gather(std::move(callers));
  co_await std::move(all);
  figures.print();
  co_return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const auto plan = bench::read_cluster_plan(argc, argv);
  h::options o;
  o.loops = 1;
  try {
    return plan.serve ? h::run(serve(plan), o) : h::run(call(plan), o);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "cluster/heddle: %s\n", e.what());
    return 1;
  }
}
