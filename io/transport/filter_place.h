// SPDX-License-Identifier: MIT
// Internal to io. The filter of a stream, and the bytes on their way through it.
//
// To add a filter, TLS for example: derive from `filter` (filter.h), and set it by
// stream_core::set_filter() in the task that has connected or accepted.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/io/transport/filter.h>

#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

namespace heddle::detail {

/// The role `busy` is described in filter.h; reader, sender and output lock in
/// streams/stream_core.h.
//
//   `the`, the filter           the holder of `busy`
//   raw, raw_is_new             the reader
//   held, drops                 the reader
//   unseen, passes_at_end       the reader
//   lingers                     under the output lock
//   ended                       set by the reader; read by any thread that finds an error
//   plain, plain_at             the holder of `busy`; under the output lock while `busy` is free
//   busy, sealed                under the output lock
//   reader_waits, sender_waits  under the output lock
//   end_sealed, end_size        under the output lock
//   end_wanted                  under the output lock
//   error                       under the output lock
//   before                      constant once the place is the stream's
struct filter_place {
  std::unique_ptr<filter> the;

  input_buffer raw;            // received and not yet opened
  bool raw_is_new = false;     // open() has not seen all of raw
  bool held = false;           // raw bytes wait for step_filter(), so the reader chooses when
  bool unseen = false;         // bytes were opened while `held`: the next receive tells of them
  bool drops = false;          // the filter has failed: raw bytes are dropped, up to the end
  bool passes_at_end = false;  // when both directions have ended, bytes pass as they are
  bool lingers = false;        // after a failure: our direction ends, and the peer's is awaited
  atomic<bool> ended{false};   // open() has said that the peer ended its direction

  bool busy = false;
  bool reader_waits = false;  // for `busy` to be free
  bool sender_waits = false;  // likewise
  bool end_wanted = false;    // end() is called when all is sealed, though the stream goes on
  bool end_sealed = false;    // nothing will be sealed any more
  std::size_t end_size = 0;   // bytes of the sealed end
  std::string plain;          // written, and offered to seal()
  std::size_t plain_at = 0;   // so many bytes of it are sealed
  std::string sealed;         // to be sent next

  std::exception_ptr error;
  std::unique_ptr<filter_place> before;  // its filter passes; others may still look at that filter

  [[nodiscard]] std::string_view unsealed() const noexcept {
    return std::string_view(plain).substr(plain_at);
  }
};

/// The filter of `old` becomes a part of the one in `place`. What was written before (`unsealed`,
/// behind what `old` has) and the greeting in `place` go through it at once. `opened` was opened by
/// it, and not read. Returns how many sealed bytes that made. Under the output lock, which no
/// thread holds for long else: sealing a greeting takes some microseconds, once a connection.
[[nodiscard]] std::size_t put_above(filter_place& old, filter_place& place, std::string& unsealed,
                                    std::string_view opened);

}  // namespace heddle::detail
