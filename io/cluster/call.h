// SPDX-License-Identifier: MIT
// Internal to io; installed, since public headers need it.
// A call without its types, and its outcome: what stands between cluster_job.h and what carries it.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/base/functional.h>
#include <heddle/core/base/shared.h>
#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/io/cluster_errors.h>
#include <heddle/io/cluster_options.h>
#include <heddle/io/cluster_types.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace heddle::cluster::detail {

/// Of a job in its queue. Lower goes first.
enum class priority : std::uint8_t { high, normal, low };
inline constexpr unsigned priorities = 3;

/// A job to be run.
struct call_spec {
  std::string name;
  job_options options;
  priority first = priority::normal;
  std::string key;
  std::optional<duration> within;
  std::optional<time_point> until;  // the caller is cancelled then: a block around it has that end
  std::uint64_t signature = 0;
  std::string arguments;  // CBOR
  bool only_try = false;  // queue_full at once
};

enum class outcome_kind : std::uint8_t {
  value,
  failed,
  lost,
  cancelled,
  timeout,
  too_large,
  bad_arguments,
  no_such_job
};

struct outcome {
  outcome_kind kind = outcome_kind::value;
  job_place place;
  std::string value;               // CBOR
  std::string type;                // of what was thrown
  std::vector<std::string> texts;  // of what was thrown; workers of a lost job
  std::size_t size = 0;            // too_large
  std::size_t limit = 0;
  std::uint64_t arguments_hash = 0;  // of keyed jobs
};

/// The id, if it may be one. Throws bad_value.
[[nodiscard]] std::string checked_id(std::string id);
/// "render.2"
[[nodiscard]] std::string kind_of(const std::string& name, unsigned version);
/// The value's CBOR. Throws what the outcome stands for.
[[nodiscard]] std::string value_or_throw(outcome&& o);
/// Throws bad_value for options out of their range.
void check_call(const call_spec& s);

/// Called with how far a job is, in a thread of the library.
using progress_function = std::function<void(double)>;

/// A running job, shared by its context, the worker and the task that runs it.
class job_run {
 public:
  std::string id;
  std::string worker;
  unsigned attempt = 1;
  /// From any thread.
  std::function<void(double)> tell;  // set before it runs
  std::atomic<double> last_progress{0};
  std::atomic<bool> telling{false};  // somebody is about to tell last_progress

  [[nodiscard]] bool stopping() const noexcept {
    // pairs with stop()
    return stopping_.load(heddle::detail::acquire);
  }
  void stop() noexcept { stopping_.store(true, heddle::detail::release); }

 private:
  heddle::detail::atomic<bool> stopping_{false};
};

/// Jobs lend their worker's slot while they await another job.
class slot_lender {
 public:
  virtual ~slot_lender() = default;
  /// The engine on whose loop the other functions are called.
  [[nodiscard]] virtual const void* home() const noexcept = 0;
  virtual void lend() noexcept = 0;
  [[nodiscard]] virtual task<> take_back() = 0;
  /// Without waiting, for a job that is cancelled.
  virtual void take_back_now() noexcept = 0;
};

/// Where jobs go: a cluster, or this process.
class backend {
 public:
  virtual ~backend() = default;
  [[nodiscard]] virtual bool local() const noexcept = 0;
  [[nodiscard]] virtual task<> connect() = 0;
  /// Cancelled: the job is, too.
  [[nodiscard]] virtual task<outcome> call(call_spec s) = 0;
  /// Yields the id once the job is accepted.
  [[nodiscard]] virtual task<std::string> submit(call_spec s) = 0;
  /// Cancelled: the job goes on.
  [[nodiscard]] virtual task<outcome> wait(std::string id) = 0;
  [[nodiscard]] virtual task<bool> cancel(std::string id) = 0;
  [[nodiscard]] virtual task<job_status> status(std::string id) = 0;
  /// Calls `f` until `f` is forgotten or the outcome is there.
  virtual void on_progress(std::string id, std::weak_ptr<progress_function> f) = 0;
  [[nodiscard]] virtual statistics stats() const = 0;
};

/// What an implementation is to those that run it.
struct implementation {
  std::string name;
  job_options options;
  std::uint64_t signature = 0;
  bool function = false;  // it runs on a thread, and cannot be cancelled
  std::function<task<std::string>(std::shared_ptr<job_run>, std::string arguments)> run;
};

/// The implementations of this program, by kind. Filled by static initializers.
void add_implementation(implementation i);
/// Null: none. Valid for ever.
[[nodiscard]] const implementation* find_implementation(const std::string& kind);
[[nodiscard]] std::size_t implementation_count();

[[nodiscard]] std::shared_ptr<backend> current_backend();
void set_current_backend(std::shared_ptr<backend> place);
/// Of the job in which the caller runs, or null.
[[nodiscard]] std::shared_ptr<slot_lender> current_lender();
void set_current_lender(std::shared_ptr<slot_lender> lender);
/// With options that name servers, or without.
[[nodiscard]] std::shared_ptr<backend> make_remote(const cluster::options& o);
[[nodiscard]] std::shared_ptr<backend> make_local(const cluster::options& o);

}  // namespace heddle::cluster::detail
