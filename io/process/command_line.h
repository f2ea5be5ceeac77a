// SPDX-License-Identifier: MIT
// Internal to io.
// The words, the environment and the places of a program, as execve takes them.
#pragma once

#include <heddle/io/process_options.h>

#include <string>
#include <vector>

namespace heddle::detail {

/// Memory that execve reads. Not to be moved: it holds pointers into itself.
class command_line {
 public:
  /// Throws bad_value for an empty command, a NUL character, and a name that is none.
  command_line(const std::vector<std::string>& command, const process_options& o);
  command_line(const command_line&) = delete;

  [[nodiscard]] char* const* words() const noexcept { return words_.data(); }
  [[nodiscard]] char* const* environment() const noexcept;
  /// The paths at which the program may be, best first; nullptr ends them.
  [[nodiscard]] const char* const* places() const noexcept { return places_.data(); }

 private:
  const bool own_environment_;
  std::vector<std::string> lines_, paths_;
  std::vector<char*> words_, environment_;
  std::vector<const char*> places_;
};

}  // namespace heddle::detail
