// SPDX-License-Identifier: MIT
// A connection of the simulated server.
#pragma once

#include "simulated_nats.h"

namespace conformance {

struct simulated_nats::guest {
  guest(heddle::connection c, simulated_wire& w) : ends(std::move(c)), wire(&w) {}

  void say(std::string_view text) {
    out += text;
    has_words.set();
  }
  /// Ends it at once, and forgets what it has not said.
  void drop() {
    if (std::exchange(gone, true)) return;
    out.clear();
    ends.writer.abort();
    has_words.set();
  }

  heddle::connection ends;
  simulated_wire* wire;
  std::map<std::string, std::string> subscriptions;  // sid, pattern
  std::string out;
  heddle::event has_words;
  bool gone = false;
};

[[nodiscard]] bool subject_matches(std::string_view pattern, std::string_view subject);
/// As a server writes times.
[[nodiscard]] std::string time_text(std::int64_t ns);

}  // namespace conformance
