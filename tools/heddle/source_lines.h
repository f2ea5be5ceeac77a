// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: from addresses in code to lines of sources.
#pragma once

#include <heddle/core/seeing/sight.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace tool {

/// Lines come from the debug information of the program's files, which the program addr2line (of
/// binutils) reads. Where either is missing a line is not known.
class source_lines {
 public:
  void add(const std::uint64_t* addresses, std::size_t count);
  /// Asks for all that were added: one run of addr2line for each file.
  void ask(const heddle::detail::seeing::sight& s);
  /// "log.cpp:91", or "" if it is not known.
  [[nodiscard]] const std::string& at(std::uint64_t address) const;

 private:
  std::map<std::uint64_t, std::string> lines_;
};

}  // namespace tool
