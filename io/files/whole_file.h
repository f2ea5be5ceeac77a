// SPDX-License-Identifier: MIT
// Internal to io.
// New files beside others: with a fresh name, or with none. These block.
#pragma once

#include <heddle/io/descriptors/fd.h>

#include <string>
#include <string_view>

#include <sys/types.h>

namespace heddle::detail {

/// The directory of a path: "." for a bare name.
[[nodiscard]] std::string directory_of(const std::string& path);
/// $TMPDIR, or /tmp.
[[nodiscard]] std::string temporary_place();

/// A file with a name that nothing had. It is unlinked when this goes, unless keep() was called.
class fresh_file {
 public:
  /// Makes DIRECTORY/PREFIXxxxxxx, with rights 0600. Throws std::system_error.
  fresh_file(const std::string& directory, std::string_view prefix);
  fresh_file(const fresh_file&) = delete;
  ~fresh_file();

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] int descriptor() const noexcept { return descriptor_.get(); }
  [[nodiscard]] fd take_descriptor() noexcept { return std::move(descriptor_); }
  void keep() noexcept { kept_ = true; }

 private:
  std::string path_;
  fd descriptor_;
  bool kept_ = false;
};

/// fsync of a directory, so that its names are on the disk.
void sync_directory(const std::string& directory);
/// The rights of a file that this process makes, by its umask.
[[nodiscard]] mode_t less_umask(mode_t mode);

}  // namespace heddle::detail
