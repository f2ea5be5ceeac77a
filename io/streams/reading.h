// SPDX-License-Identifier: MIT
// Internal to io.
// What the read operations of a stream share. Included by their sources alone.
#pragma once

#include <heddle/io/streams/stream_core.h>

#include <cstddef>
#include <string>

namespace heddle::detail {

/// Holds the reader's role of a stream for one read.
class reading {
 public:
  explicit reading(stream_core& core) : core_(core) { core.begin_read(); }
  reading(const reading&) = delete;
  ~reading() { core_.end_read(); }

 private:
  stream_core& core_;
};

/// Takes the first `n` bytes out of a buffer; there must be as many.
inline std::string take(input_buffer& in, std::size_t n) {
  std::string out(in.view().substr(0, n));
  in.consume(n);
  return out;
}

}  // namespace heddle::detail
