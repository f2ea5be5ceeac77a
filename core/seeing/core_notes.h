// SPDX-License-Identifier: MIT
// Internal to core.
// The notes of an ELF core of this process: its number and name, where its program was loaded, and
// the files that it has mapped.
#pragma once

#include <heddle/core/seeing/modules.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail::seeing {

/// Some hundred kilobytes, for a mapping of its own. Nothing is allocated.
class core_notes {
 public:
  /// Reads them from /proc/self. False: the mappings cannot be read.
  [[nodiscard]] bool collect() noexcept;
  [[nodiscard]] const void* bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t size() const noexcept { return used_; }

 private:
  static constexpr std::size_t most_files = 2048;        // mappings of files; more are left out
  static constexpr std::size_t name_bytes = 256 * 1024;  // of their paths

  void note(std::uint32_t type, const void* contents, std::size_t n) noexcept;
  void put(const void* some, std::size_t n) noexcept;
  void add_process() noexcept;
  void add_auxiliary() noexcept;
  void add_file(const mapped& m) noexcept;

  std::size_t used_ = 0;
  std::size_t file_count_ = 0;
  std::size_t names_used_ = 0;
  std::uint64_t rows_[2 + 3 * most_files];  // a count, the size of a page; begin, end, page
  char names_[name_bytes];
  unsigned char bytes_[sizeof rows_ + name_bytes + 16384];
};

}  // namespace heddle::detail::seeing
