// SPDX-License-Identifier: MIT
// What the cases of CLU share: one nats-server for a run of the program, clusters of their own in
// it, workers in this process and in others.
#pragma once

#include "conformance.h"
#include "jobs.h"

#include <heddle/io/cluster_job.h>
#include <heddle/io/cluster_map.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

namespace conformance {

namespace cl = heddle::cluster;

/// A program that a case has started. Killed when it goes.
class child {
 public:
  child(std::vector<std::string> words, std::vector<std::string> environment);
  child(child&& other) noexcept : pid_(std::exchange(other.pid_, -1)), status_(other.status_) {}
  child& operator=(child&& other) noexcept {
    std::swap(pid_, other.pid_);
    std::swap(status_, other.status_);
    return *this;
  }
  ~child();
  void send(int signal) const;
  /// Waits for its end, blocks the thread. 0 to 255, or 1000 and the signal.
  int wait();
  [[nodiscard]] bool ended();
  /// It has begun to take this signal: it handles it, or waits for it with the signal blocked.
  [[nodiscard]] bool takes(int signal) const;
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

 private:
  pid_t pid_ = -1;
  int status_ = -1;
};

/// A temporary folder that goes with the object, all in it too.
class own_folder {
 public:
  own_folder();
  own_folder(const own_folder&) = delete;
  own_folder& operator=(const own_folder&) = delete;
  ~own_folder();
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

/// A nats-server of the tests' own, on a free port, with its data in a temporary folder.
class nats_server {
 public:
  explicit nats_server(std::vector<std::string> more = {});
  /// The one of this run of the program.
  static nats_server& common();

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  void start();
  void kill();
  void pause() const;
  void go_on() const;
  [[nodiscard]] std::string log() const;

 private:
  own_folder folder_;  // goes after the process
  std::uint16_t port_ = 0;
  std::vector<std::string> more_;
  std::unique_ptr<child> process_;
};

/// A port on which nobody listens.
std::uint16_t free_port();
/// A path that is not there yet, in a folder of this run: a name made of the process number may be
/// that of an earlier run's file.
std::string fresh_file();
std::vector<std::string> lines_of(const std::string& file);
/// How many lines begin so.
std::size_t count_lines(const std::string& file, const std::string& beginning);

/// How much of something a case does: `usual`, or with HEDDLE_SIZE=full (tools/nightly) as much as
/// the catalogue says; a tenth of the usual under a sanitizer.
std::size_t cluster_size(std::size_t usual, std::size_t full);

/// Options of a cluster that no other case has, in the common server.
cl::options fresh_cluster();
std::string url_of(const cl::options& o);

/// A worker process.
child worker_process(const cl::options& o, const std::string& name, unsigned slots = 2,
                     const std::string& queues = "default", int drain_ms = 5000);
/// tools/cluster with these words: its output. Blocks the thread.
std::string cluster_tool(const cl::options& o, std::vector<std::string> words, int* status);

/// A worker in this process, which serves until it goes out of `stop`.
class here_worker {
 public:
  explicit here_worker(cl::client c, unsigned slots = 4,
                       std::vector<std::string> queues = {"default"});
  here_worker(cl::client c, cl::worker_options o);
  /// Drains it, and yields serve()'s number.
  h::task<int> stop();
  cl::worker& worker() { return worker_; }
  h::task_handle<int> serving;

 private:
  cl::worker worker_;
};

/// Waits until `f` holds, for half a minute at most. False: it never did.
h::task<bool> eventually(std::function<bool()> f);

/// Base of the cases: a client of a cluster of its own is the current one in `cluster`.
class cluster_cases : public cases {
 protected:
  /// Runs body(client) with `o` for its cluster.
  template <class F>
  void cluster(cl::options o, F body) {
    run([&]() -> h::task<> {
      cl::client c(o);
      cl::use(c);
      auto running = body(c);
      co_await std::move(running);
    });
  }
  template <class F>
  void cluster(F body) {
    cluster(fresh_cluster(), body);
  }
  /// The same with a worker of this process beside the body.
  template <class F>
  void served(cl::options o, F body) {
    cluster(o, [&](cl::client c) -> h::task<> {
      here_worker w(c);
      auto running = body(c);
      co_await std::move(running);
      auto stopping = w.stop();
      const int code = co_await std::move(stopping);
      EXPECT_EQ(code, 0);
    });
  }
  template <class F>
  void served(F body) {
    served(fresh_cluster(), body);
  }
};

#define CLUSTER_CASES(group)                            \
  class group : public ::conformance::cluster_cases {}; \
  HEDDLE_AT_LOOPS(group)

}  // namespace conformance
