// SPDX-License-Identifier: MIT
// What becomes of a delivery.
#include <heddle/core/errors.h>
#include <heddle/io/cluster/worker_core.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/wait_for.h>

#include <algorithm>

namespace heddle::cluster::detail {

namespace {

/// Pauses before a job that nobody here knows is offered again.
constexpr duration first_unknown_pause = std::chrono::seconds(1);
constexpr duration last_unknown_pause = std::chrono::seconds(30);
/// Progress is told this often at most.
constexpr duration progress_pause = std::chrono::milliseconds(100);
/// What an outcome's headers may add to its value, in bytes.
constexpr std::size_t outcome_headers = 1024;

/// Runs a job on the loops of the user. Whatever becomes of the task, `done` is set or dropped.
task<> run_on_loops(const implementation& code, std::shared_ptr<job_run> run, std::string arguments,
                    std::uint64_t signature, job_place place, std::shared_ptr<slot_lender> lender,
                    std::shared_ptr<backend> place_of_worker, promise<ran> done) {
  set_current_lender(std::move(lender));
  set_current_backend(std::move(place_of_worker));
  auto running = execute(code, std::move(run), std::move(arguments), signature, std::move(place));
  auto r = co_await std::move(running);
  (void)done.try_set_value(std::move(r));
}

std::string nak(duration pause) {
  if (pause <= duration::zero()) return "-NAK";
  return "-NAK {\"delay\": " + std::to_string(pause.count()) + "}";
}

}  // namespace

task<> worker_core::run_delivery(job_ptr j) {
  const auto self = shared_from_this();
  try {
    auto handling = handle(j);
    co_await std::move(handling);
  } catch (const std::exception& e) {
    engine_.warn("the job " + j->job.id + " could not be handled: " + e.what());
  }
  active_.erase(j->ack);
  if (!j->stuck) lend();
  changed();
}

task<> worker_core::handle(job_ptr j) {
  auto& c = j->job.call;
  j->place.job = kind_of(c.name, c.options.version);
  j->place.id = j->job.id;
  j->place.worker = options_.name;
  j->place.host = host_name();
  auto looking = settled_before(j);
  const bool settled = co_await std::move(looking);
  if (settled) co_return;
  auto counting = count_attempts(j);
  const bool fit = co_await std::move(counting);
  if (!fit) co_return;
  // A job at its last attempt may be what killed its workers. Several of them begun at one time
  // would all be lost with the worker that one of them kills.
  struct turn {
    task_handle<> kept;
    ~turn() {
      if (kept.valid()) kept.cancel();
    }
  } last;
  if (j->before.died() > 0 && j->before.died() + 1 >= c.options.attempts) {
    auto guard = co_await last_chance_.scoped_lock();
    turn_held turn{shared_from_this(), std::move(guard)};
    last.kept = create_task(keep_turn(std::move(turn), ack_wait_));
  }
  if (j->cancelled) {  // while it was held
    auto storing = store_cancelled(j);
    co_await std::move(storing);
    co_return;
  }
  if (draining_) {
    auto returning = return_unstarted(j, duration::zero());
    co_await std::move(returning);
    co_return;
  }
  auto judging = is_late(j);
  const bool too_late = co_await std::move(judging);
  if (too_late) {
    outcome late;
    late.kind = outcome_kind::timeout;
    late.place = j->place;
    late.texts = {"its time was over before a worker had a place for it"};
    auto storing = store(j, std::move(late));
    (void)co_await std::move(storing);
    co_return;
  }
  j->code = find_implementation(j->place.job);
  auto going = j->code ? start(j) : unknown(j);
  co_await std::move(going);
}

/// True: the job has an outcome, so there is nothing to run.
task<bool> worker_core::settled_before(const job_ptr& j) {
  if (j->from.times <= 1 && !j->job.id.starts_with("k.")) co_return false;
  auto asking = engine_.stored_outcome(j->job.id);
  const auto found = co_await std::move(asking);
  if (!found) co_return false;
  engine_.counts.skipped.fetch_add(1, std::memory_order_relaxed);
  auto done = acknowledge(j, "+ACK");
  co_await std::move(done);
  co_return true;
}

/// True: its time was over before it could begin. The server's clock may have jumped since it was
/// read, so it is read again before a job is refused for it.
task<bool> worker_core::is_late(job_ptr j) {
  const auto& within = j->job.call.within;
  if (!within) co_return false;
  const auto end = j->from.stored_ns + within->count();
  const auto began = clock::now();
  while (server_now_ns() > end) {
    if (clock_learned_ >= began) co_return true;
    auto waiting = engine_.ready(time_point::max());
    co_await std::move(waiting);
    auto learning = learn_server_clock();
    const bool learned = co_await std::move(learning);
    if (!learned) co_await sleep(retry_questions);
  }
  co_return false;
}

/// A job of a kind that this program does not know: another worker may.
task<> worker_core::unknown(job_ptr j) {
  const auto age = duration(server_now_ns() - j->from.stored_ns);
  if (age < duration(options_.unknown_limit)) {
    auto pause = first_unknown_pause;
    for (std::uint64_t n = 1; n < j->from.times && pause < last_unknown_pause; ++n) pause *= 2;
    auto returning = return_unstarted(j, std::min(pause, last_unknown_pause));
    co_await std::move(returning);
    co_return;
  }
  outcome none;
  none.kind = outcome_kind::no_such_job;
  none.place = j->place;
  auto writing = write_dead_letter(j, "no worker knows this kind of job");
  co_await std::move(writing);
  auto storing = store(j, std::move(none));
  (void)co_await std::move(storing);
}

task<> worker_core::start(job_ptr j) {
  if (j->from.times > 1) engine_.counts.redelivered.fetch_add(1, std::memory_order_relaxed);
  auto noting = note_start(j);
  co_await std::move(noting);
  if (stopped_) {
    auto returning = return_unstarted(j, duration::zero());
    co_await std::move(returning);
    co_return;
  }
  engine_.counts.started.fetch_add(1, std::memory_order_relaxed);
  auto& run = *j->run;
  run.id = j->job.id;
  run.worker = options_.name;
  const auto self = shared_from_this();
  run.tell = [weak = std::weak_ptr<held_job>(j), place = place_](double done) {
    if (const auto here = weak.lock()) tell_progress(place, here, done);
  };
  promise<ran> done;
  auto result = done.get_future();
  result.add_done_callback([j, self](const future<ran>& end) {
    try {
      j->result = end.result();
    } catch (...) {  // NOLINT(bugprone-empty-catch): it was cancelled, and has no result
    }
    (void)j->concluded.try_set_value();
    if (j->stuck) self->lend();  // it had kept its slot
  });
  j->started = true;
  j->since = clock::now();
  try {
    j->running = loops_.submit(run_on_loops(*j->code, j->run, std::move(j->job.call.arguments),
                                            j->job.call.signature, j->place, self, place_.lock(),
                                            std::move(done)));
  } catch (const usage_error&) {  // the user's runtime ends
    j->give_back = true;
    (void)j->concluded.try_set_value();
  }
  if (j->cancelled) cancel_run(j);
  task_handle<> limit;
  if (j->job.call.options.time_limit.count() > 0) limit = create_task(watch_limit(j));
  auto end = j->concluded.get_future();
  co_await end;
  if (limit.valid()) limit.cancel();
  auto concluding = conclude(j);
  co_await std::move(concluding);
}

task<> worker_core::watch_limit(job_ptr j) {
  co_await sleep(duration(j->job.call.options.time_limit));
  j->timed_out = true;
  cancel_run(j);
  if (!j->code->function) co_return;
  co_await sleep(duration(options_.stuck_after));
  if (j->concluded.done()) co_return;
  j->stuck = true;
  engine_.warn("the job " + j->place.job + " (" + j->job.id +
               ") still runs after its time limit, and keeps a slot of " + options_.name);
  (void)j->concluded.try_set_value();
}

task<> worker_core::conclude(job_ptr j) {
  const auto last = j->run->last_progress.load(std::memory_order_acquire);
  if (last > j->progress && engine_.link.up())
    engine_.link.publish(engine_.names.progress(j->job.id), {}, {}, std::to_string(last));
  if (j->cancelled) {
    if (j->result) engine_.counts.dropped.fetch_add(1, std::memory_order_relaxed);
    auto storing = store_cancelled(j);
    co_await std::move(storing);
    co_return;
  }
  if (j->timed_out) {
    outcome late;
    late.kind = outcome_kind::timeout;
    late.place = j->place;
    late.texts = {"its time limit has passed"};
    auto storing = store(j, std::move(late));
    (void)co_await std::move(storing);
    co_return;
  }
  if (!j->result) {  // cancelled by stop(), or its runtime has ended
    auto returning = return_unstarted(j, duration::zero());
    co_await std::move(returning);
    co_return;
  }
  auto& r = *j->result;
  const auto& retry = j->job.call.options.retry;
  if (r.may_retry && j->before.thrown < retry.times) {
    auto now = j->history(options_.name);
    ++now.thrown;
    auto noting = note_end(j, 'r', std::move(now));
    co_await std::move(noting);
    auto again = acknowledge(
        j, nak(retry_pause(retry, heddle::detail::saturated<unsigned>(j->before.thrown + 2))));
    co_await std::move(again);
    co_return;
  }
  const auto most = engine_.link.info().max_payload;
  if (r.result.value.size() + outcome_headers > most) {
    outcome big;
    big.kind = outcome_kind::too_large;
    big.place = j->place;
    big.size = r.result.value.size();
    big.limit = most;
    big.texts = {std::to_string(big.size) + " bytes, and the server takes " + std::to_string(most)};
    r.result = std::move(big);
  }
  auto storing = store(j, std::move(r.result));
  const bool first = co_await std::move(storing);
  if (!first) engine_.counts.dropped.fetch_add(1, std::memory_order_relaxed);
}

/// Who asked for the cancellation has stored the outcome first (engine::end_job). But anybody can
/// publish what asks for it, and no job may go without an outcome.
task<> worker_core::store_cancelled(job_ptr j) {
  outcome gone;
  gone.kind = outcome_kind::cancelled;
  gone.place = j->place;
  auto storing = store(std::move(j), std::move(gone));
  (void)co_await std::move(storing);
}

/// Stores the outcome, however long it takes, then acknowledges. Meanwhile nothing new is pulled.
/// False: there was one already.
task<bool> worker_core::store(job_ptr j, outcome o) {
  o.arguments_hash = j->job.arguments_hash;
  storing_late late(*this);
  const auto before = acks_sent_;
  auto storing = engine_.store(std::move(o), [&late] { late.begin(); });
  const int code = co_await std::move(storing);
  while (!unsure_.empty() && unsure_.front().first <= before) unsure_.pop_front();
  auto done = acknowledge(std::move(j), "+ACK");
  co_await std::move(done);
  co_return code != js_wrong_last_sequence;
}

task<> worker_core::acknowledge(job_ptr j, std::string word) {
  for (;;) {
    if (!engine_.is_ready()) {
      auto waiting = engine_.ready(time_point::max());
      co_await std::move(waiting);
    }
    try {
      engine_.link.publish(j->ack, {}, {}, word);
      // A lost "-NAK" costs time alone, and a late one could end a later delivery.
      if (word == "+ACK") unsure_.emplace_back(++acks_sent_, j->ack);
      co_return;
    } catch (const link_lost&) { continue; }
  }
}

/// After a reconnect. A job whose acknowledgement was lost is delivered again; its outcome may have
/// been fetched and dropped by then, and the job would run twice.
void worker_core::acknowledge_again() noexcept {
  try {
    for (const auto& [number, ack] : unsure_) engine_.link.publish(ack, {}, {}, "+ACK");
  } catch (...) {  // NOLINT(bugprone-empty-catch): the connection is lost again, and made again
  }
}

/// Gives a delivery back, so that it costs the job no attempt.
task<> worker_core::return_unstarted(job_ptr j, duration pause) {
  const auto self = shared_from_this();
  engine_.counts.given_back.fetch_add(1, std::memory_order_relaxed);
  auto noting = note_end(j, 'b', j->before);
  co_await std::move(noting);
  auto giving = acknowledge(j, nak(pause));
  co_await std::move(giving);
  active_.erase(j->ack);
  changed();
}

namespace {
task<> tell_from_loop(std::shared_ptr<held_job> j, engine& e) {
  co_await sleep(time_left(j->told + progress_pause, clock::now()));
  auto& run = *j->run;
  run.telling.store(false, std::memory_order_release);
  if (j->concluded.done() || !e.link.up()) co_return;
  j->told = clock::now();
  j->progress = run.last_progress.load(std::memory_order_acquire);
  e.link.publish(e.names.progress(j->job.id), {}, {}, std::to_string(j->progress));
}
}  // namespace

/// From any thread, as often as the job likes: only each tenth of a second costs a wake-up.
void worker_core::tell_progress(const std::weak_ptr<remote>& place, const job_ptr& j, double done) {
  j->run->last_progress.store(done, std::memory_order_release);
  if (j->run->telling.exchange(true, std::memory_order_acq_rel)) return;
  if (const auto here = place.lock()) (void)here->post(tell_from_loop(j, here->core()));
}

}  // namespace heddle::cluster::detail
