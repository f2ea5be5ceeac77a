// SPDX-License-Identifier: MIT
// Internal to io.
// Directories by their descriptors, so that nothing that others rename leads out of a tree. These
// block.
#pragma once

#include <heddle/io/file_status.h>

#include <dirent.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace heddle::detail {

struct directory_closer {
  void operator()(DIR* d) const noexcept { ::closedir(d); }
};
using open_directory = std::unique_ptr<DIR, directory_closer>;

/// Opens `name` below `at`. `follow`: also through a symbolic link. nullptr: errno says why.
[[nodiscard]] open_directory try_open_directory(int at, const char* name, bool follow) noexcept;

/// Appends up to `most` entries. False: there are no more. Throws std::system_error.
bool read_entries(DIR* d, std::size_t most, const std::string& path,
                  std::vector<directory_entry>& into);

/// As heddle::remove_tree.
std::uint64_t remove_whole_tree(const std::string& path);

}  // namespace heddle::detail
