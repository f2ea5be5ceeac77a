// SPDX-License-Identifier: MIT
// Fields of a form as browsers send them: application/x-www-form-urlencoded.
//
//   http::form f;
//   f.add("q", "a b&c").add("n", "1");
//   EXPECT_EQ(f.text(), "q=a+b%26c&n=1");
//   EXPECT_EQ(http::form::parse(f.text()).get("q"), "a b&c");
#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http {

/// Names and values in order; a name may come more than once. Fields are added, never sorted.
class form {
 public:
  using field = std::pair<std::string, std::string>;

  form() = default;
  form(std::initializer_list<field> fields) : fields_(fields) {}

  form& add(std::string name, std::string value) {
    fields_.emplace_back(std::move(name), std::move(value));
    return *this;
  }
  /// The first value of that name.
  [[nodiscard]] std::optional<std::string_view> get(std::string_view name) const noexcept;
  [[nodiscard]] std::vector<std::string_view> all(std::string_view name) const;
  [[nodiscard]] bool contains(std::string_view name) const noexcept {
    return get(name).has_value();
  }
  [[nodiscard]] const std::vector<field>& fields() const noexcept { return fields_; }
  [[nodiscard]] bool empty() const noexcept { return fields_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return fields_.size(); }

  /// The body: a space becomes "+"; letters, digits and "*-._" stay; the rest is percent-encoded.
  [[nodiscard]] std::string text() const;
  static constexpr std::string_view content_type = "application/x-www-form-urlencoded";

  /// Reads such a body. A pair whose escapes are broken is left out. Throws payload_error for more
  /// than `most` fields.
  [[nodiscard]] static form parse(std::string_view text);
  [[nodiscard]] static form parse(std::string_view text, std::size_t most);
  static constexpr std::size_t default_most = 1000;

 private:
  std::vector<field> fields_;
};

}  // namespace heddle::http
