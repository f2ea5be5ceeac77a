// SPDX-License-Identifier: MIT
// A disk that does not answer: between stop() and go() the calls that read and write files wait,
// and nothing is in the kernel's memory. The linker sends those calls through slow_disk.cpp.
//
//   slow_disk::stopped disk;
//   auto t = h::create_task(f.read_at(0, 10));
//   co_await until([] { return slow_disk::waiting() == 1; });
//   disk.go();
#pragma once

#include <cstddef>

namespace slow_disk {

/// Paths that hold this word are slow to open, to look at, to rename and to remove.
inline constexpr const char* marker = "slow-disk";

void stop();
void go();
/// Calls that wait now.
std::size_t waiting();
/// The most that waited at one time since the last stop().
std::size_t most_waiting();
/// The next fsync or fdatasync fails with that errno.
void fail_next_sync(int code);
/// The next pwrite fails with that errno, before any byte went.
void fail_next_write(int code);
/// The close of that descriptor closes it, and fails with that errno.
void fail_close_of(int descriptor, int code);

/// The next inotify_add_watch fails with that errno.
void fail_next_watch(int code);

/// How often sendfile was called.
std::size_t files_sent();
/// While one lives, sendfile refuses every file, by EINVAL.
class no_sendfile {
 public:
  no_sendfile();
  no_sendfile(const no_sendfile&) = delete;
  ~no_sendfile();
};

class stopped {
 public:
  stopped() { stop(); }
  stopped(const stopped&) = delete;
  ~stopped() { slow_disk::go(); }
  static void go() { slow_disk::go(); }
};

}  // namespace slow_disk
