// SPDX-License-Identifier: MIT
// Jobs with their types: what submitters and workers share is a `job`, its name and its signature.
//
//   inline const h::cluster::job<std::string(std::string path)> hash_file{"hash_file"};
//
//   // in the workers: a plain function runs by to_thread, a task on the loops
//   static const auto a = h::cluster::implement(hash_file, [](std::string path) {
//     return digest_of(path);
//   });
//
//   std::string d = co_await h::to_cluster(hash_file, path);  // cancel, wait_for, gather as usual
//   auto handle = co_await h::cluster::submit(hash_file, path);
//
// cluster_map.h has `map`: a job for each item of a range.
//
// Types     What nlohmann's to_json and from_json know, and inside of the signature (not inside of
//           such a struct): optional, vectors of bytes, vectors, arrays, maps, pairs and tuples of
//           them. Strings may hold any bytes. Numbers come out as they went in, or not at all.
// Linking   `implement` in a static library, in an object of which nothing else is used, is dropped
//           by the linker: link that library with --whole-archive, or name something of the object.
//
// This header includes <nlohmann/json.hpp>, which the umbrella header avoids.
#pragma once

#include <heddle/io/cluster.h>
#include <heddle/io/cluster/call.h>
#include <heddle/io/cluster/codec.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/loop.h>
#include <heddle/sched/to_thread.h>

#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace heddle::cluster {

template <class S>
class job;

/// A kind of job: its name, its version, and the types of a function. Name and signature are the
/// contract between the programs that share it.
/// Cost      a string; copies are cheap
/// Throws    nothing; what is out of its range is bad_value when the job is submitted
template <class R, class... Args>
class job<R(Args...)> {
 public:
  using result_type = R;

  job(std::string name) : name_(std::move(name)) {}  // NOLINT: job<...> j{"name"}
  job(std::string name, job_options o) : name_(std::move(name)), options_(std::move(o)) {}

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const job_options& options() const noexcept { return options_; }

  // Words for one call. Each yields a changed copy.

  /// All calls with one key are one job, whoever submits them: it runs once, and all get its
  /// outcome for as long as that is kept. At most 128 bytes. Other arguments under a key that is
  /// taken: bad_value.
  [[nodiscard]] job key(std::string k) const {
    return with([&](job& j) { j.key_ = std::move(k); });
  }
  /// Goes before all others of its queue that wait.
  [[nodiscard]] job high() const {
    return with([](job& j) { j.first_ = detail::priority::high; });
  }
  /// Goes after all others.
  [[nodiscard]] job low() const {
    return with([](job& j) { j.first_ = detail::priority::low; });
  }
  /// A call without an outcome after so long throws timeout_error, and the job is cancelled. A
  /// worker does not begin it later than that.
  [[nodiscard]] job within(any_duration limit) const {
    return with([&](job& j) { j.within_ = limit.get(); });
  }
  /// Another queue than options().queue.
  [[nodiscard]] job on(std::string queue) const {
    return with([&](job& j) { j.options_.queue = std::move(queue); });
  }

  /// For the library.
  [[nodiscard]] detail::call_spec spec(const std::decay_t<Args>&... args) const {
    detail::call_spec s;
    s.name = name_;
    s.options = options_;
    s.first = first_;
    s.key = key_;
    s.within = within_;
    s.signature = detail::signature_of<R, Args...>();
    s.arguments = detail::encode_arguments(name_, args...);
    detail::check_call(s);
    return s;
  }

 private:
  template <class F>
  job with(F change) const {
    job j = *this;
    change(j);
    return j;
  }

  std::string name_;
  job_options options_;
  detail::priority first_ = detail::priority::normal;
  std::string key_;
  std::optional<duration> within_;
};

namespace detail {

template <class R>
R result_of(outcome&& o) {
  const auto kind = o.place.job;
  const auto bytes = value_or_throw(std::move(o));
  if constexpr (!std::is_void_v<R>) return decode_value<R>(kind, bytes);
}

template <class R>
task<R> call_and_decode(std::shared_ptr<backend> place, call_spec s) {
  auto calling = place->call(std::move(s));
  auto o = co_await std::move(calling);
  co_return result_of<R>(std::move(o));
}

template <class F, class... Args>
inline constexpr bool takes_context = std::is_invocable_v<F&, context&, Args...>;

template <class F, class... Args>
decltype(auto) call_implementation(F& f, context& c, Args&&... args) {
  if constexpr (takes_context<F, Args...>)
    return f(c, std::forward<Args>(args)...);
  else
    return f(std::forward<Args>(args)...);
}

template <class R, class F, class... Args>
task<std::string> run_implementation(F f, std::shared_ptr<job_run> run, std::string kind,
                                     std::string arguments) {
  context c(run);
  auto values = decode_arguments<std::decay_t<Args>...>(kind, arguments);
  using result = decltype(call_implementation(f, c, std::declval<std::decay_t<Args>>()...));
  auto call = [&](auto&... a) -> decltype(auto) {
    return call_implementation(f, c, std::move(a)...);
  };
  if constexpr (heddle::detail::is_task<std::remove_cvref_t<result>>) {
    auto running = std::apply(call, values);
    if constexpr (std::is_void_v<R>) {
      co_await std::move(running);
      co_return std::string();
    } else {
      R value = co_await std::move(running);
      co_return encode_value(kind, value);
    }
  } else {
    // All that the function touches moves into the call: it may outlive this frame.
    auto blocking = [kind, c, f = std::move(f), values = std::move(values)]() mutable {
      auto inner = [&](auto&... a) -> decltype(auto) {
        return call_implementation(f, c, std::move(a)...);
      };
      if constexpr (std::is_void_v<R>) {
        std::apply(inner, values);
        return std::string();
      } else {
        return encode_value(kind, static_cast<R>(std::apply(inner, values)));
      }
    };
    auto running = to_thread(std::move(blocking));
    co_return co_await std::move(running);
  }
}

}  // namespace detail

/// What `implement` yields; a static of it is all that a program needs.
struct implemented {};

/// Says how this program runs a job: by a plain function, which runs by to_thread, or by one that
/// returns a task, which runs on the loops. Its first parameter may be a context&. Call it from a
/// static initializer, or before worker::serve().
/// Cancel    a task is cancelled at its await. A function goes on: it asks context::stopping(), and
///           what it returns is dropped
/// Throws    usage_error for a kind that is implemented already
template <class R, class... Args, class F>
implemented implement(const job<R(Args...)>& j, F f) {
  static_assert(std::is_invocable_v<F&, std::decay_t<Args>...> ||
                    std::is_invocable_v<F&, context&, std::decay_t<Args>...>,
                "the implementation cannot be called with the job's arguments");
  using result = decltype(detail::call_implementation(f, std::declval<context&>(),
                                                      std::declval<std::decay_t<Args>>()...));
  detail::implementation i;
  i.name = j.name();
  i.options = j.options();
  i.signature = detail::signature_of<R, Args...>();
  i.function = !heddle::detail::is_task<std::remove_cvref_t<result>>;
  i.run = [f = std::move(f), kind = detail::kind_of(j.name(), j.options().version)](
              std::shared_ptr<detail::job_run> run, std::string arguments) {
    return detail::run_implementation<R, F, Args...>(f, std::move(run), kind, std::move(arguments));
  };
  detail::add_implementation(std::move(i));
  return {};
}

/// A submitted job. Copyable. Dropping it changes nothing: the job goes on.
template <class R>
class handle {
 public:
  handle(std::shared_ptr<detail::backend> place, std::string id)
      : place_(std::move(place)), id_(std::move(id)) {}

  /// Names the job for attach() and tools/cluster, in any process.
  [[nodiscard]] const std::string& id() const noexcept { return id_; }
  /// Yields the value, as often as it is asked. Throws what to_cluster throws; expired once the
  /// outcome is older than options.keep.
  /// Cancel    the job goes on
  [[nodiscard]] task<R> result() const { return result_at(place_, id_); }
  /// Throws unavailable.
  [[nodiscard]] task<job_status> status() const { return status_at(place_, id_); }
  /// True: the job had no outcome, and is cancelled: whoever waits gets job_cancelled.
  [[nodiscard]] task<bool> cancel() const { return cancel_at(place_, id_); }
  /// Calls `f(done)` for the job's progress, in a thread of the library, until the outcome is there
  /// or `f`'s owner, which is yielded, is dropped.
  [[nodiscard]] std::shared_ptr<void> on_progress(std::function<void(double)> f) const {
    auto kept = std::make_shared<detail::progress_function>(std::move(f));
    place_->on_progress(id_, kept);
    return kept;
  }

 private:
  static task<R> result_at(std::shared_ptr<detail::backend> place, std::string id) {
    auto waiting = place->wait(std::move(id));
    auto o = co_await std::move(waiting);
    co_return detail::result_of<R>(std::move(o));
  }
  static task<job_status> status_at(std::shared_ptr<detail::backend> place, std::string id) {
    auto asking = place->status(std::move(id));
    co_return co_await std::move(asking);
  }
  static task<bool> cancel_at(std::shared_ptr<detail::backend> place, std::string id) {
    auto cancelling = place->cancel(std::move(id));
    co_return co_await std::move(cancelling);
  }

  std::shared_ptr<detail::backend> place_;
  std::string id_;
};

namespace detail {
template <class R>
task<handle<R>> submit_spec(std::shared_ptr<backend> place, call_spec s) {
  auto submitting = place->submit(std::move(s));
  auto id = co_await std::move(submitting);
  co_return handle<R>(std::move(place), std::move(id));
}
}  // namespace detail

/// Stores a job, and yields its handle once the cluster has accepted it. The job goes on whatever
/// becomes of this process.
/// Throws    queue_full and unavailable after options.submit_within; too_large; bad_arguments for
///           what cannot be encoded; bad_value; engine_unfit
/// Cancel    before it is accepted: the job is cancelled, too
template <class R, class... Args>
[[nodiscard]] task<handle<R>> submit(const job<R(Args...)>& j,
                                     const std::type_identity_t<std::decay_t<Args>>&... args) {
  return detail::submit_spec<R>(detail::current_backend(), j.spec(args...));
}
/// The same, but queue_full at once.
template <class R, class... Args>
[[nodiscard]] task<handle<R>> try_submit(const job<R(Args...)>& j,
                                         const std::type_identity_t<std::decay_t<Args>>&... args) {
  auto s = j.spec(args...);
  s.only_try = true;
  return detail::submit_spec<R>(detail::current_backend(), std::move(s));
}
/// The handle of a job that was submitted by any process. Asks nobody: an id that does not exist is
/// `expired` when its result is awaited.
/// Throws    bad_value for a text that is no id
template <class R, class... Args>
[[nodiscard]] handle<R> attach(const job<R(Args...)>&, std::string id) {
  return handle<R>(detail::current_backend(), detail::checked_id(std::move(id)));
}

}  // namespace heddle::cluster

namespace heddle {

/// Runs a job in the cluster, and yields its result: to_thread, on all machines. Without a cluster
/// it runs in this process, with the same encoding and the same errors.
/// Cost      the arguments are encoded in the calling task; two messages of the server and two
///           wake-ups of a thread
/// Throws    cluster::job_failed, job_lost, job_cancelled, no_such_job, bad_arguments, too_large,
///           queue_full, unavailable, engine_unfit; timeout_error by within() and by time_limit
/// Cancel    ends the wait at once; then the job is taken out of its queue, or cancelled where it
///           runs, in the background
/// Thread-safety  from any task of any runtime
template <class R, class... Args>
[[nodiscard]] task<R> to_cluster(const cluster::job<R(Args...)>& j,
                                 const std::type_identity_t<std::decay_t<Args>>&... args) {
  return cluster::detail::call_and_decode<R>(cluster::detail::current_backend(), j.spec(args...));
}

}  // namespace heddle
