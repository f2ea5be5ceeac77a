// SPDX-License-Identifier: MIT
// Streams of bytes, as asyncio has them: a reader and a writer over one connection. A task that
// reads or drains waits without holding its loop. io/README.md draws the stages of a connection.
//
//   auto c = co_await h::open_connection("127.0.0.1", port);
//   c.writer.write("hello\n");
//   co_await c.writer.drain();
//   const std::string line = co_await c.reader.read_line();
#pragma once

#include <heddle/core/base/time_types.h>
#include <heddle/core/checked.h>
#include <heddle/core/record/budget.h>
#include <heddle/core/record/wait.h>
#include <heddle/core/task.h>
#include <heddle/io/address.h>
#include <heddle/io/byte_order.h>
#include <heddle/io/connection_options.h>
#include <heddle/io/tls_context.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle {

struct tls_info;

namespace detail {

class stream_core;
struct stream_access;

/// A counted pointer to the stream_core that the two halves of a connection share.
class stream_ref {
 public:
  stream_ref() noexcept = default;
  explicit stream_ref(stream_core* adopted) noexcept : core_(adopted) {}
  stream_ref(stream_ref&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  stream_ref& operator=(stream_ref&& other) noexcept {
    std::swap(core_, other.core_);
    return *this;
  }
  ~stream_ref() {
    if (core_) drop();
  }
  [[nodiscard]] stream_core* get() const noexcept { return core_; }
  [[nodiscard]] stream_core& use() const {
    if (!core_) [[unlikely]]
      throw_moved_from();
    return *core_;
  }

 private:
  void drop() noexcept;
  [[noreturn]] static void throw_moved_from();

  stream_core* core_ = nullptr;
};

/// Waits for more bytes, without a coroutine frame of its own.
class [[nodiscard("co_await it")]] fill_wait final : public queue_waiter, private ready_await {
 public:
  explicit fill_wait(stream_core& core, bool whole = true);
  fill_wait(fill_wait&& unused)
      : queue_waiter(std::move(unused)), core_(unused.core_), whole_(unused.whole_) {}
  ~fill_wait() {
    if (holds_) let_go();
  }

  [[nodiscard]] bool await_ready();
  template <heddle_promise P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> h,
                                   std::source_location where = HEDDLE_HERE) {
    if (stands_back()) return stand_back(h, where, [this](task_record& t) { task = &t; });
    return suspend(h.promise().suspending(h, where));
  }
  bool await_resume();

  const char* name() const noexcept override { return "read"; }

 private:
  template <class>
  friend struct layout_of;

  [[nodiscard]] bool suspend(task_record& t);
  void let_go() noexcept;

  stream_core& core_;
  bool whole_;          // it takes the reader's role itself; else its caller has it
  bool holds_ = false;  // it has the reader's role, and gives it back whatever throws
  bool looked_ = false;
};

/// Waits until what is buffered for sending is down to the low mark.
class [[nodiscard("co_await it")]] drain_wait final : public queue_waiter, private ready_await {
 public:
  explicit drain_wait(stream_core& core) noexcept;

  [[nodiscard]] bool await_ready();
  template <heddle_promise P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> h,
                                   std::source_location where = HEDDLE_HERE) {
    if (stands_back()) return stand_back(h, where, [this](task_record& t) { task = &t; });
    return suspend(h.promise().suspending(h, where));
  }
  void await_resume();

  const char* name() const noexcept override { return "drain"; }

 private:
  template <class>
  friend struct layout_of;

  [[nodiscard]] bool suspend(task_record& t);

  stream_core& core_;
};

/// Waits until the connection is closed.
class [[nodiscard("co_await it")]] closed_wait final : public queue_waiter {
 public:
  explicit closed_wait(stream_core& core) noexcept;

  [[nodiscard]] static bool await_ready() noexcept { return false; }
  template <heddle_promise P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> h,
                                   std::source_location where = HEDDLE_HERE) {
    return suspend(h.promise().suspending(h, where));
  }
  void await_resume();

  const char* name() const noexcept override { return "wait_closed"; }

 private:
  template <class>
  friend struct layout_of;

  [[nodiscard]] bool suspend(task_record& t);

  stream_core& core_;
};

}  // namespace detail

/// What a stream has carried. Bytes are counted as the transport moves them: over TLS the sealed
/// ones.
struct stream_stats {
  /// Bytes that reads have taken from the transport, whether they were consumed or not.
  std::uint64_t bytes_in = 0;
  /// Bytes that the transport has taken. Those in buffered() are not among them.
  std::uint64_t bytes_out = 0;
  /// When the last bytes came or went; time_point(): none did. This is the time when the loop
  /// polled last, so it is early by what the loop has done since: mostly well under 1 ms.
  time_point last_in = {};
  time_point last_out = {};
  /// The later of the two.
  [[nodiscard]] time_point last() const noexcept { return last_in < last_out ? last_out : last_in; }
};

/// The receiving half of a connection. One task reads at a time.
///
/// An idle reader holds no memory: a buffer comes with the first byte and goes with the last.
/// Cost      For bytes that are there: one system call (epoll) or none (io_uring). `fill` allocates
///           nothing; the others allocate one frame.
/// Cancel    A cancelled read has consumed nothing: the bytes that came stay for the next read.
/// Throws    usage_error when another task is reading.
///           std::system_error when the connection broke, with the peer in the message. All bytes
///           that came before can be read first. (asyncio throws at once, and leaves them unread.)
///           The end of the stream is an error only of those reads that were promised more bytes.
///           std::bad_alloc: nothing is lost, and the next read goes on; or the stream has ended
///           with ENOMEM.
/// Thread-safety  Any task on any loop, one at a time. A reader must outlive the tasks that it
///                returned.
class stream_reader {
 public:
  stream_reader() noexcept = default;
  explicit stream_reader(detail::stream_ref core) noexcept : core_(std::move(core)) {}

  /// Yields at least one byte and at most `n`, as soon as there are any; "" at the end of the
  /// stream, and for n = 0. A negative `n`: everything up to the end of the stream, however much.
  [[nodiscard]] task<std::string> read(std::ptrdiff_t n = -1);
  /// Yields exactly `n` bytes. Throws incomplete_read_error, which holds the bytes that came, if
  /// the stream ends before; bad_value for n < 0.
  [[nodiscard]] task<std::string> read_exactly(std::ptrdiff_t n);
  /// Yields the bytes up to the separator, and the separator. Throws incomplete_read_error if the
  /// stream ends before; limit_overrun_error if more than `limit()` bytes stand before the
  /// separator (nothing is consumed then); bad_value for an empty separator.
  [[nodiscard]] task<std::string> read_until(std::string separator = "\n");
  /// The same with several separators: the one that ends first decides. (With g++ 12 name the
  /// vector before you await; see README.md.)
  [[nodiscard]] task<std::string> read_until(std::vector<std::string> separators);
  [[nodiscard]] task<std::string> read_until(std::initializer_list<std::string_view> separators);
  /// Yields the bytes up to "\n", and the "\n". At the end of the stream: the rest, perhaps "". A
  /// line longer than `limit()` is dropped, and bad_value is thrown.
  [[nodiscard]] task<std::string> read_line();
  /// Yields everything up to the end of the stream, if that is at most `most` bytes. Throws
  /// limit_overrun_error, which names the limit, once more bytes have come (nothing is consumed
  /// then); bad_value for most < 0.
  [[nodiscard]] task<std::string> read_all(std::ptrdiff_t most);
  /// Reads into memory of the caller, which must outlive the task. Yields the number of bytes: at
  /// least one and at most to.size(), as soon as there are any; 0 at the end of the stream, and for
  /// an empty span.
  /// Cost      one frame, and no other allocation; the bytes are copied once
  [[nodiscard]] task<std::size_t> read_into(std::span<char> to);
  [[nodiscard]] task<std::size_t> read_into(std::span<std::byte> to) {
    return read_into(std::span<char>(reinterpret_cast<char*>(to.data()), to.size()));
  }
  /// Yields the next `n` bytes, and leaves them for the next read. Fewer: the stream ends after
  /// them. They are valid until the next call of any other function of this reader. Throws
  /// bad_value for n < 0.
  [[nodiscard]] task<std::string_view> peek(std::ptrdiff_t n);
  /// Puts bytes in front of all that is unread: the next read yields them first, also at the end of
  /// the stream. `bytes` may not be a part of buffered(). Does not wait.
  /// Cost      a copy; where the bytes were consumed just before, the buffer has room for them
  /// Throws    usage_error if a task reads; std::bad_alloc: nothing has changed
  void push_back(std::string_view bytes);
  /// Yields an unsigned number of sizeof(T) bytes. Throws incomplete_read_error, which holds the
  /// bytes that came, if the stream ends before.
  template <detail::wire_uint T>
  [[nodiscard]] task<T> read_uint(byte_order order = byte_order::big);
  /// The same for a number of 1 to 8 bytes. Throws bad_value for another width.
  [[nodiscard]] task<std::uint64_t> read_uint(std::size_t bytes,
                                              byte_order order = byte_order::big);

  /// Waits for more bytes than are buffered now, for parsers that read in place. False: the stream
  /// has ended. True may also come with nothing new. So call it in a loop:
  ///     while (co_await r.fill()) {
  ///       const auto bytes = r.buffered();
  ///       r.consume(bytes.size());
  ///     }
  [[nodiscard]] detail::fill_wait fill();
  /// The bytes that are there. Valid until the next call of any other function of this reader.
  [[nodiscard]] std::string_view buffered() const noexcept;
  /// Drops the first `n` bytes of buffered(). Throws bad_value if there are fewer.
  void consume(std::size_t n);
  /// True: the peer is silent. Nothing is buffered, and nothing has come since: no byte, no end and
  /// no error. Ask it before you use a kept connection: bytes that a peer sent unasked are no
  /// answer to the next question. Consumes nothing, does not wait. Throws usage_error if a task
  /// reads.
  /// Cost      one system call; on io_uring a look at the completions, too
  [[nodiscard]] bool quiet();

  /// True: the stream has ended, and all of it was read.
  [[nodiscard]] bool at_eof() const noexcept;
  [[nodiscard]] std::size_t limit() const;
  /// What the connection has carried, both ways. Known also after the end.
  /// Cost      four loads; a message costs the counting, and no look at the clock
  /// Thread-safety  from any thread, also while tasks read and write
  [[nodiscard]] stream_stats stats() const;
  [[nodiscard]] bool valid() const noexcept { return core_.get() != nullptr; }

 private:
  friend struct detail::stream_access;
  detail::stream_ref core_;
};

/// The sending half of a connection.
///
/// `write` sends at once as much as the kernel takes, and buffers the rest. `drain` is where a
/// producer waits for a slow peer. Destroying an open writer closes the connection; bytes that are
/// buffered are still sent. With options.debug that is reported, as a resource that was not closed.
/// Throws    usage_error for a write after write_eof. Bytes that are written to a closed or broken
///           connection are dropped without an error; drain and wait_closed throw it
///           (std::system_error, with the peer in the message). io/README.md says for each stage of
///           a connection what is told.
/// Thread-safety  Everything, from any loop. The bytes of one write are never mixed with those of
///                another.
class stream_writer {
 public:
  stream_writer() noexcept = default;
  explicit stream_writer(detail::stream_ref core) noexcept : core_(std::move(core)) {}
  stream_writer(stream_writer&&) noexcept = default;
  stream_writer& operator=(stream_writer&& other) noexcept;
  ~stream_writer();

  void write(std::string_view bytes);
  void write(std::span<const std::byte> bytes) {
    write(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }
  /// Writes several pieces as one write: they stand next to each other, whatever other tasks write
  /// meanwhile. asyncio: writelines(). Adds no line ends.
  /// Cost      Where nothing is pending: one system call for up to 64 pieces, and no copy of what
  ///           the kernel takes. Otherwise, over TLS and on io_uring each piece is copied once.
  /// Throws    as write(); std::bad_alloc: then no byte of any piece was written
  void write_lines(std::span<const std::string_view> pieces);
  void write_lines(std::initializer_list<std::string_view> pieces) {
    write_lines(std::span<const std::string_view>(pieces.begin(), pieces.size()));
  }
  /// Writes a number in sizeof(T) bytes.
  template <detail::wire_uint T>
  void write_uint(T value, byte_order order = byte_order::big) {
    write_uint(std::uint64_t{value}, sizeof(T), order);
  }
  /// Writes a number in 1 to 8 bytes. Throws bad_value for another width, and for a number that
  /// does not fit: then nothing is written.
  void write_uint(std::uint64_t value, std::size_t bytes, byte_order order = byte_order::big);

  /// Returns at once unless more than the high mark is buffered; then waits until the low mark is
  /// reached. Throws what broke the connection. Throws ECONNRESET once the writer was closed, also
  /// while bytes that were written before are still being sent (wait_closed() waits for those). A
  /// drain that began before close() ends as if close() had not been called.
  /// Cancel    a cancelled drain takes nothing back: all that was written is sent
  [[nodiscard]] detail::drain_wait drain();
  /// Closes when all that is buffered is sent. Returns at once; further calls do nothing. There is
  /// no deadline: a peer that reads nothing keeps the connection. A socket that is closed with
  /// bytes unread, or that gets more bytes after its close, resets its peer, which may then lose
  /// our last bytes. So it is over TLS, too. close_within() waits for the peer, and loses nothing.
  void close() noexcept;
  /// Closes so that the peer gets everything. Sends what is buffered, ends our direction, then
  /// reads and drops the peer's bytes up to its end. A connection that is not over after `limit` is
  /// aborted. True: all was sent, and the peer has ended. False: the limit passed, or the
  /// connection broke. Takes effect at the first await; bytes that are written afterwards are
  /// dropped. If a task reads meanwhile, that task gets the peer's bytes, and its reads are not
  /// waited for.
  /// Cancel    aborts the connection
  [[nodiscard]] task<bool> close_within(duration limit);
  /// Waits until the connection has ended, by close() or by the peer's failure. Throws what broke
  /// the connection, if something did. On a Unix socket a peer that has gone ends the wait, too,
  /// while no task reads or writes; what it sent can still be read. Over TCP that is no failure:
  /// the peer may have ended its direction alone, and the reader finds it.
  [[nodiscard]] detail::closed_wait wait_closed();
  /// Ends our direction when all that is buffered is sent. The peer reads to the end, and may still
  /// answer. Throws usage_error where can_write_eof() is false.
  void write_eof();
  /// False: both directions of this connection end together, as those of TLS 1.2 do. Then close()
  /// is the only end. From any thread.
  [[nodiscard]] bool can_write_eof() const;
  /// Drops all that is buffered, and resets the connection.
  void abort() noexcept;

  /// True: the peer will not get what is written from now on. close(), close_within() or abort()
  /// was called, or the connection is gone or broken. A reset by the peer shows here at once, also
  /// while no task reads. An orderly end of the peer is no reset: it shows in the reader.
  [[nodiscard]] bool is_closing() const noexcept;
  /// Bytes that were written, and not yet taken by the kernel.
  [[nodiscard]] std::size_t buffered() const noexcept;
  /// As stream_reader::stats().
  [[nodiscard]] stream_stats stats() const;
  /// Marks of drain(), in bytes (64 KiB and 16 KiB). Throws bad_value if low > high.
  void set_write_limits(std::size_t high, std::size_t low);

  /// Turns the connection to TLS: as a client that expects `server_name`, or as a server if
  /// `context` is one of a server (then `server_name` is empty). What was written before goes out
  /// plain, what is written meanwhile is sealed; what the reader has buffered goes to TLS. No task
  /// may read meanwhile. The limit of the handshake is tls_options::handshake_limit; on a server 10
  /// s.
  /// Throws    tls_error and what derives from it, timeout_error, std::system_error: then the
  ///           connection is closed. bad_value for a name that cannot be checked; usage_error while
  ///           a task reads, on a writer that was closed or ended, and the second time: then
  ///           nothing has changed
  /// Cancel    aborts the connection
  [[nodiscard]] task<> start_tls(tls_context context, std::string server_name);
  [[nodiscard]] task<> start_tls(tls_context context) {
    return start_tls(std::move(context), std::string());
  }
  /// Ends TLS in order, and leaves a plain connection, once the peer has ended it too. What the
  /// peer sends behind its end is read as it is. Bytes that are written meanwhile may go out sealed
  /// or plain: so write none. A peer that does not end TLS within 10 s is aborted (timeout_error).
  /// Throws    usage_error without TLS, and while a task reads
  /// Cancel    aborts the connection
  [[nodiscard]] task<> unwrap();
  /// What the handshake has agreed on; empty for a plain connection. Known also after the end.
  /// Throws usage_error during the handshake. Include tls.h for it.
  /// Cost      copies the certificates
  [[nodiscard]] tls_info tls() const;

  [[nodiscard]] address peer_address() const;
  [[nodiscard]] address local_address() const;
  /// The descriptor, for setsockopt. Valid while the connection is open, -1 afterwards. Do not read
  /// from it, write to it or close it.
  [[nodiscard]] int native_handle() const noexcept;
  [[nodiscard]] bool valid() const noexcept { return core_.get() != nullptr; }

 private:
  friend struct detail::stream_access;
  detail::stream_ref core_;
};

/// Both halves. Each may be moved to a task of its own.
struct connection {
  stream_reader reader;
  stream_writer writer;
};

/// Puts the halves of one connection together again, after they were moved apart.
/// Throws    usage_error if they belong to two connections, or if one is empty: then both halves
///           are as they were, and still the caller's
[[nodiscard]] connection reunite(stream_reader&& reader, stream_writer&& writer);

namespace detail {
/// Throws bad_value for a reader's limit that is 0, or that was negative before it was converted.
void check_limit(std::size_t limit);
/// Makes the two halves of a fresh core, and gives them two of its references.
connection make_connection(stream_core* core);
}  // namespace detail

/// Connects by TCP. If the host has several addresses, the next one is tried when the one before
/// has failed, or has not answered within options.attempt_delay. The first that connects wins (RFC
/// 8305).
/// Cost      one address: a socket and a wait. Several: a task for each address that is tried.
/// Cancel    all attempts end, and their sockets are closed
/// Throws    std::system_error that names the call and the address, or all addresses with their
///           errors; what resolve() throws; timeout_error by options.connect_limit; bad_value for
///           options out of their range
/// Thread-safety  from any task of a runtime
[[nodiscard]] task<connection> open_connection(std::string host, port_number port,
                                               connection_options options);
/// Connects to a Unix socket. A path that begins with '\0' is an abstract name. The options for
/// names, addresses, ports and limits mean nothing here. Otherwise the same.
[[nodiscard]] task<connection> open_unix_connection(std::string path, connection_options options);
/// Makes streams of a connected stream socket (TCP or Unix), which belongs to them from then on. It
/// is made non-blocking, and closed on exec. Options for connecting mean nothing here.
/// Throws    bad_value, if the descriptor is no connected stream socket: then it is as it was, and
///           still the caller's. std::system_error, std::bad_alloc, what TLS throws: it is closed.
[[nodiscard]] task<connection> adopt_connection(int socket, connection_options options);

// Overloads and not default arguments: g++ 12 miscompiles an aggregate temporary inside an awaited
// expression.
[[nodiscard]] inline task<connection> open_connection(std::string host, port_number port) {
  return open_connection(std::move(host), port, connection_options());
}
[[nodiscard]] inline task<connection> open_unix_connection(std::string path) {
  return open_unix_connection(std::move(path), connection_options());
}
[[nodiscard]] inline task<connection> adopt_connection(int socket) {
  return adopt_connection(socket, connection_options());
}

}  // namespace heddle
