// SPDX-License-Identifier: MIT
// buffered_writer: gathers small writes, and sends them as one. For protocols whose answers are
// made of many small pieces.
//
//   h::buffered_writer out(std::move(c.writer));
//   out.write("HTTP/1.1 200 OK\r\n");
//   out.write("content-length: 2\r\n\r\nok");
//   co_await out.drain();                            // one send
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/io/byte_order.h>
#include <heddle/io/stream.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace heddle {

/// So many bytes are gathered by default.
inline constexpr std::size_t default_gathered = std::size_t{8} * 1024;

namespace detail {
class gatherer;
}

/// A writer that owns a stream_writer. What is written stays here until flush(), drain(), close()
/// or write_eof(), or until `capacity` bytes are here.
///
/// Destroying it sends what is gathered, and closes the connection, as a stream_writer does. If
/// there is no memory for that, the connection is aborted: its peer sees no end that it could take
/// for the end of all.
/// Cost      two buffers of `capacity`, made by the first small write and kept; a small write is a
///           copy under a spin lock. A piece that does not fit is sent with what stands before it
///           by one system call, and not copied.
/// Ordering  The bytes are sent in the order of the calls, whatever is gathered and whatever is
///           sent at once. Writes to under() keep their place in that order, too.
/// Throws    As stream_writer. std::bad_alloc from write(): nothing was written. From flush():
///           what is gathered stays, for the next flush.
/// Thread-safety  Everything but moving, release() and under(), from any loop. The bytes of one
///                write are never mixed with those of another. When two threads flush at one time,
///                one of them sends for both, and the other does not wait for that.
class buffered_writer {
 public:
  /// Throws bad_value for a capacity of 0; std::bad_alloc.
  explicit buffered_writer(stream_writer to, std::size_t capacity = default_gathered);
  buffered_writer(buffered_writer&& other) noexcept;
  buffered_writer& operator=(buffered_writer&& other) noexcept;
  ~buffered_writer();

  void write(std::string_view bytes);
  void write(std::span<const std::byte> bytes) {
    write(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }
  /// As those of stream_writer.
  template <detail::wire_uint T>
  void write_uint(T value, byte_order order = byte_order::big) {
    write_uint(std::uint64_t{value}, sizeof(T), order);
  }
  void write_uint(std::uint64_t value, std::size_t bytes, byte_order order = byte_order::big);

  /// Gives the writer all that is gathered. Does not wait.
  void flush();
  /// flush(), and then the drain() of the writer, which waits by its marks.
  [[nodiscard]] detail::drain_wait drain();
  /// flush(), and then the write_eof() of the writer.
  void write_eof();
  /// flush(), and then the close() of the writer. Without memory for the flush: its abort().
  void close() noexcept;
  [[nodiscard]] detail::closed_wait wait_closed();
  /// Drops all that is gathered or buffered, and resets the connection.
  void abort() noexcept;

  /// Bytes that are here, and not yet the writer's.
  [[nodiscard]] std::size_t gathered() const noexcept;
  /// The writer, for all else: its marks, addresses, files. Flushes first, so that what is written
  /// to it now keeps its place. No other task may write here meanwhile.
  [[nodiscard]] stream_writer& under();
  /// Flushes, and gives the writer away. Later calls throw usage_error.
  [[nodiscard]] stream_writer release();

 private:
  [[nodiscard]] detail::gatherer& use() const;

  detail::owned<detail::gatherer> gatherer_;
};

}  // namespace heddle
