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
//             one component at a time, and no link is followed. What the kernel has in memory is
//             opened on the loop (RESOLVE_CACHED): another thread would cost more than the file.
// Promised    No byte from outside the root is sent, races included.
#pragma once

#include <heddle/core/base/shared.h>
#include <heddle/core/task.h>
#include <heddle/io/http/conditions.h>
#include <heddle/io/http/files_options.h>
#include <heddle/io/http/message.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

struct stat;

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
  /// Reads all of it if the kernel has it in memory. False: it has not; `into` is worthless then,
  /// and nothing has moved. Does not block.
  [[nodiscard]] bool read_at_once(std::span<char> into) const noexcept;
};

/// The files below a directory, for GET and HEAD.
/// Thread-safety  any number of threads may use one at a time
class file_root {
 public:
  enum class resolver { automatic, walk };  // walk: as if there were no openat2

  /// Throws std::system_error if the directory cannot be opened; bad_value for the name of an index
  /// that is no name of a file.
  explicit file_root(const std::string& directory, resolver how = resolver::automatic);
  file_root(const std::string& directory, files_options options,
            resolver how = resolver::automatic);

  /// `path` is decoded and relative to the root. "/" before it is ignored. A directory stands for
  /// its index, or for a page of its entries, as files_options says. If the request's target lacks
  /// the slash behind a directory, the answer is 301 to the target with the slash, since the links
  /// in the index are relative. Answers 200, 206 (a range), 301, 304, 404, 405, 412, 416 or 503.
  /// What lies outside or may not be read is 404. 503: the process or the system has no descriptor
  /// or memory for the file, or the tree changes again and again.
  /// Throws  std::system_error for other failures of the disk
  /// Cost    blocks on the disk: call it in to_thread(), unless the files are sure to be cached
  file_answer answer(const request& r, std::string_view path) const;
  /// The same, if the kernel has all in memory that the answer needs. Nothing: it may have not, and
  /// answer() says more. Pages of entries are always left to answer().
  /// Throws  std::bad_alloc
  /// Cost    some 2 us, and it does not block: not on a disk, nor on a network's file system
  std::optional<file_answer> answer_at_once(const request& r, std::string_view path) const;

 private:
  struct coded;
  struct look;
  file_answer answer(look& how, const request& r, std::string_view path) const;
  file_answer answer_directory(look& how, const request& r, file_handle directory,
                               std::string name) const;
  file_answer answer_file(look& how, const request& r, file_handle file, const struct stat& info,
                          const std::string& name) const;
  file_answer list(file_handle directory, const std::string& name) const;
  bool pick_coded(look& how, const request& r, const std::string& name, coded& found) const;
  bool open_regular(look& how, const std::string& path, file_handle& file, struct stat& info) const;
  file_handle open(look& how, const std::string& path) const;
  file_handle open_cached(look& how, const std::string& path) const;
  file_handle open_beneath(const std::string& path) const;
  file_handle open_walking(const std::string& path) const;

  file_handle root_;
  files_options options_;
  resolver how_;
  bool is_local_ = false;  // answer_at_once() may be asked: there is no server, and RESOLVE_CACHED
};

/// The answer of a handler: the file below `root` at `path`, as file_root::answer says, ranges and
/// conditions of `r` included. It is opened on a file thread. A small one is read there, a large
/// one is sent as send_file() does.
///   r.get("/one", [&](http::request& q) { return http::file_response(q, top / "a.txt"); });
/// Throws  std::system_error for failures of the disk other than those that are 404 and 503
/// Cancel  what was opened is closed
[[nodiscard]] task<response> file_response(const request& r, std::shared_ptr<const file_root> root,
                                           std::string path);
/// The same for one file, whose path the program chooses. 404 for a directory, for a file that may
/// not be read, and for a link that leads out of the file's directory.
[[nodiscard]] task<response> file_response(const request& r, std::string path);

/// By the extension. "application/octet-stream" for an unknown one.
media_type media_type_of(std::string_view file_name) noexcept;

}  // namespace heddle::http
