// SPDX-License-Identifier: MIT
// Internal to io.
// How jobs and outcomes stand in messages, and the subjects and streams of a cluster.
#pragma once

#include <heddle/io/cluster/call.h>
#include <heddle/io/cluster/nats_headers.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::cluster::detail {

/// The subjects and streams of the cluster `name`.
struct subjects {
  explicit subjects(const std::string& name);

  std::string root;      // h.NAME.
  std::string jobs;      // stream HJ_NAME
  std::string outcomes;  // stream HR_NAME
  std::string dead;      // stream HD_NAME

  [[nodiscard]] std::string job(const std::string& queue, priority p, const std::string& id) const;
  [[nodiscard]] std::string any_job(const std::string& id) const { return root + "j.*.*." + id; }
  [[nodiscard]] std::string outcome(const std::string& id) const { return root + "r." + id; }
  [[nodiscard]] std::string told(const std::string& id) const { return root + "d." + id; }
  [[nodiscard]] std::string note(const std::string& id) const { return root + "x." + id; }
  [[nodiscard]] std::string dead_letter(const std::string& id) const { return root + "dead." + id; }
  [[nodiscard]] std::string cancel(const std::string& id) const { return root + "c." + id; }
  [[nodiscard]] std::string begun(const std::string& id) const { return root + "b." + id; }
  [[nodiscard]] std::string who_began(const std::string& id) const { return root + "a." + id; }
  [[nodiscard]] std::string progress(const std::string& id) const { return root + "p." + id; }
  [[nodiscard]] std::string who() const { return root + "w"; }
  [[nodiscard]] std::string serves(const std::string& queue) const { return root + "q." + queue; }
};

/// A job as it stands in its stream.
struct job_message {
  call_spec call;
  std::string id;
  std::uint64_t arguments_hash = 0;
};
/// What is sent of a job beside its arguments.
struct job_head {
  const call_spec& call;
  std::string_view id;
  std::string_view send_id;  // by which the server knows a second send
  std::optional<duration> within;
  std::uint64_t arguments_hash;
};

[[nodiscard]] nats_headers headers_of(const job_head& m);
[[nodiscard]] job_message job_of(const nats_headers& h, std::string payload);

[[nodiscard]] nats_headers headers_of(const outcome& o);
[[nodiscard]] std::string payload_of(const outcome& o);
[[nodiscard]] outcome outcome_of(const nats_headers& h, std::string payload);

/// What a worker knows of a job that was delivered more than once. It stands in a note, stored with
/// each later start, with each retry, and whenever a delivery is given back.
struct job_history {
  std::uint64_t attempts = 0;        // that have begun and were not given back
  std::uint64_t thrown = 0;          // of these, those that have thrown; the others' workers died
  std::vector<std::string> workers;  // of the attempts, as far as they are known

  [[nodiscard]] std::uint64_t died() const noexcept {
    return attempts > thrown ? attempts - thrown : 0;
  }
};
[[nodiscard]] std::string text_of(const job_history& h);
/// What is no such text is a history of one attempt.
[[nodiscard]] job_history history_of(const std::string& text);

/// What stands in the subject by which a delivery is acknowledged.
struct delivery {
  std::uint64_t times = 0;     // from 1
  std::uint64_t sequence = 0;  // in the stream
  std::int64_t stored_ns = 0;  // since 1970, by the server's clock
};
/// False: it is no such subject.
[[nodiscard]] bool read_ack_subject(std::string_view subject, delivery& d);

/// Nanoseconds since 1970 of a server's time such as 2026-01-02T03:04:05.678901234Z; 0: it is none.
[[nodiscard]] std::int64_t time_of(std::string_view text);

}  // namespace heddle::cluster::detail
