// SPDX-License-Identifier: MIT
// A client of NATS that blocks, beside the one that is tested: looks into the streams of a cluster,
// and plays workers that die.
#pragma once

#include "cluster_cases.h"

#include <cstdint>
#include <string>
#include <utility>

namespace conformance {

class raw_nats {
 public:
  explicit raw_nats(const cl::client& c);
  raw_nats(std::uint16_t port, std::string cluster);
  raw_nats(const raw_nats&) = delete;
  ~raw_nats();

  /// Sends, and yields headers and payload of the first answer; ("", "") if none comes.
  std::pair<std::string, std::string> ask(const std::string& subject, const std::string& headers,
                                          const std::string& payload);
  void publish(const std::string& subject, const std::string& payload);
  /// How many jobs are stored; outcomes; dead letters; jobs that were delivered and not
  /// acknowledged.
  std::uint64_t jobs() { return messages("HJ_"); }
  std::uint64_t outcomes() { return messages("HR_"); }
  std::uint64_t dead() { return messages("HD_"); }
  std::uint64_t unacknowledged(const std::string& durable = "default_1");
  /// Takes a job of the queue "default" as a worker does. Yields the subject that acknowledges it.
  std::string take_job();
  /// Stores an outcome with a CBOR value, if there is none. True: it is stored.
  bool store_value(const std::string& id, const std::string& cbor);
  [[nodiscard]] const std::string& cluster() const noexcept { return cluster_; }

 private:
  std::uint64_t messages(const std::string& stream);
  std::uint64_t number(const std::string& text, const std::string& name);
  std::string line();
  std::string bytes(std::size_t n);

  int socket_ = -1;
  std::string cluster_;
  std::string in_;
  int asked_ = 0;
};

}  // namespace conformance
