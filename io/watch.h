// SPDX-License-Identifier: MIT
// Files that change: what happens to a file, in a directory, or in a tree of directories, as an
// async generator.
//
//   auto events = co_await h::watch(directory);
//   co_await h::write_file(directory + "/new", "text");
//   auto* first = co_await events.next();   // created, directory + "/new"
//   co_await events.aclose();               // or destroy it: nothing is told any more
#pragma once

#include <heddle/core/base/time_types.h>
#include <heddle/core/checked.h>
#include <heddle/core/task.h>
#include <heddle/sched/async_generator.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace heddle {

enum class file_change : std::uint8_t {
  created,     // it is there now: it was made, or it came from outside of what is watched
  modified,    // its content; equal events that nobody fetched yet are one
  attributes,  // its rights, owner, times, or number of names
  moved,       // from one watched name to another
  removed,     // it is there no more: it was removed, or it went out of what is watched
  overflow,    // the kernel's queue was full, and events are missing: look at the files yourself
};

/// "created", "modified", ...: for messages.
[[nodiscard]] std::string_view to_string(file_change change) noexcept;

struct file_event {
  file_change change = file_change::overflow;
  // Begins with the path that was given to watch(), and is that path for `overflow`. A watched file
  // that is moved gets a new name, which is whole.
  std::string path;
  std::string from = {};      // with `moved`: the old name
  bool is_directory = false;  // what the path names, as far as the kernel says it
};

/// How watch() watches. The order of the fields is API: fields are appended, never reordered.
struct watch_options {
  /// Also all directories below, and those that come later. Links to directories are not followed.
  bool tree = false;
  /// The kernel tells a move as two events, and the second may be late or never come. So long a
  /// name that went may come again elsewhere, to be one event `moved`; all later events wait
  /// behind it. After that it is told as `removed`.
  any_duration move_limit = std::chrono::milliseconds(100);
};

/// Watches from the moment that it returns. The events come in the kernel's order.
///
/// A directory: the names in it. A tree: also those of all directories below; what is in a
/// directory that comes new is told as `created`, too. A file: what happens to that name, also when
/// another file takes its place; its directory is what the kernel watches. The generator ends when
/// the watched directory is gone (`removed` comes first), or the directory of the watched file.
/// Changes that are made through other hard links, by mmap, or on other machines, are not told.
/// Cost      no thread: the kernel's queue is read on the loop. A file thread opens it, and looks
///           into each new directory of a tree. A watch of the kernel for each directory
/// Cancel    a cancelled next() ends the generator
/// Throws    std::system_error with the call and the path: ENOENT if nothing is there; ENOSPC names
///           fs.inotify.max_user_watches, EMFILE fs.inotify.max_user_instances; from next(), too.
///           bad_value for a path with a zero byte
/// Thread-safety  any task on any loop; one task at a time asks the generator
[[nodiscard]] task<async_generator<file_event>> watch(std::string path);
[[nodiscard]] task<async_generator<file_event>> watch(std::string path, watch_options options);

}  // namespace heddle
