// SPDX-License-Identifier: MIT
// Directories, names and links, without holding a loop: look at them, make, list, rename, copy and
// remove them.
//
//   co_await h::make_directories(top + "/a/b");
//   co_await h::write_file(top + "/a/b/c", "text");
//   auto entries = h::list_directory(top + "/a/b");
//   while (auto* e = co_await entries.next()) names += e->name;
//   co_await h::remove_tree(top);
//
// All of these are jobs for a file thread (options.file_threads).
// Cancel    A call that no thread has begun is not made. After that the wait ends at once, and the
//           call is made whole all the same.
// Throws    std::system_error with the call and the path; bad_value for a path with a zero byte
// Thread-safety  any task; what two calls do at once to one path is the kernel's order
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/file_options.h>
#include <heddle/io/file_status.h>
#include <heddle/sched/async_generator.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace heddle {

/// What stands at a path. Links are followed.
[[nodiscard]] task<file_status> status(std::string path);
/// The same, but of a symbolic link itself.
[[nodiscard]] task<file_status> link_status(std::string path);
/// False: nothing stands there (ENOENT, ENOTDIR), or a symbolic link to nothing. Throws whatever
/// else keeps it from knowing (EACCES, ELOOP, ENAMETOOLONG).
[[nodiscard]] task<bool> exists(std::string path);

/// EEXIST if something stands there. `mode` is less the umask; 0777 without it.
[[nodiscard]] task<> make_directory(std::string path);
[[nodiscard]] task<> make_directory(std::string path, unsigned mode);
/// Makes what is missing of the path. Fine if others make it at the same time. EEXIST or ENOTDIR if
/// a part of it is no directory.
[[nodiscard]] task<> make_directories(std::string path);

/// Removes a name: a file, a link, a FIFO. A directory is EISDIR.
[[nodiscard]] task<> remove_file(std::string path);
/// Removes an empty directory; else ENOTEMPTY.
[[nodiscard]] task<> remove_directory(std::string path);
/// Removes what stands at the path with all that is below. Yields how many names that were; 0 if
/// nothing stood there. Follows no link, not even if others exchange directories for links
/// meanwhile: nothing outside the tree is touched. ENOTEMPTY if others put names into a directory
/// faster than they are removed, 1000 times.
[[nodiscard]] task<std::uint64_t> remove_tree(std::string path);

/// Gives a file or directory another name. Replaces a file that has the new name, and an empty
/// directory if it is one itself. Throws std::system_error with EXDEV if the new name lies on
/// another file system: copy_file() and remove_file() do it then.
[[nodiscard]] task<> rename(std::string from, std::string to);
/// A second name for the same file.
[[nodiscard]] task<> make_link(std::string target, std::string path);
/// A symbolic link at `path`, which holds the text `target`.
[[nodiscard]] task<> make_symlink(std::string target, std::string path);
/// The text that a symbolic link holds. EINVAL if it is none.
[[nodiscard]] task<std::string> read_link(std::string path);

/// The names in a directory, in no order, without "." and "..". Each job fetches up to 512 of them.
/// A name that is made or removed meanwhile may be there or not.
/// Cancel    ends the generator
[[nodiscard]] async_generator<directory_entry> list_directory(std::string path);

/// Copies what a file holds; yields how many bytes that are, holes included. Holes stay holes. The
/// copy shares blocks with the file where the file system can do that; else the kernel copies, or
/// this library. Throws bad_value if both names are the same file, and for a FIFO or a terminal;
/// incomplete_write_error for a full disk.
/// Cancel    between two pieces of 64 MiB; what was copied so far stays
/// Cost      a job for each piece
[[nodiscard]] task<std::uint64_t> copy_file(std::string from, std::string to);
[[nodiscard]] task<std::uint64_t> copy_file(std::string from, std::string to, copy_options options);

/// A directory with a fresh name, rights 0700. It and all below it are gone when the object goes,
/// by a return, an exception or a cancellation: a file thread removes it. An error of that is lost;
/// remove() tells it.
class temporary_directory {
 public:
  temporary_directory() noexcept = default;
  temporary_directory(temporary_directory&& other) noexcept
      : path_(std::exchange(other.path_, std::string())) {}
  temporary_directory& operator=(temporary_directory&& other) noexcept;
  ~temporary_directory();

  /// In $TMPDIR, or in /tmp; or below `parent`.
  [[nodiscard]] static task<temporary_directory> make();
  [[nodiscard]] static task<temporary_directory> make(std::string parent);

  /// Throws usage_error for an empty object.
  [[nodiscard]] const std::string& path() const;
  /// Removes it now. The object is empty from the call on. Throws as remove_tree.
  [[nodiscard]] task<> remove();
  /// Leaves the directory to the caller, who removes it, and yields its path.
  [[nodiscard]] std::string release();

 private:
  explicit temporary_directory(std::string path) noexcept : path_(std::move(path)) {}

  std::string path_;  // empty: there is none
};

}  // namespace heddle
