// SPDX-License-Identifier: MIT
// Internal to io.
// engine: a cluster as one process sees it. Everything here runs on the one loop of a private
// runtime, so it needs no locks. remote.cpp brings the calls of users here.
#pragma once

#include <heddle/core/future.h>
#include <heddle/io/cluster/call.h>
#include <heddle/io/cluster/jetstream.h>
#include <heddle/io/cluster/nats_link.h>
#include <heddle/io/cluster/wire.h>
#include <heddle/sync/event.h>
#include <heddle/sync/mutex.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace heddle::cluster::detail {

/// What a call has done so far.
struct submission {
  std::string id;
  std::uint64_t sequence = 0;  // in the stream; 0: not known
  bool sent = false;           // a server may have it
  bool accepted = false;
  bool again = false;           // the server has lost it once
  std::optional<outcome> done;  // the outcome that was there already
};

/// Counters that any thread reads.
struct counters {
  std::atomic<std::uint64_t> submitted{0}, started{0}, redelivered{0}, skipped{0}, dropped{0},
      given_back{0}, dead{0}, connects{0}, submitted_again{0};
  std::array<std::atomic<std::uint64_t>, 8> outcomes{};  // by kind
};

class engine {
 public:
  explicit engine(const options& o, nats_link::dialer dial = {});
  engine(const engine&) = delete;

  /// Serves the link, for ever.
  [[nodiscard]] task<> run();
  /// Ends when the cancellations that are on their way have ended, or after `limit`.
  [[nodiscard]] task<> settle(duration limit);
  /// Waits until streams are there. Throws unavailable at `end`, or when the login is refused;
  /// engine_unfit.
  [[nodiscard]] task<> ready(time_point end, bool maybe_accepted = false);

  [[nodiscard]] task<outcome> call(call_spec s, std::shared_ptr<slot_lender> lender);
  [[nodiscard]] task<std::string> submit(call_spec s);
  [[nodiscard]] task<outcome> wait(std::string id);
  [[nodiscard]] task<bool> cancel(std::string id);
  [[nodiscard]] task<job_status> status(std::string id);
  [[nodiscard]] task<> follow(std::string id, std::weak_ptr<progress_function> f);

  /// Stores an outcome, unless there is one. Tries until it can, and calls `on_trouble` after each
  /// attempt that failed. 0: it is stored; else js_error.
  [[nodiscard]] task<int> store(outcome o, std::function<void()> on_trouble = {});
  /// The outcome of a job, if it has one. Tries until the server answers.
  [[nodiscard]] task<std::optional<outcome>> stored_outcome(std::string id);
  void warn(const std::string& text) const noexcept;

  nats_link link;
  jetstream js;
  const subjects names;
  counters counts;
  /// Called when the streams are there, after each login.
  std::list<std::function<void()>> on_ready;
  /// Called when the connection is lost.
  std::list<std::function<void()>> on_lost;
  [[nodiscard]] const options& settings() const noexcept { return options_; }
  [[nodiscard]] bool is_ready() const noexcept { return ready_; }
  /// From any thread.
  [[nodiscard]] statistics stats() const;

 private:
  struct waiter {
    promise<outcome> end;
    std::string queue;  // of a call, which can be submitted again; else empty
    priority first = priority::normal;
    time_point since{};
  };
  struct watched {
    std::list<waiter> waiters;
    std::uint64_t sid = 0;    // a subscription of its own, or 0
    bool accepted = false;    // the cluster has the job, or its outcome
    std::string worker = {};  // that began it first, if it has told
  };
  /// Registers a waiter for as long as it lives.
  class place;
  /// Ends a wait: the server has neither the job any more nor an outcome.
  struct vanished {};
  struct followed {
    std::uint64_t sid = 0;
    std::vector<std::weak_ptr<progress_function>> functions;
  };

  [[nodiscard]] task<> set_up(std::uint64_t session);
  void check_fit() const;
  [[nodiscard]] task<> make_streams();
  [[nodiscard]] task<bool> recheck(std::uint64_t session);
  [[nodiscard]] task<> look_again(std::string id);
  [[nodiscard]] task<> tidy();
  [[nodiscard]] task<> warn_of_silence();
  [[nodiscard]] task<> look_after();
  [[nodiscard]] std::vector<std::string> next_to_look_at();
  void tell_vanished(const std::string& id, watched& w);
  [[nodiscard]] std::string subject_of(const std::string& id, const watched& w) const;
  void told(nats_message&& m);
  void told_begun(const nats_message& m);
  void asked_who_began(const nats_message& m);
  [[nodiscard]] bool is_of(std::uint64_t session) const noexcept {
    return session == link.session() && link.up();
  }
  void deliver(const std::string& id, outcome o);
  [[nodiscard]] task<> accept(const call_spec& s, submission& made);
  [[nodiscard]] task<> accept_now(const call_spec& s, submission& made);
  [[nodiscard]] task<bool> look_at_key(const call_spec& s, submission& made);
  [[nodiscard]] task<outcome> run_call(const call_spec& s, submission& made, place& here,
                                       std::shared_ptr<slot_lender> lender);
  [[nodiscard]] task<outcome> run_within(const call_spec& s, submission& made, place& here,
                                         std::shared_ptr<slot_lender> lender);
  [[nodiscard]] static task<outcome> end_of(place& here, std::shared_ptr<slot_lender> lender);
  [[nodiscard]] task<bool> judge(const call_spec& s, submission& made, const pub_ack& ack,
                                 time_point end);
  [[nodiscard]] task<bool> end_job(std::string id, std::uint64_t sequence, outcome_kind kind,
                                   std::string job);
  void abandon(const call_spec& s, const submission& made, outcome_kind kind) noexcept;
  void count_round_trip(duration took);
  void stop_following(const std::string& id) noexcept;
  void forget_followers() noexcept;
  [[nodiscard]] expired gone(const std::string& id) const;

  const options options_;
  const std::string calls_owner_;    // ids of calls, whose outcomes are purged once seen
  const std::string handles_owner_;  // ids of submitted jobs
  std::uint64_t last_number_ = 0;
  bool ready_ = false;
  bool may_purge_ = false;
  std::exception_ptr failed_;
  std::string trouble_;
  event ready_event_;
  event seen_event_;
  event waits_event_;         // somebody waits
  std::uint64_t seen_ = 0;    // the last outcome's sequence
  std::uint64_t purged_ = 0;  // outcomes up to this one
  std::size_t endings_ = 0;   // end_job() that are under way
  event settled_;
  std::unordered_map<std::string, watched> waiting_;
  std::size_t looked_at_ = 0;  // buckets of waiting_, by look_after()
  bool warned_of_loss_ = false;
  std::unordered_map<std::string, followed> followed_;
  std::map<std::string, bool> warned_;  // queues
  std::array<mutex, 64> key_turns_;     // never two submits of one key at one time
  mutable std::mutex round_trip_lock_;
  duration_histogram round_trip_;
};

}  // namespace heddle::cluster::detail
