// SPDX-License-Identifier: MIT
#pragma once

// Problem     Hand out files below one directory, whatever a path says.
// Rejected    Checking the text of the path (links escape it), resolving with realpath() and
//             comparing (the tree can change in between).
// Chosen      The kernel resolves the path beneath the root's descriptor and refuses to leave it
//             (openat2, RESOLVE_BENEATH). Where openat2 is missing or forbidden, one component at a
//             time, following no link at all.
// Promised    No byte from outside the root, races included.

#include <heddle/io/http/message.h>

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace heddle::http {

/// An open file descriptor that closes itself.
class file_handle {
 public:
  file_handle() = default;
  explicit file_handle(int fd) noexcept : fd_(fd) {}
  file_handle(file_handle&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  file_handle& operator=(file_handle&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~file_handle();

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// The answer to a request for a file: a head, and the part of the file that is its body.
struct file_answer {
  response head;  // its `body` is used as it is if there is no file (errors, 304)
  file_handle file;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;

  /// Reads the next piece and moves on; 0 at the end. Blocks on the disk. Throws std::system_error
  /// on a read error, and if the file has become shorter than the promised length.
  std::size_t read(std::span<char> into);
};

/// The files below a directory, for GET and HEAD. Any number of threads may use one at a time.
class file_root {
 public:
  enum class resolver { automatic, walk };  // walk: as if openat2 were missing

  /// Throws std::system_error if the directory cannot be opened.
  explicit file_root(const std::string& directory, resolver how = resolver::automatic);

  /// `path` is decoded and relative to the root; "/" before it is ignored. A directory stands for
  /// its index.html; if the request's target lacks the slash behind it, the answer is 301 to the
  /// target with the slash, since the links in the index are relative. Answers 200, 206 (a range),
  /// 301, 304, 404 (also for what lies outside or may not be read), 405, 412, 416, and 503 when the
  /// process or the system has no descriptor or memory for the file. Throws std::system_error for
  /// other failures of the disk. Blocks on the disk: call it in to_thread() unless the files are
  /// sure to be cached.
  file_answer answer(const request& r, std::string_view path) const;

 private:
  file_handle open(const std::string& path) const;
  file_handle open_beneath(const std::string& path) const;
  file_handle open_walking(const std::string& path) const;

  file_handle root_;
  resolver how_;
};

/// By the extension; "application/octet-stream" for the unknown.
media_type media_type_of(std::string_view file_name) noexcept;

/// What a Range field asks of a body of that size.
struct byte_range {
  enum class verdict {
    whole,
    part,
    unsatisfiable
  } is = verdict::whole;  // whole also: no single range of bytes
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};
byte_range parse_range(std::string_view field, std::uint64_t size) noexcept;

}  // namespace heddle::http
