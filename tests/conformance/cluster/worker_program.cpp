// SPDX-License-Identifier: MIT
// A worker process of the cluster's cases: heddle_cluster_worker SLOTS QUEUES DRAIN_MS NAME, with
// HEDDLE_CLUSTER set. Says "ready" on its output when it is about to serve.
// heddle_cluster_worker submit FILE N submits N jobs, and writes the id of each that was accepted
// behind the file.
#include "jobs.h"

#include <heddle/sched/runtime.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string_view>

namespace {

heddle::task<> submit_all(std::string file, int n) {
  std::FILE* const out = std::fopen(file.c_str(), "a");
  for (int i = 0; out && i < n; ++i) {
    const auto handle = co_await heddle::cluster::submit(jobs::twice, i);
    std::fprintf(out, "%s\n", handle.id().c_str());
    std::fflush(out);
  }
}

}  // namespace

int main(int count, char** words) {
  if (count == 4 && std::string_view(words[1]) == "submit") {
    heddle::run(submit_all(words[2], static_cast<int>(std::strtol(words[3], nullptr, 10))));
    return 0;
  }
  if (count != 5) {
    std::fprintf(stderr, "usage: heddle_cluster_worker SLOTS QUEUE[,QUEUE...] DRAIN_MS NAME\n");
    return 2;
  }
  heddle::cluster::implement(jobs::of_others, [](int n) { return n + 1000; });
  heddle::cluster::worker_options o;
  o.slots = static_cast<unsigned>(std::strtoul(words[1], nullptr, 10));
  o.queues.clear();
  std::istringstream queues(words[2]);
  for (std::string queue; std::getline(queues, queue, ',');) o.queues.push_back(queue);
  o.drain = std::chrono::milliseconds(std::strtol(words[3], nullptr, 10));
  o.name = words[4];
  heddle::options loops;
  loops.loops = 2;
  std::puts("ready");
  std::fflush(stdout);
  return heddle::run(heddle::cluster::worker{o}.serve(), loops);
}
