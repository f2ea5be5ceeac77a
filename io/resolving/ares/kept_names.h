// SPDX-License-Identifier: MIT
// Internal to io.
// The answers, and the errors, that an ares_resolver keeps.
#pragma once

#include <heddle/core/clock.h>
#include <heddle/io/resolver.h>
#include <heddle/io/resolving/ares/name_failure.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace heddle::detail {

/// Thread-safe.
//
// longest_, longest_negative_, most_   constant
// all_                                 under lock_
class kept_names {
 public:
  kept_names(duration longest, duration longest_negative, std::size_t most) noexcept
      : longest_(longest), longest_negative_(longest_negative), most_(most) {}

  /// True: `out` is set, with its equals turned. Throws the failure if that was kept. An entry of
  /// another version of the configuration is none.
  [[nodiscard]] bool find(const name_query& q, std::uint64_t version, name_answer& out);
  /// Keeps `a`, if it says how long it holds.
  void keep(const name_query& q, std::uint64_t version, const name_answer& a);
  /// Keeps the failure, if it says how long it holds.
  void keep(const name_query& q, std::uint64_t version, const name_failure& f);
  void flush();

 private:
  struct key {
    std::string name;  // folded
    int family;
    auto operator<=>(const key&) const = default;
  };
  struct entry {
    name_answer answer;
    name_failure failure;  // its code is 0: there is an answer
    time_point until;
    std::uint64_t version;
    std::size_t given = 0;  // how often
  };
  [[nodiscard]] static key key_of(const name_query& q);
  void put(const name_query& q, entry e, duration holds);

  const duration longest_;
  const duration longest_negative_;
  const std::size_t most_;
  std::mutex lock_;
  std::map<key, entry> all_;
};

}  // namespace heddle::detail
