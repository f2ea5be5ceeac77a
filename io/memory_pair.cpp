// SPDX-License-Identifier: MIT
#include <heddle/io/memory_pair.h>

#include <heddle/core/errors.h>
#include <heddle/io/streams/stream_core.h>

#include <cstdint>

namespace heddle {

std::pair<connection, connection> memory_pair(std::size_t buffer, std::size_t limit) {
  detail::check_limit(limit);
  if (buffer == 0 || buffer > PTRDIFF_MAX)
    throw bad_value("the buffer of a memory_pair must have at least one byte");
  auto [a, b] = detail::stream_core::open_memory(buffer, limit);
  connection first = detail::make_connection(a);
  connection second = detail::make_connection(b);
  return {std::move(first), std::move(second)};
}

}  // namespace heddle
