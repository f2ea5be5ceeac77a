// SPDX-License-Identifier: MIT
// The calls of engine: submit, wait, cancel.
#include <heddle/core/errors.h>
#include <heddle/io/cluster/engine.h>
#include <heddle/io/cluster/token.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/wait_for.h>

#include <algorithm>
#include <utility>

namespace heddle::cluster::detail {

namespace {

constexpr duration first_pause = std::chrono::milliseconds(20);
constexpr duration last_pause = std::chrono::milliseconds(500);
/// How long workers are asked whether one of them runs a job.
constexpr duration ask_limit = std::chrono::milliseconds(300);
/// What a job's headers may add to its arguments, in bytes.
constexpr std::size_t least_message = 1024;

bool says_full(const std::string& text) { return text.find("maximum") != std::string::npos; }

/// How long after it is stored a worker may still begin the job: to the end of within(), or of a
/// block around the caller.
std::optional<duration> time_to_begin(const call_spec& s, time_point began) {
  auto end = s.until;
  if (s.within) {
    const auto mine = saturating_add(began, *s.within);
    if (!end || mine < *end) end = mine;
  }
  if (!end) return std::nullopt;
  return std::max(time_left(*end, clock::now()), duration(1));
}

std::uint64_t arguments_hash(const call_spec& s) {
  return hash_of(s.arguments, hash_of(kind_of(s.name, s.options.version))) | 1U;
}

}  // namespace

class engine::place {
 public:
  place(engine& e, const std::string& id, std::string queue = {}, priority first = priority::normal)
      : engine_(e), id_(id) {
    auto& w = e.waiting_[id];
    const bool own = id.starts_with(e.calls_owner_) || id.starts_with(e.handles_owner_);
    if (!own && !w.sid)
      w.sid = e.link.subscribe(e.names.told(id), [&e](nats_message&& m) { e.told(std::move(m)); });
    e.waits_event_.set();
    w.waiters.emplace_front();
    at_ = w.waiters.begin();
    at_->queue = std::move(queue);
    at_->first = first;
    at_->since = clock::now();
  }
  place(const place&) = delete;
  ~place() {
    const auto found = engine_.waiting_.find(id_);
    found->second.waiters.erase(at_);
    if (!found->second.waiters.empty()) return;
    if (found->second.sid) engine_.link.unsubscribe(found->second.sid);
    engine_.waiting_.erase(found);
  }
  [[nodiscard]] future<outcome> end() const { return at_->end.get_future(); }
  [[nodiscard]] time_point since() const noexcept { return at_->since; }
  [[nodiscard]] bool alone() const {
    return engine_.waiting_.find(id_)->second.waiters.size() == 1;
  }
  /// The cluster has the job: if it is neither there nor has an outcome, it is gone.
  void accepted() { engine_.waiting_.find(id_)->second.accepted = true; }
  /// After it has vanished: waits for the outcome of what is submitted again.
  void renew() {
    auto& w = engine_.waiting_.find(id_)->second;
    w.accepted = false;
    w.worker.clear();
    at_->end = {};
  }

 private:
  engine& engine_;
  std::string id_;
  std::list<waiter>::iterator at_;
};

/// True: the key is known, and made.done has its outcome if there is one.
task<bool> engine::look_at_key(const call_spec& s, submission& made) {
  const auto hash = arguments_hash(s);
  auto asking = js.last(names.outcomes, names.outcome(made.id));
  auto found = co_await std::move(asking);
  std::uint64_t known = 0;
  if (found) {
    made.done = outcome_of(found->headers, std::move(found->payload));
    known = made.done->arguments_hash;
  } else {
    auto looking = js.last(names.jobs, names.any_job(made.id));
    found = co_await std::move(looking);
    if (!found) co_return false;
    made.sequence = found->sequence;
    known = job_of(found->headers, {}).arguments_hash;
  }
  if (known && known != hash)
    throw bad_value("the key \"" + s.key + "\" of " + kind_of(s.name, s.options.version) +
                    " is taken by a job with other arguments");
  made.accepted = true;
  co_return true;
}

/// What an answer to a submit means. True: it is over; false: it must be sent again.
task<bool> engine::judge(const call_spec& s, submission& made, const pub_ack& ack, time_point end) {
  if (ack.code == 0) {
    made.sequence = ack.sequence;
    made.accepted = true;
    if ((!ack.duplicate || s.key.empty()) && !made.again)
      counts.submitted.fetch_add(1, std::memory_order_relaxed);
    co_return true;
  }
  if (ack.code == js_wrong_last_sequence) {
    if (s.key.empty()) {  // an earlier send of this job had arrived
      made.accepted = true;
      if (!made.again) counts.submitted.fetch_add(1, std::memory_order_relaxed);
      co_return true;
    }
    auto looking = look_at_key(s, made);
    co_return co_await std::move(looking);
  }
  const bool late = clock::now() >= end;
  if (ack.code == js_too_long)
    throw too_large("the server takes no message of this size: " + ack.text, s.arguments.size(),
                    link.info().max_payload);
  if (ack.code == js_store_failed && says_full(ack.text)) {
    if (s.only_try || late)
      throw queue_full("the cluster \"" + options_.name + "\" holds as many jobs as it may (" +
                       ack.text + "): add workers, or raise max_jobs and max_bytes");
    co_return false;
  }
  if (late) throw unavailable("the cluster does not accept jobs: " + ack.text, made.sent);
  trouble_ = ack.text;
  co_return false;
}

/// As accept_now(), one submit of a key after the other.
task<> engine::accept(const call_spec& s, submission& made) {
  auto& turns = key_turns_[hash_of(s.key) % key_turns_.size()];
  const auto turn = co_await turns.scoped_lock();
  auto accepting = accept_now(s, made);
  co_await std::move(accepting);
}

/// Ends when the cluster has stored the job, or had it already.
task<> engine::accept_now(const call_spec& s, submission& made) {
  const auto began = clock::now();
  const auto end = saturating_add(began, options_.submit_within);
  std::string send_id = made.id;
  // A key's job may be stored again once its outcome is gone, and the server forgets the ids that
  // it saw later than that. The key's subject and the look before the send keep it single. So does
  // the subject of a job that the server has lost, whose id it has not forgotten.
  if (!s.key.empty() || made.again) send_id += "." + random_token();
  const std::uint64_t hash = s.key.empty() ? 0 : arguments_hash(s);
  const auto subject = names.job(s.options.queue, s.first, made.id);
  duration pause = first_pause;
  for (;;) {
    if (!ready_) {
      auto waiting = ready(end, made.sent);
      co_await std::move(waiting);
    }
    auto headers = headers_of({s, made.id, send_id, time_to_begin(s, began), hash}).block();
    const auto size = s.arguments.size() + std::max(headers.size(), least_message);
    if (size > link.info().max_payload)
      throw too_large("the arguments of " + kind_of(s.name, s.options.version) + " need " +
                          std::to_string(size) + " bytes with their headers, the server takes " +
                          std::to_string(link.info().max_payload) + " (its max_payload)",
                      size, link.info().max_payload);
    try {
      if (!s.key.empty() && (!made.sent || made.again)) {
        auto looking = look_at_key(s, made);
        const bool known = co_await std::move(looking);
        if (known) co_return;
      }
      made.sent = true;
      auto sending = js.publish(subject, std::move(headers), s.arguments);
      const auto ack = co_await std::move(sending);
      auto judging = judge(s, made, ack, end);
      const bool over = co_await std::move(judging);
      if (over) co_return;
    } catch (const link_lost& e) { trouble_ = e.what(); } catch (const timeout_error&) {
      trouble_ = "no answer to a submit";
    } catch (const api_error& e) { trouble_ = e.what(); }
    if (clock::now() >= end)
      throw unavailable("the cluster does not answer: " + trouble_, made.sent);
    co_await sleep(pause);
    pause = std::min(last_pause, pause * 2);
  }
}

task<outcome> engine::run_call(const call_spec& s, submission& made, place& here,
                               std::shared_ptr<slot_lender> lender) {
  for (;;) {
    auto accepting = s.key.empty() ? accept_now(s, made) : accept(s, made);
    co_await std::move(accepting);
    here.accepted();
    if (made.done) co_return std::move(*made.done);
    try {
      auto ending = end_of(here, lender);
      co_return co_await std::move(ending);
    } catch (const vanished&) {
      if (!std::exchange(warned_of_loss_, true))
        warn("the server has lost the job " + made.id +
             ", which it had accepted: it is submitted again. Others that it loses are, too, and "
             "statistics::submitted_again counts them");
      counts.submitted_again.fetch_add(1, std::memory_order_relaxed);
    }
    here.renew();
    made.again = true;
    made.accepted = false;
    made.sequence = 0;
  }
}

task<outcome> engine::run_within(const call_spec& s, submission& made, place& here,
                                 std::shared_ptr<slot_lender> lender) {
  auto running = wait_for(run_call(s, made, here, std::move(lender)), *s.within);
  co_return co_await std::move(running);
}

/// Waits for the outcome; a job that waits for another one lends its slot meanwhile.
task<outcome> engine::end_of(place& here, std::shared_ptr<slot_lender> lender) {
  auto end = here.end();
  if (!lender) co_return co_await std::move(end);
  struct lent {
    slot_lender& lender;
    bool back = false;
    explicit lent(slot_lender& l) noexcept : lender(l) { l.lend(); }
    ~lent() {
      if (!back) lender.take_back_now();
    }
  } loan(*lender);
  auto o = co_await std::move(end);
  auto taking = lender->take_back();
  co_await std::move(taking);
  loan.back = true;
  co_return o;
}

/// Ends a job that nobody waits for any more, in a task of its own.
void engine::abandon(const call_spec& s, const submission& made, outcome_kind kind) noexcept {
  if (!made.sent && !made.accepted) return;
  try {
    create_task(end_job(made.id, made.sequence, kind, kind_of(s.name, s.options.version)));
  } catch (...) { warn("no memory to cancel the job " + made.id); }
}

task<outcome> engine::call(call_spec s, std::shared_ptr<slot_lender> lender) {
  submission made;
  made.id =
      s.key.empty() ? calls_owner_ + "." + std::to_string(++last_number_) : "k." + key_token(s.key);
  place here(*this, made.id, s.options.queue, s.first);
  try {
    auto running = s.within ? run_within(s, made, here, std::move(lender))
                            : run_call(s, made, here, std::move(lender));
    auto o = co_await std::move(running);
    count_round_trip(clock::now() - here.since());
    co_return o;
  } catch (const cancelled_error&) {
    if (here.alone()) abandon(s, made, outcome_kind::cancelled);
    throw;
  } catch (const timeout_error&) {
    if (here.alone()) abandon(s, made, outcome_kind::timeout);
  }
  throw timeout_error(kind_of(s.name, s.options.version) + " had no outcome within its time");
}

task<std::string> engine::submit(call_spec s) {
  submission made;
  made.id = s.key.empty() ? handles_owner_ + "." + std::to_string(++last_number_)
                          : "k." + key_token(s.key);
  try {
    auto accepting = s.key.empty() ? accept_now(s, made) : accept(s, made);
    co_await std::move(accepting);
  } catch (const cancelled_error&) {
    abandon(s, made, outcome_kind::cancelled);
    throw;
  }
  co_return made.id;
}

task<outcome> engine::wait(std::string id) {
  place here(*this, id);
  for (;;) {
    auto coming = ready(time_point::max());
    co_await std::move(coming);
    if (here.end().done()) break;
    try {
      auto asking = js.last(names.outcomes, names.outcome(id));
      auto found = co_await std::move(asking);
      if (found) co_return outcome_of(found->headers, std::move(found->payload));
      auto looking = js.last(names.jobs, names.any_job(id));
      found = co_await std::move(looking);
      if (!found && !here.end().done()) {  // it may have ended between the two questions
        auto again = js.last(names.outcomes, names.outcome(id));
        found = co_await std::move(again);
        if (found) co_return outcome_of(found->headers, std::move(found->payload));
        throw gone(id);
      }
      here.accepted();
      break;
    } catch (const link_lost& e) { trouble_ = e.what(); } catch (const timeout_error&) {
      trouble_ = "no answer to a question for an outcome";
    } catch (const api_error& e) { trouble_ = e.what(); }
    co_await sleep(first_pause);
  }
  co_return co_await here.end();
}

task<int> engine::store(outcome o, std::function<void()> on_trouble) {
  const auto headers = headers_of(o).block();
  const auto payload = payload_of(o);
  const auto subject = names.outcome(o.place.id);
  duration pause = first_pause;
  bool sent = false;
  for (;;) {
    if (!ready_) {
      auto coming = ready(time_point::max());
      co_await std::move(coming);
    }
    try {
      auto sending = js.publish(subject, headers, payload);
      const auto ack = co_await std::move(sending);
      if (ack.code == 0) co_return 0;
      if (ack.code == js_wrong_last_sequence && !sent) co_return ack.code;
      if (ack.code == js_wrong_last_sequence) {  // an earlier send may have arrived
        auto looking = js.last(names.outcomes, subject);
        const auto found = co_await std::move(looking);
        const bool ours = found && found->headers.get("Heddle-Worker") == o.place.worker &&
                          found->headers.get("Heddle-Attempt") == std::to_string(o.place.attempt);
        co_return ours ? 0 : ack.code;
      }
      trouble_ = ack.text;
    } catch (const link_lost& e) {
      sent = true;
      trouble_ = e.what();
    } catch (const timeout_error&) {
      sent = true;
      trouble_ = "no answer to an outcome";
    } catch (const api_error& e) { trouble_ = e.what(); }
    if (on_trouble) on_trouble();
    co_await sleep(pause);
    pause = std::min(last_pause, pause * 2);
  }
}

task<std::optional<outcome>> engine::stored_outcome(std::string id) {
  for (;;) {
    auto coming = ready(time_point::max());
    co_await std::move(coming);
    try {
      auto asking = js.last(names.outcomes, names.outcome(id));
      auto found = co_await std::move(asking);
      if (!found) co_return std::nullopt;
      co_return outcome_of(found->headers, std::move(found->payload));
    } catch (const link_lost& e) { trouble_ = e.what(); } catch (const timeout_error&) {
      trouble_ = "no answer to a question for an outcome";
    } catch (const api_error& e) { trouble_ = e.what(); }
    co_await sleep(first_pause);
  }
}

/// Gives a job its outcome, takes it out of its queue, and tells the worker that runs it. At most
/// three messages if its sequence is known. True: it had no outcome.
task<bool> engine::end_job(std::string id, std::uint64_t sequence, outcome_kind kind,
                           std::string job) {
  struct counted {
    engine& e;
    explicit counted(engine& x) noexcept : e(x) { ++e.endings_; }
    ~counted() {
      if (--e.endings_ == 0) e.settled_.set();
    }
  } one(*this);
  outcome o;
  o.kind = kind;
  o.place.id = id;
  o.place.job = std::move(job);
  o.place.worker = "-" + calls_owner_;  // so that a second send knows its own
  auto storing = store(std::move(o));
  const bool first = co_await std::move(storing) == 0;
  if (!first) co_return false;
  for (;;) {
    auto coming = ready(time_point::max());
    co_await std::move(coming);
    try {
      if (!sequence) {
        auto looking = js.last(names.jobs, names.any_job(id));
        const auto found = co_await std::move(looking);
        if (found) sequence = found->sequence;
      }
      link.publish(names.cancel(id), {}, {}, {});
      if (sequence) {
        auto erasing = js.erase(names.jobs, sequence);
        (void)co_await std::move(erasing);
      }
      co_return true;
    } catch (const std::exception& e) { trouble_ = e.what(); }
    co_await sleep(first_pause);
  }
}

task<bool> engine::cancel(std::string id) {
  auto waiting = ready(saturating_add(clock::now(), options_.submit_within));
  co_await std::move(waiting);
  auto ending = end_job(std::move(id), 0, outcome_kind::cancelled, {});
  co_return co_await std::move(ending);
}

task<job_status> engine::status(std::string id) {
  auto waiting = ready(saturating_add(clock::now(), options_.submit_within));
  co_await std::move(waiting);
  auto asking = js.last(names.outcomes, names.outcome(id));
  auto found = co_await std::move(asking);
  if (found) co_return job_status::done;
  auto looking = js.last(names.jobs, names.any_job(id));
  found = co_await std::move(looking);
  if (!found) co_return job_status::unknown;
  try {
    auto who = link.request(names.root + "s." + id, {}, {}, ask_limit);
    const auto answer = co_await std::move(who);
    if (!answer.headers.status()) co_return job_status::running;
  } catch (const timeout_error&) { trouble_ = "no worker runs it"; }
  co_return job_status::queued;
}

task<> engine::follow(std::string id, std::weak_ptr<progress_function> f) {
  forget_followers();
  auto& place = followed_[id];
  place.functions.push_back(std::move(f));
  if (place.sid) co_return;
  place.sid = link.subscribe(names.progress(id), [this, id](nats_message&& m) {
    double done = 0;
    const auto at = followed_.find(id);
    if (at == followed_.end() || !heddle::detail::parse_number(m.payload, done, 1.0)) return;
    bool anybody = false;
    for (const auto& weak : at->second.functions)
      if (const auto f = weak.lock()) {
        anybody = true;
        (*f)(done);
      }
    if (!anybody) stop_following(id);
  });
}

/// Those whose owners have gone: a job that never tells would keep them for ever.
void engine::forget_followers() noexcept {
  std::vector<std::string> idle;
  for (const auto& [id, f] : followed_) {
    const bool anybody = std::any_of(f.functions.begin(), f.functions.end(),
                                     [](const auto& weak) { return !weak.expired(); });
    if (!anybody) idle.push_back(id);
  }
  for (const auto& id : idle) stop_following(id);
}

void engine::stop_following(const std::string& id) noexcept {
  const auto at = followed_.find(id);
  if (at == followed_.end()) return;
  link.unsubscribe(at->second.sid);
  followed_.erase(at);
}

task<> engine::settle(duration limit) {
  if (endings_ == 0) co_return;
  settled_.clear();
  try {
    (void)co_await wait_for(settled_.wait(), limit);
  } catch (const timeout_error&) { warn("cancellations of jobs could not be told to the cluster"); }
}

}  // namespace heddle::cluster::detail
