// SPDX-License-Identifier: MIT
// A worker process of the cluster's cases: heddle_cluster_worker SLOTS QUEUES DRAIN_MS NAME, with
// HEDDLE_CLUSTER set. Says "ready" on its output when it is about to serve.
#include "jobs.h"

#include <heddle/sched/runtime.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>

int main(int count, char** words) {
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
