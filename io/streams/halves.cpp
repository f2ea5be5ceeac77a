// SPDX-License-Identifier: MIT
// What concerns both halves of a connection at one time.
#include <heddle/core/errors.h>
#include <heddle/io/streams/stream_access.h>

#include <utility>

namespace heddle {

connection reunite(stream_reader&& reader, stream_writer&& writer) {
  if (&detail::stream_access::of(reader) != &detail::stream_access::of(writer))
    detail::throw_usage("reunite of two halves that belong to two connections");
  return {std::move(reader), std::move(writer)};
}

}  // namespace heddle
