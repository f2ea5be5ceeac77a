// SPDX-License-Identifier: MIT
// Streams of bytes, as asyncio has them: a reader and a writer over one connection.
//
//   auto c = co_await h::open_connection("example.org", 80);
//   c.writer.write("GET / HTTP/1.0\r\n\r\n");
//   co_await c.writer.drain();
//   std::string line = co_await c.reader.read_line();
#pragma once

#include <heddle/core/checked.h>
#include <heddle/core/record/budget.h>
#include <heddle/core/record/wait.h>
#include <heddle/core/task.h>
#include <heddle/io/address.h>

#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle {

namespace detail {

class stream_core;
struct stream_access;

/// A counted pointer to the state that the two halves of a connection share.
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

/// Waits for more bytes without a coroutine frame of its own.
class [[nodiscard("co_await it")]] fill_wait final : public queue_waiter, private ready_await {
 public:
  explicit fill_wait(stream_core& core, bool whole = true);
  ~fill_wait() {
    if (holds_) let_go();
  }

  [[nodiscard]] bool await_ready();
  template <heddle_promise P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> h) {
    if (stands_back()) return stand_back(h, [this](task_record& t) { task = &t; });
    return suspend(h.promise().suspending(h));
  }
  bool await_resume();

  const char* name() const noexcept override { return "read"; }

 private:
  [[nodiscard]] bool suspend(task_record& t);
  void let_go() noexcept;

  stream_core& core_;
  bool whole_;          // takes the reader's role itself, and not its caller
  bool holds_ = false;  // the role: given back whatever throws
  bool looked_ = false;
};

/// Waits until little enough is buffered for sending.
class [[nodiscard("co_await it")]] drain_wait final : public queue_waiter, private ready_await {
 public:
  explicit drain_wait(stream_core& core) noexcept;

  [[nodiscard]] bool await_ready();
  template <heddle_promise P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> h) {
    if (stands_back()) return stand_back(h, [this](task_record& t) { task = &t; });
    return suspend(h.promise().suspending(h));
  }
  void await_resume();

  const char* name() const noexcept override { return "drain"; }

 private:
  [[nodiscard]] bool suspend(task_record& t);

  stream_core& core_;
};

/// Waits until the connection is closed.
class [[nodiscard("co_await it")]] closed_wait final : public queue_waiter {
 public:
  explicit closed_wait(stream_core& core) noexcept;

  [[nodiscard]] static bool await_ready() noexcept { return false; }
  template <heddle_promise P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> h) {
    return suspend(h.promise().suspending(h));
  }
  void await_resume();

  const char* name() const noexcept override { return "wait_closed"; }

 private:
  [[nodiscard]] bool suspend(task_record& t);

  stream_core& core_;
};

}  // namespace detail

/// Bytes that one read may leave buffered while it looks for a separator.
inline constexpr std::size_t default_stream_limit = 64 * 1024;

/// The receiving half of a connection. One task reads at a time.
///
/// No memory is kept for an idle reader: a buffer comes with the first byte and goes with the last.
/// Cost      data that is there: one system call (epoll) or none (io_uring). No allocation for
///           `fill`; one frame for the others.
/// Cancel    a cancelled read has consumed nothing: what came stays for the next one.
/// Throws    usage_error when another task is reading; std::system_error when the connection broke,
///           with the peer in the message, after all that came before it was read (asyncio throws
///           at once, and leaves the bytes unread); the end of the stream is no error, but for
///           those reads that were promised more. std::bad_alloc: nothing is lost, the next read
///           goes on; or the stream has ended with ENOMEM.
/// Thread-safety  any task on any loop, one at a time. It must outlive the tasks it returned.
class stream_reader {
 public:
  stream_reader() noexcept = default;
  explicit stream_reader(detail::stream_ref core) noexcept : core_(std::move(core)) {}

  /// At least one byte and at most `n`, as soon as there are any; "" at the end of the stream (and
  /// for n = 0). Negative: everything up to the end of the stream, however much.
  [[nodiscard]] task<std::string> read(std::ptrdiff_t n = -1);
  /// Exactly `n` bytes. Throws incomplete_read_error with what there was if the stream ends before;
  /// bad_value for n < 0.
  [[nodiscard]] task<std::string> read_exactly(std::ptrdiff_t n);
  /// Up to and with the separator. Throws incomplete_read_error at the end of the stream,
  /// limit_overrun_error (nothing is consumed) if more than `limit()` bytes stand before it,
  /// bad_value if it is empty.
  [[nodiscard]] task<std::string> read_until(std::string separator = "\n");
  /// Several separators: the one that ends first decides. (With g++ 12 name the vector before you
  /// await; see README.md.)
  [[nodiscard]] task<std::string> read_until(std::vector<std::string> separators);
  [[nodiscard]] task<std::string> read_until(std::initializer_list<std::string_view> separators);
  /// Up to and with "\n"; the rest, perhaps "", at the end of the stream. A line longer than
  /// `limit()` is dropped with a bad_value.
  [[nodiscard]] task<std::string> read_line();

  /// Waits for more bytes than are buffered now, for parsers that read in place. False at the end
  /// of the stream. It may also return true with nothing new, so call it in the loop that looks for
  /// what is missing:
  ///     while (!parse(reader.buffered())) if (!co_await reader.fill()) throw cut_short();
  [[nodiscard]] detail::fill_wait fill();
  /// What is there: valid until the next call of any other function of this reader.
  [[nodiscard]] std::string_view buffered() const noexcept;
  /// Drops the first `n` bytes of buffered(). Throws bad_value if there are fewer.
  void consume(std::size_t n);
  /// The peer is silent: nothing is buffered, and nothing has come since, neither bytes nor the end
  /// nor an error. For a connection that was kept: what a peer has sent unasked is no answer to the
  /// next question. Takes nothing away and does not wait. Throws usage_error if a task reads.
  /// Cost  one system call; on io_uring a look at the completions, too.
  [[nodiscard]] bool quiet();

  /// The stream has ended and all of it was read.
  [[nodiscard]] bool at_eof() const noexcept;
  [[nodiscard]] std::size_t limit() const;
  [[nodiscard]] bool valid() const noexcept { return core_.get() != nullptr; }

 private:
  detail::stream_ref core_;
};

/// The sending half of a connection.
///
/// `write` sends at once what the kernel takes and buffers the rest; `drain` is where a producer
/// waits for a slow peer. Destroying an open writer closes the connection (what is buffered is
/// still sent); with options.debug that is reported, as a resource that nobody closed.
/// Throws    write after write_eof: usage_error. What is written to a closed or broken connection
///           is dropped; drain and wait_closed tell (std::system_error, with the peer in the
///           message). io/README.md draws the states of a connection, and what is told in each.
/// Thread-safety  everything, from any loop; bytes of one write are never mixed with those of
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

  /// Returns at once unless more than the high mark is buffered; then waits until the low mark is
  /// reached. Throws what broke the connection; ECONNRESET once the writer was closed, also while
  /// what was written before is still sent (wait_closed() waits for that). A drain that began
  /// before close() ends as if it had not been called.
  /// Cancel    a cancelled drain takes nothing back: what was written is sent.
  [[nodiscard]] detail::drain_wait drain();
  /// Sends what is buffered, then closes. Returns at once; further calls do nothing. There is no
  /// deadline: a peer that reads nothing keeps the connection. Closing a socket with unread bytes
  /// resets it, and the peer may lose our last ones; see close_within().
  void close() noexcept;
  /// Closes so that the peer gets everything: sends what is buffered, ends our direction, and
  /// drops what the peer still sends, up to its end. What is not over after `limit` is aborted.
  /// True: all was sent and the peer has ended. False: the limit passed, or the connection broke.
  /// Takes effect at the first await; what is written afterwards is dropped. Where a task reads,
  /// that one takes what comes, and its reads are not waited for.
  /// Cancel    aborts the connection.
  [[nodiscard]] task<bool> close_within(duration limit);
  /// Waits until it is closed, by close() or by the peer's failure; throws what broke the
  /// connection, if something did.
  [[nodiscard]] detail::closed_wait wait_closed();
  /// Ends the sending direction after what is buffered; the peer reads to the end and may still
  /// answer.
  void write_eof();
  /// Drops what is buffered and resets the connection.
  void abort() noexcept;

  /// close(), close_within() or abort() was called, or the connection is gone or broken: nobody
  /// hears what is written. A peer's reset is seen at once, also while nobody reads; an orderly end
  /// of the peer is not a reset, and shows in the reader.
  [[nodiscard]] bool is_closing() const noexcept;
  /// Bytes written and not yet taken by the kernel.
  [[nodiscard]] std::size_t buffered() const noexcept;
  /// Marks of drain(), in bytes (64 KiB and 16 KiB). Throws bad_value if low > high.
  void set_write_limits(std::size_t high, std::size_t low);

  [[nodiscard]] address peer_address() const;
  [[nodiscard]] address local_address() const;
  /// For setsockopt; valid while the connection is open, -1 afterwards. Do not read, write or close
  /// it.
  [[nodiscard]] int native_handle() const noexcept;
  [[nodiscard]] bool valid() const noexcept { return core_.get() != nullptr; }

 private:
  friend struct detail::stream_access;
  detail::stream_ref core_;
};

/// Both halves; each may go its own way.
struct connection {
  stream_reader reader;
  stream_writer writer;
};

struct connection_options {
  /// For read_until and read_line, in bytes; at least 1.
  std::size_t limit = default_stream_limit;
  /// Send small messages at once (TCP_NODELAY).
  bool no_delay = true;
  /// Bind to this numeric address first; empty: the kernel chooses.
  std::string local_host = {};
  std::uint16_t local_port = 0;
  /// Only these addresses: AF_INET or AF_INET6; 0 (AF_UNSPEC): both.
  int family = 0;
  /// When no address can be connected to: an exception_group of all the failures, and not the last
  /// one alone.
  bool all_errors = false;
};

namespace detail {
/// Throws bad_value for a reader's limit that is 0, or was negative before it was converted.
void check_limit(std::size_t limit);
/// The two halves of a fresh core, whose references they take over.
connection make_connection(stream_core* core);
}  // namespace detail

/// Connects by TCP. A name with several addresses: they are tried in order, the last failure is
/// thrown.
/// Cancel    the attempt ends and its socket is closed.
/// Throws    std::system_error naming the call and the address; bad_value for a limit of 0.
[[nodiscard]] task<connection> open_connection(std::string host, port_number port,
                                               connection_options options);
/// Connects to a Unix socket; a path that begins with '\0' is an abstract name.
[[nodiscard]] task<connection> open_unix_connection(std::string path, connection_options options);

// Overloads and not default arguments: g++ 12 miscompiles an aggregate temporary inside an awaited
// expression.
[[nodiscard]] inline task<connection> open_connection(std::string host, port_number port) {
  return open_connection(std::move(host), port, connection_options());
}
[[nodiscard]] inline task<connection> open_unix_connection(std::string path) {
  return open_unix_connection(std::move(path), connection_options());
}

}  // namespace heddle
