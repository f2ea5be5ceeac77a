// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: the blocks that frames of coroutines come from, read whole.
//
// Frames lie in chunks of blocks of one size. A block holds a frame if it begins with an address in
// code, the function that resumes the frame: a free block begins with a link, and other objects
// with an address of data. So the chunks are read whole, and nothing else is needed.
#pragma once

#include <heddle/core/seeing/sight.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tool {

namespace seeing = heddle::detail::seeing;

/// A block of the depot that holds a frame.
struct frame_block {
  seeing::address at = 0;
  seeing::address resume = 0;  // the function that resumes it
  std::size_t bytes = 0;       // of the block
  // It has not begun, and nobody has awaited it: its std::source_location. Else 0.
  seeing::address not_awaited = 0;
};

struct frame_blocks {
  std::vector<frame_block> all;
  std::uint64_t reserved = 0;  // bytes of all chunks

  /// False: the program does not tell where its chunks are, or the list of them is damaged.
  bool load(seeing::sight& from);
};

/// Frames that were too large for the depot, and are blocks of malloc: those of the tasks that
/// wait. `small`: what load() has found.
std::vector<frame_block> large_frames(seeing::sight& from, const frame_blocks& small);

}  // namespace tool
