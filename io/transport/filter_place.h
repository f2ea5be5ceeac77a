// SPDX-License-Identifier: MIT
// Internal to io. A stream's filter, and what is on its way through it.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/io/transport/filter.h>

#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

namespace heddle::detail {

//   the                           the holder of `busy`
//   raw, raw_is_new               the reader
//   ended                         set by the reader, read by whoever finds an error
//   plain, plain_at               the holder of `busy`, or under the output lock while it is free
//   busy, ..._waits, end_...      under the output lock
//   sealed                        under the output lock, appended to by the holder of `busy`
//   error                         written once, before the stream's error_
struct filter_place {
  std::unique_ptr<filter> the;

  input_buffer raw;           // received and not yet opened
  bool raw_is_new = false;    // open() has not seen all of it
  atomic<bool> ended{false};  // open() has told the peer's end

  bool busy = false;
  bool reader_waits = false;  // for `busy` to be free
  bool sender_waits = false;
  bool end_sealed = false;   // nothing will be sealed any more
  std::size_t end_size = 0;  // of the end that was sealed
  std::string plain;         // written, offered to seal()
  std::size_t plain_at = 0;
  std::string sealed;  // to be sent next

  std::exception_ptr error;

  [[nodiscard]] std::string_view unsealed() const noexcept {
    return std::string_view(plain).substr(plain_at);
  }
};

}  // namespace heddle::detail
