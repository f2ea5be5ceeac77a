// SPDX-License-Identifier: MIT
// The body of a message, read while it arrives. Servers give it to handlers, clients to callers.
//
//   while (const auto piece = co_await body.next_chunk()) sum += piece->size();
#pragma once

#include <heddle/core/base/shared.h>
#include <heddle/core/task.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace heddle::http {

class headers;

namespace detail {

/// Where the bytes of a body come from: a connection, text, or another input whose coding is undone
/// on the way.
class body_input {
 public:
  body_input() = default;
  body_input(const body_input&) = delete;
  body_input& operator=(const body_input&) = delete;
  virtual ~body_input() = default;

  /// The next bytes of the body, which are valid until the next call. "": the body has ended. It is
  /// not called again after the end or an error.
  /// Cancel  loses no byte: the next call yields what this one would have yielded
  [[nodiscard]] virtual task<std::string_view> next() = 0;
  /// The trailer fields, once next() has told the end. nullptr: there are none.
  [[nodiscard]] virtual const headers* trailers() const noexcept { return nullptr; }
};

}  // namespace detail

/// Reads a body piece by piece. Nothing is read from the connection before somebody asks. So a
/// reader that takes its time makes the sender wait, and memory is bounded by what is asked for.
///
/// The words are those of stream_reader. They differ in one thing: a limit belongs to the call.
///
/// Cost      next_chunk(): no copy. The others copy each byte once.
/// Cancel    Any read may be cancelled. No byte is lost: the next read begins where this one did.
/// Throws    payload_error (errors.h) if the body is broken or ends early, std::system_error if the
///           connection breaks. All later reads throw the same.
/// Thread-safety  one task at a time, on any loop. It must outlive the tasks that it returned.
class body_reader {
 public:
  /// At its end.
  body_reader() noexcept = default;
  explicit body_reader(std::unique_ptr<detail::body_input> from) noexcept
      : from_(std::move(from)) {}
  /// A body that is there already.
  explicit body_reader(std::string whole) noexcept : kept_(std::move(whole)) {}
  body_reader(body_reader&& other) noexcept;
  body_reader& operator=(body_reader&& other) noexcept;
  ~body_reader();

  /// The next piece, as it comes. It is valid until the next call. Nothing at the end.
  [[nodiscard]] task<std::optional<std::string_view>> next_chunk();
  /// At least one byte and at most `n`, as soon as there are any. "" at the end, and for n = 0.
  /// Throws bad_value for n < 0.
  [[nodiscard]] task<std::string> read(std::ptrdiff_t n);
  /// Exactly `n` bytes. Throws incomplete_read_error, which holds the bytes that came, if the body
  /// ends before; bad_value for n < 0.
  [[nodiscard]] task<std::string> read_exactly(std::ptrdiff_t n);
  /// The bytes up to the separator, and the separator. Throws incomplete_read_error if the body
  /// ends before; limit_overrun_error if no separator ends within `limit` bytes (nothing is
  /// consumed then); bad_value for an empty separator.
  [[nodiscard]] task<std::string> read_until(std::string separator,
                                             std::size_t limit = default_limit);
  /// The bytes up to "\n", and the "\n". At the end of the body: the rest, perhaps "". Throws
  /// limit_overrun_error for a line of more than `limit` bytes (nothing is consumed then).
  [[nodiscard]] task<std::string> read_line(std::size_t limit = default_limit);
  /// All that is left. Throws limit_overrun_error, which names the limit, if that is more than
  /// `limit` bytes (nothing is consumed then).
  [[nodiscard]] task<std::string> read_all(std::size_t limit = default_whole_limit);
  /// Writes all that is left into a file, which is made or emptied first. Yields the number of
  /// bytes. After an error or a cancellation the file holds what came before.
  /// Throws  also what writing throws (file.h)
  [[nodiscard]] task<std::uint64_t> save_to(std::string path);

  /// True if a read has met the end and all before it has been read.
  [[nodiscard]] bool at_eof() const noexcept { return ended() && buffered().empty(); }
  /// True: bytes of the body were given out.
  [[nodiscard]] bool was_read() const noexcept { return given_; }
  /// The trailer fields, at_eof(); empty if there were none, and before.
  [[nodiscard]] const headers& trailers() const noexcept;

  static constexpr std::size_t default_limit = std::size_t{1} << 20;         // 1 MiB
  static constexpr std::size_t default_whole_limit = std::size_t{64} << 20;  // 64 MiB

 private:
  [[nodiscard]] bool ended() const noexcept { return ended_ || !from_; }
  [[nodiscard]] std::string_view buffered() const noexcept {
    return std::string_view(kept_).substr(at_);
  }
  std::string take(std::size_t n);
  task<std::string_view> pull();
  task<bool> fill();
  task<std::string> take_line(std::string separator, std::size_t limit, bool rest_is_fine);

  std::unique_ptr<detail::body_input> from_;  // nullptr: all there is stands in kept_
  std::string kept_;                          // read from `from_`, and not taken yet
  std::size_t at_ = 0;                        // where in it the next byte stands
  bool ended_ = false;                        // `from_` has told the end
  bool given_ = false;                        // was_read()
  std::exception_ptr failure_;
};

}  // namespace heddle::http
