// SPDX-License-Identifier: MIT
// Files below one directory as answers to GET and HEAD.
//
//   root_.emplace((top_ / "root").string(), GetParam());
//   request r;
//   return root_->answer(r, path);
//
// Problem     Hand out files below one directory, whatever a path says.
// Rejected    Checking the text of the path: links escape it. Resolving with realpath() and
//             comparing the result: the tree can change in between.
// Chosen      The kernel resolves the path beneath the root's descriptor, and refuses to leave it
//             (openat2, RESOLVE_BENEATH). Where openat2 is missing or forbidden, the path is opened
//             one component at a time, and no link is followed.
// Promised    No byte from outside the root is sent, races included.
#pragma once

#include <heddle/io/http/message.h>

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace heddle::http {

/// Owns an open file descriptor, and closes it.
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
  int release() noexcept { return std::exchange(fd_, -1); }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// The answer to a request for a file: a head, and the part of the file that is its body.
struct file_answer {
  response head;  // if there is no file (errors, 304), its `body` is the whole answer
  file_handle file;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;

  /// Reads the next piece and moves on. 0 at the end. Blocks on the disk. Throws std::system_error
  /// on a read error, and if the file has become shorter than the promised length.
  std::size_t read(std::span<char> into);
};

/// The files below a directory, for GET and HEAD.
/// Thread-safety  any number of threads may use one at a time
class file_root {
 public:
  enum class resolver { automatic, walk };  // walk: as if there were no openat2

  /// Throws std::system_error if the directory cannot be opened.
  explicit file_root(const std::string& directory, resolver how = resolver::automatic);

  /// `path` is decoded and relative to the root. "/" before it is ignored. A directory stands for
  /// its index.html. If the request's target lacks the slash behind a directory, the answer is 301
  /// to the target with the slash, since the links in the index are relative. Answers 200, 206 (a
  /// range), 301, 304, 404 (also for what lies outside or may not be read), 405, 412, 416, and 503
  /// if the process or the system has no descriptor or memory for the file, or if the tree changes
  /// again and again.
  /// Throws  std::system_error for other failures of the disk
  /// Cost    blocks on the disk: call it in to_thread(), unless the files are sure to be cached
  file_answer answer(const request& r, std::string_view path) const;

 private:
  file_handle open(const std::string& path) const;
  file_handle open_beneath(const std::string& path) const;
  file_handle open_walking(const std::string& path) const;

  file_handle root_;
  resolver how_;
};

/// By the extension. "application/octet-stream" for an unknown one.
media_type media_type_of(std::string_view file_name) noexcept;

/// What a Range field asks of a body of that size. `whole` also if it asks for something else than
/// one range of bytes.
struct byte_range {
  enum class verdict { whole, part, unsatisfiable } is = verdict::whole;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};
byte_range parse_range(std::string_view field, std::uint64_t size) noexcept;

}  // namespace heddle::http
