// SPDX-License-Identifier: MIT
#include <heddle/io/pipe.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/descriptors/fd.h>
#include <heddle/io/reactor/reactor.h>
#include <heddle/io/streams/stream_access.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace heddle {
namespace {

using detail::check;
using detail::fd;
using detail::watched_for;

std::string named(int descriptor) { return "descriptor " + std::to_string(descriptor); }

std::size_t capacity_of(int end) {
  return static_cast<std::size_t>(check(::fcntl(end, F_GETPIPE_SZ), "fcntl F_GETPIPE_SZ"));
}

void give_capacity(int end, std::size_t bytes) {
  const int size = detail::checked<int>(bytes, "the capacity of a pipe", 1);
  check(::fcntl(end, F_SETPIPE_SZ, size), "fcntl F_SETPIPE_SZ", std::to_string(bytes) + " bytes");
}

connection open_end(fd end, watched_for purpose, std::size_t limit) {
  auto& home = detail::current_reactor();
  return detail::make_connection(
      detail::stream_core::open_pipe(std::move(end), home, purpose, limit));
}

fd open_fifo(const std::string& path, int mode, const fifo_options& o) {
  detail::check_limit(o.limit);
  (void)detail::current_reactor();
  const auto refuse = [&path](const struct stat& kind) {
    if (!S_ISFIFO(kind.st_mode)) throw bad_value(path + " is no named pipe");
  };
  struct stat kind;
  // Opening a device may act on it, so the path is asked before, too.
  check(::stat(path.c_str(), &kind), "open", path);
  refuse(kind);
  const int flags = (o.outlives_peers ? O_RDWR : mode) | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
  fd end(check(::open(path.c_str(), flags), "open", path));
  check(::fstat(end.get(), &kind), "fstat", path);
  refuse(kind);
  if (o.capacity != 0) give_capacity(end.get(), o.capacity);
  return end;
}

/// True: a terminal. False: a pipe.
bool check_foreign_end(int descriptor, int mode) {
  struct stat kind;
  check(::fstat(descriptor, &kind), "fstat", named(descriptor));
  const int flags = check(::fcntl(descriptor, F_GETFL), "fcntl F_GETFL", named(descriptor));
  const bool terminal = S_ISCHR(kind.st_mode) && ::isatty(descriptor) == 1;
  if (!terminal && !S_ISFIFO(kind.st_mode))
    throw bad_value(named(descriptor) + " is neither a pipe nor a terminal");
  const int open_for = flags & O_ACCMODE;
  if (open_for != O_RDWR && open_for != mode)
    throw bad_value(named(descriptor) + " is not open for " +
                    (mode == O_RDONLY ? "reading" : "writing"));
  return terminal;
}

connection take_over(int descriptor, int mode, const pipe_options& o) {
  detail::check_limit(o.limit);
  auto& home = detail::current_reactor();
  const bool terminal = check_foreign_end(descriptor, mode);
  fd end(descriptor);
  const int flags = check(::fcntl(descriptor, F_GETFL), "fcntl F_GETFL", named(descriptor));
  check(::fcntl(descriptor, F_SETFL, flags | O_NONBLOCK), "fcntl F_SETFL", named(descriptor));
  if (o.capacity != 0 && !terminal) give_capacity(descriptor, o.capacity);
  const auto purpose = mode == O_RDONLY ? watched_for::reading : watched_for::writing;
  return detail::make_connection(
      terminal ? detail::stream_core::open_terminal(std::move(end), home, purpose, o.limit)
               : detail::stream_core::open_pipe(std::move(end), home, purpose, o.limit));
}

}  // namespace

pipe_reader& pipe_reader::operator=(pipe_reader&& other) noexcept {
  if (this != &other) {
    close();
    stream_reader::operator=(std::move(other));
    closer_ = std::move(other.closer_);
  }
  return *this;
}

void pipe_reader::close() noexcept {
  if (closer_.valid())
    detail::stream_access::of(closer_).revoke(ECANCELED, "read of a closed pipe");
}

std::size_t pipe_reader::capacity() const { return capacity_of(native_handle()); }
void pipe_reader::set_capacity(std::size_t bytes) { give_capacity(native_handle(), bytes); }
int pipe_reader::native_handle() const noexcept {
  return closer_.valid() ? closer_.native_handle() : -1;
}

std::size_t pipe_writer::capacity() const { return capacity_of(native_handle()); }
void pipe_writer::set_capacity(std::size_t bytes) { give_capacity(native_handle(), bytes); }

pipe_pair make_pipe(pipe_options options) {
  detail::check_limit(options.limit);
  (void)detail::current_reactor();
  int both[2];
  check(::pipe2(both, O_CLOEXEC | O_NONBLOCK), "pipe2");
  fd reading(both[0]), writing(both[1]);
  if (options.capacity != 0) give_capacity(reading.get(), options.capacity);
  pipe_pair made;
  made.reader = pipe_reader(open_end(std::move(reading), watched_for::reading, options.limit));
  made.writer =
      pipe_writer(open_end(std::move(writing), watched_for::writing, options.limit).writer);
  return made;
}

pipe_pair make_pipe() { return make_pipe(pipe_options()); }

pipe_reader open_fifo_reader(const std::string& path, fifo_options options) {
  return pipe_reader(
      open_end(open_fifo(path, O_RDONLY, options), watched_for::reading, options.limit));
}

pipe_reader open_fifo_reader(const std::string& path) {
  return open_fifo_reader(path, fifo_options());
}

pipe_writer open_fifo_writer(const std::string& path, fifo_options options) {
  return pipe_writer(
      open_end(open_fifo(path, O_WRONLY, options), watched_for::writing, options.limit).writer);
}

pipe_writer open_fifo_writer(const std::string& path) {
  return open_fifo_writer(path, fifo_options());
}

pipe_reader open_pipe_reader(int descriptor, pipe_options options) {
  return pipe_reader(take_over(descriptor, O_RDONLY, options));
}

pipe_reader open_pipe_reader(int descriptor) {
  return open_pipe_reader(descriptor, pipe_options());
}

pipe_writer open_pipe_writer(int descriptor, pipe_options options) {
  return pipe_writer(take_over(descriptor, O_WRONLY, options).writer);
}

pipe_writer open_pipe_writer(int descriptor) {
  return open_pipe_writer(descriptor, pipe_options());
}

}  // namespace heddle
