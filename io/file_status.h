// SPDX-License-Identifier: MIT
// What a file is: its kind, size, rights and times. The error of a write that was cut short.
//
//   const auto s = co_await h::status("/etc/hosts");
//   if (s.is_file()) total += s.size;
#pragma once

#include <heddle/core/base/time_types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

namespace heddle {

enum class file_kind : std::uint8_t {
  regular,
  directory,
  symlink,
  fifo,
  socket,
  character_device,
  block_device,
  unknown,
};

/// "a file", "a directory", ...: for messages.
[[nodiscard]] std::string_view to_string(file_kind kind) noexcept;

/// Times of files: nanoseconds since 1970, in UTC.
using file_time = std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>;

struct file_status {
  file_kind kind = file_kind::unknown;
  std::uint64_t size = 0;   // in bytes; 0 for many files of /proc and /sys, whatever they hold
  unsigned mode = 0;        // the rights, and the bits for set-id and sticky: 07777
  std::uint32_t user = 0;   // the owner's number
  std::uint32_t group = 0;  // the group's number
  std::uint64_t links = 0;  // names of this file
  std::uint64_t inode = 0;  // with `device`: the same file, whatever its name
  std::uint64_t device = 0;
  std::uint64_t blocks = 0;  // of 512 bytes, that the file takes on its disk: holes take none
  file_time modified = {};   // the content
  file_time accessed = {};
  file_time changed = {};  // the content, or what stands here

  [[nodiscard]] bool is_file() const noexcept { return kind == file_kind::regular; }
  [[nodiscard]] bool is_directory() const noexcept { return kind == file_kind::directory; }
  [[nodiscard]] bool is_symlink() const noexcept { return kind == file_kind::symlink; }
};

/// A name in a directory: what list_directory() yields.
struct directory_entry {
  std::string name;                     // without the directory
  file_kind kind = file_kind::unknown;  // of a link: symlink
};

/// A write met a full disk (ENOSPC), a quota (EDQUOT), a size limit (EFBIG), a bad disk (EIO), or a
/// peer that had gone. The first written() bytes went; the rest did not.
class incomplete_write_error : public std::system_error {
 public:
  incomplete_write_error(int code, const std::string& what, std::uint64_t written);
  [[nodiscard]] std::uint64_t written() const noexcept { return written_; }

 private:
  std::uint64_t written_;
};

}  // namespace heddle
