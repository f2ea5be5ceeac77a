// SPDX-License-Identifier: MIT
// Jobs on other machines: what has no types of the user's. cluster_job.h has `job`, `implement`,
// `to_cluster`, `submit`, `attach` and `map`.
//
//   int main(int n, char** v) {
//     return n > 1 ? h::run(h::cluster::worker{{.slots = 8, .queues = {"default", "gpu"}}}.serve())
//                  : h::run(program());
//   }
//
// Promise   Accepted is stored. An accepted job runs at least once, or ends in an outcome. A job
//           has one outcome, the same for all that wait. It runs at most once while no worker dies,
//           hangs, or is cut off for longer than options.ack_wait. Between jobs there is no order.
// Engine    nats-server with JetStream. With its default settings one node syncs its files every
//           two minutes: what was accepted since then is lost when the power fails. `tools/cluster
//           up` starts it so that nothing is lost.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/shared.h>
#include <heddle/core/checked.h>
#include <heddle/core/task.h>
#include <heddle/io/cluster_errors.h>
#include <heddle/io/cluster_options.h>
#include <heddle/io/cluster_types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace heddle::cluster {

namespace detail {
class backend;
class job_run;
}  // namespace detail

/// What a running job can ask and tell: the optional first parameter of an implementation.
/// Thread-safety  everything, from any thread, while the job runs
class context {
 public:
  /// For the library.
  explicit context(std::shared_ptr<detail::job_run> run) noexcept : run_(std::move(run)) {}

  [[nodiscard]] const std::string& id() const noexcept;
  /// From 1. Counts the deliveries that began.
  [[nodiscard]] unsigned attempt() const noexcept;
  /// The worker's name; "local" without a cluster.
  [[nodiscard]] const std::string& worker() const noexcept;
  /// True: the job shall end soon, for it was cancelled, its time is over, or the worker stops and
  /// its drain is over.
  [[nodiscard]] bool stopping() const noexcept;
  /// How far it is, from 0 to 1. Told to the submitter at most 10 times a second, the last one
  /// before the outcome.
  void progress(double done) noexcept;

 private:
  std::shared_ptr<detail::job_run> run_;
};

/// A connection to a cluster, or the jobs of this process if its options name no server. A handle:
/// copies share one connection. It connects when it is used first. A thread of the library serves
/// it, so that loops which are hogged do not cut it off.
///
///     h::cluster::client c(h::cluster::options::from_url("nats://127.0.0.1:4222"));
///     h::cluster::use(c);  // of this task, and of those that it starts
///
/// Thread-safety  everything, from any thread
/// End       the last copy closes the connection; it first waits up to 2 s for cancellations that
///           are on their way. Jobs that were submitted go on.
class client {
 public:
  /// Throws bad_value for options out of their range, std::system_error if there is no thread.
  explicit client(const options& o);
  /// The one that use() has set for this task; else the process's own, which is made of
  /// options::from_environment() when it is asked for first.
  [[nodiscard]] static client current();

  /// Waits until the servers have answered and the streams are there. Without a server: at once.
  /// Throws    unavailable after options.submit_within, or at once if the login is refused;
  ///           engine_unfit
  [[nodiscard]] task<> connect();
  /// Cancels a job of any process by its id. True: it had no outcome, and has this one now. Throws
  /// unavailable; bad_value for a text that is no id.
  [[nodiscard]] task<bool> cancel(std::string id);
  [[nodiscard]] statistics stats() const;
  /// True: there is no cluster; jobs run in this process.
  [[nodiscard]] bool local() const noexcept;

  /// For the library.
  [[nodiscard]] const std::shared_ptr<detail::backend>& place() const noexcept { return place_; }

 private:
  std::shared_ptr<detail::backend> place_;
};

/// Makes `c` the client of this task and of what it starts from now on.
void use(client c);

/// The order of the fields is API: fields are appended, never reordered.
struct worker_options {
  /// So many jobs run at one time; 0: as many as the runtime has loops. A job that awaits another
  /// one lends its place meanwhile.
  unsigned slots = 0;
  std::vector<std::string> queues = {"default"};
  /// After the first SIGTERM running jobs may go on for so long.
  any_duration drain = std::chrono::seconds(30);
  /// Shown in errors and lists: at most 200 printable characters. Empty: HOST-PID-NUMBER.
  std::string name = {};
  /// A job of a kind that this program does not know is given back for others. After so long since
  /// it was submitted it ends as no_such_job.
  any_duration unknown_limit = std::chrono::minutes(15);
  /// A function that still runs so long after its time limit counts as stuck: the outcome is
  /// timeout_error, and its slot stays taken.
  any_duration stuck_after = std::chrono::seconds(5);
};

namespace detail {
struct worker_state;
}

/// Runs the jobs that this program implements, on the runtime that awaits serve().
/// Thread-safety  drain() and stop() from any thread
class worker {
 public:
  explicit worker(worker_options o);
  /// Of another client than client::current().
  worker(worker_options o, client c);

  /// Serves until SIGTERM or SIGINT, or drain(): then it takes no new job, gives back what it has
  /// not begun, waits for what runs, and yields 0. A second signal, stop(), or the end of
  /// options.drain cancels what runs, gives it back, and yields 1.
  /// Cancel    as stop()
  /// Throws    bad_value for options out of their range; usage_error without a cluster, without an
  ///           implementation, and on a second call; unavailable, engine_unfit
  [[nodiscard]] task<int> serve();
  void drain() noexcept;
  void stop() noexcept;
  [[nodiscard]] const std::string& name() const noexcept;

 private:
  std::shared_ptr<detail::worker_state> state_;
};

}  // namespace heddle::cluster
