// SPDX-License-Identifier: MIT
// How files are opened, written whole, and copied.
//
//   h::file_options o;
//   o.write = true;
//   o.create = true;
//   auto f = co_await h::file::open(path, o);
//
// The order of the fields is API: fields are appended, never reordered.
#pragma once

#include <cstddef>

namespace heddle {

/// The default of file_options.limit.
inline constexpr std::size_t default_line_limit = 1024 * 1024;

/// How a file is opened.
struct file_options {
  bool read = true;
  bool write = false;
  /// Every write goes behind the end that the file has at that moment. Implies `write`.
  bool append = false;
  /// Make the file if there is none. Needs `write` or `append`.
  bool create = false;
  /// Make the file; EEXIST if there is one. Needs `write` or `append`.
  bool create_new = false;
  /// Drop what the file holds. Needs `write`, without `append`.
  bool truncate = false;
  /// False: ELOOP if the last part of the path is a symbolic link.
  bool follow_links = true;
  /// The rights of a file that is made, less the process's umask. At most 07777.
  unsigned mode = 0666;
  /// Most bytes of a line for read_line() and lines(), the "\n" included.
  std::size_t limit = default_line_limit;
};

/// How write_file() writes.
struct write_file_options {
  /// Write a new file beside it, and rename that over the path. Readers see the old content or the
  /// new one, and a failure leaves the old one. An existing file's rights are kept; its other names
  /// and a link at the path are not: they go on naming the old file.
  bool atomic = false;
  /// Wait until the disk has the content; with `atomic` also the new name.
  bool durable = false;
  /// Write behind what the file holds. Not with `atomic`.
  bool append = false;
  /// The rights of a file that is made, less the process's umask.
  unsigned mode = 0666;
};

/// How copy_file() copies.
struct copy_options {
  /// False: EEXIST if something stands at the new name.
  bool replace = true;
  /// False: the new file gets the rights 0666 less the umask, and not those of the old one.
  bool keep_mode = true;
  /// Also copies times. They are set last.
  bool keep_times = false;
};

}  // namespace heddle
