// SPDX-License-Identifier: MIT
// What other services say: several JSON GETs at once, each with a time-out of its own.
#pragma once

#include <heddle/heddle.h>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace board {

namespace h = heddle;
namespace http = heddle::http;

struct upstream {
  std::string name;
  std::string url;
};

/// What became of one GET.
struct report {
  std::string name;
  std::string state;  // "fine", "late" or "failed"
  std::int64_t ms = 0;
  nlohmann::json value;  // if it is fine
  std::string error;     // else
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(report, name, state, ms, value, error)

class upstreams {
 public:
  /// Throws bad_value for more than limits::upstreams, and for a URL that is none.
  explicit upstreams(std::vector<upstream> all);
  /// Asks all of them. It takes as long as the slowest, and at most limits::upstream_time.
  h::task<std::vector<report>> ask();

 private:
  h::task<report> ask_one(const upstream& one);

  const std::vector<upstream> all_;
  http::session client_;
};

}  // namespace board
