// SPDX-License-Identifier: MIT
#include "slow_disk.h"

#include <support/injected.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdarg>
#include <cstdint>
#include <cstring>
#include <mutex>

namespace {

std::mutex lock;
std::condition_variable answers;
std::atomic<bool> is_stopped{false};
std::size_t waits = 0;
std::size_t most = 0;
std::atomic<int> sync_failure{0};
std::atomic<int> write_failure{0};
std::atomic<int> watch_failure{0};
std::atomic<int> refusing{0};
std::atomic<std::size_t> sendfile_calls{0};
std::atomic<int> close_failure{0};
std::atomic<int> badly_closed{-1};  // its close fails with close_failure

void wait_for_the_disk() {
  if (!is_stopped.load()) return;
  std::unique_lock hold(lock);
  if (++waits > most) most = waits;
  answers.wait(hold, [] { return !is_stopped.load(); });
  --waits;
}

bool is_slow(const char* path) { return std::strstr(path, slow_disk::marker) != nullptr; }

}  // namespace

namespace slow_disk {

void stop() {
  std::lock_guard hold(lock);
  most = waits;
  is_stopped = true;
}
void go() {
  std::lock_guard hold(lock);
  is_stopped = false;
  answers.notify_all();
}
std::size_t waiting() {
  std::lock_guard hold(lock);
  return waits;
}
std::size_t most_waiting() {
  std::lock_guard hold(lock);
  return most;
}
void fail_next_sync(int code) { sync_failure = code; }
void fail_next_write(int code) { write_failure = code; }
std::size_t files_sent() { return sendfile_calls; }
no_sendfile::no_sendfile() { ++refusing; }
no_sendfile::~no_sendfile() { --refusing; }
void fail_next_watch(int code) { watch_failure = code; }
void fail_close_of(int descriptor, int code) {
  close_failure = code;
  badly_closed = descriptor;
}

}  // namespace slow_disk

extern "C" {

ssize_t __real_pread(int, void*, size_t, off_t);
ssize_t __real_pwrite(int, const void*, size_t, off_t);
ssize_t __real_preadv2(int, const iovec*, int, off_t, int);
int __real_fsync(int);
int __real_fdatasync(int);
int __real_stat(const char*, struct stat*);
int __real_open(const char*, int, ...);
int __real_close(int);
int __real_unlink(const char*);
int __real_rename(const char*, const char*);
ssize_t __real_sendfile(int, int, off_t*, size_t);
int __real_inotify_add_watch(int, const char*, std::uint32_t);

ssize_t __wrap_pread(int f, void* to, size_t n, off_t at) {
  wait_for_the_disk();
  return __real_pread(f, to, n, at);
}
ssize_t __wrap_pwrite(int f, const void* from, size_t n, off_t at) {
  wait_for_the_disk();
  if (const int code = write_failure.exchange(0)) {
    errno = code;
    return -1;
  }
  return __real_pwrite(f, from, n, at);
}
ssize_t __wrap_preadv2(int f, const iovec* to, int n, off_t at, int flags) {
  if (is_stopped.load()) {
    errno = EAGAIN;
    return -1;
  }
  return __real_preadv2(f, to, n, at, flags);
}
int __wrap_fsync(int f) {
  wait_for_the_disk();
  if (const int code = sync_failure.exchange(0)) {
    errno = code;
    return -1;
  }
  return __real_fsync(f);
}
int __wrap_fdatasync(int f) {
  wait_for_the_disk();
  if (const int code = sync_failure.exchange(0)) {
    errno = code;
    return -1;
  }
  return __real_fdatasync(f);
}
int __wrap_stat(const char* path, struct stat* s) {
  if (is_slow(path)) wait_for_the_disk();
  return __real_stat(path, s);
}
int __wrap_open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const auto mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  if (is_slow(path)) wait_for_the_disk();
  if (support::detail::fails(support::call::open)) return -1;
  return __real_open(path, flags, mode);
}

ssize_t __wrap_sendfile(int to, int from, off_t* at, size_t n) {
  ++sendfile_calls;
  if (refusing != 0) {
    errno = EINVAL;
    return -1;
  }
  if (support::detail::fails(support::call::sendfile, to)) return -1;
  return __real_sendfile(to, from, at, n);
}
int __wrap_unlink(const char* path) {
  if (is_slow(path)) wait_for_the_disk();
  return __real_unlink(path);
}
int __wrap_rename(const char* from, const char* to) {
  if (is_slow(from)) wait_for_the_disk();
  return __real_rename(from, to);
}
int __wrap_inotify_add_watch(int f, const char* path, std::uint32_t mask) {
  if (const int code = watch_failure.exchange(0)) {
    errno = code;
    return -1;
  }
  return __real_inotify_add_watch(f, path, mask);
}
int __wrap_close(int f) {
  int meant = f;
  const bool fails = f >= 0 && badly_closed.compare_exchange_strong(meant, -1);
  const int rc = __real_close(f);
  if (!fails) return rc;
  errno = close_failure;
  return -1;
}

}  // extern "C"
