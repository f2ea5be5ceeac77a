// SPDX-License-Identifier: MIT
// How often a job was begun, by whom, and what becomes of one that was begun too often.
//
// Problem   The server counts deliveries. But a worker that dies takes with it what it only held,
//           or what ran beside the job that killed it. Counted by deliveries, a job that kills each
//           of its workers would take its neighbours along.
// Chosen    Attempts are deliveries that began. The first delivery costs nothing: it counts as
//           begun unless a note says that it was given back. Each later one is noted before it
//           begins. A note holds the whole history, so the newest of a job is enough. Jobs at their
//           last attempt begin one after the other, each when the one before has ended or has run
//           for an ack_wait. An attempt that has thrown is no death: its note says so.
// Rejected  A note of each start: it would store a third message for each job. So the first
//           worker's name is only told, to whoever waits for the job, and asked for when the job
//           is lost.
#include <heddle/io/cluster/token.h>
#include <heddle/io/cluster/worker_core.h>
#include <heddle/sched/sleep.h>

namespace heddle::cluster::detail {

namespace {
/// How long the submitter has to say who began a job.
constexpr duration ask_limit = std::chrono::milliseconds(300);
constexpr int most_tries_of_notes = 5;
/// So many turns of the loop a job waits for the kernel to take what tells of its start.
constexpr int most_turns = 1000;
}  // namespace

/// The newest note of the job.
task<> worker_core::learn_history(job_ptr j) {
  while (j->from.times > 1) {
    auto waiting = engine_.ready(time_point::max());
    co_await std::move(waiting);
    try {
      auto asking = engine_.js.last(engine_.names.outcomes, engine_.names.note(j->job.id) + ".>");
      const auto found = co_await std::move(asking);
      j->before = history_of(found ? found->payload : std::string());
      co_return;
    } catch (const std::exception&) {  // asked again
    }
    co_await sleep(retry_questions);
  }
}

/// False: the attempts are used up, and the job is lost.
task<bool> worker_core::count_attempts(job_ptr j) {
  auto learning = learn_history(j);
  co_await std::move(learning);
  j->place.attempt =
      heddle::detail::saturated<unsigned>(std::min(j->before.attempts, std::uint64_t{~0U} - 1) + 1);
  j->run->attempt = j->place.attempt;
  if (j->before.died() < j->job.call.options.attempts) co_return true;
  auto losing = lose(j);
  co_await std::move(losing);
  co_return false;
}

task<> worker_core::lose(job_ptr j) {
  outcome lost;
  lost.kind = outcome_kind::lost;
  lost.place = j->place;
  lost.place.attempt = j->place.attempt - 1;
  lost.texts = j->before.workers;
  if (lost.texts.size() < lost.place.attempt) {
    try {
      auto asking = engine_.link.request(engine_.names.who_began(j->job.id), {}, {}, ask_limit);
      auto answer = co_await std::move(asking);
      if (!answer.headers.status() && !answer.payload.empty())
        lost.texts.insert(lost.texts.begin(), std::move(answer.payload));
    } catch (const std::exception&) {  // nobody knows its name
    }
  }
  lost.place.worker = lost.texts.empty() ? std::string() : lost.texts.back();
  std::string reason = "lost: all attempts are used up";
  for (std::size_t i = 0; i < lost.texts.size(); ++i)
    reason += (i == 0 ? "; workers: " : ", ") + lost.texts[i];
  auto writing = write_dead_letter(j, std::move(reason));
  co_await std::move(writing);
  auto storing = store(j, std::move(lost));
  (void)co_await std::move(storing);
}

/// The first delivery's is told, before the job begins. That of a later one is stored: without it
/// the job could kill worker after worker. So the job waits for it, and nothing new is pulled.
task<> worker_core::note_start(job_ptr j) {
  if (j->from.times <= 1) {
    if (!engine_.link.up()) co_return;
    engine_.link.publish(engine_.names.begun(j->job.id), {}, {}, options_.name);
    // What is sent outlives this process. A server that takes nothing holds up no job.
    for (int turn = 0; turn < most_turns && engine_.link.unsent() > 0; ++turn) co_await yield_now();
    co_return;
  }
  storing_late late(*this);
  for (;;) {
    auto noting = note(j, 's', text_of(j->history(options_.name)));
    const bool stored = co_await std::move(noting);
    if (stored) break;
    late.begin();
    co_await sleep(retry_questions);
  }
  j->noted = clock::now();
}

/// Notes how a delivery ended, before the server is told that it did. Without the note it counts as
/// one whose worker died, so it is tried more than once.
task<> worker_core::note_end(job_ptr j, char what, job_history h) {
  for (int tries = 0; tries < most_tries_of_notes; ++tries) {
    auto noting = note(j, what, text_of(h));
    const bool stored = co_await std::move(noting);
    if (stored) co_return;
    co_await sleep(retry_questions);
  }
}

/// A note of a delivery: 's' it was started, 'b' it was given back, 'r' it has thrown and is tried
/// again. False: it is not stored.
task<bool> worker_core::note(job_ptr j, char what, std::string text) {
  const auto subject =
      engine_.names.note(j->job.id) + "." + std::to_string(j->from.times) + "." + what;
  auto waiting = engine_.ready(time_point::max());
  co_await std::move(waiting);
  try {
    auto sending = engine_.js.publish(subject, {}, std::move(text));
    const auto ack = co_await std::move(sending);
    co_return ack.code == 0;
  } catch (const std::exception&) { co_return false; }
}

/// The next one's turn comes when this task is cancelled, or after `most`.
task<> worker_core::keep_turn(turn_held turn, duration most) {
  const auto mine = std::move(turn);
  co_await sleep(most);
}

task<> worker_core::write_dead_letter(job_ptr j, std::string reason) {
  const auto& job = j->job;
  const auto headers = nats_headers::parse(
      headers_of({job.call, job.id, job.id, job.call.within, job.arguments_hash}).block());
  nats_headers h;
  for (const char* name : {"Heddle-Id", "Heddle-Job", "Heddle-Version", "Heddle-Queue",
                           "Heddle-Class", "Heddle-Attempts", "Heddle-Signature", "Heddle-Retries",
                           "Heddle-Retry-Delay", "Heddle-Retry-Factor", "Heddle-Time-Limit"})
    if (const auto value = headers.get(name); !value.empty()) h.add(name, value);
  h.add("Nats-Expected-Last-Subject-Sequence", "0");
  h.add("Heddle-Reason", reason);
  h.add("Heddle-Worker", options_.name);
  h.add("Heddle-Deliveries", std::to_string(j->from.times - 1));
  const auto block = std::move(h).block();
  for (;;) {
    auto waiting = engine_.ready(time_point::max());
    co_await std::move(waiting);
    try {
      auto sending =
          engine_.js.publish(engine_.names.dead_letter(j->job.id), block, j->job.call.arguments);
      const auto ack = co_await std::move(sending);
      if (ack.code == 0) engine_.counts.dead.fetch_add(1, std::memory_order_relaxed);
      if (ack.code == 0 || ack.code == js_wrong_last_sequence) co_return;
      engine_.warn("the dead letter of " + j->job.id + " could not be stored: " + ack.text);
      co_return;
    } catch (const std::exception&) {  // tried again
    }
    co_await sleep(retry_questions);
  }
}

}  // namespace heddle::cluster::detail
