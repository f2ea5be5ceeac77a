// SPDX-License-Identifier: MIT
// What the tests of streams share: filling one up, and emptying it.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/stream.h>
#include <heddle/sched/sleep.h>

#include <chrono>
#include <cstddef>
#include <string>

namespace support {

/// All of it, without keeping it.
inline heddle::task<std::size_t> swallow(heddle::stream_reader& r) {
  std::size_t n = 0;
  while (co_await r.fill()) {
    n += r.buffered().size();
    r.consume(r.buffered().size());
  }
  co_return n;
}

/// Writes until the kernel takes no more and much is buffered; yields how much was written.
inline heddle::task<std::size_t> fill_up(heddle::stream_writer& w) {
  const std::string block(256 * 1024, 'f');
  std::size_t written = 0;
  // The kernel takes no more when what is pending stays the same for a long time: two hundred
  // looks, since the thread that writes, or the peer's end in the kernel, may be held for a while.
  for (int same = 0; same < 200;) {
    if (w.buffered() < 4 * block.size()) {
      w.write(block);
      written += block.size();
      same = 0;
    }
    const auto before = w.buffered();
    co_await heddle::sleep(std::chrono::microseconds(100));
    same = w.buffered() == before && before >= 4 * block.size() ? same + 1 : 0;
  }
  co_return written;
}

}  // namespace support
