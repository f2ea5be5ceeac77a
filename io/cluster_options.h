// SPDX-License-Identifier: MIT
// cluster::options: where the cluster's NATS servers are, how to log in, and every limit.
//
//   auto o = h::cluster::options::from_url("nats://user:pw@a:4222,b:4222/shop?replicas=3");
//   o.ack_wait = 5s;
//   h::cluster::client c(o);
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/checked.h>
#include <heddle/io/tls_context.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::cluster {

/// A NATS server. 4222 is the port that NATS servers have unless told otherwise.
struct endpoint {
  std::string host;
  std::uint16_t port = 4222;
};

/// The order of the fields is API: fields are appended, never reordered.
struct options {
  /// Tried in this order, each again after the last; what a server's INFO names (connect_urls)
  /// comes behind these. After a lost connection the next one is tried first. Empty: no cluster,
  /// jobs run in this process.
  std::vector<endpoint> servers = {};
  std::string user = {};
  std::string password = {};
  /// One of these in place of user and password: a token; or credentials, which are the text or the
  /// path of a .creds file, or the seed of an nkey ("SU...").
  std::string token = {};
  std::string credentials = {};
  /// Not empty: the connection is encrypted, and the server checked. A server that asks for TLS is
  /// given tls_context::client() if this is empty.
  tls_context tls = {};
  /// Clusters of different names share servers and see nothing of each other. 1 to 64 letters,
  /// digits, '-' and '_'.
  std::string name = "heddle";
  /// Copies of each job, 1 to 5. More than 1 needs nats-server 2.10.29 (engine_unfit).
  unsigned replicas = 1;

  /// A worker that has told nothing of a job for so long has lost it. Workers tell three times as
  /// often. Of the cluster's first user: later ones take what is there. At least 100 ms.
  any_duration ack_wait = std::chrono::seconds(10);
  /// How long outcomes are kept that nobody has fetched, and those of keyed jobs.
  any_duration keep = std::chrono::hours(1);
  /// How long dead letters are kept.
  any_duration keep_dead = std::chrono::hours(24 * 7);
  /// So many jobs may wait and run, and so many bytes of them, before queue_full.
  std::uint64_t max_jobs = 1'000'000;
  std::uint64_t max_bytes = std::uint64_t{1} << 30U;

  /// A submit waits so long for room in a full queue (queue_full), and for a server that answers
  /// (unavailable).
  any_duration submit_within = std::chrono::seconds(30);
  /// An attempt to reach one server, its login included.
  any_duration connect_limit = std::chrono::seconds(2);
  /// Pauses between rounds of attempts: doubled from the first to the last, with jitter.
  any_duration first_pause = std::chrono::milliseconds(50);
  any_duration last_pause = std::chrono::seconds(2);
  /// After so long without a byte the server is asked for one; without an answer within ping_limit
  /// the connection is lost.
  any_duration ping_interval = std::chrono::seconds(20);
  any_duration ping_limit = std::chrono::seconds(10);
  /// A request to the server that is not answered within this is made again.
  any_duration request_limit = std::chrono::seconds(5);
  /// After so long a queue with jobs that nobody serves is named in a warning.
  any_duration warn_after = std::chrono::seconds(10);
  /// Gets warnings, a line each, in a thread of the library. Empty: they go to stderr.
  std::function<void(const std::string&)> on_warning = {};

  /// From HEDDLE_CLUSTER, and HEDDLE_CLUSTER_CREDS if that is set. Not set, empty or "local:": no
  /// servers. Throws bad_value as from_url does.
  [[nodiscard]] static options from_environment();
  /// From nats://[user[:password]@]host[:port][,host[:port]...][/name][?key=value[&...]], or the
  /// same with tls://, or "local:". Percent codes stand for what has a meaning in a URL. Keys:
  /// replicas, ack_wait, keep, submit_within (times as "500ms", "10s", "5min", "1h"), max_jobs,
  /// max_bytes. Throws bad_value, which names the wrong part, and shows no password.
  [[nodiscard]] static options from_url(std::string_view url);
  /// Throws bad_value for a field out of its range, by its name.
  void check() const;
};

}  // namespace heddle::cluster
