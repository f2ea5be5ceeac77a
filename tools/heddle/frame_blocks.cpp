// SPDX-License-Identifier: MIT
#include "frame_blocks.h"

#include "chain.h"

#include <heddle/core/memory/frame_depot.h>

#include <unordered_set>

namespace tool {

using heddle::detail::frame_depot;
using seeing::address;
using seeing::number_in;
using seeing::sight;

namespace {

constexpr std::size_t most_chunks = 10'000'000;
constexpr std::uint64_t malloc_marks = 7;
constexpr std::uint64_t most_large = std::uint64_t{1} << 30;  // bytes of one frame
constexpr address tags = 3;
constexpr address unawaited_tag = 2;  // promise_base::record, core/task.h

void add_chunk(sight& s, address first, std::size_t size, std::size_t blocks, frame_blocks& to) {
  std::vector<unsigned char> bytes(size * blocks);
  if (!s.what().mem().read(first, bytes.data(), bytes.size())) return;
  const auto& at = s.what().at();
  const std::size_t promise = at.frame_promise.at;
  for (std::size_t i = 0; i < blocks; ++i) {
    const unsigned char* const block = bytes.data() + i * size;
    const address resume = number_in(block, 8);
    if (!s.code().is_code(resume)) continue;
    const bool has_promise = promise + at.frame_promise.size <= size;
    const std::uint64_t record =
        has_promise ? number_in(block + promise + at.promise_record.at, at.promise_record.size) : 0;
    const bool is_awaited = (record & tags) != unawaited_tag;
    to.all.push_back({first + i * size, resume, size, is_awaited ? 0 : record - unawaited_tag});
  }
}

/// The size in front of a block of glibc's malloc; 0: it looks like none.
std::size_t malloc_bytes(sight& s, address block) {
  std::uint64_t size = 0;
  if (!s.what().mem().get(block - 8, size)) return 0;
  size &= ~malloc_marks;
  return size > frame_depot::largest && size % 16 == 0 && size < most_large ? size : 0;
}

}  // namespace

bool frame_blocks::load(sight& from) {
  const auto& p = from.what();
  const auto& at = p.at();
  address chunk = 0;
  all.clear();
  if (p.frame_depot() == 0 || at.frame_blocks.size == 0 ||
      !p.load(p.mem(), p.frame_depot(), at.depot_chunks, chunk) ||
      !p.load(p.mem(), p.frame_depot(), at.depot_reserved, reserved))
    return false;
  for (std::size_t n = 0; chunk != 0; ++n) {
    std::uint64_t size = 0, count = 0;
    if (n == most_chunks || !p.load(p.mem(), chunk, at.frame_block_bytes, size) ||
        !p.load(p.mem(), chunk, at.frame_blocks, count) || size == 0 ||
        size > frame_depot::classes * frame_depot::grain || count > frame_depot::batch_of(0))
      return false;
    add_chunk(from, chunk + frame_depot::alignment_of(size), size, count, *this);
    if (!p.load(p.mem(), chunk, at.frame_chunk_next, chunk)) return false;
  }
  return true;
}

std::vector<frame_block> large_frames(sight& from, const frame_blocks& small) {
  struct context {
    sight& from;
    std::unordered_set<address> known = {};
    std::vector<frame_block> found = {};
  } c{from};
  for (const auto& b : small.all) c.known.insert(b.at);
  (void)from.tasks().each(
      [](void* to, const seeing::task_view& task) {
        auto& here = *static_cast<context*>(to);
        const auto& p = here.from.what();
        address frame = 0;
        if (task.what != seeing::doing::waits || !p.load(p.mem(), task.at, p.at().resume, frame))
          return true;
        for (const auto& f : chain_from(here.from, task.at, frame & ~tags, false)) {
          if (!here.known.insert(f.at).second) continue;
          if (const auto bytes = malloc_bytes(here.from, f.at); bytes != 0)
            here.found.push_back({f.at, f.resume, bytes});
        }
        return true;
      },
      &c);
  return std::move(c.found);
}

}  // namespace tool
