// SPDX-License-Identifier: MIT
//
// What a load is asked for on its command line, and the line that it prints in the end. The loads
// of load/ and the clients of client/ share both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

#include "load/histogram.h"

namespace bench {

struct load_plan {
  std::string what;  // one of the kinds of this load
  std::uint16_t port = 0;
  std::size_t connections = 64;
  std::size_t depth = 1;   // requests in flight a connection
  std::size_t bytes = 64;  // of an echo message; of a body that a client expects
  std::size_t upload = 0;  // of a body that each request carries: then it is a POST
  std::string path = "/plaintext";
  double seconds = 0.6;
  double warm_up = 0.15;
  std::uint64_t answers = 0;      // clients only: end after so many, whatever the time; 0: no
  std::string reactor = "epoll";  // heddle's client only
};

/// Rates and latencies of a closed loop.    Thread-safe: no.
class figures {
 public:
  /// An answer has come at `now` to what was sent at `sent`, both of now_ns().
  void answered(std::int64_t sent, std::int64_t now) {
    latency_.record(static_cast<std::uint64_t>(now - sent));
    ++answers_;
  }
  /// All answers, those of the warm-up too.
  std::uint64_t answers() const { return answers_; }
  /// Those that count.
  std::uint64_t counted() const { return answers_ - answers_before_; }

  using turns = std::function<void(std::int64_t end)>;  // works until that time of now_ns()

  void warm_up(const load_plan& plan, const turns& turn_until);
  /// The time that counts.
  void count(const load_plan& plan, const turns& turn_until);
  /// The same by hand, for what is no plain loop.
  void begin();
  void end();
  /// Prints the JSON line.
  void print() const;

 private:
  histogram latency_;
  std::uint64_t answers_ = 0;
  std::uint64_t answers_before_ = 0;
  std::int64_t began_ = 0;
  double cpu_ = 0;   // seconds: at begin(), then since
  double took_ = 0;  // seconds
};

/// A load's main(): reads the plan, whose kind is one of `kinds`, and runs `work`. Returns the
/// status. A load whose server stops answering is ended by SIGALRM.
int load_main(int argc, char** argv, std::string_view name, std::string_view about,
              std::initializer_list<std::string_view> kinds,
              const std::function<void(const load_plan&)>& work);

}  // namespace bench
