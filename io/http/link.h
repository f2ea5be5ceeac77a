// SPDX-License-Identifier: MIT
// Link fields (RFC 8288): other resources that belong to an answer, for example its next page.
//
//   const auto links = http::parse_links("</p/2>; rel=\"next\"");
//   EXPECT_EQ(http::find_link(links, "next")->target, "/p/2");
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http {

struct link {
  std::string target;  // as it was sent: perhaps relative to the answer's URL
  std::vector<std::pair<std::string, std::string>> parameters;  // names in lower case

  /// The first parameter of that name, which is in lower case. nullptr: there is none.
  [[nodiscard]] const std::string* find(std::string_view name) const noexcept;
  /// True: `rel` lists it, without regard to case.
  [[nodiscard]] bool is(std::string_view relation) const noexcept;
};

/// The links of a field, in order. Reading ends where it is malformed.
[[nodiscard]] std::vector<link> parse_links(std::string_view field);
/// The first one of that relation. nullptr: there is none.
[[nodiscard]] const link* find_link(const std::vector<link>& in,
                                    std::string_view relation) noexcept;

}  // namespace heddle::http
