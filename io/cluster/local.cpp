// SPDX-License-Identifier: MIT
// Jobs without a cluster: they run in this process, as tasks of the caller's runtime, and pass
// through the same encoding.
#include <heddle/core/errors.h>
#include <heddle/core/future.h>
#include <heddle/io/cluster/call.h>
#include <heddle/io/cluster/running.h>
#include <heddle/io/cluster/token.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/wait_for.h>

#include <array>
#include <atomic>
#include <map>
#include <mutex>

namespace heddle::cluster::detail {

namespace {

/// A job of this process. All but `spec` and `run` under the lock of the backend.
struct local_job {
  call_spec spec;
  std::shared_ptr<job_run> run = std::make_shared<job_run>();
  std::uint64_t hash = 0;
  std::optional<outcome> end;
  time_point ended{};
  std::vector<promise<outcome>> waiters;
  task_handle<> task;
  bool kept = false;  // its outcome stays for options.keep
  std::vector<std::weak_ptr<progress_function>> followers;
};

class local_place final : public backend, public std::enable_shared_from_this<local_place> {
 public:
  explicit local_place(const options& o) : options_(o) {}

  [[nodiscard]] bool local() const noexcept override { return true; }
  [[nodiscard]] task<> connect() override { co_return; }
  [[nodiscard]] task<outcome> call(call_spec s) override;
  [[nodiscard]] task<std::string> submit(call_spec s) override;
  [[nodiscard]] task<outcome> wait(std::string id) override;
  [[nodiscard]] task<bool> cancel(std::string id) override;
  [[nodiscard]] task<job_status> status(std::string id) override;
  void on_progress(std::string id, std::weak_ptr<progress_function> f) override;
  [[nodiscard]] statistics stats() const override;

 private:
  using job_ptr = std::shared_ptr<local_job>;

  [[nodiscard]] job_ptr begin(call_spec s, bool kept);
  [[nodiscard]] job_ptr find(const std::string& id);
  [[nodiscard]] task<outcome> wait_for_end(job_ptr job);
  [[nodiscard]] task<> run(job_ptr job);
  [[nodiscard]] task<ran> run_once(job_ptr job, const implementation& i, job_place place);
  bool finish(const job_ptr& job, outcome o);
  void stop(const job_ptr& job) noexcept;
  void tell(const std::string& id, double done);
  void forget_old();

  const options options_;
  const std::string owner_ = random_token();
  mutable std::mutex lock_;
  std::uint64_t last_ = 0;
  std::map<std::string, job_ptr> jobs_;
  statistics counts_;
};

void local_place::forget_old() {
  const auto now = clock::now();
  for (auto at = jobs_.begin(); at != jobs_.end();) {
    const bool old = at->second->end && now - at->second->ended > duration(options_.keep);
    at = old ? jobs_.erase(at) : std::next(at);
  }
}

local_place::job_ptr local_place::begin(call_spec s, bool kept) {
  const auto hash = hash_of(s.arguments, hash_of(kind_of(s.name, s.options.version)));
  job_ptr job;
  {
    const std::lock_guard hold(lock_);
    if (kept || !s.key.empty()) forget_old();
    const auto id =
        s.key.empty() ? owner_ + "." + std::to_string(++last_) : "k." + key_token(s.key);
    if (const auto at = jobs_.find(id); at != jobs_.end()) {
      if (at->second->hash != hash)
        throw bad_value("the key \"" + s.key + "\" of " + kind_of(s.name, s.options.version) +
                        " is taken by a job with other arguments");
      return at->second;
    }
    job = std::make_shared<local_job>();
    job->hash = hash;
    job->kept = kept || !s.key.empty();
    job->spec = std::move(s);
    job->run->id = id;
    job->run->worker = "local";
    job->run->tell = [this, id](double done) { tell(id, done); };
    jobs_.emplace(id, job);
    ++counts_.submitted;
  }
  auto running = create_task(run(job));
  const std::lock_guard hold(lock_);
  job->task = std::move(running);
  return job;
}

local_place::job_ptr local_place::find(const std::string& id) {
  const std::lock_guard hold(lock_);
  forget_old();
  const auto at = jobs_.find(id);
  return at == jobs_.end() ? nullptr : at->second;
}

bool local_place::finish(const job_ptr& job, outcome o) {
  std::vector<promise<outcome>> waiters;
  {
    const std::lock_guard hold(lock_);
    if (job->end) return false;
    switch (o.kind) {
      case outcome_kind::value: ++counts_.values; break;
      case outcome_kind::failed: ++counts_.failed; break;
      case outcome_kind::cancelled: ++counts_.cancelled; break;
      case outcome_kind::timeout: ++counts_.timed_out; break;
      case outcome_kind::lost: ++counts_.lost; break;
      default: ++counts_.refused; break;
    }
    job->end = o;
    job->ended = clock::now();
    job->followers.clear();
    waiters = std::move(job->waiters);
    if (!job->kept) jobs_.erase(job->run->id);
  }
  for (auto& w : waiters) (void)w.try_set_value(o);
  return true;
}

void local_place::stop(const job_ptr& job) noexcept {
  job->run->stop();
  task_handle<> running;
  {
    const std::lock_guard hold(lock_);
    running = job->task;
  }
  if (running.valid()) running.cancel();
}

task<ran> local_place::run_once(job_ptr job, const implementation& i, job_place place) {
  const auto limit = duration(job->spec.options.time_limit);
  if (limit <= duration::zero()) {
    auto running = execute(i, job->run, job->spec.arguments, job->spec.signature, place);
    co_return co_await std::move(running);
  }
  try {
    auto limited = heddle::wait_for(
        execute(i, job->run, job->spec.arguments, job->spec.signature, place), limit);
    co_return co_await std::move(limited);
  } catch (const timeout_error&) { job->run->stop(); }
  ran r;
  r.result.kind = outcome_kind::timeout;
  r.result.place = std::move(place);
  co_return r;
}

task<> local_place::run(job_ptr job) {
  const auto self = shared_from_this();
  const auto& s = job->spec;
  job_place place;
  place.job = kind_of(s.name, s.options.version);
  place.id = job->run->id;
  place.worker = "local";
  place.host = host_name();
  const auto* i = find_implementation(place.job);
  if (!i) {
    outcome none;
    none.kind = outcome_kind::no_such_job;
    none.place = place;
    (void)finish(job, std::move(none));
    co_return;
  }
  try {
    for (unsigned attempt = 1;; ++attempt) {
      job->run->attempt = place.attempt = attempt;
      {
        const std::lock_guard hold(lock_);
        ++counts_.started;
      }
      auto once = run_once(job, *i, place);
      auto r = co_await std::move(once);
      if (!r.may_retry || attempt > s.options.retry.times) {
        (void)finish(job, std::move(r.result));
        co_return;
      }
      co_await sleep(retry_pause(s.options.retry, attempt + 1));
    }
  } catch (const cancelled_error&) {
    outcome gone;
    gone.kind = outcome_kind::cancelled;
    gone.place = place;
    (void)finish(job, std::move(gone));
    throw;
  }
}

task<outcome> local_place::wait_for_end(job_ptr job) {
  future<outcome> coming;
  {
    const std::lock_guard hold(lock_);
    if (job->end) co_return *job->end;
    promise<outcome> mine;
    coming = mine.get_future();
    job->waiters.push_back(std::move(mine));
  }
  co_return co_await std::move(coming);
}

task<outcome> local_place::call(call_spec s) {
  const auto within = s.within;
  const auto kind = kind_of(s.name, s.options.version);
  const auto began = clock::now();
  auto job = begin(std::move(s), false);
  auto alone = [&] {
    const std::lock_guard hold(lock_);
    std::size_t n = 0;
    for (const auto& w : job->waiters) n += !w.done();
    return n == 0;
  };
  try {
    std::optional<any_duration> limit;
    if (within) limit = *within;
    auto waiting = heddle::wait_for(wait_for_end(job), limit);
    auto o = co_await std::move(waiting);
    const std::lock_guard hold(lock_);
    counts_.round_trip.add(clock::now() - began);
    co_return o;
  } catch (const cancelled_error&) {
    if (alone()) stop(job);
    throw;
  } catch (const timeout_error&) {
    if (alone()) stop(job);
  }
  throw timeout_error(kind + " had no outcome within its time");
}

task<std::string> local_place::submit(call_spec s) {
  auto job = begin(std::move(s), true);
  co_return job->run->id;
}

task<outcome> local_place::wait(std::string id) {
  auto job = find(id);
  if (!job)
    throw expired(
        "this process knows no job " + id +
        ": its outcome was kept for the time of options.keep and is gone, or it never was");
  auto waiting = wait_for_end(std::move(job));
  co_return co_await std::move(waiting);
}

task<bool> local_place::cancel(std::string id) {
  auto job = find(id);
  if (!job) co_return false;
  outcome gone;
  gone.kind = outcome_kind::cancelled;
  gone.place.id = id;
  gone.place.job = kind_of(job->spec.name, job->spec.options.version);
  const bool first = finish(job, std::move(gone));
  if (first) stop(job);
  co_return first;
}

task<job_status> local_place::status(std::string id) {
  auto job = find(id);
  if (!job) co_return job_status::unknown;
  const std::lock_guard hold(lock_);
  co_return job->end ? job_status::done : job_status::running;
}

void local_place::on_progress(std::string id, std::weak_ptr<progress_function> f) {
  if (auto job = find(id)) {
    const std::lock_guard hold(lock_);
    if (!job->end) job->followers.push_back(std::move(f));
  }
}

void local_place::tell(const std::string& id, double done) {
  std::vector<std::weak_ptr<progress_function>> followers;
  {
    const std::lock_guard hold(lock_);
    const auto at = jobs_.find(id);
    if (at != jobs_.end()) followers = at->second->followers;
  }
  for (const auto& weak : followers)
    if (const auto f = weak.lock()) (*f)(done);
}

statistics local_place::stats() const {
  const std::lock_guard hold(lock_);
  return counts_;
}

}  // namespace

std::shared_ptr<backend> make_local(const options& o) { return std::make_shared<local_place>(o); }

}  // namespace heddle::cluster::detail
