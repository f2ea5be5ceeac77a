// SPDX-License-Identifier: MIT
// Internal to io.
// A copy of a file, piece by piece: by shared blocks, by the kernel, or by reading and writing.
#pragma once

#include <heddle/io/descriptors/fd.h>
#include <heddle/io/file_options.h>

#include <cstdint>
#include <string>

#include <sys/stat.h>

namespace heddle::detail {

/// Belongs to one job at a time.
class file_copy {
 public:
  /// Opens both. Blocks. Throws as heddle::copy_file.
  file_copy(std::string from, std::string to, const copy_options& how);

  /// Copies a piece. Blocks. False: all is done, and count() is final.
  [[nodiscard]] bool step();
  [[nodiscard]] std::uint64_t count() const noexcept { return at_; }

 private:
  enum class way : std::uint8_t { kernel, hands };

  void open_both();
  [[nodiscard]] bool share_blocks();
  /// Where data begins at or behind `at_`, and where it ends. False: only a hole is left.
  [[nodiscard]] bool next_data(std::uint64_t& begin, std::uint64_t& end) const;
  std::uint64_t copy_range(std::uint64_t most);
  std::uint64_t copy_by_hands(std::uint64_t most);
  void finish();

  const std::string from_;
  const std::string to_;
  const copy_options how_;
  fd source_;
  fd target_;
  struct stat status_{};
  way way_ = way::kernel;
  std::uint64_t at_ = 0;
};

}  // namespace heddle::detail
