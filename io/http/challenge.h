// SPDX-License-Identifier: MIT
// What a server, or a proxy, asks for that wants to know who its client is.
//
//   const std::vector<std::string_view> fields{"Basic realm=\"x\", Bearer"};
//   const auto found = http::parse_challenges(fields);
//   EXPECT_EQ(found[0].scheme, "basic");
//   EXPECT_EQ(*found[0].find("realm"), "x");
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http {

/// One challenge of a WWW-Authenticate or Proxy-Authenticate field.
struct challenge {
  std::string scheme;  // lower case: "basic", "digest"
  std::string token;   // what stands alone behind the scheme, as for "Negotiate"; or ""
  std::vector<std::pair<std::string, std::string>> parameters;  // names in lower case

  /// The first parameter of that name, which is in lower case. nullptr: there is none.
  [[nodiscard]] const std::string* find(std::string_view name) const noexcept;
};

/// All challenges of these fields, in order. One field may hold several. Reading a field ends where
/// it is malformed; what stands before is kept.
[[nodiscard]] std::vector<challenge> parse_challenges(std::span<const std::string_view> fields);

}  // namespace heddle::http
