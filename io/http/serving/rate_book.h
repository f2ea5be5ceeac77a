// SPDX-License-Identifier: MIT
// Internal to io.
// How often each client has asked: buckets of tokens, the clients who asked last in front.
#pragma once

#include <heddle/core/clock.h>

#include <cstddef>
#include <list>
#include <mutex>
#include <string>
#include <unordered_map>

namespace heddle::http::detail {

/// Thread-safety  any thread
class rate_book {
 public:
  /// A bucket holds `burst` tokens, and gets one each `every`. So many `clients` are remembered.
  rate_book(std::size_t burst, duration every, std::size_t clients) noexcept
      : burst_(static_cast<double>(burst)), every_(every), most_(clients) {}

  /// Takes a token for the client. Zero: it had one. Else: after so long it will have one.
  [[nodiscard]] duration take(const std::string& client, time_point now);

 private:
  struct bucket {
    std::string client;
    double tokens;
    time_point filled;
  };

  const double burst_;
  const duration every_;
  const std::size_t most_;
  std::mutex mutex_;
  std::list<bucket> order_;  // under mutex_; the client who asked last in front
  std::unordered_map<std::string, std::list<bucket>::iterator> by_client_;  // under mutex_
};

}  // namespace heddle::http::detail
