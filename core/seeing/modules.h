// SPDX-License-Identifier: MIT
// Internal to core.
// The files that a process has mapped: where its code stands, and in which of them a heddle is.
#pragma once

#include <heddle/core/seeing/memory.h>

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail::seeing {

/// Mapped code. Frames of coroutines begin with an address in one of these.
struct code_range {
  address begin = 0;
  address end = 0;
  address offset = 0;       // in the file
  std::uint64_t inode = 0;  // of the file
  std::uint32_t name = 0;   // see modules::name()
};

/// A line of /proc/PID/maps.
struct mapped {
  address begin = 0;
  address end = 0;
  address offset = 0;
  std::uint64_t inode = 0;
  const char* rights = "";  // "r-xp"
  const char* path = "";    // what is mapped, as the system calls it; may be empty
};
/// Calls `see` for each mapping of `of` (0: of this process), in the order of their addresses.
/// False: errno tells why not. Nothing is allocated.
[[nodiscard]] bool each_mapped(pid_t of, void (*see)(void* context, const mapped& m) noexcept,
                               void* context) noexcept;

/// What /proc/PID/maps says, as far as a reader needs it. Fixed in size: what does not fit is left
/// out, and then calls from there are no frames. Nothing is allocated.
class modules {
 public:
  static constexpr std::size_t most_ranges = 512;
  static constexpr std::size_t most_heads = 512;
  static constexpr std::size_t name_bytes = 32768;

  /// Reads the maps of `of` (0: of this process). False: errno tells why not.
  [[nodiscard]] bool load(pid_t of) noexcept;
  /// One range of code more, which begins at `offset` of its file; or the head of a file more. For
  /// tests, and for what has no /proc.
  void add_code(address begin, address end, const char* name, address offset = 0) noexcept;
  void add_head(address head) noexcept {
    if (head_count_ < most_heads) heads_[head_count_++] = head;
  }

  [[nodiscard]] const code_range* code_at(address at) const noexcept;
  [[nodiscard]] bool is_code(address at) const noexcept { return code_at(at) != nullptr; }
  /// The path of a file, as the process sees it.
  [[nodiscard]] const char* name(const code_range& r) const noexcept { return names_ + r.name; }

  /// Where files begin in memory: candidates for find_layout(). `count` of them.
  [[nodiscard]] const address* heads() const noexcept { return heads_; }
  [[nodiscard]] std::size_t head_count() const noexcept { return head_count_; }

 private:
  void add(const mapped& m) noexcept;
  [[nodiscard]] std::uint32_t keep_name(const char* name) noexcept;

  code_range ranges_[most_ranges];
  std::size_t range_count_ = 0;
  address heads_[most_heads];
  std::size_t head_count_ = 0;
  char names_[name_bytes];
  std::size_t names_used_ = 0;
};

/// The address of the layout's head that the module at `head` carries, or 0: follows the program
/// headers in memory to the notes. So it needs neither the file nor its sections.
[[nodiscard]] address find_layout(memory& from, address head) noexcept;

}  // namespace heddle::detail::seeing
