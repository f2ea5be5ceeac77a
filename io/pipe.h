// SPDX-License-Identifier: MIT
// Pipes as streams: a new one, a named one (FIFO), or an end that the program has already.
//
//   auto p = h::make_pipe();
//   p.writer.write("hello\n");
//   co_await p.writer.drain();
//   const std::string line = co_await p.reader.read_line();
//
// All functions here are called in a task. They never wait: a named pipe is opened at once, too.
#pragma once

#include <heddle/io/stream.h>

#include <cstddef>
#include <string>

namespace heddle {

/// The reading end of a pipe. It ends when all writers have closed; then it closes itself.
/// Moving a pipe_reader into a plain stream_reader leaves the pipe with the pipe_reader, which
/// closes it. So pass it by reference, or move it as a pipe_reader.
class pipe_reader : public stream_reader {
 public:
  pipe_reader() noexcept = default;
  explicit pipe_reader(connection end) noexcept
      : stream_reader(std::move(end.reader)), closer_(std::move(end.writer)) {}
  pipe_reader(pipe_reader&&) noexcept = default;
  pipe_reader& operator=(pipe_reader&& other) noexcept;
  ~pipe_reader() { close(); }

  /// Closes this end at once. A task that reads gets std::system_error (ECANCELED), and so do later
  /// reads. Writers get EPIPE. Further calls do nothing. From any thread.
  void close() noexcept;
  /// How many bytes the pipe holds, and setting it: the kernel rounds up. Throws std::system_error:
  /// EPERM above /proc/sys/fs/pipe-max-size, EBUSY below what stands in the pipe, EBADF once this
  /// end is closed. bad_value for 0.
  [[nodiscard]] std::size_t capacity() const;
  void set_capacity(std::size_t bytes);
  /// The descriptor; -1 once it is closed. Do not read from it or close it.
  [[nodiscard]] int native_handle() const noexcept;

 private:
  stream_writer closer_;
};

/// The writing end of a pipe. Writing to a pipe without a reader is EPIPE, and raises no SIGPIPE,
/// on whichever thread. write_eof() is close(): only closing tells the reader. close() first waits
/// for the reader to take what is buffered; abort() drops that.
class pipe_writer : public stream_writer {
 public:
  pipe_writer() noexcept = default;
  explicit pipe_writer(stream_writer end) noexcept : stream_writer(std::move(end)) {}

  /// As those of pipe_reader.
  [[nodiscard]] std::size_t capacity() const;
  void set_capacity(std::size_t bytes);
};

struct pipe_pair {
  pipe_reader reader;
  pipe_writer writer;
};

struct pipe_options {
  /// The reader's limit(), in bytes; at least 1.
  std::size_t limit = default_stream_limit;
  /// How many bytes the pipe holds; 0: what the kernel gives, usually 64 KiB.
  std::size_t capacity = 0;
};

/// A new pipe.
/// Throws    std::system_error that names the call; bad_value for a limit of 0; no_running_loop
[[nodiscard]] pipe_pair make_pipe(pipe_options options);
[[nodiscard]] pipe_pair make_pipe();

struct fifo_options {
  std::size_t limit = default_stream_limit;
  std::size_t capacity = 0;
  /// The end is opened for reading and writing, and so is a peer of itself. A reader then never
  /// ends: writers may come and go. A writer can be opened before a reader, and gets no EPIPE.
  bool outlives_peers = false;
};

/// Opens the reading end of the named pipe at `path`. Before the first writer has come the reader
/// waits. It ends when the last writer has closed.
/// Throws    std::system_error that names the path; bad_value if something else than a named pipe
///           stands there, or for a limit of 0; no_running_loop
[[nodiscard]] pipe_reader open_fifo_reader(const std::string& path, fifo_options options);
[[nodiscard]] pipe_reader open_fifo_reader(const std::string& path);
/// Opens the writing end. Throws the same; ENXIO if no reader has opened the pipe.
[[nodiscard]] pipe_writer open_fifo_writer(const std::string& path, fifo_options options);
[[nodiscard]] pipe_writer open_fifo_writer(const std::string& path);

/// Takes over a descriptor: an end of a pipe, or a terminal. It becomes non-blocking, also for
/// other processes that have the same open file; and it is closed with the stream. To keep your
/// own, pass a dup().
/// Throws    bad_value if it is neither a pipe nor a terminal, or is not open for that direction;
///           std::system_error if it is not open. Then it is still the caller's. After any other
///           error it is closed.
[[nodiscard]] pipe_reader open_pipe_reader(int descriptor, pipe_options options);
[[nodiscard]] pipe_reader open_pipe_reader(int descriptor);
[[nodiscard]] pipe_writer open_pipe_writer(int descriptor, pipe_options options);
[[nodiscard]] pipe_writer open_pipe_writer(int descriptor);

}  // namespace heddle
