// SPDX-License-Identifier: MIT
// A JetStream server for simulated programs: it speaks the real protocol over streams in memory,
// and knows as much of it as a cluster uses. A seed delays what it hears and says, and cuts where a
// test wants it, so that each order of events comes about sooner or later.
//
// Modelled  streams (limits, work queue, discard new, republish, de-duplication by Msg-Id,
//           Nats-Expected-Last-Subject-Sequence), pull consumers (no_wait, expires, ack_wait,
//           redelivery, +ACK, -NAK with a delay, +WPI, +TERM), direct get, delete, purge.
//           ack_wait is judged by the wall clock, which jump() moves, as in the real server.
// Not       replicas, max_deliver, advisories, clients' limits
#pragma once

#include <heddle/io/cluster/nats_headers.h>
#include <heddle/io/cluster/nats_link.h>
#include <heddle/io/memory_pair.h>
#include <heddle/sched/runtime.h>
#include <heddle/sync/event.h>

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace conformance {

/// The connections of one client, and what a test does to them.
struct simulated_wire {
  bool open = true;            // false: who connects is turned away, and nothing more is heard
  unsigned latency = 0;        // each turn of its messages is late by 0 to so many ms
  unsigned cut_in = 0;         // not 0: cut after so many commands, with the answer to the last one
  std::uint64_t commands = 0;  // that came
  std::uint64_t pulls = 0;     // of these
  std::uint64_t messages = 0;  // that were sent to it
  std::string down;            // this host cannot be reached
};

/// A test may call its functions from any virtual thread: there is one real thread, and none of
/// these functions is overtaken while it changes what another one reads.
class simulated_nats {
 public:
  struct message {
    std::string subject, headers, payload;
    std::int64_t at_ns = 0;
  };

  simulated_nats();
  simulated_nats(const simulated_nats&) = delete;
  ~simulated_nats();

  /// How a link with this wire connects. The wire outlives the link.
  [[nodiscard]] heddle::cluster::detail::nats_link::dialer dialer(simulated_wire& wire);
  /// Ends the connections of this wire at once; what was not sent yet is lost.
  void cut(simulated_wire& wire);
  /// All of them: a server that dies and is started again. What is stored stays.
  void restart();
  /// Moves the wall clock.
  void jump(heddle::duration by);
  /// Messages of the stream whose name begins so ("HJ_", "HR_", "HD_").
  [[nodiscard]] std::size_t count(std::string_view stream) const;
  /// Those that were delivered and not acknowledged, of all consumers.
  [[nodiscard]] std::size_t unacknowledged() const;
  /// The outcome of a job as it is stored: its kind, or "" if there is none.
  [[nodiscard]] std::string kind_of(const std::string& id) const;
  /// How many outcomes were ever stored for a job.
  [[nodiscard]] std::size_t outcomes_ever(const std::string& id) const;
  /// Forgets all jobs, as no server should.
  void lose_jobs();
  /// Refuses to store outcomes and notes, as a full disk does.
  bool full = false;
  // Planted faults, which a test must notice: no de-duplication; a message although there is one.
  bool forgets_ids = false;
  bool keeps_second_outcomes = false;

 private:
  struct guest;
  struct pull {
    std::string reply;
    int batch = 1;
    bool no_wait = false;
    heddle::time_point end{};
  };
  struct delivered {
    std::int64_t until_ns = 0;  // by the wall clock
  };
  struct consumer {
    std::string name, filter;
    std::int64_t ack_wait_ns = 0;
    std::uint64_t next = 1;  // what is looked at next
    std::uint64_t count = 0;
    std::map<std::uint64_t, delivered> pending;
    std::set<std::uint64_t> again;
    std::map<std::uint64_t, std::uint64_t> times;
    std::deque<pull> pulls;
  };
  struct stream {
    std::string name, from, to;
    std::vector<std::string> subjects;
    std::int64_t max_messages = -1;
    bool work_queue = false;
    std::uint64_t last = 0;
    std::map<std::uint64_t, message> messages;
    std::map<std::string, std::uint64_t, std::less<>> last_of;  // subjects
    std::map<std::string, std::uint64_t> known;                 // by Msg-Id
    std::map<std::string, consumer> consumers;
  };
  using json = nlohmann::json;

  [[nodiscard]] heddle::task<heddle::connection> connect(heddle::cluster::endpoint to,
                                                         simulated_wire& wire);
  [[nodiscard]] heddle::task<> serve(heddle::connection c, simulated_wire& wire);
  [[nodiscard]] heddle::task<> say(std::shared_ptr<guest> g);
  [[nodiscard]] heddle::task<> keep_time();
  [[nodiscard]] bool take_command(const std::shared_ptr<guest>& g, std::string& in);
  void command(guest& g, std::string_view line);
  void published(std::string subject, const std::string& reply, std::string headers,
                 std::string payload);
  /// Sends to who listens to `to`. False: nobody.
  bool route(const std::string& to, const std::string& shown, const std::string& reply,
             const std::string& headers, const std::string& payload);
  [[nodiscard]] bool listens(const std::string& subject) const;
  void answer(const std::string& reply, const json& j);
  void refuse(const std::string& reply, int code, const char* text);
  void store(stream& s, std::string subject, const std::string& reply, std::string headers,
             std::string payload);
  [[nodiscard]] stream* stream_of(const std::string& subject);
  void call(const std::string& what, const std::string& reply, const std::string& text);
  void call_stream(const std::string& verb, const std::string& name, const std::string& reply,
                   const json& j);
  void call_consumer(const std::string& verb, const std::string& rest, const std::string& reply,
                     const json& j);
  void direct_get(stream& s, const std::string& reply, const json& j);
  void acknowledge(const std::string& subject, const std::string& word);
  void erase(stream& s, std::uint64_t sequence);
  void hand_out(stream& s, consumer& c);
  [[nodiscard]] std::uint64_t next_of(stream& s, consumer& c);
  void expire(stream& s, consumer& c, heddle::time_point& next);
  [[nodiscard]] std::int64_t wall_ns() const;

  heddle::duration jumped_{};
  heddle::event changed_;
  std::list<std::shared_ptr<guest>> guests_;
  std::map<std::string, stream> streams_;
  std::map<std::string, std::size_t> ever_;
  std::unique_ptr<heddle::runtime> runtime_;  // goes first
};

}  // namespace conformance
