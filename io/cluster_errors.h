// SPDX-License-Identifier: MIT
// What a call of to_cluster throws, beside timeout_error and cancelled_error.
//
//   } catch (const h::cluster::job_failed& e) { log(e.what()); }   // the job threw
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace heddle::cluster {

/// The base of them all.
class error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Where a job ran.
struct job_place {
  std::string job = {};  // its name and version: "render.2"
  std::string id = {};
  std::string worker = {};  // "local" without a cluster; empty: it never ran
  std::string host = {};
  unsigned attempt = 0;  // from 1; 0: it never ran
};

/// The job threw.
class job_failed : public error {
 public:
  job_failed(std::string type, std::vector<std::string> texts, job_place place);
  /// The type of what was thrown, as C++ writes it: "std::runtime_error", "int".
  [[nodiscard]] const std::string& type() const noexcept { return type_; }
  /// What it said, and behind it "TYPE: TEXT" of each exception nested in it.
  [[nodiscard]] const std::vector<std::string>& texts() const noexcept { return texts_; }
  [[nodiscard]] const job_place& place() const noexcept { return place_; }

 private:
  std::string type_;
  std::vector<std::string> texts_;
  job_place place_;
};

/// All attempts are used up: workers died, or lost the job. It is kept as a dead letter.
class job_lost : public error {
 public:
  job_lost(std::vector<std::string> workers, job_place place);
  /// The workers that had it, as far as they are known.
  [[nodiscard]] const std::vector<std::string>& workers() const noexcept { return workers_; }
  [[nodiscard]] const job_place& place() const noexcept { return place_; }

 private:
  std::vector<std::string> workers_;
  job_place place_;
};

/// Another than the waiting task has cancelled the job.
class job_cancelled : public error {
 public:
  explicit job_cancelled(job_place place);
  [[nodiscard]] const job_place& place() const noexcept { return place_; }

 private:
  job_place place_;
};

/// The queue is full, and stayed so for options.submit_within.
class queue_full : public error {
 public:
  using error::error;
};

/// No server answers, or the servers refuse the login.
class unavailable : public error {
 public:
  unavailable(const std::string& text, bool maybe) : error(text), maybe_(maybe) {}
  /// True: a server may have accepted the job before it went silent.
  [[nodiscard]] bool maybe_accepted() const noexcept { return maybe_; }

 private:
  bool maybe_;
};

/// The outcome was fetched or is older than options.keep; or there never was such a job.
class expired : public error {
 public:
  using error::error;
};

/// Arguments or result do not fit into a message of the server (its max_payload).
class too_large : public error {
 public:
  too_large(const std::string& text, std::size_t size, std::size_t limit)
      : error(text), size_(size), limit_(limit) {}
  /// In bytes.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t limit() const noexcept { return limit_; }

 private:
  std::size_t size_;
  std::size_t limit_;
};

/// What came does not decode to the types of the job, or the two programs disagree on them.
class bad_arguments : public error {
 public:
  using error::error;
};

/// No worker knows the job, for as long as worker_options.unknown_limit; or, without a cluster,
/// this program does not.
class no_such_job : public error {
 public:
  using error::error;
};

/// The server cannot keep what is promised: no JetStream, or too old. Says what to do.
class engine_unfit : public error {
 public:
  using error::error;
};

/// Thrown by a job: the answer is this error, whatever retries are left.
class permanent : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace heddle::cluster
