// SPDX-License-Identifier: MIT
#include <heddle/core/errors.h>
#include <heddle/io/cluster/engine.h>
#include <heddle/io/cluster/token.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/wait_for.h>

#include <cstdio>

namespace heddle::cluster::detail {

namespace {
constexpr std::uint64_t most_dead_bytes = std::uint64_t{256} * 1024 * 1024;
constexpr duration set_up_pause = std::chrono::milliseconds(200);
constexpr duration tidy_pause = std::chrono::seconds(1);
constexpr std::size_t most_worker_name = 200;
/// A server may lose a job (README.md), so calls that wait are looked after: those that have waited
/// for so long, a few at a time. Of 10^5 calls each has its turn within a quarter of an hour.
constexpr duration look_after_at = std::chrono::seconds(10);
constexpr duration look_after_pause = std::chrono::seconds(1);
constexpr std::size_t looks_at_once = 128;
constexpr std::size_t cost_of_any = 16;  // the server compares with the subjects of all jobs
}  // namespace

engine::engine(const options& o, nats_link::dialer dial)
    : link(o, std::move(dial)),
      js(link, options_),
      names(o.name),
      options_(o),
      calls_owner_(random_token()),
      handles_owner_(random_token()) {
  link.on_up = [this] {
    counts.connects.fetch_add(1, std::memory_order_relaxed);
    create_task(set_up(link.session()));
  };
  link.on_down = [this] {
    ready_ = may_purge_ = false;
    if (!failed_) ready_event_.clear();
    for (const auto& f : on_lost) f();
  };
  for (const auto& owner : {calls_owner_, handles_owner_}) {
    link.subscribe(names.told(owner + ".*"), [this](nats_message&& m) { told(std::move(m)); });
    link.subscribe(names.begun(owner + ".*"), [this](nats_message&& m) { told_begun(m); });
    link.subscribe(names.who_began(owner + ".*"), [this](nats_message&& m) { asked_who_began(m); });
  }
}

task<> engine::run() {
  auto tidying = create_task(tidy());
  auto warning = create_task(warn_of_silence());
  auto looking = create_task(look_after());
  try {
    auto serving = link.run();
    co_await std::move(serving);
  } catch (const link_refused& e) {
    failed_ = std::make_exception_ptr(
        unavailable(std::string("the cluster refuses this program: ") + e.what(), false));
    ready_event_.set();
  }
}

void engine::warn(const std::string& text) const noexcept {
  try {
    if (options_.on_warning)
      options_.on_warning(text);
    else
      std::fprintf(stderr, "heddle: cluster %s: %s\n", options_.name.c_str(), text.c_str());
  } catch (...) {}  // NOLINT(bugprone-empty-catch): nobody else can get it
}

void engine::check_fit() const {
  const auto& i = link.info();
  if (!i.jetstream)
    throw engine_unfit("the server has no JetStream: start nats-server with -js (--jetstream)");
  if (compare_versions(i.version, 2, 9, 10) < 0)
    throw engine_unfit("nats-server " + i.version + " is too old: 2.9.10 or newer is needed");
  if (options_.replicas > 1 && compare_versions(i.version, 2, 10, 29) < 0)
    throw engine_unfit("replicas=" + std::to_string(options_.replicas) + " on nats-server " +
                       i.version +
                       ": its replicas diverge when leaders die; use 2.10.29 or newer, or "
                       "replicas=1");
}

task<> engine::make_streams() {
  stream_plan jobs;
  jobs.name = names.jobs;
  jobs.subjects = "[\"" + names.root + "j.>\"]";
  jobs.work_queue = true;
  jobs.max_messages = options_.max_jobs;
  jobs.max_bytes = options_.max_bytes;
  auto first = js.ensure_stream(std::move(jobs));
  co_await std::move(first);
  stream_plan outcomes;
  outcomes.name = names.outcomes;
  outcomes.subjects = "[\"" + names.root + "r.>\",\"" + names.root + "x.>\"]";
  outcomes.max_bytes = options_.max_bytes;
  outcomes.max_age = options_.keep;
  outcomes.republish_from = names.root + "r.>";
  outcomes.republish_to = names.root + "d.>";
  auto second = js.ensure_stream(std::move(outcomes));
  co_await std::move(second);
  stream_plan dead;
  dead.name = names.dead;
  dead.subjects = "[\"" + names.root + "dead.>\"]";
  dead.max_bytes = std::min(options_.max_bytes, most_dead_bytes);
  dead.max_age = options_.keep_dead;
  auto third = js.ensure_stream(std::move(dead));
  co_await std::move(third);
}

/// After a login: the streams, then the outcomes that came meanwhile.
task<> engine::set_up(std::uint64_t session) {
  for (;;) {
    try {
      check_fit();
      auto making = make_streams();
      co_await std::move(making);
      break;
    } catch (const engine_unfit&) {
      failed_ = std::current_exception();
      ready_event_.set();
      co_return;
    } catch (const std::exception& e) { trouble_ = e.what(); }
    if (!is_of(session)) co_return;
    co_await sleep(set_up_pause);
    if (!is_of(session)) co_return;
  }
  if (!is_of(session)) co_return;
  ready_ = true;
  ready_event_.set();
  for (const auto& f : on_ready) f();
  auto looking = recheck(session);
  const bool all = co_await std::move(looking);
  if (!all) co_return;
  may_purge_ = true;
  seen_event_.set();
}

task<> engine::ready(time_point end, bool maybe_accepted) {
  for (;;) {
    if (failed_) std::rethrow_exception(failed_);
    if (ready_) co_return;
    const auto left = time_left(end, clock::now());
    bool over = left <= duration::zero();
    if (!over) {
      try {
        (void)co_await wait_for(ready_event_.wait(), left);
      } catch (const timeout_error&) { over = true; }
    }
    if (over && !ready_ && !failed_)
      throw unavailable(
          "the cluster does not answer: " + (link.up() ? trouble_ : link.last_trouble()),
          maybe_accepted);
  }
}

/// Looks for the outcome of everything that is waited for. False: the connection was lost before it
/// was through; the next one begins anew.
task<bool> engine::recheck(std::uint64_t session) {
  std::vector<std::string> ids;
  ids.reserve(waiting_.size());
  for (const auto& [id, w] : waiting_) ids.push_back(id);
  for (const auto& id : ids) {
    for (;;) {
      if (!is_of(session)) co_return false;
      try {
        auto looking = look_again(id);
        co_await std::move(looking);
        break;
      } catch (const std::exception& e) { trouble_ = e.what(); }
      co_await sleep(set_up_pause);
    }
  }
  co_return is_of(session);
}

/// An outcome that came while there was no connection. If there is none and no job either, the
/// outcome was older than options.keep: nobody will ever tell of it.
task<> engine::look_again(std::string id) {
  if (!waiting_.contains(id)) co_return;
  auto asking = js.last(names.outcomes, names.outcome(id));
  auto found = co_await std::move(asking);
  if (!found) {
    auto at = waiting_.find(id);
    if (at == waiting_.end() || !at->second.accepted) co_return;
    auto looking = js.last(names.jobs, subject_of(id, at->second));
    const auto job = co_await std::move(looking);
    if (job) co_return;
    auto again = js.last(names.outcomes, names.outcome(id));  // it may have ended in between
    found = co_await std::move(again);
    at = waiting_.find(id);
    if (at == waiting_.end()) co_return;
    if (!found) {
      tell_vanished(id, at->second);
      co_return;
    }
  }
  deliver(id, outcome_of(found->headers, std::move(found->payload)));
}

/// Where the job stands. A key's may have been submitted to another queue. A call that made its id
/// is the oldest that waits for it, unless it has gone, and others wait on.
std::string engine::subject_of(const std::string& id, const watched& w) const {
  const auto& oldest = w.waiters.back();
  if (!id.starts_with(calls_owner_) || oldest.queue.empty()) return names.any_job(id);
  return names.job(oldest.queue, oldest.first, id);
}

/// A call begins anew, unless its outcome may have been there, and have become too old.
void engine::tell_vanished(const std::string& id, watched& w) {
  for (auto& one : w.waiters) {
    const bool anew = !one.queue.empty() && clock::now() - one.since < duration(options_.keep);
    (void)one.end.state().fail(anew ? std::make_exception_ptr(vanished())
                                    : std::make_exception_ptr(gone(id)));  // unless cancelled
  }
}

/// What has waited long, from where the last look ended.
std::vector<std::string> engine::next_to_look_at() {
  std::vector<std::string> ids;
  const auto before = clock::now() - look_after_at;
  const auto buckets = waiting_.bucket_count();
  std::size_t cost = 0;
  for (std::size_t i = 0; i < buckets && cost < looks_at_once; ++i) {
    const auto bucket = looked_at_++ % buckets;
    for (auto at = waiting_.begin(bucket); at != waiting_.end(bucket); ++at) {
      const auto& w = at->second;
      if (!w.accepted || w.waiters.back().since >= before) continue;
      ids.push_back(at->first);
      cost += at->first.starts_with(calls_owner_) ? 1 : cost_of_any;
    }
  }
  return ids;
}

/// Asks for the outcomes of calls that have waited long, as recheck() does after a reconnect.
task<> engine::look_after() {
  for (;;) {
    co_await waits_event_.wait();
    co_await sleep(look_after_pause);
    if (!ready_) continue;
    const auto ids = next_to_look_at();
    for (const auto& id : ids) {
      try {
        auto looking = look_again(id);
        co_await std::move(looking);
      } catch (const std::exception& e) {
        trouble_ = e.what();
        break;
      }
    }
  }
}

expired engine::gone(const std::string& id) const {
  return expired(
      "the cluster \"" + options_.name + "\" knows no job " + id +
      ": its outcome was kept for the time of options.keep and is gone, or it never was");
}

/// Drops the outcomes of calls that have come. Those are asked for by nobody any more.
task<> engine::tidy() {
  for (;;) {
    co_await seen_event_.wait();
    co_await sleep(tidy_pause);
    seen_event_.clear();
    const auto upto = seen_;
    if (upto <= purged_ || !may_purge_ || !ready_) continue;
    try {
      auto purging = js.purge(names.outcomes, names.outcome(calls_owner_ + ".*"), upto + 1);
      co_await std::move(purging);
      purged_ = upto;
    } catch (const std::exception& e) { trouble_ = e.what(); }
  }
}

/// Names queues in which jobs wait that nobody serves.
task<> engine::warn_of_silence() {
  const duration pause = std::max(duration(options_.warn_after), duration(1));
  for (;;) {
    if (waiting_.empty()) waits_event_.clear();
    co_await waits_event_.wait();
    co_await sleep(pause / 2);
    const auto before = clock::now() - pause;
    std::map<std::string, bool> late;
    for (const auto& [id, w] : waiting_)
      for (const auto& one : w.waiters)
        if (!one.queue.empty() && one.since < before) late[one.queue] = true;
    for (const auto& [queue, yes] : late) {
      if (!ready_ || warned_.contains(queue)) continue;
      try {
        auto asking = link.request(names.serves(queue), {}, {}, options_.request_limit);
        const auto answer = co_await std::move(asking);
        if (answer.headers.status() != js_no_responders) continue;
        warned_[queue] = true;
        warn("nobody serves the queue \"" + queue +
             "\": jobs wait in it until a worker with that queue starts");
      } catch (const std::exception& e) { trouble_ = e.what(); }
    }
  }
}

void engine::told(nats_message&& m) {
  const auto& prefix = names.root;
  const auto id = m.subject.substr(std::min(m.subject.size(), prefix.size() + 2));
  std::uint64_t sequence = 0;
  (void)heddle::detail::parse_number(m.headers.get("Nats-Sequence"), sequence);
  if (id.starts_with(calls_owner_)) {
    seen_ = std::max(seen_, sequence);
    seen_event_.set();
  }
  if (waiting_.contains(id))
    deliver(id, outcome_of(m.headers, std::move(m.payload)));
  else
    stop_following(id);
}

/// A worker is about to begin a job for the first time. If it dies of it, no note tells its name.
void engine::told_begun(const nats_message& m) {
  const auto at =
      waiting_.find(m.subject.substr(std::min(m.subject.size(), names.root.size() + 2)));
  if (at != waiting_.end()) at->second.worker = m.payload.substr(0, most_worker_name);
}

void engine::asked_who_began(const nats_message& m) {
  const auto at =
      waiting_.find(m.subject.substr(std::min(m.subject.size(), names.root.size() + 2)));
  if (at == waiting_.end() || at->second.worker.empty() || m.reply.empty() || !link.up()) return;
  link.publish(m.reply, {}, {}, at->second.worker);
}

void engine::deliver(const std::string& id, outcome o) {
  const auto at = waiting_.find(id);
  if (at == waiting_.end()) return;
  stop_following(id);
  const auto kind = static_cast<std::size_t>(o.kind);
  auto& waiters = at->second.waiters;
  for (auto& w : waiters) {
    const bool last = &w == &waiters.back();
    if (last ? w.end.try_set_value(std::move(o)) : w.end.try_set_value(o))
      counts.outcomes[kind].fetch_add(1, std::memory_order_relaxed);
  }
}

void engine::count_round_trip(duration took) {
  const std::lock_guard hold(round_trip_lock_);
  round_trip_.add(took);
}

statistics engine::stats() const {
  const auto read = [](const std::atomic<std::uint64_t>& n) {
    return n.load(std::memory_order_relaxed);
  };
  const auto of = [&](outcome_kind k) {
    return read(counts.outcomes[static_cast<std::size_t>(k)]);
  };
  statistics s;
  s.submitted = read(counts.submitted);
  s.submitted_again = read(counts.submitted_again);
  s.values = of(outcome_kind::value);
  s.failed = of(outcome_kind::failed);
  s.lost = of(outcome_kind::lost);
  s.cancelled = of(outcome_kind::cancelled);
  s.timed_out = of(outcome_kind::timeout);
  s.refused =
      of(outcome_kind::too_large) + of(outcome_kind::bad_arguments) + of(outcome_kind::no_such_job);
  s.started = read(counts.started);
  s.redelivered = read(counts.redelivered);
  s.skipped = read(counts.skipped);
  s.dropped = read(counts.dropped);
  s.given_back = read(counts.given_back);
  s.dead = read(counts.dead);
  s.connects = read(counts.connects);
  const std::lock_guard hold(round_trip_lock_);
  s.round_trip = round_trip_;
  return s;
}

}  // namespace heddle::cluster::detail
