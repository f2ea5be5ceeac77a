// SPDX-License-Identifier: MIT
// Readers that are made of others: the next n bytes, two streams one behind the other, and what
// shows the bytes to somebody on their way. Each is a stream_reader, so all that reads can read it.
//
//   h::derived_reader body = h::take(c.reader, length);  // ends after `length` bytes
//   co_await parse(body);                                // parse(h::stream_reader&)
//   body.end();                                          // c.reader goes on behind them
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/io/stream.h>

#include <cstdint>
#include <string_view>
#include <utility>

namespace heddle {

namespace detail {
class derived_transport;
}

/// A reader over one or two other readers, its sources. It ends where they end, and throws what
/// they throw.
///
/// While it lives the sources belong to it: their other reads throw usage_error, and a source that
/// is closed meanwhile keeps its descriptor. Its end gives back to them what was received and not
/// consumed, so nothing is lost. It must end before its sources do.
/// Moving a derived_reader into a plain stream_reader leaves its end with the derived_reader. So
/// pass it by reference, or move it as a derived_reader.
/// Cost      one allocation; each byte is copied once more than from a plain reader
/// Cancel    as every reader: a cancelled read has consumed nothing
/// Thread-safety  as every reader; no task may read from it when it ends
class derived_reader : public stream_reader {
 public:
  derived_reader() noexcept = default;
  /// For take(), chain(), inspect() and tee().
  derived_reader(connection over, detail::derived_transport& carrier) noexcept
      : stream_reader(std::move(over.reader)),
        closer_(std::move(over.writer)),
        carrier_(&carrier) {}
  derived_reader(derived_reader&& other) noexcept
      : stream_reader(std::move(other)),
        closer_(std::move(other.closer_)),
        carrier_(std::exchange(other.carrier_, nullptr)) {}
  derived_reader& operator=(derived_reader&& other) noexcept;
  ~derived_reader() { end(); }

  /// Gives the sources back to their owner, with all that was not consumed; the destructor does
  /// the same. Without memory to give bytes back a source ends with ENOMEM. Later reads yield the
  /// end. Further calls do nothing.
  void end() noexcept;

 private:
  stream_writer closer_;
  // Of the stream behind closer_; null: this reader has ended, or was moved from.
  detail::derived_transport* carrier_ = nullptr;
};

/// The next `n` bytes of `from`, and then an end. What follows them stays untouched. If `from` ends
/// before, this ends, too.
/// Throws    bad_value for more than 2^63 - 1; usage_error while a task reads from `from`;
///           std::bad_alloc
[[nodiscard]] derived_reader take(stream_reader& from, std::uint64_t n);
/// All of `first`, and then all of `second`.
/// Throws    as take(); usage_error if both are one
[[nodiscard]] derived_reader chain(stream_reader& first, stream_reader& second);
/// All of `from`. Each piece is shown to `see` before it can be read: every byte once, in order,
/// also those that end() gives back. Called by the task that reads, on whichever loop. That read
/// throws what `see` throws. Then the piece was not consumed, and the next read shows it again.
/// Throws    as take()
[[nodiscard]] derived_reader inspect(stream_reader& from,
                                     std::function<void(std::string_view)> see);
/// All of `from`, which is written to `copy_to`, too. Does not wait by the marks of `copy_to`: its
/// drain() is for the reading task. A broken `copy_to` takes nothing more, and disturbs nothing.
/// Throws    as take()
/// Thread-safety  `copy_to` must outlive the derived_reader
[[nodiscard]] derived_reader tee(stream_reader& from, stream_writer& copy_to);

}  // namespace heddle
