// SPDX-License-Identifier: MIT
// Internal to io.
// An open file that its handle shares with the jobs of the file threads.
//
// Problem   A task that is cancelled leaves a job behind that still reads or writes. If the handle
//           closed the descriptor then, its number would go to another file, and the job would
//           write into that file.
// Chosen    Each call is a `file_use`, which a job takes along. close() waits on a file thread
//           until all uses have ended. What close() waits for has begun before it: jobs begin in
//           their order, and a use without a job suspends nowhere.
// Costs     A lock for each call, twice.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/io/descriptors/fd.h>
#include <heddle/io/file_options.h>
#include <heddle/io/file_status.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include <sys/stat.h>
#include <sys/types.h>

namespace heddle::detail {

/// A read of the kernel's memory takes at most so much, since it is made on a loop.
inline constexpr std::size_t most_inline = 64 * 1024;
/// One system call moves at most so much. The kernel itself stops a little below 2 GiB.
inline constexpr std::size_t most_a_call = 1024 * 1024 * 1024;

//
// path, reads .. line_limit    constant
// descriptor_                  constant until the close, which is made under lock_ and without uses
// uses_, closing_              under lock_
// position and ahead           the holder of `positioned`, but for the loads of tell()
// sync_error_, cached_, writes any thread, atomically
class open_file {
 public:
  open_file(fd descriptor, std::string where, const file_options& how);
  open_file(const open_file&) = delete;
  ~open_file() = default;

  const std::string path;
  const bool reads;
  const bool writes;
  const bool appends;
  const std::size_t line_limit;

  /// Inside a use.
  [[nodiscard]] int descriptor() const noexcept { return descriptor_.get(); }
  /// The descriptor for anybody else; -1 once it is closed.
  [[nodiscard]] int number() const noexcept;
  /// False: close() has begun.
  [[nodiscard]] bool is_open() const noexcept;

  // --- these block, and may run on any thread, inside a use ---

  /// Up to `n` bytes from `at` on; fewer at the end of the file.
  [[nodiscard]] std::string read(std::uint64_t at, std::size_t n) const;
  [[nodiscard]] std::size_t read(std::uint64_t at, std::span<char> into) const;
  /// All of it, or incomplete_write_error. A file that appends ignores `at`.
  void write(std::uint64_t at, std::string_view bytes);
  void truncate(std::uint64_t size);
  [[nodiscard]] file_status status() const;
  void sync(bool data_alone);
  /// `operation` of flock(), with LOCK_NB. False: another handle has it.
  [[nodiscard]] bool lock(int operation) const;

  // --- these do not block ---

  /// Reads what the kernel has in memory. -1: ask a file thread. Never says "end of the file".
  [[nodiscard]] ssize_t read_cached(std::uint64_t at, std::span<char> into) noexcept;
  /// From now on there are no new uses. Throws usage_error the second time.
  void begin_close();
  /// Waits for the uses there are, then closes. Blocks. Throws std::system_error.
  void close();

  atomic<std::uint64_t> position{0};
  atomic<bool> positioned{false};
  // Counts writes, so that what was read ahead before one of them is dropped.
  atomic<std::uint32_t> changes{0};
  std::string ahead;  // read ahead for lines, from ahead_at on, when `changes` was ahead_seen
  std::uint64_t ahead_at = 0;
  std::uint32_t ahead_seen = 0;

 private:
  friend class file_use;
  void enter();
  void leave() noexcept;

  fd descriptor_;
  mutable std::mutex lock_;
  std::condition_variable unused_;
  unsigned uses_ = 0;
  bool closing_ = false;
  atomic<int> sync_error_{0};
  atomic<bool> cached_{true};  // the kernel can say what it has in memory of this file
};

/// Keeps a file open for the time of one call.
class file_use {
 public:
  /// Throws usage_error if the file was closed.
  explicit file_use(std::shared_ptr<open_file> f) : file_(std::move(f)) { file_->enter(); }
  file_use(file_use&&) noexcept = default;
  file_use& operator=(file_use&&) = delete;
  ~file_use() {
    if (file_) file_->leave();
  }
  open_file* operator->() const noexcept { return file_.get(); }
  open_file& operator*() const noexcept { return *file_; }

 private:
  std::shared_ptr<open_file> file_;
};

/// Opens, and refuses what is no file. Blocks. Throws as file::open.
[[nodiscard]] std::shared_ptr<open_file> open_by_path(const std::string& path,
                                                      const file_options& how);
/// The flags of open(). Throws bad_value for options that make no sense.
[[nodiscard]] int flags_of(const file_options& how);
/// Throws bad_value for a path with a zero byte, which the kernel would not see.
void check_path(std::string_view path);
/// What the kernel says, in the library's words.
[[nodiscard]] file_status status_of(const struct stat& s) noexcept;
[[nodiscard]] file_kind kind_of(mode_t mode) noexcept;

/// All of `bytes`, or incomplete_write_error. `at` < 0: by write(), for a file that appends.
void write_whole(int descriptor, std::int64_t at, std::string_view bytes, const std::string& path);
/// Up to `n` bytes from `at` on; fewer at the end.
[[nodiscard]] std::string read_whole(int descriptor, std::uint64_t at, std::size_t n,
                                     const std::string& path);

}  // namespace heddle::detail
