// SPDX-License-Identifier: MIT
// Frames of coroutines lie in chunks of blocks of one size. A block holds a frame if it begins with
// an address in code, the function that resumes the frame: a free block begins with a link, and
// other objects with an address of data. So the chunks are read whole, and nothing else is needed.
#include "frames.h"

#include "processes.h"

#include <heddle/core/memory/frame_depot.h>
#include <heddle/core/seeing/output.h>
#include <heddle/core/seeing/sight.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace tool {
namespace {

using heddle::detail::frame_depot;
using seeing::address;
using seeing::output;
using seeing::sight;

constexpr std::size_t most_chunks = 10'000'000;

struct of_function {
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
};

struct tally {
  std::unordered_map<address, of_function> functions = {};
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
  std::uint64_t reserved = 0;
};

void add_chunk(sight& s, address first, std::size_t size, std::size_t blocks, tally& to) {
  std::vector<unsigned char> bytes(size * blocks);
  if (!s.what().mem().read(first, bytes.data(), bytes.size())) return;
  for (std::size_t i = 0; i < blocks; ++i) {
    address resume = 0;
    std::memcpy(&resume, bytes.data() + i * size, sizeof resume);
    if (!s.code().is_code(resume)) continue;
    auto& f = to.functions[resume];
    ++f.count;
    f.bytes += size;
    ++to.count;
    to.bytes += size;
  }
}

/// False: the program does not tell where its chunks are, or the list of them is damaged.
bool add_all(sight& s, tally& to) {
  const auto& p = s.what();
  const auto& at = p.at();
  address chunk = 0;
  if (p.frame_depot() == 0 || at.frame_blocks.size == 0 ||
      !p.load(p.mem(), p.frame_depot(), at.depot_chunks, chunk) ||
      !p.load(p.mem(), p.frame_depot(), at.depot_reserved, to.reserved))
    return false;
  for (std::size_t n = 0; chunk != 0; ++n) {
    std::uint64_t size = 0, count = 0;
    if (n == most_chunks || !p.load(p.mem(), chunk, at.frame_block_bytes, size) ||
        !p.load(p.mem(), chunk, at.frame_blocks, count) || size == 0 ||
        size > frame_depot::classes * frame_depot::grain || count > frame_depot::batch_of(0))
      return false;
    add_chunk(s, chunk + frame_depot::alignment_of(size), size, count, to);
    if (!p.load(p.mem(), chunk, at.frame_chunk_next, chunk)) return false;
  }
  return true;
}

void put_right(output& to, std::uint64_t value, std::size_t width) {
  const std::string text = std::to_string(value);
  to.put(std::string(text.size() < width ? width - text.size() : 0, ' '));
  to.put(text);
}

void put(output& to, sight& s, const tally& t) {
  std::vector<std::pair<address, of_function>> sorted(t.functions.begin(), t.functions.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.second.bytes != b.second.bytes ? a.second.bytes > b.second.bytes : a.first < b.first;
  });
  to.put("process ");
  to.number(static_cast<std::uint64_t>(s.process()));
  to.put("  ");
  to.escaped(command_of(s.process()), 15);
  to.put("\n     FRAMES         BYTES  EACH  FUNCTION\n");
  for (const auto& [resume, f] : sorted) {
    put_right(to, f.count, 11);
    put_right(to, f.bytes, 14);
    put_right(to, f.bytes / f.count, 6);
    to.put("  ");
    to.escaped(s.names().function(resume), 160);
    to.put('\n');
  }
  put_right(to, t.count, 11);
  put_right(to, t.bytes, 14);
  to.put("        of ");
  to.number(t.reserved);
  to.put(" bytes that are reserved for frames, callbacks and the like; frames of more than ");
  to.number(frame_depot::largest);
  to.put(" bytes are elsewhere\n");
}

int print_frames(pid_t process) {
  const auto s = std::make_unique<sight>(process);
  if (const auto how = s->open(); how != seeing::opening::good)
    return complain(process, how, s->missing());
  tally t;
  if (!add_all(*s, t)) return complain(process, seeing::opening::incomplete, "depot.chunks");
  output to(STDOUT_FILENO);
  put(to, *s, t);
  to.flush();
  return t.count != 0 ? good : nothing;
}

}  // namespace

int frames(const options& o) {
  if (o.target.empty()) {
    std::fputs("heddle: the memory of which process?\nheddle ps lists them.\n", stderr);
    return usage;
  }
  const auto processes = processes_named(o.target);
  if (processes.empty()) {
    std::fprintf(stderr, "heddle: no program is called %s\n", o.target.c_str());
    return gone;
  }
  int result = nothing;
  for (const pid_t p : processes)
    if (const int r = print_frames(p); r == good || result == nothing) result = r;
  return result;
}

}  // namespace tool
