// SPDX-License-Identifier: MIT
// A whole cluster in a simulated program: a server, submitters and workers, each with a runtime of
// its own, and jobs that run on one that they share.
#pragma once

#include "jobs.h"
#include "simulated_nats.h"

#include <heddle/core/future.h>
#include <heddle/io/cluster/remote.h>
#include <heddle/io/cluster/worker_core.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/simulate.h>

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>

namespace conformance {

namespace cl = heddle::cluster;

/// A program's connection to the simulated cluster. Made and destroyed outside of loops.
class simulated_client {
 public:
  simulated_client(simulated_nats& server, cl::options o, unsigned latency);
  simulated_client(const simulated_client&) = delete;
  /// Its process dies: nothing more comes from it, and nothing reaches it.
  void die();
  /// Makes it the current one of the calling task.
  void use() const { cl::detail::set_current_backend(place); }

  simulated_nats& server;
  simulated_wire wire;
  std::shared_ptr<cl::detail::remote> place;
};

class simulated_worker : public simulated_client {
 public:
  simulated_worker(simulated_nats& server, cl::options o, unsigned latency, std::string name,
                   unsigned slots, heddle::runtime& loops);
  ~simulated_worker();
  [[nodiscard]] heddle::task<> drain();

  const std::string name;

 private:
  std::shared_ptr<cl::detail::worker_core> core_;
  heddle::future<int> served_;
};

/// One run of a program with one seed. Everything in it is of one thread.
class simulated_cluster {
 public:
  explicit simulated_cluster(unsigned loops, unsigned latency = 3);
  simulated_cluster(const simulated_cluster&) = delete;
  ~simulated_cluster();

  /// The trial that runs.
  static simulated_cluster& now();
  simulated_client& add_client();
  simulated_worker& add_worker(unsigned slots = 2);
  /// Runs `body` on the loops of the jobs, with `by` as its cluster.
  void run(simulated_client& by, const std::function<heddle::task<>()>& body);
  /// Waits until no job is stored and none is under way. Throws if that takes minutes.
  [[nodiscard]] heddle::task<> until_empty() const;
  /// The process of the worker with this name dies, and one with a new name is started.
  void kill(const std::string& name);

  cl::options options;
  simulated_nats server;
  heddle::runtime loops;
  std::list<simulated_client> clients;
  std::list<simulated_worker> workers;
  std::map<int, int> begun, ended;  // runs of each number
  int running = 0, running_most = 0, killed = 0;

 private:
  const unsigned latency_;
  unsigned named_ = 0;
};

/// Yields twice its number after so many ms.
extern const cl::job<int(int number, int ms)> simulated_work;
/// Kills its worker, each time.
extern const cl::job<int(int number)> simulated_poison;

}  // namespace conformance
