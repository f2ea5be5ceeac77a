// SPDX-License-Identifier: MIT
// Internal to io.
// From a connection to the stream_core behind it.
#pragma once

#include <heddle/io/stream.h>
#include <heddle/io/streams/stream_core.h>

namespace heddle::detail {

/// For parts of io that need more of a connection than its two halves offer: a filter, say.
struct stream_access {
  /// Throws usage_error for a connection whose writer was moved from.
  static stream_core& of(connection& c) { return c.writer.core_.use(); }
  /// The same for a writer alone.
  static stream_core& of(stream_writer& w) { return w.core_.use(); }
  /// The same for a reader alone.
  static stream_core& of(stream_reader& r) { return r.core_.use(); }
};

}  // namespace heddle::detail
