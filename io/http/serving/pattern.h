// SPDX-License-Identifier: MIT
// Internal to io.
// The patterns of routes: text that says which paths a route takes, and what the parts of a path
// are called.
//
//   /u/{id}            one segment
//   /u/{id:int}        one segment, a whole number
//   /u/{id:[a-f]+}     one segment, which the regular expression takes as a whole
//   /f/{name}.{ext}    parts of a segment; the last "." splits
//   /f/{rest*}         all that is left, perhaps nothing
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http::detail {

/// What a part of a segment may be.
class constraint {
 public:
  constraint() noexcept = default;  // anything
  /// "int" or a regular expression. Throws bad_value, which names `whole`, for a bad one.
  constraint(const std::string& text, const std::string& whole);
  [[nodiscard]] bool takes(std::string_view text) const;
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  struct compiled;
  std::string text_;
  std::shared_ptr<const compiled> expression_;  // of a regular expression
};

/// One segment of a pattern.
class segment {
 public:
  /// Fixed text before a parameter, and the parameter.
  struct part {
    std::string before;
    std::string name;
    constraint what;
  };

  /// Throws bad_value, which names `whole`.
  segment(std::string_view text, const std::string& whole);

  [[nodiscard]] bool is_fixed() const noexcept { return parts_.empty() && !is_rest_; }
  [[nodiscard]] bool is_rest() const noexcept { return is_rest_; }
  /// The text of a fixed one; of another one the text behind the last parameter.
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] const std::vector<part>& parts() const noexcept { return parts_; }
  /// True if the decoded segment matches. The values of the parameters are appended.
  [[nodiscard]] bool match(std::string_view decoded, std::vector<std::string>& values) const;
  /// Equal for segments that match the same texts, whatever their parameters are called.
  [[nodiscard]] std::string shape() const;

 private:
  [[nodiscard]] bool match_from(std::size_t first, std::string_view rest,
                                std::vector<std::string>& values, unsigned& steps) const;

  std::string text_;
  std::vector<part> parts_;
  bool is_rest_ = false;
};

/// A whole pattern. A value.
class pattern {
 public:
  /// Throws bad_value for a text without "/" in front, for braces that do not fit, for a name that
  /// is empty or comes twice, and for a bad expression.
  explicit pattern(std::string text);

  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] const std::vector<segment>& segments() const noexcept { return segments_; }
  /// The names of the parameters, in order.
  [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }
  [[nodiscard]] bool is_fixed() const noexcept { return names_.empty(); }
  [[nodiscard]] std::string shape() const;
  /// The path with these values, percent-encoded. Throws bad_value for another number of values,
  /// and for a value that the pattern would not take.
  [[nodiscard]] std::string fill(const std::vector<std::string>& values) const;

 private:
  std::string text_;
  std::vector<segment> segments_;
  std::vector<std::string> names_;
};

}  // namespace heddle::http::detail
