// SPDX-License-Identifier: MIT
#include "mentions.h"

#include <algorithm>

namespace tool {

using namespace heddle::detail::seeing;

namespace {

constexpr std::size_t most_frames = 256;   // of one task
constexpr std::size_t most_frame = 65536;  // bytes
constexpr std::size_t most_found = 1u << 20;
constexpr std::size_t most_chunks = 1u << 20;
constexpr std::uint64_t tags = 3;
constexpr std::uint64_t end_tag = 1;
constexpr std::uint64_t malloc_marks = 7;

/// The frames of a task that stands still, from the innermost.
template <class F>
void each_frame(sight& from, const task_view& task, F&& see) {
  if (task.what != doing::waits && task.what != doing::not_started) return;
  const auto& at = from.what().at();
  auto& mem = from.what().mem();
  std::uint64_t frame = 0, end = 0;
  if (!from.what().load(mem, task.at, at.resume, frame)) return;
  frame &= ~tags;
  for (std::size_t i = 0; i < most_frames && frame != 0; ++i) {
    see(frame);
    const std::uint64_t promise = frame + at.frame_promise.at;
    if (!from.what().load(mem, promise, at.end, end) || (end & end_tag) != 0 ||
        !from.what().load(mem, promise, at.continuation, frame))
      return;
  }
}

}  // namespace

void mentions::want(std::uint64_t object, std::uint32_t bytes) {
  wishes_.push_back({object, object + std::max<std::uint32_t>(bytes, 1)});
}

const mentions::wish* mentions::wanted(std::uint64_t word) const {
  auto at = std::upper_bound(wishes_.begin(), wishes_.end(), word,
                             [](std::uint64_t w, const wish& one) { return w < one.begin; });
  if (at == wishes_.begin() || (--at)->end <= word) return nullptr;
  return &*at;
}

// The chunks that blocks of frames are carved from: each says how large its blocks are.
void mentions::read_blocks(sight& from) {
  const auto& at = from.what().at();
  auto& mem = from.what().mem();
  std::uint64_t chunk = 0, bytes = 0, count = 0;
  if (from.what().frame_chunks() == 0 || at.frame_blocks.size == 0 ||
      !mem.get(from.what().frame_chunks(), chunk))
    return;
  while (chunk != 0 && blocks_.size() < most_chunks) {
    if (!from.what().load(mem, chunk, at.frame_block_bytes, bytes) ||
        !from.what().load(mem, chunk, at.frame_blocks, count) || bytes == 0)
      break;
    // The first block stands one alignment behind the head: the largest power of two in its size.
    const std::uint64_t first = chunk + (bytes & (~bytes + 1));
    blocks_.push_back({first, first + bytes * count, bytes});
    if (!from.what().load(mem, chunk, at.frame_chunk_next, chunk)) break;
  }
  std::sort(blocks_.begin(), blocks_.end(),
            [](const block& a, const block& b) { return a.begin < b.begin; });
}

// A frame too large for the chunks is a block of malloc, whose size stands in front of it.
std::uint64_t mentions::frame_end(sight& from, std::uint64_t frame) const {
  auto at = std::upper_bound(blocks_.begin(), blocks_.end(), frame,
                             [](std::uint64_t f, const block& b) { return f < b.begin; });
  if (at != blocks_.begin() && frame < (--at)->end)
    return at->begin + ((frame - at->begin) / at->bytes + 1) * at->bytes;
  std::uint64_t size = 0;
  if (!from.what().mem().get(frame - 8, size)) return frame;
  size &= ~malloc_marks;
  return size >= 32 && size <= most_frame ? frame + size - 8 : frame;
}

void mentions::read_frame(sight& from, const task_view& task, std::uint64_t frame) {
  const std::uint64_t end = std::min<std::uint64_t>(frame_end(from, frame), frame + most_frame);
  std::vector<std::uint64_t> words((end - frame) / 8);
  if (words.empty() || !from.what().mem().read(frame, words.data(), words.size() * 8)) return;
  for (std::size_t i = 2; i < words.size() && found_.size() < most_found; ++i) {
    const wish* w = wanted(words[i]);
    if (!w) continue;
    const std::uint64_t at = frame + i * 8;
    found_.push_back({w->begin, task.at, at, from.tasks().is_in_a_wait(at)});
  }
}

void mentions::read_task(sight& from, const task_view& task) {
  if (task.object != 0) waits_in_[task.object].push_back(task.at);
  if (task.target != 0) waits_in_[task.target].push_back(task.at);
  each_frame(from, task, [&](std::uint64_t frame) { read_frame(from, task, frame); });
}

void mentions::read_frames(sight& from) {
  std::sort(wishes_.begin(), wishes_.end(),
            [](const wish& a, const wish& b) { return a.begin < b.begin; });
  wishes_.erase(std::unique(wishes_.begin(), wishes_.end(),
                            [](const wish& a, const wish& b) { return a.begin == b.begin; }),
                wishes_.end());
  read_blocks(from);
  struct context {
    mentions& all;
    sight& from;
  } c{*this, from};
  (void)from.tasks().each(
      [](void* to, const task_view& task) {
        auto& here = *static_cast<context*>(to);
        here.all.read_task(here.from, task);
        return true;
      },
      &c);
}

std::vector<mention> mentions::of(std::uint64_t object) const {
  std::vector<mention> some;
  const auto own = waits_in_.find(object);
  for (const auto& m : found_) {
    if (m.object != object) continue;
    if (own != waits_in_.end() &&
        std::find(own->second.begin(), own->second.end(), m.record) != own->second.end())
      continue;
    some.push_back(m);
  }
  return some;
}

ranges mentions::frames_of(sight& from, const task_view& task) const {
  ranges all;
  each_frame(from, task,
             [&](std::uint64_t frame) { all.emplace_back(frame, frame_end(from, frame)); });
  return all;
}

}  // namespace tool
