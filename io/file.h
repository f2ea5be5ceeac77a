// SPDX-License-Identifier: MIT
// Files: opened, read and written without holding a loop. A write ends when the kernel has all of
// it: there is no hidden buffer that a later call would have to flush.
//
//   h::file_options o;
//   o.write = true;
//   o.create = true;
//   auto f = co_await h::file::open(path, o);
//   co_await f.write("hello\nworld\n");
//   co_await f.seek(0);
//   const std::string first = co_await f.read_line();
//   const std::string middle = co_await f.read_at(2, 3);
//   co_await f.close();
#pragma once

#include <heddle/core/base/shared.h>
#include <heddle/core/checked.h>
#include <heddle/core/task.h>
#include <heddle/io/file_options.h>
#include <heddle/io/file_status.h>
#include <heddle/sched/async_generator.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace heddle {

namespace detail {
class open_file;
struct file_access;
}  // namespace detail

/// read_file() reads at most so much, unless its caller says how much.
inline constexpr std::size_t default_most_read = 1024 * 1024 * 1024;

/// A place in a file, or a size of one, made of any integer. Making one of a negative number throws
/// bad_value.
class file_offset {
 public:
  template <detail::whole_number T>
  constexpr file_offset(T offset)  // NOLINT: that is its use
      : value_(detail::checked<std::uint64_t>(offset, "the offset in a file", 0, INT64_MAX)) {}
  constexpr operator std::uint64_t() const noexcept { return value_; }  // NOLINT: likewise

 private:
  std::uint64_t value_;
};

/// Bytes for a file, made of text or of a span of bytes. They are copied, since a write that has
/// begun goes on when its task was cancelled; a std::string that is moved in is not copied.
class file_bytes {
 public:
  file_bytes(std::string&& bytes) noexcept  // NOLINT: that is its use
      : bytes_(std::move(bytes)) {}
  template <std::convertible_to<std::string_view> T>
  file_bytes(const T& bytes) : bytes_(std::string_view(bytes)) {}  // NOLINT: likewise
  template <class T>
    requires(!std::convertible_to<const T&, std::string_view> &&
             std::convertible_to<const T&, std::span<const std::byte>>)
  file_bytes(const T& bytes) {  // NOLINT: likewise
    const std::span<const std::byte> s(bytes);
    bytes_.assign(reinterpret_cast<const char*>(s.data()), s.size());
  }
  [[nodiscard]] std::string&& take() noexcept { return std::move(bytes_); }

 private:
  std::string bytes_;
};

/// From where seek() counts.
enum class seek_from : std::uint8_t { start, here, end };

/// Other handles may hold a shared lock too, or nobody else holds any.
enum class file_lock : std::uint8_t { shared, exclusive };

/// An open file on a disk: a regular file, a block device, or a character device that is no
/// terminal.
///
/// read_at and write_at name their place: any number of tasks may be inside them at once. The
/// others use the one position of the file, one task at a time. The descriptor is closed on exec.
/// A file outlives its calls: destroying it while a call is under way closes it after that call.
/// Cost      Bytes that the kernel has in memory, up to 64 KiB: one system call, made here. All
///           else is a job for a file thread (options.file_threads), which costs some 2 us when the
///           thread is awake, and some 10 us each way when it sleeps.
/// Cancel    A call that no thread has begun is not made. After that the wait ends at once, and the
///           call goes on without it: what was read is dropped, a write is done whole, a position
///           moves behind that write. Memory that a caller lent is not touched any more. A
///           runtime that ends waits for calls that have begun, for options.file_end_limit (5 s).
/// Throws    std::system_error with the call and the path. incomplete_write_error for writes.
///           usage_error after close(), for an empty file, for reading or writing a file that was
///           not opened for that, and if another task uses the position.
/// Thread-safety  any task on any loop; moving and destroying it is for one at a time
class file {
 public:
  file() noexcept = default;
  file(file&&) noexcept = default;
  file& operator=(file&& other) noexcept;
  /// Closes the file on a file thread, without waiting. An error of that close is lost. With
  /// options.debug a file that is open still is reported.
  ~file();

  /// Opens for reading, or as the options say. A directory is EISDIR. A FIFO, a socket and a
  /// terminal are refused, since they have no positions: bad_value says what to use.
  /// Throws    bad_value for options that make no sense, and for a path with a zero byte
  [[nodiscard]] static task<file> open(std::string path);
  [[nodiscard]] static task<file> open(std::string path, file_options options);

  // --- by place ---

  /// Yields `n` bytes from `offset` on; fewer only at the end of the file. A negative `n`: all up
  /// to the end, also where the status says size 0 (/proc).
  [[nodiscard]] task<std::string> read_at(file_offset offset, std::ptrdiff_t n);
  /// Fills `into`, and yields how many bytes that was; fewer than its size only at the end of the
  /// file. The memory is written by the awaiting task alone, never after a cancellation.
  [[nodiscard]] task<std::size_t> read_at(file_offset offset, std::span<std::byte> into);
  /// Writes all of it. Throws usage_error for a file that appends.
  [[nodiscard]] task<> write_at(file_offset offset, file_bytes bytes);

  // --- by the position ---

  /// As read_at, from the position, which moves behind the bytes.
  [[nodiscard]] task<std::string> read();
  [[nodiscard]] task<std::string> read(std::ptrdiff_t n);
  [[nodiscard]] task<std::size_t> read(std::span<std::byte> into);
  /// Yields exactly `n` bytes. Throws incomplete_read_error with what there is if the file ends
  /// before, and then the position stays; bad_value for n < 0.
  [[nodiscard]] task<std::string> read_exactly(std::ptrdiff_t n);
  /// Yields the bytes up to "\n", and the "\n". At the end of the file: the rest, perhaps "". A
  /// later call sees what was appended since. Reads ahead up to 64 KiB, which the position does not
  /// show. Throws limit_overrun_error for a longer line than options.limit; the position stays.
  [[nodiscard]] task<std::string> read_line();
  /// The lines up to the end, each without its "\n". The file must outlive the generator.
  [[nodiscard]] async_generator<std::string> lines();
  /// Writes all of it at the position, which moves behind. In a file that appends: all of it behind
  /// the end, by one call for up to 1 GiB, so that lines of several writers stay whole; then any
  /// number of tasks may write at once.
  [[nodiscard]] task<> write(file_bytes bytes);
  /// Moves the position, and yields it. Behind the end is allowed. Throws bad_value below 0.
  [[nodiscard]] task<std::uint64_t> seek(std::int64_t offset);
  [[nodiscard]] task<std::uint64_t> seek(std::int64_t offset, seek_from from);
  [[nodiscard]] std::uint64_t tell() const;

  // --- the whole file ---

  /// Makes the file that long: cuts it off, or adds a hole.
  [[nodiscard]] task<> truncate(file_offset size);
  [[nodiscard]] task<file_status> status();
  /// Waits until the disk has the file. After a failure the kernel may have dropped the data, and
  /// forgets the error; so every later call of this handle throws the same error.
  [[nodiscard]] task<> sync();
  /// The same, but times that nobody needs to read the data may be missing.
  [[nodiscard]] task<> sync_data();
  /// Waits for a lock on the whole file (flock). It belongs to this handle: another handle of the
  /// same file competes, also in this process. It ends by unlock() and with the close. A lock of
  /// the other kind is exchanged, which another handle may come between. The kernel tells nobody
  /// that a lock is free: the wait asks again after 1 ms, then at ever longer times up to 50 ms.
  /// Cancel    takes no lock
  [[nodiscard]] task<> lock(file_lock kind);
  /// False: another handle has it.
  [[nodiscard]] task<bool> try_lock(file_lock kind);
  [[nodiscard]] task<> unlock();
  /// Waits for calls that are under way, and closes. Throws usage_error the second time. A file
  /// whose close threw is closed all the same.
  [[nodiscard]] task<> close();

  /// False: empty, or close() has begun.
  [[nodiscard]] bool is_open() const noexcept;
  [[nodiscard]] const std::string& path() const;
  /// The descriptor, for fcntl and the like; -1 when it is closed. Do not close it.
  [[nodiscard]] int native_handle() const noexcept;

 private:
  friend struct detail::file_access;
  explicit file(std::shared_ptr<detail::open_file> state) noexcept : state_(std::move(state)) {}
  [[nodiscard]] const std::shared_ptr<detail::open_file>& use() const;

  std::shared_ptr<detail::open_file> state_;
};

/// All that a file holds. Throws limit_overrun_error, which names the path and the limit, if that
/// is more than `most` bytes (1 GiB); bad_value for a negative limit; else as file.
/// Cost      one job, however large the file is
[[nodiscard]] task<std::string> read_file(std::string path);
[[nodiscard]] task<std::string> read_file(std::string path, std::size_t most);

/// Makes the file, or replaces what it holds. Throws as file::write; bad_value for options that
/// make no sense.
/// Cancel    before it has begun: nothing is done; else all of it is done
/// Cost      one job
[[nodiscard]] task<> write_file(std::string path, file_bytes bytes);
[[nodiscard]] task<> write_file(std::string path, file_bytes bytes, write_file_options options);

/// A file without a name, rights 0600, opened for reading and writing. It is gone when it is
/// closed, whatever closes it. In $TMPDIR, or in /tmp; or in `directory`.
[[nodiscard]] task<file> temporary_file();
[[nodiscard]] task<file> temporary_file(std::string directory);

namespace detail {

/// From a file to what is behind it, and back.
struct file_access {
  static file make(std::shared_ptr<open_file> state) { return file(std::move(state)); }
  /// Throws usage_error for an empty file.
  static const std::shared_ptr<open_file>& of(const file& f) { return f.use(); }
};

}  // namespace detail
}  // namespace heddle
